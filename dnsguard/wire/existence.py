"""Which RRsets truly exist at some names of a zone. What a server answers is only where to look: an answer may be made
from a wildcard, come from another zone of the same server, be withheld below a delegation, cut short, or fail. The
zone's own word decides: prerequisites of UPDATE messages without updates, or a transfer. Nothing here changes anything.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import dns.rdatatype

from dnsguard.core.message import (
    RCODES_ABOUT_CONTENTS,
    Applied,
    Message,
    NameNotInUse,
    NamesRead,
    Outcome,
    Prerequisite,
    Refused,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Unknown,
    Unreachable,
)
from dnsguard.core.names import parent_name
from dnsguard.core.records import Key, Records
from dnsguard.wire.decode import Answer, Record, gather

IGNORED_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3"})
"""Types that a signing server makes itself."""
PREREQUISITES_MAX = 2_000
"""Prerequisites in one message, so that no server is at work on one for long."""
_ASKED_MAX = 8
"""So many RRsets are asked for one by one sooner than divided further."""

_DATA_TYPES = tuple(
    dns.rdatatype.to_text(rdtype)
    for rdtype in dns.rdatatype.RdataType
    if not dns.rdatatype.is_metatype(rdtype) and dns.rdatatype.to_text(rdtype) not in IGNORED_TYPES
)

_Contents = Mapping[Key, Records]
_T = TypeVar("_T")


class Questioned(Protocol):
    """A primary that takes questions, prerequisites and transfers."""

    async def ask(self, name: str, rdtype: str) -> Answer | Unreachable:
        """Ask one question."""
        ...

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE."""
        ...

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all of a zone."""
        ...


class _NoAnswer(Exception):
    """The primary does not say whether prerequisites hold; the message says why."""


async def existing(primary: Questioned, zone: str, names: Collection[str], at_once_max: int) -> NamesRead | Unreachable:
    """Return every RRset that exists at these names, and the names that cannot be read by any way.

    New names take one message. A name at which the zone does not confirm what is answered takes a transfer, one for
    all such names. Where a server shows one RRset for all (RFC 8482 section 4.1), types without a mnemonic are missed.
    """
    wanted = sorted(set(names))
    if not wanted:
        return NamesRead({})
    try:
        return await _Reading(primary, zone, max(1, at_once_max // 2)).read(wanted)
    except _NoAnswer as reason:
        return Unreachable(str(reason))


class _Reading:
    """One reading of some names. ``at_once_max`` bounds the questions in flight.

    That is half of what the primary takes, so that publications of other zones do not wait behind a long read.
    """

    def __init__(self, primary: Questioned, zone: str, at_once_max: int) -> None:
        self._primary = primary
        self._zone = zone
        self._at_once_max = at_once_max
        self._found: dict[Key, Records] = {}
        self._unread: dict[str, str] = {}
        """The names that are not settled yet, and why."""

    async def read(self, wanted: Sequence[str]) -> NamesRead:
        nothing: Mapping[str, _Contents] = {name: {} for name in wanted}
        if len(wanted) <= PREREQUISITES_MAX and await self._holds(nothing):
            return NamesRead({})
        answers = await self._ask(Key(name, "ANY") for name in wanted)
        shown: dict[str, _Contents] = {}
        for (name, _), answer in answers.items():
            if isinstance(answer, Unreachable):
                self._unread[name], shown[name] = answer.reason, {}
            else:
                self._unread[name] = "what the server answers there is not what the zone holds"
                shown[name] = _at(name, (*answer.answer, *answer.authority, *answer.additional))
        await self._confirm({name: {} for name, contents in shown.items() if not contents})
        foreign = await self._answered_from_elsewhere(self._unread)
        own = {name: shown[name] for name in self._unread if name not in foreign}
        await self._confirm({name: contents for name, contents in own.items() if contents})
        await self._confirm({name: {} for name in self._unread if shown[name]})
        await self._confirm(await self._by_type({name: own[name] for name in self._unread if name in own}))
        if self._unread:
            await self._by_transfer()
        return NamesRead(self._found, self._unread)

    async def _ask(self, keys: Iterable[Key]) -> dict[Key, Answer | Unreachable]:
        """Ask some questions, some at a time; an answer that says nothing of the name is Unreachable."""
        asked = tuple(keys)
        answers: dict[Key, Answer | Unreachable] = {}
        queue = iter(asked)

        async def walk() -> None:
            for key in queue:
                answer = await self._primary.ask(key.name, key.type)
                if isinstance(answer, Answer) and answer.rcode not in ("NOERROR", "NXDOMAIN"):
                    answer = Unreachable(f"the server answered {answer.rcode} when asked what {key.name} holds")
                answers[key] = answer

        await asyncio.gather(*(walk() for _ in range(min(len(asked), self._at_once_max))))
        return {key: answers[key] for key in asked}

    async def _answered_from_elsewhere(self, names: Collection[str]) -> Collection[str]:
        """Return the names for which another zone of the server answers, or may answer: with other TTLs, say.

        The SOA beside a negative answer says which zone it is from. An alias has no such answer: the zone that it is in
        is the one of its parent, since no apex is an alias.
        """
        places = {name: name for name in names if name != self._zone}
        elsewhere: set[str] = set()
        while places:
            answers = await self._ask(Key(place, "SOA") for place in sorted(set(places.values())))
            higher: dict[str, str] = {}
            for name, place in places.items():
                answer = answers[Key(place, "SOA")]
                if isinstance(answer, Unreachable):
                    elsewhere.add(name)
                elif not answer.authoritative:
                    continue
                elif any(record.type in ("CNAME", "DNAME") for record in answer.answer):
                    if (parent := parent_name(place)) != self._zone:
                        higher[name] = parent
                elif {r.name for r in (*answer.answer, *answer.authority) if r.type == "SOA"} != {self._zone}:
                    elsewhere.add(name)
            places = higher
        return elsewhere

    async def _confirm(self, supposed: Mapping[str, _Contents]) -> None:
        """Settle the names that hold exactly what is supposed of them, by the zone's own word."""
        pieces: list[dict[str, _Contents]] = []
        room = 0
        for name, contents in supposed.items():
            needed = len(_prerequisites(name, contents, self._zone))
            if needed > room:
                pieces.append({})
                room = PREREQUISITES_MAX
            pieces[-1][name] = contents
            room -= needed
        for piece in pieces:
            for name in await self._holding(piece):
                self._found |= supposed[name]
                del self._unread[name]

    async def _holding(self, supposed: Mapping[str, _Contents]) -> Collection[str]:
        """Return the names that hold what is supposed, halving until the server's answer is about one."""
        if await self._holds(supposed):
            return supposed.keys()
        if len(supposed) == 1:
            return ()
        items = list(supposed.items())
        half = len(items) // 2
        return await _both(self._holding(dict(items[:half])), self._holding(dict(items[half:])))

    async def _holds(self, supposed: Mapping[str, _Contents]) -> bool:
        return await self._true(
            [each for name, contents in supposed.items() for each in _prerequisites(name, contents, self._zone)]
        )

    async def _true(self, prerequisites: Sequence[Prerequisite]) -> bool:
        """Ask the zone itself. Raises _NoAnswer."""
        match await self._primary.publish(Message(self._zone, tuple(prerequisites), ())):
            case Applied():
                return True
            case Refused(rcode) | Unknown(_, rcode) if rcode in RCODES_ABOUT_CONTENTS:
                return False
            case Refused(rcode, detail):
                raise _NoAnswer(f"the server answered {rcode} when asked which RRsets exist: {detail}")
            case Unknown(reason):
                raise _NoAnswer(reason)

    async def _by_type(self, names: Mapping[str, _Contents]) -> Mapping[str, _Contents]:
        """Return what some names seem to hold when asked for each type that exists there.

        By type first: most types exist nowhere, and one message says so for all names.
        """
        possible = [Key(name, kind) for kind in _DATA_TYPES for name in names]
        possible += [key for contents in names.values() for key in contents if key.type not in _DATA_TYPES]
        suspects: list[Key] = []
        for first in range(0, len(possible), PREREQUISITES_MAX):
            suspects += await self._suspected(possible[first : first + PREREQUISITES_MAX])
        answers = await self._ask(suspects)
        records = [
            record
            for key, answer in answers.items()
            if isinstance(answer, Answer)
            for record in (*answer.answer, *answer.authority)
            if record[:2] == key
        ]
        return {name: _at(name, records) for name in names}

    async def _suspected(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Return keys among which are all RRsets that exist, and few others: halved until nothing or little is left."""
        if await self._true([RRsetAbsent(key) for key in keys]):
            return ()
        if len(keys) <= _ASKED_MAX:
            return keys
        half = len(keys) // 2
        return await _both(self._suspected(keys[:half]), self._suspected(keys[half:]))

    async def _by_transfer(self) -> None:
        everything = await self._primary.transfer(self._zone)
        if isinstance(everything, Unreachable):
            self._unread = {
                name: f"{why}, and {everything.reason}; let the TSIG key transfer the zone"
                for name, why in self._unread.items()
            }
            return
        self._found |= {
            key: records
            for key, records in everything.items()
            if key.name in self._unread and key.type not in IGNORED_TYPES
        }
        self._unread = {}


async def _both(*asked: Coroutine[None, None, Iterable[_T]]) -> tuple[_T, ...]:
    """Wait for two halves at once, and for both even if one raises."""
    halves = await asyncio.gather(*asked, return_exceptions=True)
    found: list[_T] = []
    for half in halves:
        if isinstance(half, BaseException):
            raise half
        found += half
    return tuple(found)


def _prerequisites(name: str, contents: _Contents, zone: str) -> Sequence[Prerequisite]:
    """Return what holds if a name holds exactly these contents; of the SOA only that it is there, for it moves."""
    if not contents:
        return (NameNotInUse(name),)
    exact: list[Prerequisite] = [
        RRsetExists(key) if key == (zone, "SOA") else RRsetIs(key, records.rdatas) for key, records in contents.items()
    ]
    absent = (key for key in (Key(name, kind) for kind in _DATA_TYPES) if key not in contents)
    return (*exact, *map(RRsetAbsent, absent))


def _at(name: str, records: Iterable[Record]) -> _Contents:
    return gather(record for record in records if record.name == name and record.type not in IGNORED_TYPES)
