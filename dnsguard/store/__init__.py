"""The history in a SQL database: `SqlStore` over an engine, and the migrations that bring a database to its shape.
Nothing here speaks DNS, and nothing reads a clock or makes up a value.
"""
