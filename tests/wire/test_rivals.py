"""Whether two servers keep one fence is found by trying: two PowerDNS on one PostgreSQL do not."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from dnsguard.core.message import Applied, DeleteRRset, Message, Refused, RRsetIs, Unreachable
from dnsguard.core.written import Seen
from dnsguard.wire.identity import version_of
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.wire.rivals import Standing, examine
from tests.servers.bind import Bind
from tests.servers.knot import Knot
from tests.servers.nsd import Nsd
from tests.servers.postgresql import Postgresql
from tests.servers.powerdns import PowerDns, fill_postgresql
from tests.servers.running import Address, Running
from tests.wire.primaries import (
    KEYS,
    SECRET,
    ZONE,
    ZONES,
    Server,
    changes,
    fence_at,
    guarded,
    key,
    make_publisher,
    publish,
    records,
)

PLAIN = {"gpgsql-extra-connection-parameters": ""}
"""PowerDNS's own default: transactions of PostgreSQL's default isolation."""


def primary_at(address: Address) -> Primary:
    return Primary(address[0], address[1], "updater.", "hmac-sha256", SECRET, timeout_s=5)


async def standing(first: Running, second: Running) -> Standing:
    found = await examine(primary_at(first.address), ZONE, [primary_at(second.address)], time.time, "0123456789ab")
    (rival,) = found.rivals
    assert (found.refusal != "") == rival.standing.is_refused
    publisher = make_publisher(first.address)
    everything = await publisher.transfer(ZONE)
    await publisher.close()
    assert isinstance(everything, dict)
    assert not [key for key in everything if "probe" in key.name]
    return rival.standing


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def postgresql() -> AsyncIterator[Postgresql]:
    async with await Postgresql.start() as server:
        yield server


class Pair:
    """Two instances on one database."""

    def __init__(self, folder: Path, server: Postgresql) -> None:
        self._folder, self._server = folder, server
        self._running: list[PowerDns] = []
        self._database = ""

    async def instance(self, settings: Mapping[str, str]) -> PowerDns:
        if not self._database:
            self._database = await fill_postgresql(self._folder / "filling", self._server, ZONES, KEYS)
        folder = self._folder / f"instance{len(self._running)}"
        self._running.append(await PowerDns.on_postgresql(folder, self._server, self._database, settings=settings))
        return self._running[-1]

    async def close(self) -> None:
        for running in self._running:
            await running.stop()


@pytest_asyncio.fixture
async def pair(tmp_path: Path, postgresql: Postgresql) -> AsyncIterator[Pair]:
    made = Pair(tmp_path, postgresql)
    yield made
    await made.close()


async def race(publishers: list[DnsPublisher], rounds: int) -> list[int]:
    """How many of two won, round by round, each publishing over the fence that both saw.

    There is a publication before the first: two that make the very first fence at once collide in the index
    dnsguard_fence, and one of them takes nothing any more. Deletions of what is absent make messages long enough.
    """
    await publish(publishers[0], 1, {key("www", "A"): records("A", "192.0.2.0")})
    slow = tuple(DeleteRRset(key(f"absent{index}", "TXT")) for index in range(100))
    winners = []
    for number in range(2, rounds + 2):
        seen = await publishers[0].observe(ZONE)
        assert isinstance(seen, Seen)
        messages = [
            guarded(seen, changes({key("www", "A"): records("A", f"192.0.2.{who}")}), fence_at(number, who))
            for who in range(len(publishers))
        ]
        sent = [
            publisher.publish(replace(message, updates=(*slow, *message.updates)))
            for publisher, message in zip(publishers, messages, strict=True)
        ]
        winners.append(sum(outcome == Applied() for outcome in await asyncio.gather(*sent)))
    return winners


async def test_two_powerdns_on_one_postgresql_both_win_unless_it_isolates_them(pair: Pair) -> None:
    for settings, both in ((PLAIN, True), ({}, False)):
        instances = [await pair.instance(settings) for _ in range(2)]
        publishers = [make_publisher(instance.address) for instance in instances]
        winners = await race(publishers, 200)
        assert (2 in winners) == both
        assert 0 not in winners
        for publisher in publishers:
            await publisher.close()
        for instance in instances:
            await instance.stop()


async def test_two_writing_powerdns_are_found_and_refused(pair: Pair) -> None:
    first, second = [await pair.instance(PLAIN) for _ in range(2)]
    assert await standing(first, second) is Standing.BOTH_WIN


async def test_two_writing_powerdns_that_are_isolated_are_found_and_refused(pair: Pair) -> None:
    first, second = [await pair.instance({}) for _ in range(2)]
    assert await standing(first, second) is Standing.COLLIDES
    # Whichever failed fails all that is written to it from then on, and is no less refused.
    assert await standing(first, second) in (Standing.COLLIDES, Standing.PRIMARY_FAILS)


async def test_a_second_powerdns_that_takes_no_updates_is_no_rival(pair: Pair) -> None:
    first, second = await pair.instance({}), await pair.instance({"dnsupdate": "no"})
    assert await standing(first, second) is Standing.TAKES_NONE
    publisher = make_publisher(first.address)
    await publish(publisher, 1, {key("www", "A"): records("A", "192.0.2.1")})
    await publisher.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(Bind, Standing.TAKES_NONE), (Knot, Standing.ONE_WINS), (Nsd, Standing.TAKES_NONE)],
)
@pytest.mark.parametrize("server", ["bind", "knot"], indirect=True)
async def test_a_secondary_is_no_rival_even_if_it_passes_updates_on(
    server: Running, tmp_path: Path, kind: type[Bind | Knot | Nsd], expected: Standing
) -> None:
    async with await kind.start(tmp_path / "secondary", zones=ZONES, keys=KEYS, primary=server.address) as secondary:
        assert await standing(server, secondary) is expected


async def test_a_server_that_is_down_is_unclear_and_refuses_nothing(embedded: Server) -> None:
    gone = primary_at(("127.0.0.1", 1))
    found = await examine(primary_at(embedded.address), ZONE, [gone], time.time, "0123456789ab")
    assert [rival.standing for rival in found.rivals] == [Standing.UNCLEAR]
    assert found.refusal == ""


async def test_what_a_server_says_of_itself_is_shown(server: Server, kind: str) -> None:
    said = await version_of(primary_at(server.address), time.time)
    expected = {"bind": "9.", "powerdns": "PowerDNS", "embedded": ""}
    if kind == "knot":  # it signs no answer of class CH
        assert isinstance(said, Unreachable)
    else:
        assert isinstance(said, str)
        assert expected[kind] in said


async def test_powerdns_takes_a_fence_in_capitals_for_the_same(tmp_path: Path) -> None:
    async with await PowerDns.start(tmp_path / "powerdns", zones=ZONES, keys=KEYS) as server:
        publisher = make_publisher(server.address)
        shout = key("shout", "TXT")
        await publish(publisher, 1, {shout: records("TXT", '"loud"')})
        capitals = records("TXT", '"LOUD"')
        other = records("TXT", '"quiet"')
        assert await publisher.publish(Message(ZONE, (RRsetIs(shout, capitals.rdatas),), ())) == Applied()
        assert isinstance(await publisher.publish(Message(ZONE, (RRsetIs(shout, other.rdatas),), ())), Refused)
        await publisher.close()
