"""The PostgreSQL fixture itself: a password is needed, databases are copies, and what was committed survives."""

import asyncio
import os
import signal

import asyncpg
import pytest

from tests.servers.postgresql import Postgresql


async def test_it_asks_for_a_password_and_keeps_what_was_committed() -> None:
    async with await Postgresql.start() as server:
        database = await server.database()
        await server.execute("CREATE TABLE made (one int)", "INSERT INTO made VALUES (1)", database=database)
        assert (await server.execute("SHOW fsync"))[0]["fsync"] == "on"
        host, port = server.address
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=host, port=port, user="dnsguard", password="wrong", database=database)
        for how in (signal.SIGQUIT, signal.SIGKILL):
            await server.restart(how)
            copy = await server.database(template=database)
            assert len(await server.execute("SELECT * FROM made", database=copy)) == 1
        folder = (await server.execute("SHOW data_directory"))[0][0]
    assert not await asyncio.to_thread(os.path.lexists, folder)
