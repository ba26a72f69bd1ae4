"""What the embedded server does with one message, whichever way it came.

Every message gets its answers or none at all; nothing that a client sends raises an exception out of here.
An UPDATE is answered NOERROR only when it is on disk, and is shown to queries only then; updates of all zones
go one after the other, so that each is judged on what the one before it left.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterable, Mapping

import dns.btreezone
import dns.exception
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import structlog

from dnsguard.wire.server import message, signature, update, zone
from dnsguard.wire.server.draft import Change
from dnsguard.wire.server.loading import build
from dnsguard.wire.server.message import Header, Question, Request, Response
from dnsguard.wire.server.storage import Storage
from dnsguard.wire.server.transfer import transfer

log = structlog.get_logger(__name__)


class Service:
    """The zones of one server, and who may change them."""

    def __init__(
        self,
        permitted: Mapping[dns.name.Name, frozenset[dns.name.Name]],
        keys: Mapping[dns.name.Name, dns.tsig.Key],
        storage: Storage | None,
    ) -> None:
        """Begin without zones; `permitted` names the keys that may update and transfer each zone."""
        self._permitted = permitted
        self._keys = keys
        self._storage = storage
        self._zones: dict[dns.name.Name, dns.btreezone.Zone] = {}
        self._versions: dict[dns.name.Name, zone.Version] = {}
        self._turn = asyncio.Lock()
        self._updates: set[asyncio.Task[Response]] = set()

    async def add_zone(self, origin: dns.name.Name, initial: Iterable[Change]) -> None:
        """Serve a zone: what the disk has of it, or else the initial contents, which are then stored."""
        changes = await self._storage.load(origin) if self._storage else []
        if not changes:
            changes = list(initial)
            if self._storage:
                await self._storage.save(origin, changes)
        self._zones[origin] = build(origin, changes)
        self._versions[origin] = zone.snapshot(self._zones[origin])

    async def close(self) -> None:
        """Finish the updates under way and close the disk."""
        if self._updates:
            await asyncio.wait(self._updates)
        if self._storage:
            await self._storage.close()

    async def replies(self, wire: bytes, *, stream: bool) -> AsyncGenerator[bytes, None]:
        """Answer one message, in several only for a zone transfer."""
        header = message.read_header(wire)
        if header is None or header.flags & dns.flags.QR:
            return
        if header.opcode not in (dns.opcode.QUERY, dns.opcode.UPDATE):
            yield message.write_response(header, Response(dns.rcode.NOTIMP))
            return
        try:
            request = message.read_request(header, wire)
            seal = signature.verify(request, self._keys)
        except dns.exception.DNSException as fault:
            log.debug("message.malformed", fault=str(fault) or type(fault).__name__)
            yield message.write_response(header, Response(dns.rcode.FORMERR))
            return
        if self._wants_transfer(request, seal) and stream:
            async for part in self._transfer(request, seal):
                yield part
            return
        yield self._sealed(request, seal, await self._respond(request, seal), stream=stream)

    def _sealed(self, request: Request, seal: signature.Seal, response: Response, *, stream: bool) -> bytes:
        rendered = message.write_response(
            request.header,
            response,
            questions=request.questions,
            edns=request.edns,
            size_max=message.response_size_max(request.edns, stream=stream),
            reserved=seal.size,
        )
        return seal.apply(rendered)

    async def _respond(self, request: Request, seal: signature.Seal) -> Response:
        if seal.error != dns.rcode.NOERROR:
            log.info("signature.refused", key=str(seal.keyname), error=seal.error.name)
            return Response(dns.rcode.NOTAUTH)
        if request.edns and request.edns.version > 0:
            return Response(dns.rcode.BADVERS)
        if request.header.opcode == dns.opcode.UPDATE:
            # A task of its own: a client that goes away must not leave disk and memory apart.
            task = asyncio.get_running_loop().create_task(self._update(request, seal))
            self._updates.add(task)
            task.add_done_callback(self._updates.discard)
            return await asyncio.shield(task)
        if len(request.questions) != 1:
            return Response(dns.rcode.FORMERR)
        question = request.questions[0]
        if question.rdclass != dns.rdataclass.IN:
            return Response(dns.rcode.REFUSED)
        if question.rdtype == dns.rdatatype.AXFR:
            return self._refuse_transfer(question, seal)
        if dns.rdatatype.is_metatype(question.rdtype) and question.rdtype != dns.rdatatype.ANY:
            return Response(dns.rcode.NOTIMP)
        return zone.resolve(self._versions, question.name, question.rdtype)

    async def _update(self, request: Request, seal: signature.Seal) -> Response:
        section = update.zone_of(request)
        if section is None:
            return Response(dns.rcode.FORMERR)
        if section.name not in self._zones or section.rdclass != dns.rdataclass.IN:
            return Response(dns.rcode.NOTAUTH)
        if seal.keyname not in self._permitted[section.name]:
            return Response(dns.rcode.REFUSED)
        async with self._turn:
            verdict = update.judge(self._versions[section.name], request)
            if verdict.changes:
                try:
                    if self._storage:
                        await self._storage.save(section.name, verdict.changes)
                except sqlite3.Error:
                    log.exception("update.lost", zone=str(section.name))
                    return Response(dns.rcode.SERVFAIL)
                self._commit(section.name, verdict.changes)
        log.debug("update.judged", zone=str(section.name), rcode=verdict.rcode.name, rrsets=len(verdict.changes))
        return Response(verdict.rcode)

    def _commit(self, origin: dns.name.Name, changes: Iterable[Change]) -> None:
        with self._zones[origin].writer() as writer:
            for change in changes:
                if change.rdataset is None:
                    writer.delete(change.name, change.rdtype, change.covers)
                else:
                    writer.replace(change.name, change.rdataset)
        self._versions[origin] = zone.snapshot(self._zones[origin])

    def _wants_transfer(self, request: Request, seal: signature.Seal) -> bool:
        """Whether a request is for a zone transfer that its signer may have."""
        if seal.error != dns.rcode.NOERROR or (request.edns and request.edns.version > 0):
            return False
        if request.header.opcode != dns.opcode.QUERY or len(request.questions) != 1:
            return False
        question = request.questions[0]
        return (question.rdtype, question.rdclass) == (
            dns.rdatatype.AXFR,
            dns.rdataclass.IN,
        ) and seal.keyname in self._permitted.get(question.name, ())

    def _refuse_transfer(self, question: Question, seal: signature.Seal) -> Response:
        if question.name not in self._zones:
            return Response(dns.rcode.NOTAUTH)
        if seal.keyname not in self._permitted[question.name]:
            return Response(dns.rcode.REFUSED)
        # RFC 5936 section 4.2: not defined over UDP.
        return Response(dns.rcode.FORMERR)

    async def _transfer(self, request: Request, seal: signature.Seal) -> AsyncGenerator[bytes, None]:
        question = request.questions[0]
        loop = asyncio.get_running_loop()
        for part in transfer(request.header, question, self._versions[question.name], seal.size):
            yield seal.apply(part, continued=True)
            # Give the others a turn: a large zone takes longer to render than a query may wait.
            turn: asyncio.Future[None] = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn


def failure(wire: bytes) -> bytes | None:
    """The SERVFAIL for a message whose handling broke; None when it has no header to answer to."""
    header: Header | None = message.read_header(wire)
    return message.write_response(header, Response(dns.rcode.SERVFAIL)) if header else None
