"""From a change to the UPDATE messages that publish it: cut into parts, laid out, fenced.
A part never cuts an owner name in two where that can be helped, and carries the prerequisites that make
the name server refuse it when anything that it relies on is no longer so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dnsguard.core.fence import FENCE_TTL, Fence, Progress, fence_key, fence_rdata
from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameNotInUse,
    Prerequisite,
    RRsetAbsent,
    RRsetIs,
    Update,
    octets_of,
)
from dnsguard.core.plan import Absence, Before, Change
from dnsguard.core.policy import MESSAGE_OCTETS_MAX
from dnsguard.core.records import Key, Records


@dataclass(frozen=True, slots=True)
class Seen:
    """The TXT RRset at the fence's name as the primary showed it; ``rdatas`` is empty if there is none.

    With rdatas and without a fence, what stands there is unreadable: somebody else's.
    """

    rdatas: tuple[bytes, ...]
    fence: Fence | None

    @property
    def text(self) -> str:
        """What was seen, for people and for comparison: equal texts mean equal rdata."""
        return str(self.fence) if self.fence is not None else " ".join(rdata.hex() for rdata in self.rdatas)


@dataclass(frozen=True, slots=True)
class Written:
    """Facts on one message about to be written: which changes it carries and what is believed of the zone.

    ``wire`` has what was read at the names that had to be looked at; names that were not are not in ``read``.
    """

    zone: str
    seen: Seen
    changes: tuple[Change, ...]
    wire: Mapping[Key, Records]
    read: frozenset[str]


WriteRule = Callable[[Written], tuple[Prerequisite, ...]]


def fence_as_seen(facts: Written) -> tuple[Prerequisite, ...]:
    """The fence still holds exactly the value that was seen, or is still absent.

    Without this, a delayed writer's message is applied over a newer one: the incident of October 2025.
    """
    key = fence_key(facts.zone)
    return (RRsetIs(key, facts.seen.rdatas) if facts.seen.rdatas else RRsetAbsent(key),)


def unmanaged_as_seen(facts: Written) -> tuple[Prerequisite, ...]:
    """An RRset that is not managed yet is absent, or holds already what this or an overtaken plan wants there.

    Without this, the first publication destroys what somebody else put there after the plan was judged.
    """
    prerequisites: list[Prerequisite] = []
    for change in facts.changes:
        if change.before is Before.UNMANAGED and not change.adopt and change.wanted is not Absence.WITHDRAWN:
            found = facts.wire.get(change.key)
            if found is not None and (found == change.wanted or found in change.earlier):
                prerequisites.append(RRsetIs(change.key, found.rdatas))
            else:
                prerequisites.append(RRsetAbsent(change.key))
    return tuple(prerequisites)


def no_cname_beside(facts: Written) -> tuple[Prerequisite, ...]:
    """Where records appear, no CNAME stands that the message does not replace; where a CNAME appears, nothing.

    Without this, BIND and Knot silently drop one of the two and answer NOERROR (RFC 2136 section 3.4.2.2).
    """
    prerequisites: list[Prerequisite] = []
    for name, group in groupby(facts.changes, key=lambda change: change.key.name):
        changes = tuple(change for change in group if change.wanted is not Absence.WITHDRAWN)
        appearing = [
            change for change in changes if change.before is not Before.HELD and isinstance(change.wanted, Records)
        ]
        if not appearing:
            continue
        cname = Key(name, "CNAME")
        if any(change.key == cname for change in appearing):
            if len(changes) == 1 and cname not in facts.wire:
                prerequisites.append(NameNotInUse(name))
        elif all(change.key != cname for change in changes):
            prerequisites.append(RRsetAbsent(cname))
    return tuple(prerequisites)


def names_to_read(zone: str, changes: Sequence[Change], *, unmanaged: bool) -> tuple[str, ...]:
    """Return the owner names at which the wire must be read before a message can be built.

    Always the apex when its NS RRset changes (servers ignore its deletion as a whole) and names where a
    CNAME replaces other types; with ``unmanaged``, also every name that holds something not managed yet.
    """
    names: list[str] = []
    for name, group in groupby(changes, key=lambda change: change.key.name):
        here = tuple(group)
        cname_comes = any(change.key.type == "CNAME" and isinstance(change.wanted, Records) for change in here)
        if (
            (name == zone and any(change.key.type == "NS" for change in here))
            or (cname_comes and len(here) > 1)
            or (unmanaged and any(change.before is not Before.HELD for change in here))
        ):
            names.append(name)
    return tuple(names)


def inline(facts: Written) -> tuple[Update, ...]:
    """Lay changes out as records at the owner names themselves.

    Deletions come before additions at a name, so that a CNAME and other types can change places. The apex
    NS RRset grows before it shrinks: its deletion as a whole is ignored (RFC 2136 section 3.4.2.4).
    """
    updates: list[Update] = []
    for _, group in groupby(facts.changes, key=lambda change: change.key.name):
        additions: list[Update] = []
        for change in group:
            match change.wanted:
                case Absence.WITHDRAWN:
                    continue
                case Absence.RETIRED:
                    updates.append(DeleteRRset(change.key))
                case Records() as records if change.key == (facts.zone, "NS"):
                    additions.append(AddRecords(change.key, records))
                    found = facts.wire.get(change.key)
                    if gone := tuple(r for r in (found.rdatas if found else ()) if r not in records.rdatas):
                        additions.append(DeleteRecords(change.key, gone))
                case Records() as records:
                    updates.append(DeleteRRset(change.key))
                    additions.append(AddRecords(change.key, records))
        updates += additions
    return tuple(updates)


def write_fence(zone: str, fence: Fence) -> tuple[Update, ...]:
    """Return the updates that set the fence."""
    key = fence_key(zone)
    return DeleteRRset(key), AddRecords(key, Records(FENCE_TTL, (fence_rdata(fence),)))


def compose(facts: Written, fence: Fence, rules: Sequence[WriteRule]) -> Message:
    """Build the UPDATE that carries some changes and moves the fence."""
    prerequisites = tuple(prerequisite for rule in rules for prerequisite in rule(facts))
    return Message(facts.zone, prerequisites, inline(facts) + write_fence(facts.zone, fence))


def control(zone: str, seen: Seen, rules: Sequence[WriteRule]) -> Message:
    """Build an UPDATE that says what stands already: a server that refuses this refuses everything."""
    prerequisites = tuple(p for rule in rules for p in rule(Written(zone, seen, (), {}, frozenset())))
    key = fence_key(zone)
    again = (AddRecords(key, Records(FENCE_TTL, seen.rdatas)),) if seen.rdatas else ()
    return Message(zone, prerequisites, (DeleteRRset(key), *again))


def verification(zone: str, seen: Seen, changes: Sequence[Change]) -> Message:
    """Build an UPDATE without updates that the server takes only if the zone holds what was published.

    This reads back with the server's own comparison, which wildcards and delegations do not disturb.
    """
    checks: list[Prerequisite] = list(fence_as_seen(Written(zone, seen, (), {}, frozenset())))
    for change in changes:
        match change.wanted:
            case Records(_, rdatas):
                checks.append(RRsetIs(change.key, rdatas))
            case Absence.RETIRED:
                checks.append(RRsetAbsent(change.key))
            case Absence.WITHDRAWN:
                pass
    return Message(zone, tuple(checks), ())


def parts(changes: Sequence[Change], start: int, rrsets_max: int) -> Iterator[tuple[int, int]]:
    """Cut changes[start:] into half-open ranges that fit a message, at owner names where possible.

    ``rrsets_max`` bounds the RRsets in a part; one name's RRsets stay together even beyond it, as long as
    the octets allow.
    """
    first = start
    count = octets = 0
    index = start
    for _, group in groupby(changes[start:], key=lambda change: change.key.name):
        sizes = [_octets_max(change) for change in group]
        if count and (count + len(sizes) > rrsets_max or octets + sum(sizes) > MESSAGE_OCTETS_MAX):
            yield first, index
            first, count, octets = index, 0, 0
        for size in sizes:
            if count and octets + size > MESSAGE_OCTETS_MAX:
                yield first, index
                first, count, octets = index, 0, 0
            count, octets, index = count + 1, octets + size, index + 1
    if count or start == len(changes):
        yield first, index


def _octets_max(change: Change) -> int:
    octets = 4 * octets_of(DeleteRRset(change.key))
    if isinstance(change.wanted, Records):
        octets += octets_of(AddRecords(change.key, change.wanted))
        if change.before is Before.UNMANAGED or change.key.type == "NS":
            octets *= 2  # compared with what is there, or an apex NS RRset that grows before it shrinks
    return octets


def next_fence(target: Fence, base: int, done: int, of: int) -> Fence:
    """Return the fence after ``done`` of ``of`` RRsets on the way from ``base`` to a target."""
    return target if done == of else replace(target, progress=Progress(base, done, of))
