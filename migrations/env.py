"""Runs the migrations over the connection that `dnsguard.store.migrate` hands in, within its transaction.
Opens no connection and configures no logging of its own.
"""

from alembic import context

from dnsguard.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's tables change in transactions too; alembic must not commit in the middle of this one.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
