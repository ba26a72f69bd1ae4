"""A client for comparing servers: octets in, octets out, over one TCP connection; and a zone as AXFR shows it."""

import asyncio
from typing import Self

import dns.message
import dns.rdatatype

from tests.wire.server.streams import KEY, ORIGIN

ANSWER_SECONDS_MAX = 10
Shown = frozenset[tuple[bytes, int, int, bytes]]
"""A zone's records: canonical owner, type, TTL, canonical data."""


class Conversation:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> "Conversation":
        """Connect."""
        return cls(*await asyncio.open_connection(*address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def send(self, *wires: bytes) -> None:
        """Send messages, all in one write."""
        self._writer.write(b"".join(len(wire).to_bytes(2) + wire for wire in wires))

    async def receive(self) -> bytes:
        """The next message; raises IncompleteReadError when the server closed the connection."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await self._reader.readexactly(int.from_bytes(await self._reader.readexactly(2)))

    async def ask(self, wire: bytes) -> bytes:
        """Send one message and return its answer."""
        self.send(wire)
        return await self.receive()

    async def transfer(self) -> Shown:
        """The whole zone by AXFR, each message's signature checked."""
        query = dns.message.make_query(ORIGIN, "AXFR")
        query.use_tsig(KEY)
        self.send(query.to_wire())
        shown: list[tuple[bytes, int, int, bytes]] = []
        context, ends = None, 0
        while ends < 2:
            part = dns.message.from_wire(
                await self.receive(),
                keyring=KEY,
                request_mac=query.mac,
                xfr=True,
                tsig_ctx=context,
                multi=True,
                one_rr_per_rrset=True,
            )
            assert part.rcode() == 0, dns.message.Message.to_text(part)
            context = part.tsig_ctx
            for rrset in part.answer:
                ends += rrset.rdtype == dns.rdatatype.SOA and rrset.name == ORIGIN
                shown.extend(
                    (rrset.name.to_digestable(), rrset.rdtype, rrset.ttl, one.to_digestable()) for one in rrset
                )
        return frozenset(shown)
