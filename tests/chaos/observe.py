"""Observers, a process of their own: they ask all name servers over UDP all the time, for the fence, an RRset, and
the fence again, and write each answer into a history with the moments of its question and its coming. They know
nothing of daemons and plans, and judge nothing.

    python -m tests.chaos.observe ORDER.json     (until SIGTERM)
"""

import asyncio
import contextlib
import random
import signal
import sys
import time
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import msgspec

from tests.campaigns.pacing import came
from tests.chaos.history import Contents, Fence, Look, Silence, Writer, contents_of

ANSWER_S_MAX = 0.4
_SILENT_S = 0.05
_STAYS = 12
"""Looks at one zone before an observer turns to another."""
_REMEMBERED_MAX = 20_000


class Order(msgspec.Struct, frozen=True):
    """What to observe: servers by name, zones with their keys, how many observers, their pace, where to write."""

    servers: dict[str, tuple[str, int]]
    zones: dict[str, list[str]]
    observers: dict[str, int]
    pace_s: float
    seed: int
    path: str


class NoAnswer(Exception):
    """There was no usable answer; what the server holds is unknown."""


class Asker(asyncio.DatagramProtocol):
    """Asks one server one question after the other. After a silence it asks from another port: what comes late is
    nobody's answer any more."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._transport: asyncio.DatagramTransport | None = None
        self._ident = 0
        self._waiting: asyncio.Future[bytes] | None = None
        self._questions: dict[tuple[str, str], bytes] = {}
        self._remembered: dict[tuple[str, str, bytes], Contents] = {}

    async def ask(self, name: str, rdtype: str) -> tuple[Contents, float, float]:
        """Return the RRset's contents, and when it was asked and answered. Raises NoAnswer."""
        if (name, rdtype) not in self._questions:
            self._questions[name, rdtype] = dns.message.make_query(name, rdtype, flags=0).to_wire()[2:]
        loop = asyncio.get_running_loop()
        try:
            if self._transport is None:
                self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._address)
            self._ident = (self._ident + 1) & 0xFFFF
            ident = self._ident.to_bytes(2, "big")
            sent = time.monotonic()
            async with asyncio.timeout(ANSWER_S_MAX):
                self._waiting = loop.create_future()
                self._transport.sendto(ident + self._questions[name, rdtype])
                while (answer := await self._waiting)[:2] != ident:
                    self._waiting = loop.create_future()
        except (TimeoutError, OSError) as error:
            self.close()
            raise NoAnswer from error
        received = time.monotonic()
        return self._read(name, rdtype, answer), sent, received

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  asyncio's signature
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc)

    def close(self) -> None:
        """Ask from another port from now on."""
        if self._transport is not None:
            self._transport.abort()
        self._transport = None

    def _read(self, name: str, rdtype: str, answer: bytes) -> Contents:
        place = (name, rdtype, answer[2:])
        if place in self._remembered:
            return self._remembered[place]
        try:
            message = dns.message.from_wire(answer)
        except dns.exception.DNSException as error:
            raise NoAnswer from error
        if message.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN} or message.flags & dns.flags.TC:
            raise NoAnswer
        if not message.flags & dns.flags.AA:
            raise NoAnswer
        found = None
        for rrset in message.answer:
            if rrset.name.to_text() == name and rrset.rdtype == dns.rdatatype.from_text(rdtype):
                found = contents_of(rrset.ttl, [rdata.to_text() for rdata in rrset])
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[place] = found
        return found


def fence_text(contents: Contents) -> str | None:
    """Return the text of a fence record's contents, TTL and quotes left out."""
    return None if contents is None else contents.partition(" ")[2].strip('"')


async def observe(order: Order, over: asyncio.Event, writer: Writer) -> None:
    """Observe until it is over."""
    observers = [(server, number) for server, count in order.observers.items() for number in range(count)]
    async with asyncio.TaskGroup() as group:
        for server, number in observers:
            group.create_task(_observe(order, server, number, over, writer))


async def _observe(order: Order, server: str, number: int, over: asyncio.Event, writer: Writer) -> None:
    chance = random.Random(f"{order.seed} {server} {number}")
    zones = list(order.zones)
    with contextlib.closing(Asker(order.servers[server])) as asker:
        while not over.is_set():
            zone = chance.choice(zones)
            try:
                await _fence(asker, zone, server, number, writer)
                for _ in range(_STAYS):
                    key = chance.choice(order.zones[zone])
                    name, _, rdtype = key.partition(" ")
                    contents, sent, received = await asker.ask(name, rdtype)
                    writer.write(Look(zone, server, number, sent, received, key, contents))
                    await _fence(asker, zone, server, number, writer)
                    await came(over, order.pace_s * chance.uniform(0.5, 1.5))
            except NoAnswer:
                writer.write(Silence(server, number, time.monotonic()))
                await came(over, _SILENT_S)


async def _fence(asker: Asker, zone: str, server: str, number: int, writer: Writer) -> None:
    contents, sent, received = await asker.ask(f"_dnsguard.{zone}", "TXT")
    writer.write(Fence(zone, server, number, sent, received, fence_text(contents)))


async def _main(order: Order) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    with contextlib.closing(Writer(Path(order.path))) as writer:
        sys.stdout.write("observing\n")
        sys.stdout.flush()
        await observe(order, over, writer)


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)))
