"""What is believed of a zone when a message is about to be written, and the prerequisites that say so to the server.
Each rule is a plain function; which of them travel with a write is named by `Guards`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from dnsguard.core.fence import Fence, FenceUnreadable, fence_key, parse_fence
from dnsguard.core.message import NameNotInUse, Prerequisite, RRsetAbsent, RRsetExists, RRsetIs
from dnsguard.core.names import fence_name
from dnsguard.core.plan import Absence, Before, Change
from dnsguard.core.records import Key, Records, identical
from dnsguard.core.server_effects import companions_in_question

WRITE, BUILD, FLIP = "write", "build", "flip"
"""Stages of a publication: the only one of the inline layout, and the two of the versioned one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The TXT RRset at the fence's name as the primary showed it; ``rdatas`` is empty if there is none.

    With rdatas and without a fence, what stands there is unreadable: somebody else's.
    """

    rdatas: tuple[bytes, ...]
    fence: Fence | None
    hidden_by: tuple[Key, ...] = ()
    """The RRsets that keep an ordinary question from finding the fence."""

    @property
    def text(self) -> str:
        """What was seen, for people and for comparison: equal texts mean equal rdata."""
        return str(self.fence) if self.fence is not None else " ".join(rdata.hex() for rdata in self.rdatas)


def seen_of(rdatas: tuple[bytes, ...]) -> Seen:
    """Return what the TXT rdata at the fence's name say; none at all say that there is no fence."""
    try:
        return Seen(rdatas, parse_fence(rdatas) if rdatas else None)
    except FenceUnreadable:
        return Seen(rdatas, None)


def seen_in(zone: str, wire: Mapping[Key, Records]) -> Seen:
    """Return the fence as it stands among a zone's RRsets."""
    found = wire.get(fence_key(zone))
    hidden_by = tuple(key for key in hiding_keys(zone) if key in wire)
    return replace(seen_of(() if found is None else found.rdatas), hidden_by=hidden_by)


def hiding_keys(zone: str) -> tuple[Key, ...]:
    """Return the RRsets that would hide the fence; plans can set none of them, a stranger can."""
    name = fence_name(zone)
    return Key(zone, "DNAME"), Key(name, "CNAME"), Key(name, "NS")


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
    stage: str = WRITE
    ours: frozenset[Key] = frozenset()
    """The RRsets of ``wire`` that the layout put there by itself."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Names that had to be read and could not be, each with the reason."""


WriteRule = Callable[[Written], tuple[Prerequisite, ...]]


def fence_as_seen(facts: Written) -> tuple[Prerequisite, ...]:
    """The fence still holds exactly the value that was seen, or is still absent.

    Without this, a delayed writer's message is applied over a newer one: the incident of October 2025.
    """
    key = fence_key(facts.zone)
    return (RRsetIs(key, facts.seen.rdatas) if facts.seen.rdatas else RRsetAbsent(key),)


def unmanaged_as_seen(facts: Written) -> tuple[Prerequisite, ...]:
    """An RRset that is not managed yet is absent, or holds already what this or an overtaken plan wants there.

    One that is taken over as it was found is not absent either.

    Without this, the first publication destroys what somebody else put there after the plan was judged.
    """
    prerequisites: list[Prerequisite] = []
    for change in facts.changes if facts.stage != BUILD else ():
        if _claimed(facts, change) and change.wanted is not Absence.UNCOVERED:
            found = facts.wire.get(change.key)
            if change.as_found and isinstance(change.wanted, Records):
                prerequisites.append(RRsetIs(change.key, change.wanted.rdatas))
            elif found is not None and (found == change.wanted or found in change.earlier):
                prerequisites.append(RRsetIs(change.key, found.rdatas))
            else:
                prerequisites.append(RRsetAbsent(change.key))
    return tuple(prerequisites)


def found_as_wanted(facts: Written, change: Change) -> bool:
    """Tell whether an unmanaged RRset holds exactly what is wanted, the case of names included: it is taken over
    without being written. Only where `unmanaged_as_seen` has the server compare it once more: else a change meanwhile
    would stay.
    """
    return _claimed(facts, change) and (change.as_found or identical(facts.wire.get(change.key), change.wanted))


def _claimed(facts: Written, change: Change) -> bool:
    return change.before is Before.UNMANAGED and not change.adopt and change.key not in facts.ours


def no_cname_beside(facts: Written) -> tuple[Prerequisite, ...]:
    """Where records appear, no CNAME stands that the message does not replace; where a CNAME appears, nothing.

    Without this, BIND and Knot silently drop one of the two and answer NOERROR (RFC 2136 section 3.4.2.2).
    """
    if facts.stage != WRITE:
        return _room_for_aliases(facts) if facts.stage == FLIP else ()
    prerequisites: list[Prerequisite] = []
    for name, group in groupby(facts.changes, key=lambda change: change.key.name):
        changes = tuple(change for change in group if change.wanted is not Absence.UNCOVERED)
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


def no_ds_orphaned(facts: Written) -> tuple[Prerequisite, ...]:
    """Where a DS appears, an NS stands that the message does not set; where an NS goes, no DS that it does not retire.

    Without this, an NS that somebody removes just before makes BIND ignore the DS silently, and a DS that somebody
    adds just before goes with the NS. What stands there already just so is not asked about: servers keep it.
    """
    if facts.stage == BUILD:
        return ()
    newly = {
        change.key: change.wanted
        for change in facts.changes
        if not change.as_found and facts.wire.get(change.key) != change.wanted
    }
    return tuple(
        RRsetExists(other) if other.type == "NS" else RRsetAbsent(other)
        for other in sorted(companions_in_question(newly))
    )


def _room_for_aliases(facts: Written) -> tuple[Prerequisite, ...]:
    """Where an alias comes, one stands already, or nothing does: a CNAME beside other data is silently dropped."""
    prerequisites: list[Prerequisite] = []
    changing = [change for change in facts.changes if change.wanted is not Absence.UNCOVERED]
    for name in dict.fromkeys(change.key.name for change in changing):
        alias = Key(name, "CNAME")
        if alias in facts.wire:
            prerequisites.append(RRsetExists(alias))
        elif all(key.name != name for key in facts.wire):
            prerequisites.append(NameNotInUse(name))
    return tuple(prerequisites)


def created_by(facts: Written) -> frozenset[Key]:
    """Return the RRsets of which the applied message itself proves that they were absent before it."""
    return frozenset(
        prerequisite.key for prerequisite in unmanaged_as_seen(facts) if isinstance(prerequisite, RRsetAbsent)
    )
