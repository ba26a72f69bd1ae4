from dataclasses import replace

import sqlalchemy as sa

from dnsguard.core.roster import Daemon
from dnsguard.store.sql import SqlStore

DAEMON = Daemon("a" * 16, "one.test", 7, "0.1.0", "0008", "http://127.0.0.1:8053", 1000.0, 1000.0)


async def test_a_daemon_is_listed_from_its_first_word_until_it_leaves(store: SqlStore) -> None:
    other = replace(DAEMON, id="b" * 16, host="two.test", address=None)
    await store.attend(DAEMON)
    await store.attend(other)
    assert await store.daemons() == (DAEMON, other)
    later = replace(DAEMON, seen_at=1002.0, address="http://127.0.0.1:1")
    await store.attend(later)
    await store.attend(replace(DAEMON, seen_at=1001.0))  # a word that was held up on its way
    assert await store.daemons() == (later, other)
    await store.leave(later)
    assert await store.daemons() == (other,)


async def test_daemons_that_ended_without_a_word_are_forgotten_after_a_day(store: SqlStore) -> None:
    await store.attend(DAEMON)
    last = replace(DAEMON, id="c" * 16, seen_at=1000.0 + 86_401)
    await store.attend(last)
    await store.leave(last)
    assert await store.daemons() == ()


async def test_a_daemon_is_told_when_the_tables_have_gone_beyond_its_code(store: SqlStore) -> None:
    assert await store.attend(DAEMON) is None
    async with store._database.engine.begin() as conn:
        await conn.execute(sa.text("UPDATE compatibility SET oldest = '0009'"))
    assert await store.attend(replace(DAEMON, seen_at=1003.0)) == "0009"
