"""A stub resolver over UDP with the cache of a language's runtime: whole answers, kept by question.
A positive answer is kept for its smallest TTL, a negative one for the lesser of the SOA's TTL and its MINIMUM
(RFC 2308 section 5). It only asks; it never follows an alias out of the answer.
"""

import asyncio
import secrets
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.SOA

from dnsguard.lab.demo.clock import StoryClock

TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client learns: the addresses, the node that the alias named, and for how long it may keep it.

    Which plan it is told by the addresses, never by the node's name: people may have put others there.
    """

    rcode: str
    addresses: tuple[str, ...]
    node: str | None
    ttl_s: float
    records: int
    """How many records the answer section had, the alias among them."""

    @property
    def lack(self) -> str | None:
        """What is wrong, in one word; None if there are addresses."""
        if self.rcode == "silent":
            return "silent"
        if not self.addresses:
            return "absent" if self.node is None else "empty"
        return None

    @property
    def said(self) -> str:
        """The answer in words."""
        if self.rcode == "silent":
            return "no answer"
        if self.addresses:
            return f"{self.rcode}, {', '.join(self.addresses)}"
        return f"{self.rcode}, no address"


_SILENT = Answer("silent", (), None, 0.0, 0)


class _Replies(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002  asyncio's signature
        waiting = self.waiting.pop(int.from_bytes(data[:2], "big"), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002  a lost datagram is a time-out
        return


@dataclass(slots=True)
class Questions:
    """A UDP socket to one server."""

    _transport: asyncio.DatagramTransport
    _replies: _Replies

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "Questions":
        """Open the socket."""
        transport, replies = await asyncio.get_running_loop().create_datagram_endpoint(_Replies, remote_addr=address)
        return cls(transport, replies)

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()

    async def ask(self, name: str, rdtype: str) -> Answer:
        """Ask the server once."""
        query = dns.message.make_query(name, rdtype, id=secrets.randbelow(65_536), flags=dns.flags.RD)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._replies.waiting[query.id] = reply
        self._transport.sendto(query.to_wire())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return read_answer(dns.message.from_wire(await reply), rdtype)
        except TimeoutError:
            self._replies.waiting.pop(query.id, None)
            return _SILENT


def read_answer(response: dns.message.Message, rdtype: str) -> Answer:
    """Read a response as a client does."""
    wanted = dns.rdatatype.from_text(rdtype)
    addresses: list[str] = []
    node: str | None = None
    ttls: list[int] = []
    for rrset in response.answer:
        ttls.append(rrset.ttl)
        if rrset.rdtype == wanted:
            addresses += [rdata.to_text() for rdata in rrset]
        elif isinstance(rrset[0], dns.rdtypes.ANY.CNAME.CNAME):
            node = rrset[0].target.to_text()
    if not addresses:
        soas = [(rrset.ttl, rrset[0]) for rrset in response.authority if rrset.rdtype == dns.rdatatype.SOA]
        ttls = [min(ttl, soa.minimum) for ttl, soa in soas if isinstance(soa, dns.rdtypes.ANY.SOA.SOA)]
    records = sum(len(rrset) for rrset in response.answer)
    rcode = dns.rcode.to_text(response.rcode())
    return Answer(rcode, tuple(sorted(addresses)), node, float(min(ttls, default=0)), records)


@dataclass(slots=True)
class StubResolver:
    """Asks, and keeps what it was told until it expires."""

    questions: Questions
    clock: StoryClock
    _kept: dict[tuple[str, str], tuple[Answer, float]] = field(default_factory=dict)

    async def resolve(self, name: str, rdtype: str) -> tuple[Answer, bool]:
        """Return the answer, and whether it came from the cache."""
        kept = self._kept.get((name, rdtype))
        if kept is not None and self.clock.story < kept[1]:
            return kept[0], True
        answer = await self.questions.ask(name, rdtype)
        self._kept[name, rdtype] = (answer, self.clock.story + answer.ttl_s)
        return answer, False
