"""Name servers are asked for the fence: over UDP, over TCP where that is needed, and never for longer than allowed."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import pytest_asyncio

from dnsguard.core.message import Unreachable
from dnsguard.core.written import Seen
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.observer import IN_FLIGHT_MAX, Follower, Followers
from dnsguard.wire.primary import Primary
from dnsguard.wire.server import EmbeddedServer
from dnsguard.wire.txt_answer import OCTETS_MAX
from tests.wire.primaries import KEYS, SECRET, ZONE, ZONES, fence_at, key, make_publisher, publish, records, seen_at

Reply = Callable[[dns.message.Message, bool], list[bytes]]
"""Makes the answers to a question; the second argument says whether it came by TCP."""


def answer(query: dns.message.Message, *texts: str, flags: int = dns.flags.AA) -> dns.message.Message:
    response = dns.message.make_response(query)
    response.flags |= flags
    if texts:
        response.answer.append(dns.rrset.from_text(query.question[0].name, 1, "IN", "TXT", *texts))
    return response


class Scripted(asyncio.DatagramProtocol):
    """A name server that answers as a test says."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.by_udp = self.by_tcp = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.by_udp += 1
        for wire in self.reply(dns.message.from_wire(data), False):
            self.transport.sendto(wire, addr)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            self.by_tcp += 1
            for found in self.reply(dns.message.from_wire(wire), True):
                writer.write(len(found).to_bytes(2, "big") + found)
            await reader.read()
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[str, int]]:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
            address: tuple[str, int] = server.sockets[0].getsockname()
            transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=address)
            yield address
            transport.close()


def follower(address: tuple[str, int], timeout_s: float = 5.0, signed_as: Primary | None = None) -> Follower:
    return Follower(NameServer("ns1", *address, timeout_s, signed_as), time.time)


async def ask(reply: Reply, timeout_s: float = 5.0) -> tuple[Seen | Unreachable, Scripted]:
    scripted = Scripted(reply)
    async with scripted.running() as address:
        return await follower(address, timeout_s).fence(ZONE), scripted


def reason(found: Seen | Unreachable) -> str:
    assert isinstance(found, Unreachable), found
    assert "ns1 (127.0.0.1 port" in found.reason
    return found.reason


@pytest_asyncio.fixture
async def embedded() -> AsyncIterator[EmbeddedServer]:
    server = await EmbeddedServer.start(zones=ZONES, keys=KEYS)
    yield server
    await server.stop()


async def test_the_fence_is_read_unsigned_or_signed(embedded: EmbeddedServer) -> None:
    signed_as = Primary(*embedded.address, "updater512.", "hmac-sha512", SECRET)
    askers = follower(embedded.address), follower(embedded.address, signed_as=signed_as)
    assert [await each.fence(ZONE) for each in askers] == [Seen((), None)] * 2
    publisher = make_publisher(embedded.address)
    fence = await publish(publisher, 3, {key("www", "A"): records("A", "192.0.2.1")})
    await publisher.close()
    assert [await each.fence(ZONE) for each in askers] == [seen_at(fence)] * 2


async def test_servers_are_written_to_and_asked_over_ipv6() -> None:
    server = await EmbeddedServer.start(host="::1", zones=ZONES, keys=KEYS)
    host, port = server.address[:2]
    assert host == "::1"
    publisher = make_publisher((host, port))
    fence = await publish(publisher, 3, {key("www", "A"): records("A", "192.0.2.1")})
    assert not isinstance(await publisher.transfer(ZONE), Unreachable)
    assert await follower((host, port)).fence(ZONE) == seen_at(fence)
    await publisher.close()
    await server.stop()


async def test_an_answer_by_another_key_counts_for_nothing(embedded: EmbeddedServer) -> None:
    wrong = Primary(*embedded.address, "updater.", "hmac-sha256", b"another secret")
    assert "BADSIG" in reason(await follower(embedded.address, signed_as=wrong).fence(ZONE))


async def test_a_zone_that_it_does_not_have_is_said(embedded: EmbeddedServer) -> None:
    assert "REFUSED" in reason(await follower(embedded.address).fence("elsewhere.test."))


async def test_a_lost_question_is_asked_again() -> None:
    lost = [True]

    def reply(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        return [] if lost and lost.pop() else [answer(query, f'"{fence_at(5)}"').to_wire()]

    found, scripted = await ask(reply, 1.0)
    assert (found, scripted.by_udp, scripted.by_tcp) == (seen_at(fence_at(5)), 2, 0)


async def test_tcp_is_asked_when_udp_is_silent_or_says_too_little() -> None:
    def silent(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return [answer(query, f'"{fence_at(5)}"').to_wire()] if tcp else []

    def short(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return silent(query, tcp) or [answer(query, flags=dns.flags.AA | dns.flags.TC).to_wire()]

    for reply, by_udp, timeout_s in ((silent, 2, 0.6), (short, 1, 5.0)):
        found, scripted = await ask(reply, timeout_s)
        assert (found, scripted.by_udp, scripted.by_tcp) == (seen_at(fence_at(5)), by_udp, 1)


async def test_who_never_answers_costs_its_time_and_no_more() -> None:
    begun = asyncio.get_running_loop().time()
    found, _ = await ask(lambda _query, _tcp: [], 0.3)
    assert "within 0.3 s" in reason(found)
    assert asyncio.get_running_loop().time() - begun >= 0.3


async def test_nobody_there_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
    assert "Connection refused" in reason(await follower(address, 60.0).fence(ZONE))


async def test_what_is_forged_or_belongs_to_another_question_is_dropped() -> None:
    def reply(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        lie = answer(query, f'"{fence_at(9)}"').to_wire()
        other = answer(dns.message.make_query("other.test.", "TXT", id=query.id), '"x"').to_wire()
        forged = bytes((lie[0] ^ 1,)) + lie[1:]
        return [forged, other, query.to_wire(), b"", b"\0" * 12, answer(query, f'"{fence_at(5)}"').to_wire()]

    found, _ = await ask(reply)
    assert found == seen_at(fence_at(5))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda query: answer(query, f'"{fence_at(5)}"', flags=0), "not authoritative"),
        (dns.message.make_response, "not authoritative"),
    ],
)
async def test_only_an_authoritative_answer_counts(
    make: Callable[[dns.message.Message], dns.message.Message], said: str
) -> None:
    found, _ = await ask(lambda query, _tcp: [make(query).to_wire()])
    assert said in reason(found)


async def test_a_fault_and_garbage_are_said() -> None:
    def fault(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        response = answer(query)
        response.set_rcode(dns.rcode.SERVFAIL)
        return [response.to_wire()]

    def garbage(query: dns.message.Message, _tcp: bool) -> list[bytes]:
        return [answer(query).to_wire() + b"\xff"]

    assert "SERVFAIL" in reason((await ask(fault))[0])
    assert "well-formed" in reason((await ask(garbage))[0])


def costly_answer(query: dns.message.Message) -> bytes:
    """Return 64 KiB of NS records whose names have 127 labels each, behind pointers: 7 s of work for dnspython."""
    wire = query.to_wire()
    question = wire[12:]
    at = 12 + len(question) + 12
    names = b"\xc0\x0c" + struct.pack("!HHIH", 65280, 1, 1, 255) + b"\0\0" + b"\1a" * 126 + b"\0"
    record = struct.pack("!HHHIHH", 0xC000 | at + 2, 2, 1, 1, 2, 0xC000 | at + 2)
    count = (65_535 - at - 255) // len(record)
    return wire[:2] + b"\x84\0\0\1" + struct.pack("!HHH", count + 1, 0, 0) + question + names + record * count


async def test_a_costly_answer_of_64_kib_is_refused_unread() -> None:
    def reply(query: dns.message.Message, tcp: bool) -> list[bytes]:
        return [costly_answer(query)] if tcp else [answer(query, flags=dns.flags.AA | dns.flags.TC).to_wire()]

    begun = time.process_time()
    found, scripted = await ask(reply)
    assert "octets; expected at most" in reason(found)
    assert scripted.by_tcp == 1
    assert time.process_time() - begun < 1


async def test_a_datagram_that_is_too_long_is_dropped() -> None:
    def reply(query: dns.message.Message, tcp: bool) -> list[bytes]:
        right = answer(query, f'"{fence_at(5)}"').to_wire()
        return [right] if tcp else [right + bytes(OCTETS_MAX), right]

    found, scripted = await ask(reply)
    assert (found, scripted.by_tcp) == (seen_at(fence_at(5)), 0)


async def test_something_else_at_the_fences_name_is_shown_as_it_is() -> None:
    found, _ = await ask(lambda query, _tcp: [answer(query, '"hello"').to_wire()])
    assert found == Seen((b"\x05hello",), None)


async def test_a_silent_server_takes_no_answer_from_the_others(embedded: EmbeddedServer) -> None:
    scripted = Scripted(lambda _query, _tcp: [])
    async with scripted.running() as address:
        servers = {"dead": (address, 0.3), "alive": (embedded.address, 5.0)}
        both = Followers([Follower(NameServer(name, *at, wait_s), time.time) for name, (at, wait_s) in servers.items()])
        found = await asyncio.gather(*(both.fences(ZONE) for _ in range(3 * IN_FLIGHT_MAX)))
        assert all(each["alive"] == Seen((), None) and isinstance(each["dead"], Unreachable) for each in found)
