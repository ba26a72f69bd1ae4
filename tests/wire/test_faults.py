"""The contract of a primary when something goes wrong: an outcome is never guessed, and observing settles it."""

import asyncio
import time

import pytest

from dnsguard.core.message import AddRecords, Applied, Message, Refused, Unknown, Unreachable
from dnsguard.core.records import Records
from dnsguard.core.written import Seen
from dnsguard.wire.publisher import DnsPublisher
from tests.servers.bind import Bind
from tests.wire.primaries import (
    ZONE,
    Connect,
    OwnWay,
    Server,
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
from tests.wire.proxy import Answers, Proxy

WWW = key("www", "A")
ONE, TWO = records("A", "192.0.2.1"), records("A", "192.0.2.2")
FIRST = guarded(seen_at(None), changes({WWW: ONE}), fence_at(1))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Answers.DROPPED, "no answer from 127.0.0.1 port"),
        (Answers.RESET, "the server closed the connection"),
        (Answers.GARBLED, "no DNS message"),
    ],
)
async def test_an_update_that_was_taken_without_an_answer_is_unknown_and_observing_settles_it(
    proxy: Proxy, connect: Connect, answers: Answers, said: str
) -> None:
    distant = connect(host=proxy.address[0], port=proxy.address[1], timeout_s=1)
    proxy.answers = answers
    outcome = await distant.publish(FIRST)
    assert isinstance(outcome, Unknown)
    assert said in outcome.reason
    assert len(proxy.requests) == 1
    assert isinstance(unsettled := await distant.observe(ZONE), Unreachable)
    assert said in unsettled.reason
    proxy.answers = Answers.PASSED
    assert await distant.observe(ZONE) == seen_at(fence_at(1))
    assert await read(distant, [WWW.name]) == {WWW: ONE}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key_name": "nobody."}, "does not know the TSIG key nobody."),
        ({"algorithm": "hmac-sha512"}, "does not know the TSIG key updater. with this algorithm"),
        ({"secret": b"another secret"}, "another secret for the TSIG key updater."),
        ({"now": lambda: time.time() - 3600}, "clocks differ"),
        ({"now": lambda: time.time() + 3600}, "clocks differ"),
    ],
)
async def test_a_wrong_key_secret_or_clock_decides_nothing_and_is_named(
    connect: Connect, kind: str, own_way: OwnWay, changed: dict[str, object], said: str
) -> None:
    if kind == "powerdns":
        own_way("it says REFUSED to all of these, and signs nothing; the message names all three")
        said = "compare the TSIG key"
    wrong = connect(**changed)
    outcome = await wrong.publish(FIRST)
    assert isinstance(outcome, Unknown)
    assert said in outcome.reason
    for found in (await wrong.observe(ZONE), await wrong.read(ZONE, [WWW.name]), await wrong.transfer(ZONE)):
        assert isinstance(found, Unreachable)
        assert said in found.reason
    assert await connect().observe(ZONE) == Seen((), None)


async def test_a_server_that_was_killed_and_restarted_in_the_middle_is_found_again(
    server: Server, connect: Connect
) -> None:
    publisher = connect()
    seen = seen_at(await publish(publisher, 1, {WWW: ONE}))
    await server.kill()
    away = await publisher.publish(guarded(seen, changes({WWW: TWO}), fence_at(2)))
    assert isinstance(away, Unknown)
    assert isinstance(await publisher.observe(ZONE), Unreachable)
    assert isinstance(await publisher.read(ZONE, [WWW.name]), Unreachable)
    assert isinstance(await publisher.transfer(ZONE), Unreachable)
    await server.restart()
    assert await publisher.observe(ZONE) == seen
    assert await publisher.publish(guarded(seen, changes({WWW: TWO}), fence_at(2))) == Applied()


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed_under_load(
    server: Server, connect: Connect
) -> None:
    publisher = connect()
    acknowledged = 0
    seen = await publisher.observe(ZONE)
    assert isinstance(seen, Seen)

    async def stream() -> None:
        nonlocal acknowledged, seen
        assert isinstance(seen, Seen)
        for generation in range(1, 10_000):
            some = changes({WWW: records("A", f"192.0.{generation >> 8}.{generation & 255}")})
            outcome = await publisher.publish(guarded(seen, some, fence_at(generation)))
            if outcome != Applied():
                assert isinstance(outcome, Unknown)
                return
            acknowledged, seen = generation, seen_at(fence_at(generation))
            if generation == 20:
                killer.set()

    killer = asyncio.Event()
    publishing = asyncio.create_task(stream())
    publishing.add_done_callback(lambda _: killer.set())
    await killer.wait()
    await server.kill()
    await publishing
    assert acknowledged >= 20
    await server.restart()
    found = await publisher.observe(ZONE)
    assert isinstance(found, Seen)
    assert found.fence is not None
    # The last one, without an answer, may have been taken: that is what unknown means.
    assert found.fence.generation in {acknowledged, acknowledged + 1}
    generation = found.fence.generation
    assert await read(publisher, [WWW.name]) == {WWW: records("A", f"192.0.{generation >> 8}.{generation & 255}")}


async def test_a_cancelled_publication_disturbs_nobody(proxy: Proxy, connect: Connect) -> None:
    distant = connect(host=proxy.address[0], port=proxy.address[1])
    assert await distant.observe(ZONE) == Seen((), None)
    proxy.answers, proxy.answered = Answers.HELD, 0
    cancelled = asyncio.create_task(distant.publish(FIRST))
    await proxy.until(lambda: proxy.answered == 1)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    reading = asyncio.create_task(read(distant, [WWW.name]))
    await proxy.until(lambda: proxy.answered >= 2)
    proxy.answers = Answers.PASSED
    for frame, writer in proxy.held:
        writer.write(frame)
    assert await reading == {WWW: ONE}
    assert await distant.observe(ZONE) == seen_at(fence_at(1))
    assert proxy.connections == 1


async def test_a_dead_primary_is_told_apart_from_a_silent_one(server: Server) -> None:
    address = server.address
    await server.kill()
    publisher: DnsPublisher = make_publisher(address)
    outcome = await publisher.publish(FIRST)
    assert isinstance(outcome, Unknown)
    assert f"no connection to 127.0.0.1 port {address[1]}" in outcome.reason
    await publisher.close()
    await server.restart()


async def test_malformed_rdata_applies_nothing_and_an_unsigned_word_on_it_decides_nothing(
    connect: Connect, kind: str, own_way: OwnWay
) -> None:
    """FORMERR comes before anybody looks at the signature, and so without one; Knot hangs up, too."""
    publisher = connect()
    malformed = AddRecords(key("bad", "A"), Records(60, (b"\1\2\3",)))
    outcome = await publisher.publish(Message(ZONE, (), (AddRecords(WWW, ONE), malformed)))
    assert isinstance(outcome, Refused | Unknown)
    if kind == "powerdns":
        own_way("SERVFAIL, and signed")
    assert outcome.rcode == ("SERVFAIL" if kind == "powerdns" else "FORMERR")
    assert isinstance(outcome, Unknown) == (kind != "powerdns")
    assert await read(connect(), [WWW.name]) == {}


@pytest.mark.parametrize("server", ["bind"], indirect=True)
async def test_a_frozen_zone_refuses_and_says_why(server: Bind, connect: Connect) -> None:
    publisher = connect()
    await server.rndc("freeze", "example.test")
    outcome = await publisher.publish(FIRST)
    assert isinstance(outcome, Refused)
    assert outcome.rcode == "REFUSED"
    assert "frozen" in outcome.detail
    await server.rndc("thaw", "example.test")
    assert await publisher.publish(FIRST) == Applied()


@pytest.mark.parametrize("server", ["bind"], indirect=True)
async def test_more_than_a_hundred_records_of_a_type_are_refused(publisher: DnsPublisher) -> None:
    many = Records(60, tuple(sorted(bytes((192, 0, 2, octet)) for octet in range(101))))
    outcome = await publisher.publish(guarded(seen_at(None), changes({WWW: many}), fence_at(1)))
    assert isinstance(outcome, Refused)
    assert outcome.rcode == "SERVFAIL"
    assert await publisher.observe(ZONE) == Seen((), None)
