"""SQLite on threads: a transaction is one visit to one of them, from its beginning to its end.
The driver blocks, so it cannot work on the event loop; and a thread that is visited once for every statement costs
several times what the statements do. Nothing about plans is known here.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from dnsguard.store.engine import BEGIN

READERS_MAX = 4

Result = TypeVar("Result")


class Threads:
    """One thread that writes, and a few that read."""

    def __init__(self, engine: sa.Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
        self._readers = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="history-reader")
        # A single one: SQLite has one writer at a time, and waiting for one's turn here is fair and quick.
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="history-writer")

    async def read(self, look: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction that writes nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, look)

    async def write(self, act: Callable[[sa.Connection], Result]) -> Result:
        """Run a transaction and commit it. One that has begun is not ended by cancelling who waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._act, act)

    def _look(self, look: Callable[[sa.Connection], Result]) -> Result:
        with self._reader.connect() as conn:
            return look(conn)

    def _act(self, act: Callable[[sa.Connection], Result]) -> Result:
        with self._writer.begin() as conn:
            return act(conn)

    async def close(self) -> None:
        """Finish what has begun, and close all connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._end)

    def _end(self) -> None:
        for threads in (self._readers, self._writing):
            threads.shutdown(cancel_futures=True)
        self._reader.dispose()
