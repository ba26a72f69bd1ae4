"""What name servers do that the contract does not ask of them, or that it leaves open: each manner that dnsguard
reckons with, on each server, so that a new version that behaves otherwise is noticed. See docs/name-servers.md.
"""

import asyncio
from pathlib import Path

import pytest

from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Refused, RRsetIs, Unknown
from dnsguard.core.records import Records
from dnsguard.core.written import Seen
from dnsguard.wire.publisher import DnsPublisher
from tests.servers.bind import Bind
from tests.wire.primaries import (
    KEYS,
    ZONE,
    ZONES,
    Connect,
    changes,
    fence_at,
    guarded,
    key,
    make_publisher,
    publish,
    read,
    records,
    seen_at,
)

WWW = key("www", "A")
ONE, TWO = records("A", "192.0.2.1"), records("A", "192.0.2.2")


@pytest.mark.parametrize("rdtype", ["SOA", "NS"])
async def test_the_apex_keeps_its_soa_and_its_last_name_server_whatever_is_said(
    publisher: DnsPublisher, rdtype: str
) -> None:
    message = Message(ZONE, (), (DeleteRRset(key("", rdtype)), AddRecords(WWW, ONE)))
    assert await publisher.publish(message) == Applied()
    found = await read(publisher, [ZONE, WWW.name])
    assert isinstance(found, dict)
    assert set(found) == {key("", "SOA"), key("", "NS"), WWW}


async def test_to_delete_what_is_absent_changes_nothing(publisher: DnsPublisher) -> None:
    before = await publisher.transfer(ZONE)
    assert await publisher.publish(Message(ZONE, (), (DeleteRRset(WWW),))) == Applied()
    assert await publisher.transfer(ZONE) == before  # the serial, too


async def test_prerequisites_compare_no_ttl_and_a_changed_ttl_alone_is_published(publisher: DnsPublisher) -> None:
    seen = seen_at(await publish(publisher, 1, {WWW: ONE}))
    longer = Records(7200, ONE.rdatas)
    assert await publisher.publish(Message(ZONE, (RRsetIs(WWW, longer.rdatas),), ())) == Applied()
    assert await publisher.publish(guarded(seen, changes({WWW: longer}), fence_at(2))) == Applied()
    assert await read(publisher, [WWW.name]) == {WWW: longer}


@pytest.mark.parametrize("server", ["knot"], indirect=True)
async def test_a_bad_update_on_knot_takes_its_neighbours_down_and_nothing_is_half_applied(connect: Connect) -> None:
    """Knot commits what comes at the same time together. What was refused so is refused, and may be sent again."""
    bad = Message(ZONE, (), (AddRecords(key("ns1", "DNAME"), records("DNAME", "elsewhere.test.")),))
    await publish(connect(), 1, {key("below.ns1", "A"): ONE})
    publishers = [connect() for _ in range(8)]
    for round_number in range(200):
        good = [
            Message(ZONE, (), (AddRecords(key(f"good{round_number}-{index}", "A"), ONE),))
            for index in range(len(publishers))
        ]
        sent = [publisher.publish(message) for publisher, message in zip(publishers, good, strict=True)]
        *outcomes, verdict = await asyncio.gather(*sent, connect().publish(bad))
        assert isinstance(verdict, Refused)
        there = await read(publishers[0], [message.updates[0].key.name for message in good])
        assert isinstance(there, dict)
        for outcome, message in zip(outcomes, good, strict=True):
            assert (outcome == Applied()) == (message.updates[0].key in there)
        if failed := [outcome for outcome in outcomes if outcome != Applied()]:
            assert all(isinstance(outcome, Refused) and outcome.rcode == "SERVFAIL" for outcome in failed)
            again = [message for outcome, message in zip(outcomes, good, strict=True) if outcome != Applied()]
            assert {await publishers[0].publish(message) for message in again} == {Applied()}
            return
    pytest.fail("expected a bad update to take a neighbour down in 200 rounds, found none: has Knot changed?")


async def test_bind_drops_updates_beyond_its_quota_without_a_word(tmp_path: Path) -> None:
    """So an outcome is unknown, and what is in flight is bounded; the quota is 100 unless configured."""
    async with await Bind.start(tmp_path / "bind", zones=ZONES, keys=KEYS, extra_options="update-quota 2;") as server:
        for publishers, all_answered in ((1, True), (16, False)):
            some = [make_publisher(server.address, in_flight_max=2, timeout_s=1) for _ in range(publishers)]
            for publisher in some:
                assert await publisher.observe(ZONE) == Seen((), None)
            outcomes = await asyncio.gather(
                *(
                    publisher.publish(
                        Message(ZONE, (), (AddRecords(key(f"host{publishers}-{index}-{turn}", "A"), ONE),))
                    )
                    for index, publisher in enumerate(some)
                    for turn in range(2)
                )
            )
            assert all(isinstance(outcome, Applied | Unknown) for outcome in outcomes)
            assert (set(map(type, outcomes)) == {Applied}) == all_answered
            for publisher in some:
                await publisher.close()
