"""Which RRsets truly exist at some names of a zone. A query shows what a resolver would be told, which is
made up below wildcards and withheld below delegations; a prerequisite asks the zone itself. So queries find the
contents, and UPDATE messages without updates confirm them. Nothing here changes anything.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import dns.rdatatype

from dnsguard.core.message import (
    Applied,
    Message,
    NameInUse,
    NameNotInUse,
    Outcome,
    Prerequisite,
    Refused,
    RRsetAbsent,
    RRsetIs,
    Unknown,
    Unreachable,
)
from dnsguard.core.records import Key, Records
from dnsguard.wire.decode import Answer, Record, gather

IGNORED_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3"})
"""Types that a signing server makes itself."""
CONFIRMED_MAX = 200
"""Names in one message of prerequisites."""
_ABSENT_MAX = 2_000
"""RRsets in one message of prerequisites."""
_ASKED_MAX = 8
"""So many RRsets are asked for one by one sooner than divided further."""

_DATA_TYPES = tuple(
    dns.rdatatype.to_text(rdtype)
    for rdtype in dns.rdatatype.RdataType
    if not dns.rdatatype.is_metatype(rdtype) and dns.rdatatype.to_text(rdtype) not in IGNORED_TYPES
)


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


async def existing(
    primary: Questioned, zone: str, names: Collection[str], at_once_max: int
) -> Mapping[Key, Records] | Unreachable:
    """Return every RRset that exists at these names.

    Where a delegation withholds what a name holds, the contents come from the referral if prerequisites confirm
    that this is all, and from a transfer if not; so do those that are too large for one answer. A server that shows
    one RRset for all (RFC 8482 section 4.1) is told by the apex, and asked what else there is; there, types
    without a mnemonic are missed.
    """
    wanted = sorted(set(names))
    if not wanted:
        return {}
    asked = [Key(name, "ANY") for name in dict.fromkeys((*wanted, zone))]
    every = await _ask_each(primary, asked, at_once_max)
    if isinstance(every, Unreachable):
        return every
    answers = {name: every[Key(name, "ANY")] for name in wanted}
    shown: dict[str, Mapping[Key, Records]] = {}
    found: dict[Key, Records] = {}
    leftover: set[str] = set()
    for name, answer in answers.items():
        contents = gather(_at(name, answer.answer))
        if not _withheld(name, answer):
            if contents:
                shown[name] = contents
            continue
        exact = await _confirmed(primary, zone, name, answer)
        if isinstance(exact, Unreachable):
            return exact
        if exact is None:
            leftover.add(name)
        else:
            found |= exact
    for some in _batches(tuple(shown)):
        used = await _in_use(primary, zone, some)
        if isinstance(used, Unreachable):
            return used
        for name in used:
            found |= shown[name]
    if not {"SOA", "NS"} <= {record.type for record in every[Key(zone, "ANY")].answer}:
        others = await _others(primary, zone, [key for key in found if key.name in shown], at_once_max)
        if isinstance(others, Unreachable):
            return others
        found |= others
    if leftover:
        everything = await primary.transfer(zone)
        if isinstance(everything, Unreachable):
            return Unreachable(
                f"only a transfer shows what {min(leftover)} holds, and {everything.reason}; "
                "let the TSIG key transfer the zone"
            )
        found |= {
            key: records
            for key, records in everything.items()
            if key.name in leftover and key.type not in IGNORED_TYPES
        }
    return found


async def _ask_each(primary: Questioned, asked: Sequence[Key], at_once_max: int) -> dict[Key, Answer] | Unreachable:
    """Ask some questions, some at a time; the first that gets no usable answer ends it."""
    answers: dict[Key, Answer] = {}
    failed: list[Unreachable] = []
    queue = iter(asked)

    async def walk() -> None:
        for key in queue:
            answer = await primary.ask(key.name, key.type)
            if isinstance(answer, Unreachable):
                failed.append(answer)
            elif answer.rcode not in ("NOERROR", "NXDOMAIN"):
                failed.append(Unreachable(f"the server answered {answer.rcode} when asked what {key.name} holds"))
            elif not answer.authoritative and not any(record.type == "NS" for record in answer.authority):
                failed.append(Unreachable(f"the server is not authoritative for {key.name}, and refers to nobody"))
            else:
                answers[key] = answer
            if failed:
                return

    # Half of the places in flight, so that publications of other zones do not wait behind a long read.
    await asyncio.gather(*(walk() for _ in range(min(len(asked), max(1, at_once_max // 2)))))
    return failed[0] if failed else answers


async def _others(
    primary: Questioned, zone: str, known: Collection[Key], at_once_max: int
) -> Mapping[Key, Records] | Unreachable:
    """Return what exists beside known RRsets, at their names.

    By type first: most types exist nowhere, and one message says so for all names.
    """
    names = sorted({key.name for key in known})
    possible = [key for kind in _DATA_TYPES for name in names if (key := Key(name, kind)) not in known]
    suspects: list[Key] = []
    for first in range(0, len(possible), _ABSENT_MAX):
        some = await _suspected(primary, zone, possible[first : first + _ABSENT_MAX])
        if isinstance(some, Unreachable):
            return some
        suspects += some
    answers = await _ask_each(primary, suspects, at_once_max)
    if isinstance(answers, Unreachable):
        return answers
    return gather(record for key, answer in answers.items() for record in answer.answer if record[:2] == key)


async def _suspected(primary: Questioned, zone: str, keys: Sequence[Key]) -> Sequence[Key] | Unreachable:
    """Return keys among which are all RRsets that exist, and few others: halved until nothing or little is left."""
    match await primary.publish(Message(zone, tuple(map(RRsetAbsent, keys)), ())):
        case Applied():
            return ()
        case Unknown(reason):
            return Unreachable(reason)
        case Refused("YXRRSET") if len(keys) <= _ASKED_MAX:
            return keys
        case Refused(rcode, detail) if rcode not in ("YXRRSET", "FORMERR") or len(keys) == 1:
            return Unreachable(f"the server answered {rcode} when asked which RRsets exist: {detail}")
    half = len(keys) // 2
    left, right = await asyncio.gather(_suspected(primary, zone, keys[:half]), _suspected(primary, zone, keys[half:]))
    if isinstance(left, Unreachable):
        return left
    return right if isinstance(right, Unreachable) else (*left, *right)


def _withheld(name: str, answer: Answer) -> bool:
    """Tell whether more, or something else, may exist at a name than an answer shows."""
    return (
        answer.truncated
        or not answer.authoritative
        or any(record.type == "DNAME" and record.name != name for record in answer.answer)
    )


async def _confirmed(
    primary: Questioned, zone: str, name: str, answer: Answer
) -> Mapping[Key, Records] | Unreachable | None:
    """Return what a name holds that a delegation hides, if the zone confirms that this is all; None if not.

    Beside NS, DS and glue, a type without a mnemonic would be missed: no prerequisite says "and nothing else".
    """
    if answer.truncated:
        return None
    records = [*answer.authority, *answer.additional]
    if any(record.name == name for record in answer.authority):
        signer = await primary.ask(name, "DS")
        if isinstance(signer, Unreachable):
            return signer
        records += signer.answer
    hidden = gather(_at(name, records))
    prerequisites: list[Prerequisite] = [RRsetIs(key, contents.rdatas) for key, contents in hidden.items()]
    if hidden:
        prerequisites += [RRsetAbsent(key) for key in (Key(name, kind) for kind in _DATA_TYPES) if key not in hidden]
    else:
        prerequisites.append(NameNotInUse(name))
    match await primary.publish(Message(zone, tuple(prerequisites), ())):
        case Applied():
            return hidden
        case Refused():
            return None
        case Unknown(reason):
            return Unreachable(reason)


async def _in_use(primary: Questioned, zone: str, names: Sequence[str]) -> Collection[str] | Unreachable:
    """Return those of the names that exist, halving until the server's answer is about one."""
    match await primary.publish(Message(zone, tuple(NameInUse(name) for name in names), ())):
        case Applied():
            return names
        case Unknown(reason):
            return Unreachable(reason)
        case Refused("NXDOMAIN"):
            if len(names) == 1:
                return ()
        case Refused(rcode, detail):
            return Unreachable(f"the server answered {rcode} when asked which names exist: {detail}")
    half = len(names) // 2
    left = await _in_use(primary, zone, names[:half])
    if isinstance(left, Unreachable):
        return left
    right = await _in_use(primary, zone, names[half:])
    return right if isinstance(right, Unreachable) else (*left, *right)


def _at(name: str, records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.name == name and record.type not in IGNORED_TYPES]


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[first : first + CONFIRMED_MAX] for first in range(0, len(names), CONFIRMED_MAX)]
