"""All of a zone by AXFR (RFC 5936), over a connection of its own, with every signature checked (RFC 8945
section 5.3.1). A transfer that does not come to its proven end is nothing: no part of it is returned.

Messages are decoded in a worker thread as they arrive, one at a time, so memory holds the result and one message. Time,
octets and records are bounded by the `TransferLimits` of the primary.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from struct import unpack_from

from dnsguard.core.message import Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.wire.decode import Gathering, Record, Unreadable, decode_answer
from dnsguard.wire.decoding import in_thread
from dnsguard.wire.encode import AXFR, encode_question
from dnsguard.wire.primary import Primary, TransferLimits
from dnsguard.wire.transport import worded
from dnsguard.wire.tsig import NotAuthentic, Responses, Signed, Signer

_RRSETS_AT_ONCE = 5_000
_HEADER_OCTETS = 12


class TransferRefused(Exception):
    """The server answered with an error; the message is its rcode."""


class LimitExceeded(Exception):
    """The transfer is larger than the settings allow; the message names the limit."""


async def transfer(primary: Primary, zone: str, now: Callable[[], float]) -> Mapping[Key, Records] | Unreachable:
    """Return every RRset of a zone, SOA and fence included.

    ``timeout_s`` of the primary bounds the wait for each message, and its ``transfer`` limits all of it.
    """
    limits = primary.transfer
    try:
        async with asyncio.timeout(limits.duration_s_max):
            return await _transfer(primary, zone, now)
    except TimeoutError:
        return Unreachable(_too_much(zone, "took longer than", f"{limits.duration_s_max:g} s", "transfer_s_max"))


async def _transfer(primary: Primary, zone: str, now: Callable[[], float]) -> Mapping[Key, Records] | Unreachable:
    reader: asyncio.StreamReader
    try:
        async with asyncio.timeout(primary.timeout_s):
            reader, writer = await asyncio.open_connection(primary.host, primary.port)
    except (OSError, TimeoutError) as error:
        return Unreachable(f"no connection to {primary}: {worded(error)}")
    try:
        signer = Signer(primary)
        request = signer.sign(encode_question(zone, AXFR), now())
        writer.write(len(request.wire).to_bytes(2, "big") + request.wire)
        assembly = Assembly(zone, primary.transfer, signer, request, now)
        while not assembly.is_complete:
            async with asyncio.timeout(primary.timeout_s):
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            await in_thread(partial(assembly.take, wire))
        return await in_thread(assembly.rrsets)
    except NotAuthentic as refused:
        # Without a signature a server's word may be about its permissions, too: PowerDNS says so.
        advice = f"; {_to_allow(primary, zone)}" if refused.rcode else ""
        return Unreachable(f"the transfer of {zone} was given up: {refused}{advice}")
    except TransferRefused as refused:
        advice = _to_allow(primary, zone)
        return Unreachable(f"the transfer of {zone} was given up: {primary} answered {refused}; {advice}")
    except Unreadable as unreadable:
        return Unreachable(f"the transfer of {zone} was given up: {unreadable}")
    except LimitExceeded as exceeded:
        return Unreachable(str(exceeded))
    except TimeoutError:
        return Unreachable(f"the transfer of {zone} stood still for {primary.timeout_s:g} s")
    except (OSError, asyncio.IncompleteReadError) as error:
        return Unreachable(f"the connection was lost in the transfer of {zone}: {worded(error)}")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _to_allow(primary: Primary, zone: str) -> str:
    return (
        f"allow the TSIG key {primary.key_name} to transfer {zone} "
        "(BIND: allow-transfer, Knot: an acl with action transfer, PowerDNS: TSIG-ALLOW-AXFR)"
    )


class Assembly:
    """A zone on its way in, message by message: verified, bounded, decoded. It only computes."""

    def __init__(
        self, zone: str, limits: TransferLimits, signer: Signer, request: Signed, now: Callable[[], float]
    ) -> None:
        self.is_complete = False
        self._zone = zone
        self._limits = limits
        self._responses = Responses(signer, request)
        self._now = now
        self._gathering = Gathering()
        self._first: Record | None = None
        self._octets = self._records = 0

    def take(self, wire: bytes) -> None:
        """Add the next message. Raises NotAuthentic, Unreadable, TransferRefused, LimitExceeded."""
        if len(wire) < _HEADER_OCTETS:
            raise Unreadable("the message is malformed; expected a DNS message")
        self._octets += len(wire)
        self._records += unpack_from("!H", wire, 6)[0]
        limits = self._limits
        if self._octets > limits.octets_max:
            raise LimitExceeded(
                _too_much(self._zone, "has more than", f"{limits.octets_max} octets", "transfer_octets_max")
            )
        if self._records > limits.records_max:
            raise LimitExceeded(
                _too_much(self._zone, "has more than", f"{limits.records_max} records", "transfer_records_max")
            )
        answer = decode_answer(self._responses.open(wire, self._now()))
        if answer.rcode != "NOERROR":
            raise TransferRefused(answer.rcode)
        records = answer.answer
        is_begun = self._first is not None
        if not records or (not is_begun and (records[0].name, records[0].type) != (self._zone, "SOA")):
            raise Unreadable("expected the zone between two copies of its SOA, found something else")
        first, last = self._first or records[0], records[-1]
        self._first = first
        self._gathering.take(records)
        if last.type == "SOA" and (is_begun or len(records) > 1):
            if first != last:
                raise Unreadable("expected the same SOA at both ends, found two: the zone changed meanwhile")
            if not self._responses.proven:
                raise Unreadable("expected a signature over the last message, found none")
            self.is_complete = True

    def rrsets(self) -> Mapping[Key, Records]:
        """Return the whole zone."""
        found: dict[Key, Records] = {}
        for piece in self._gathering.pieces(_RRSETS_AT_ONCE):
            found |= piece
        return found


def _too_much(zone: str, what: str, limit: str, setting: str) -> str:
    return f"the transfer of {zone} {what} {limit}; if the zone is meant to be so large, raise {setting} of its primary"
