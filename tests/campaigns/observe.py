"""Observers: they ask the name server over UDP and TCP all the time, for the fence, an RRset, and the fence again,
and write down what they saw with times. They know nothing of daemons and plans, and judge nothing.
"""

import asyncio
import contextlib
import random
import struct
import time
from collections.abc import Callable, Sequence
from typing import Protocol, Self

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsguard.core.fence import Fence, FenceUnreadable, fence_key, parse_fence
from dnsguard.core.records import Key, Records, make_records
from tests.campaigns.pacing import Bell, came
from tests.campaigns.testimony import FenceLook, Look

ANSWER_S_MAX = 1.0
PACE_S = 0.004
_SILENT_S = 0.02
"""How long an observer waits before it asks a silent server again."""
_REMEMBERED_MAX = 20_000

Address = tuple[str, int]


class NoAnswer(Exception):
    """The name server gave no usable answer; what it holds is unknown."""


class Line(Protocol):
    """A way to ask one question after the other."""

    async def ask(self, address: Address, question: bytes) -> bytes:
        """Return the answer to a question. Raises NoAnswer."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Datagrams(asyncio.DatagramProtocol):
    """Questions over UDP, from a socket of one's own."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._address: Address | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    async def ask(self, address: Address, question: bytes) -> bytes:
        if address != self._address:
            self.close()
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, remote_addr=address
            )
            self._address = address
        if self._transport is None:
            raise NoAnswer
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                self._transport.sendto(question)
                while (answer := await self._waiting)[:2] != question[:2]:
                    self._waiting = asyncio.get_running_loop().create_future()
        except (TimeoutError, OSError) as error:
            raise NoAnswer from error
        return answer

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  asyncio's signature
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self._transport = self._address = None


class Stream:
    """Questions over one TCP connection, opened again when it is lost."""

    def __init__(self) -> None:
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._address: Address | None = None

    async def ask(self, address: Address, question: bytes) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                if self._ends is None or address != self._address:
                    self.close()
                    self._ends = await asyncio.open_connection(*address)
                    self._address = address
                reader, writer = self._ends
                writer.write(struct.pack("!H", len(question)) + question)
                return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise NoAnswer from error

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
        self._ends = None


class Observers:
    """Several observers of one zone, and all that they saw."""

    def __init__(
        self,
        zone: str,
        keys: Sequence[Key],
        address: Callable[[], Address | None],
        seed: int,
        *,
        pace_s: float = PACE_S,
    ) -> None:
        """Make them; ``address`` says where the name server is at the moment, ``keys`` what to look at."""
        self.fences: list[FenceLook] = []
        self.looks: list[Look] = []
        self.in_parts = Bell()
        self.moved = Bell()
        self.unanswered = 0
        self._fence_key = fence_key(zone)
        self._keys = keys
        self._address = address
        self._seed = seed
        self._pace_s = pace_s
        self._over = asyncio.Event()
        self._questions: dict[Key, bytes] = {}
        self._remembered: dict[bytes, Records | None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._newest: FenceLook | None = None

    @property
    def newest(self) -> Fence | None:
        """The fence that was seen last."""
        return None if self._newest is None else self._newest.fence

    async def __aenter__(self) -> Self:
        lines: list[Line] = [Datagrams(), Datagrams(), Stream()]
        self._tasks = [asyncio.create_task(self._observe(index, line)) for index, line in enumerate(lines)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def look_at_fence(self) -> Fence | None:
        """Ask for the fence once, over a connection of its own. Raises NoAnswer."""
        line = Stream()
        try:
            return (await self._fence(-1, line, random.Random(self._seed))).fence
        finally:
            line.close()

    async def _observe(self, observer: int, line: Line) -> None:
        chance = random.Random(f"{self._seed} observer {observer}")
        before: FenceLook | None = None
        with contextlib.closing(line):
            while not self._over.is_set():
                try:
                    if before is None:
                        before = await self._fence(observer, line, chance)
                    key = chance.choice(self._keys)
                    found, sent, received = await self._ask(line, key, chance)
                    after = await self._fence(observer, line, chance)
                except NoAnswer:
                    self.unanswered += 1
                    before = None
                    await came(self._over, _SILENT_S)
                    continue
                self.looks.append(Look(key, found, before, after, sent, received))
                before = after
                await came(self._over, self._pace_s * chance.uniform(0.5, 1.5))

    async def _fence(self, observer: int, line: Line, chance: random.Random) -> FenceLook:
        found, sent, received = await self._ask(line, self._fence_key, chance)
        fence, text = None, ""
        if found is not None:
            try:
                fence = parse_fence(found.rdatas)
            except FenceUnreadable as error:
                text = str(error)
        look = FenceLook(observer, fence, sent, received, text)
        self.fences.append(look)
        if fence is not None and fence.progress is not None:
            self.in_parts.ring()
        if fence != self.newest:
            self.moved.ring()
        self._newest = look
        return look

    async def _ask(self, line: Line, key: Key, chance: random.Random) -> tuple[Records | None, float, float]:
        address = self._address()
        if address is None:
            raise NoAnswer
        if key not in self._questions:
            question = dns.message.make_query(key.name, key.type, flags=0)
            self._questions[key] = question.to_wire()[2:]
        sent = time.monotonic()
        answer = await line.ask(address, struct.pack("!H", chance.randrange(65_536)) + self._questions[key])
        received = time.monotonic()
        return self._read(key, answer), sent, received

    def _read(self, key: Key, answer: bytes) -> Records | None:
        """Read an answer; the same octets are read once. Raises NoAnswer."""
        if (octets := answer[2:]) in self._remembered:
            return self._remembered[octets]
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
            if rrset.name.to_text() == key.name and rrset.rdtype == dns.rdatatype.from_text(key.type):
                found = records_of(rrset)
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[octets] = found
        return found


def records_of(rrset: dns.rrset.RRset) -> Records:
    """Return an RRset's contents."""
    return make_records(dns.rdatatype.to_text(rrset.rdtype), rrset.ttl, (rdata.to_wire() or b"" for rdata in rrset))
