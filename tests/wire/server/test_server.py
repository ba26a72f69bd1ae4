"""The embedded server over its sockets: UDP, TCP, AXFR, UPDATE, bounds, and its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest
import pytest_asyncio

from dnsguard.wire.server import EmbeddedServer, Limits, NotLoopback, StorageUnavailable, UnknownKey
from tests.wire.server.conversation import Conversation
from tests.wire.server.parts import KEY, KEYS, ORIGIN, ZONES, name, query, signed_update, update


@pytest_asyncio.fixture
async def server() -> AsyncIterator[EmbeddedServer]:
    running = await EmbeddedServer.start(zones=ZONES, keys=KEYS)
    yield running
    await running.stop()


class Inbox(asyncio.DatagramProtocol):
    """The client's side of a datagram socket."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self.arrived.put_nowait(data)


async def over_udp(server: EmbeddedServer, *wires: bytes, answers: int = 1) -> list[bytes]:
    """Send datagrams and return the first answers."""
    loop = asyncio.get_running_loop()
    transport, inbox = await loop.create_datagram_endpoint(Inbox, remote_addr=server.address)
    try:
        for wire in wires:
            transport.sendto(wire)
        async with asyncio.timeout(10):
            return [await inbox.arrived.get() for _ in range(answers)]
    finally:
        transport.close()


async def ask(server: EmbeddedServer, message: dns.message.Message) -> dns.message.Message:
    """Exchange one message over TCP and check that the answer belongs to it and is signed as it should be."""
    async with await Conversation.open(server.address) as conversation:
        wire = await conversation.ask(message.to_wire())
    answer = dns.message.from_wire(wire, keyring=message.keyring, request_mac=message.mac)
    assert message.is_response(answer)
    return answer


async def fill(server: EmbeddedServer, names: int) -> None:
    """Add an address for each of many names."""
    for start in range(0, names, 500):
        message = signed_update()
        for number in range(start, min(names, start + 500)):
            message.add(f"n{number}", 60, "A", "192.0.2.1")
        assert (await ask(server, message)).rcode() == dns.rcode.NOERROR


async def test_it_answers_over_udp_and_tcp_on_one_port(server: EmbeddedServer) -> None:
    wire = query("ns1", "A").to_wire()
    (datagram,) = await over_udp(server, wire)
    async with await Conversation.open(server.address) as conversation:
        assert await conversation.ask(wire) == datagram
    answer = dns.message.from_wire(datagram)
    assert answer.flags & dns.flags.AA
    assert answer.answer[0][0].to_text() == "127.0.0.1"


async def test_requests_of_one_connection_are_answered_in_their_order(server: EmbeddedServer) -> None:
    wires = []
    for number in range(1, 101):
        change = signed_update()
        change.id = number
        change.add(f"n{number}", 60, "A", "192.0.2.1")
        asked = query(f"n{number}", "A")
        asked.id = 1000 + number
        wires += [change.to_wire(), asked.to_wire()]
    async with await Conversation.open(server.address) as conversation:
        conversation.send(*wires)
        answers = [await conversation.receive() for _ in wires]
    assert [int.from_bytes(answer[:2]) for answer in answers] == [int.from_bytes(wire[:2]) for wire in wires]
    assert all(dns.message.from_wire(answer).answer for answer in answers[1::2])


async def test_a_large_answer_is_truncated_over_udp_and_whole_over_tcp(server: EmbeddedServer) -> None:
    message = signed_update()
    for number in range(40):
        message.add("big", 60, "TXT", f"{number:03}" + "x" * 60)
    await ask(server, message)
    for edns, size_max in ((False, 512), (True, 1232)):
        (wire,) = await over_udp(server, query("big", "TXT", edns=edns).to_wire())
        assert len(wire) <= size_max
        truncated = dns.message.from_wire(wire)
        assert truncated.flags & dns.flags.TC
        assert not truncated.answer
    whole = await ask(server, query("big", "TXT", edns=True))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 40


async def test_the_answer_respects_the_size_that_the_client_takes(server: EmbeddedServer) -> None:
    message = signed_update()
    for number in range(12):
        message.add("mid", 60, "TXT", f"{number:03}" + "x" * 60)
    await ask(server, message)
    for payload, fits in ((4096, True), (600, False)):
        asked = dns.message.make_query(name("mid"), "TXT", use_edns=0, payload=payload)
        (wire,) = await over_udp(server, asked.to_wire())
        assert bool(dns.message.from_wire(wire).answer) == fits


async def test_edns_is_answered_with_edns_and_an_unknown_version_with_badvers(server: EmbeddedServer) -> None:
    answer = await ask(server, dns.message.make_query(ORIGIN, "SOA", use_edns=0, want_dnssec=True))
    assert (answer.edns, answer.ednsflags & dns.flags.DO, answer.payload) == (0, dns.flags.DO, 1232)
    assert (await ask(server, query("@", "SOA"))).edns == -1
    strange = dns.message.make_query(ORIGIN, "SOA", use_edns=1)
    assert (await ask(server, strange)).rcode() == dns.rcode.BADVERS


async def test_a_zone_transfer_comes_in_signed_messages_and_ends_with_the_soa(server: EmbeddedServer) -> None:
    await fill(server, 3000)
    message = signed_update()
    for number in range(150):
        message.add("big", 60, "TXT", f"{number:03}" + "x" * 180)
    await ask(server, message)
    async with await Conversation.open(server.address) as conversation:
        shown = await conversation.transfer()
        assert len(shown) == 3000 + 150 + 3
        conversation.send(query("@", "AXFR", key=KEY).to_wire())
        answers = 0
        messages = 0
        while answers < len(shown) + 1:
            part = await conversation.receive()
            answers += int.from_bytes(part[6:8])
            messages += 1
            assert part[11] == 1
        assert messages > 3


async def test_a_transfer_shows_the_zone_as_it_was_when_it_began(server: EmbeddedServer) -> None:
    await fill(server, 3000)
    async with (
        await Conversation.open(server.address) as transferring,
        await Conversation.open(server.address) as updating,
    ):
        transferring.send(query("@", "AXFR", key=KEY).to_wire())
        first = await transferring.receive()
        message = signed_update()
        message.delete("n2999")
        await updating.ask(message.to_wire())
        records = int.from_bytes(first[6:8])
        while records < 3000 + 4:
            records += int.from_bytes((await transferring.receive())[6:8])
        assert records == 3000 + 4


@pytest.mark.parametrize("rdtype", ["AXFR", "SOA"])
async def test_unsigned_updates_and_transfers_are_refused(server: EmbeddedServer, rdtype: str) -> None:
    message = update() if rdtype == "SOA" else query("@", rdtype)
    assert (await ask(server, message)).rcode() == dns.rcode.REFUSED


async def test_a_key_of_another_zone_is_refused() -> None:
    other = dns.tsig.Key("other.", b"another secret for tests")
    zones = {**ZONES, name("example.net."): [other.name]}
    running = await EmbeddedServer.start(zones=zones, keys={**KEYS, other.name: other})
    try:
        assert (await ask(running, signed_update(other))).rcode() == dns.rcode.REFUSED
        assert (await ask(running, query("@", "AXFR", key=other))).rcode() == dns.rcode.REFUSED
        assert (await ask(running, query("@", "SOA", key=other))).rcode() == dns.rcode.NOERROR
    finally:
        await running.stop()


async def test_a_zone_of_others_is_notauth(server: EmbeddedServer) -> None:
    elsewhere = dns.update.UpdateMessage("example.net.", keyring=KEY)
    assert (await ask(server, elsewhere)).rcode() == dns.rcode.NOTAUTH
    assert (await ask(server, query("example.net.", "AXFR", key=KEY))).rcode() == dns.rcode.NOTAUTH
    in_chaos = dns.update.UpdateMessage(ORIGIN, rdclass=dns.rdataclass.CH, keyring=KEY)
    assert (await ask(server, in_chaos)).rcode() == dns.rcode.NOTAUTH


async def test_a_transfer_over_udp_is_a_format_error(server: EmbeddedServer) -> None:
    asked = query("@", "AXFR", key=KEY)
    (wire,) = await over_udp(server, asked.to_wire())
    assert dns.message.from_wire(wire, keyring=KEY, request_mac=asked.mac).rcode() == dns.rcode.FORMERR


async def test_other_questions_have_their_codes(server: EmbeddedServer) -> None:
    chaos = dns.message.make_query("version.bind.", "TXT", "CH")
    assert (await ask(server, chaos)).rcode() == dns.rcode.REFUSED
    assert (await ask(server, query("@", "MAILB"))).rcode() == dns.rcode.NOTIMP
    assert (await ask(server, query("@", "IXFR"))).rcode() == dns.rcode.NOTIMP
    status = query("@", "SOA")
    status.set_opcode(dns.opcode.STATUS)
    async with await Conversation.open(server.address) as conversation:
        assert (await conversation.ask(status.to_wire()))[3] & 0xF == dns.rcode.NOTIMP
        two = query("@", "SOA")
        two.question *= 2
        assert (await conversation.ask(two.to_wire()))[3] & 0xF == dns.rcode.FORMERR


async def test_what_is_no_request_gets_no_answer_and_what_is_malformed_a_format_error(server: EmbeddedServer) -> None:
    asked = query("ns1", "A")
    good = asked.to_wire()
    response = bytes((good[0], good[1], good[2] | 0x80)) + good[3:]
    broken, junk = good[:-1], good + b"\0"
    answers = await over_udp(server, b"", b"short", response, broken, junk, good, answers=3)
    assert sorted(answer[3] & 0xF for answer in answers) == [0, dns.rcode.FORMERR, dns.rcode.FORMERR]
    assert all(answer[:2] == good[:2] for answer in answers)


async def test_an_idle_connection_is_closed_and_so_is_one_that_never_finishes_a_message() -> None:
    running = await EmbeddedServer.start(zones=ZONES, keys=KEYS, limits=Limits(idle_seconds_max=0.05))
    try:
        for begun in (b"", b"\x01\x00half"):
            reader, writer = await asyncio.open_connection(*running.address)
            writer.write(begun)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
    finally:
        await running.stop()


async def test_connections_beyond_the_limit_are_dropped_and_the_others_served() -> None:
    running = await EmbeddedServer.start(zones=ZONES, keys=KEYS, limits=Limits(connections_max=1))
    wire = query("ns1", "A").to_wire()
    try:
        async with await Conversation.open(running.address) as first:
            await first.ask(wire)
            async with await Conversation.open(running.address) as second:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await second.ask(wire)
            assert (await first.ask(wire))[3] & 0xF == dns.rcode.NOERROR
    finally:
        await running.stop()


async def test_stopping_closes_open_connections() -> None:
    running = await EmbeddedServer.start(zones=ZONES, keys=KEYS)
    async with await Conversation.open(running.address) as conversation:
        await conversation.ask(query("ns1", "A").to_wire())
        async with asyncio.timeout(1):
            await running.stop()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await conversation.receive()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*running.address)


async def test_a_taken_port_is_the_systems_own_error(server: EmbeddedServer) -> None:
    with pytest.raises(OSError, match="in use"):
        await EmbeddedServer.start(port=server.address[1], zones=ZONES, keys=KEYS)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost", "example.net"])
async def test_only_loopback_addresses_are_listened_on(host: str) -> None:
    with pytest.raises(NotLoopback, match="loopback address such as"):
        await EmbeddedServer.start(host=host, zones=ZONES, keys=KEYS)


async def test_a_zone_with_an_unknown_key_is_not_started() -> None:
    with pytest.raises(UnknownKey, match=r"updater\."):
        await EmbeddedServer.start(zones=ZONES, keys={})


async def test_contents_survive_a_restart_on_the_same_port(tmp_path: Path) -> None:
    path = tmp_path / "zones.sqlite"
    first = await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path)
    await fill(first, 600)
    async with await Conversation.open(first.address) as conversation:
        before = await conversation.transfer()
    await first.stop()
    second = await EmbeddedServer.start(port=first.address[1], zones=ZONES, keys=KEYS, path=path)
    try:
        async with await Conversation.open(second.address) as conversation:
            assert await conversation.transfer() == before
    finally:
        await second.stop()


async def test_two_servers_do_not_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "zones.sqlite"
    first = await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path)
    try:
        with pytest.raises(StorageUnavailable, match="stop the other server"):
            await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path)
    finally:
        await first.stop()
