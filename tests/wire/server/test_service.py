"""No octets that a client may send break the embedded server."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing

import dns.message
import dns.opcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.wire.server import initial_contents
from dnsguard.wire.server.service import Service, failure
from tests.wire.server.parts import KEY, KEYS, ORIGIN, ZONES, query, request, signed_update


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[asyncio.Runner, Service]]:
    permitted = {origin: frozenset(names) for origin, names in ZONES.items()}
    with asyncio.Runner() as runner:
        service = Service(permitted, KEYS, None)
        runner.run(service.add_zone(ORIGIN, initial_contents(ORIGIN)))
        yield runner, service
        runner.run(service.close())


async def replies(service: Service, wire: bytes, *, stream: bool) -> list[bytes]:
    async with aclosing(service.replies(wire, stream=stream)) as answers:
        return [answer async for answer in answers]


def answer(serving: tuple[asyncio.Runner, Service], wire: bytes, *, stream: bool) -> None:
    """Every request with a header gets answers with its id, and whatever gets none is no request."""
    runner, service = serving
    answers = runner.run(replies(service, wire, stream=stream))
    assert bool(answers) == (len(wire) >= 12 and not wire[2] & 0x80)
    for one in answers:
        assert one[:2] == wire[:2]
        assert len(one) <= (65535 if stream else 1232)
        # Not with dnspython: it refuses to read an answer that repeats a malformed zone section.
        request(one)


@settings(deadline=None)
@given(wire=st.binary(max_size=200), stream=st.booleans())
def test_random_octets_are_survived(serving: tuple[asyncio.Runner, Service], wire: bytes, stream: bool) -> None:
    answer(serving, wire, stream=stream)


@settings(max_examples=200, deadline=None)
@given(draw=st.data(), kind=st.sampled_from(("query", "update", "transfer")), stream=st.booleans())
def test_damaged_messages_are_survived(
    serving: tuple[asyncio.Runner, Service], draw: st.DataObject, kind: str, stream: bool
) -> None:
    message: dns.message.Message
    if kind == "query":
        message = query("www", "A", edns=True)
    elif kind == "transfer":
        message = query("@", "AXFR", key=KEY)
    else:
        message = signed_update()
        message.present("ns1", "A", "127.0.0.1")
        message.add("www", 60, "MX", "10 www")
        message.delete("www", "CNAME")
    wire = bytearray(message.to_wire())
    for _ in range(draw.draw(st.integers(1, 4))):
        wire[draw.draw(st.integers(2, len(wire) - 1))] = draw.draw(st.integers(0, 255))
    answer(
        serving,
        bytes(wire[: draw.draw(st.integers(0, len(wire)))] if draw.draw(st.booleans()) else wire),
        stream=stream,
    )


def test_a_failure_is_answered_servfail_with_the_id_of_its_message() -> None:
    wire = query("www", "A").to_wire()
    broken = failure(wire)
    assert broken is not None
    assert (broken[:2], broken[3] & 0xF) == (wire[:2], 2)
    assert failure(b"short") is None
