"""A transfer is all of a zone under signatures, or nothing."""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.rrset
import dns.tsig
import pytest

from dnsguard.core.message import Unreachable
from dnsguard.wire.primary import Primary, TransferLimits
from dnsguard.wire.transfer import transfer
from tests.wire.primaries import KEYS, SECRET, ZONE, key, records
from tests.wire.proxy import Answers, Proxy

SOA = "example.test. 300 IN SOA ns1.example.test. hostmaster.example.test. 1 3600 600 604800 60"
NEWER = SOA.replace(" 1 3600", " 2 3600")
A = "www.example.test. 60 IN A 192.0.2.1"
B = "www.example.test. 60 IN A 192.0.2.2"
TSIG_KEY = next(key for name, key in KEYS.items() if str(name) == "updater.")

Script = Sequence[tuple[Sequence[str], bool]]
"""For each message of a transfer: its records, and whether it is signed."""


def messages(query: dns.message.Message, script: Script) -> list[bytes]:
    context = None
    wires = []
    for lines, signed in script:
        response = dns.message.make_response(dns.message.make_query(ZONE, "AXFR", id=query.id))
        for line in lines:
            owner, ttl, _, rdtype, rdata = line.split(" ", 4)
            response.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", rdtype, rdata))
        wire = response.to_wire()
        if signed:
            tsig = dns.rdtypes.ANY.TSIG.TSIG(
                dns.rdataclass.ANY, dns.rdatatype.TSIG, TSIG_KEY.algorithm, 0, 300, b"", query.id, 0, b""
            )
            made, context = dns.tsig.sign(wire, TSIG_KEY, tsig, int(time.time()), query.mac, context, True)
            rdata_wire = made.to_wire() or b""
            fixed = bytes.fromhex("00fa00ff00000000") + len(rdata_wire).to_bytes(2, "big")
            wire = wire[:10] + b"\0\1" + wire[12:] + (TSIG_KEY.name.to_wire() or b"") + fixed + rdata_wire
        elif context is not None:
            context.update(wire)
        wires.append(len(wire).to_bytes(2, "big") + wire)
    return wires


@asynccontextmanager
async def scripted(script: Script, *, damage: Callable[[bytes], bytes] = bytes) -> AsyncIterator[Primary]:
    """A primary that answers a transfer with some messages and closes the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(size), keyring=TSIG_KEY)
        writer.write(damage(b"".join(messages(query, script))))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield Primary(host, port, "updater.", "hmac-sha256", SECRET, timeout_s=5)


@pytest.mark.parametrize(
    "script",
    [
        [((SOA, A, B, SOA), True)],
        [((SOA,), True), ((A,), True), ((B,), True), ((SOA,), True)],
        [((SOA, A), True), ((B,), False), ((SOA,), True)],
    ],
)
async def test_a_zone_may_come_in_any_number_of_messages(script: Script) -> None:
    async with scripted(script) as primary:
        everything = await transfer(primary, ZONE, time.time)
    assert isinstance(everything, dict)
    assert everything[key("www", "A")] == records("A", "192.0.2.1", "192.0.2.2")
    assert set(everything) == {key("www", "A"), key("", "SOA")}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([((SOA, A, B, SOA), False)], "not signed"),
        ([((SOA, A), True), ((B, SOA), False)], "expected a signature over the last message"),
        ([((SOA, A), True), ((B,), True)], "connection was lost"),
        ([((A, SOA, SOA), True)], "between two copies of its SOA"),
        ([((SOA, A), True), ((NEWER,), True)], "the zone changed meanwhile"),
        ([((SOA, A), True), ((), True)], "between two copies of its SOA"),
        ([((), True)], "between two copies of its SOA"),
        ([], "connection was lost"),
    ],
)
async def test_what_is_not_a_whole_proven_zone_is_nothing(script: Script, said: str) -> None:
    async with scripted(script) as primary:
        everything = await transfer(primary, ZONE, time.time)
    assert isinstance(everything, Unreachable)
    assert said in everything.reason


async def test_one_changed_octet_in_the_middle_is_noticed() -> None:
    def damage(stream: bytes) -> bytes:
        return stream.replace(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 9)))

    async with scripted([((SOA, A), True), ((B,), True), ((SOA,), True)], damage=damage) as primary:
        everything = await transfer(primary, ZONE, time.time)
    assert isinstance(everything, Unreachable)
    assert "does not hold" in everything.reason


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (TransferLimits(records_max=5), "has more than 5 records; .* raise transfer_records_max of its primary"),
        (TransferLimits(octets_max=300), "has more than 300 octets; .* raise transfer_octets_max of its primary"),
    ],
)
async def test_a_transfer_beyond_a_limit_is_given_up_and_the_limit_is_named(limits: TransferLimits, said: str) -> None:
    endless: Script = [((SOA,), True), *[((A, B), True)] * 1_000]
    async with scripted(endless) as primary:
        everything = await transfer(replace(primary, transfer=limits), ZONE, time.time)
    assert isinstance(everything, Unreachable)
    assert re.search(said, everything.reason)


async def test_a_transfer_at_its_limits_is_taken() -> None:
    script: Script = [((SOA, A), True), ((B, SOA), True)]
    async with scripted(script) as primary:
        everything = await transfer(replace(primary, transfer=TransferLimits(records_max=4)), ZONE, time.time)
    assert isinstance(everything, dict)


async def test_a_transfer_that_drips_for_ever_ends_in_time() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire(
            await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")), keyring=TSIG_KEY
        )
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            for wire in messages(query, [((SOA,), True), *[((A,), True)] * 1_000]):
                writer.write(wire)
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.readexactly(1), 0.02)
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        limits = TransferLimits(duration_s_max=0.3)
        primary = Primary(host, port, "updater.", "hmac-sha256", SECRET, timeout_s=5, transfer=limits)
        everything = await transfer(primary, ZONE, time.time)
    assert isinstance(everything, Unreachable)
    assert "took longer than 0.3 s; if the zone is meant to be so large, raise transfer_s_max" in everything.reason


async def test_messages_are_verified_and_decoded_beside_the_event_loop() -> None:
    threads = []

    def now() -> float:
        threads.append(threading.current_thread().name.partition("_")[0])
        return time.time()

    async with scripted([((SOA, A), True), ((B, SOA), True)]) as primary:
        assert isinstance(await transfer(primary, ZONE, now), dict)
    assert threads == ["MainThread", "dns-decode", "dns-decode"]


@pytest.mark.parametrize(
    ("answers", "timeout_s", "said"),
    [
        (Answers.DROPPED, 0.2, "stood still for 0.2 s"),
        (Answers.RESET, 5, "connection was lost"),
        (Answers.GARBLED, 5, "malformed"),
    ],
)
async def test_a_transfer_that_breaks_off_says_so(
    embedded_proxy: Proxy, answers: Answers, timeout_s: float, said: str
) -> None:
    embedded_proxy.answers = answers
    primary = Primary(*embedded_proxy.address, "updater.", "hmac-sha256", SECRET, timeout_s)
    everything = await transfer(primary, ZONE, time.time)
    assert isinstance(everything, Unreachable)
    assert said in everything.reason
