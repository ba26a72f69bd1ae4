"""The laboratory: the real workers, over ends in memory and SQL under a scheduler that decides who goes next, and on
real sockets in the demo.
"""
