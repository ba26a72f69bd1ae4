"""The primary of zones as the workers see it: observe the fence, publish an UPDATE, read what truly exists.
Every answer that counts is authentic (TSIG over TCP) and authoritative. Nothing is retried here, and nothing
that was made from a wildcard is ever taken for something that exists.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping

from dnsguard.core.fence import fence_key
from dnsguard.core.message import Applied, Message, NamesRead, Outcome, Refused, RRsetAbsent, Unknown, Unreachable
from dnsguard.core.names import fence_name
from dnsguard.core.records import Key, Records, type_code
from dnsguard.core.written import Seen, seen_in, seen_of
from dnsguard.wire.decode import Answer, Unreadable, decode_answer, gather
from dnsguard.wire.decoding import decode_large
from dnsguard.wire.encode import MessageTooLarge, encode_question, encode_update
from dnsguard.wire.existence import existing
from dnsguard.wire.primary import Primary
from dnsguard.wire.transfer import transfer
from dnsguard.wire.transport import Connection, Unanswered
from dnsguard.wire.tsig import Signer, rcode_of

_MEANING = {
    "FORMERR": "the server cannot read the message",
    "SERVFAIL": "the server could not carry it out; its log says why",
    "NOTIMP": "the server takes no updates",
    "REFUSED": (
        "the server does not have the zone, the key may not do this, the zone is frozen, a name breaks the server's "
        "check-names, or an NS or MX target in the zone has no address"
    ),
    "NOTAUTH": "the server is not authoritative for the zone",
    "NOTZONE": "a name is outside the zone",
    "YXDOMAIN": "a name is in use that should not be",
    "NXDOMAIN": "a name is not in use that should be",
    "YXRRSET": "an RRset exists that should not",
    "NXRRSET": "an RRset does not exist, or not with these records",
}


class DnsPublisher:
    """Publishes to one primary, for any number of zones at once, over one connection.

    Publishers that share a connection are parties of equal rights on it: their turns go round.
    """

    def __init__(self, primary: Primary, now: Callable[[], float], connection: Connection | None = None) -> None:
        """Prepare; ``now`` gives seconds since the epoch, for signatures. Connects on first use.

        Without ``connection`` it has one of its own.
        """
        self._primary = primary
        self._now = now
        self._signer = Signer(primary)
        self._shared = connection is not None
        self._connection = connection or Connection(primary, now)

    async def close(self) -> None:
        """Drop the connection, unless it is shared; what is under way ends Unknown or Unreachable."""
        if not self._shared:
            await self._connection.close()

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE and wait for its outcome; never retries.

        What cannot be sent because it is too large is Refused, as the server's FORMERR would be: it is certain
        that nothing was applied. When cancelled, the message may have been taken.
        """
        try:
            answer = await self._exchange(encode_update(message))
        except MessageTooLarge as refused:
            return Refused("FORMERR", f"{refused}; nothing was sent")
        except Unanswered as unanswered:
            return Unknown(str(unanswered), unanswered.rcode)
        rcode = rcode_of(answer)
        return Applied() if rcode == "NOERROR" else Refused(rcode, _MEANING.get(rcode, ""))

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence.

        ``Seen.rdatas`` without a fence means that what stands there is not a fence; both empty, that there is
        nothing. An answer that a wildcard may have given is settled by asking for the fence's absence. Where a DNAME,
        a CNAME or a delegation hides the fence, it is read as any hidden name is: by prerequisites and a transfer.
        """
        name, key = fence_name(zone), fence_key(zone)
        shown, wild = await asyncio.gather(self.ask(name, "TXT"), self.ask(f"*.{zone}" if zone != "." else "*.", "TXT"))
        if isinstance(shown, Unreachable):
            return shown
        if _is_redirected(name, shown):
            found = await self.read(zone, (name, zone))
            if isinstance(found, Unreachable):
                return found
            if found.unread:
                hidden, reason = min(found.unread.items())
                return Unreachable(f"the fence of {zone} is hidden, and {hidden} could not be read: {reason}")
            return seen_in(zone, found.rrsets)
        if (unusable := self._unusable(shown)) is not None:
            return unusable
        rrsets = gather(shown.answer)
        if key not in rrsets:
            return Seen((), None)
        seen = seen_of(rrsets[key].rdatas)
        if isinstance(wild, Unreachable) or {record.rdata for record in wild.answer} & set(seen.rdatas):
            return await self._absent(zone, key) or seen
        return seen

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset that truly exists at these names (nothing made from a wildcard).

        Signatures and denial records (RRSIG, NSEC, NSEC3) are left out. What stands at or below a delegation
        is included.
        """
        return await existing(self, zone, names, self._primary.in_flight_max)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all of a zone by AXFR, SOA and fence included, over a connection of its own; a few at a time."""
        async with self._connection.transfers.held(self):
            return await transfer(self._primary, zone, self._now)

    async def ask(self, name: str, rdtype: str) -> Answer | Unreachable:
        """Ask one question; the answer is authentic, but may be of any rcode and not authoritative."""
        try:
            return await decode_large(decode_answer, await self._exchange(encode_question(name, type_code(rdtype))))
        except (Unanswered, Unreadable) as unanswered:
            return Unreachable(str(unanswered))

    async def _exchange(self, message: bytes) -> bytes:
        return await self._connection.exchange(message, self._signer, self)

    def _unusable(self, answer: Answer) -> Unreachable | None:
        if answer.rcode not in ("NOERROR", "NXDOMAIN"):
            return Unreachable(f"{self._primary} answered {answer.rcode}: {_MEANING.get(answer.rcode, 'no answer')}")
        if not answer.authoritative:
            return Unreachable(f"{self._primary} is not authoritative for the zone")
        return None

    async def _absent(self, zone: str, key: Key) -> Seen | Unreachable | None:
        """Ask the server itself whether an RRset is absent; None says that it exists."""
        match await self.publish(Message(zone, (RRsetAbsent(key),), ())):
            case Applied():
                return Seen((), None)
            case Refused("YXRRSET"):
                return None
            case Refused(rcode, detail):
                return Unreachable(f"{self._primary} answered {rcode} to a prerequisite on {key}: {detail}")
            case Unknown(reason):
                return Unreachable(reason)


def _is_redirected(name: str, answer: Answer) -> bool:
    """Tell whether an answer is about another name than the one asked for, or refers to other servers for it."""
    if any(record.type == "DNAME" or (record.name, record.type) == (name, "CNAME") for record in answer.answer):
        return True
    return not answer.authoritative and any(record[:2] == (name, "NS") for record in answer.authority)
