"""What a zone holds against what the history says: differences, named one by one. Pure, and in bounded pieces.
What no plan covers is nobody's business here, unless it stands at a name that plans have filled.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from dnsguard.core.history import Covered
from dnsguard.core.layout import Layout, alias_to, live_node, node_name, node_of, target_of
from dnsguard.core.names import fence_name, is_within
from dnsguard.core.occlusion import hidden_in, is_cut
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records, has_opaque
from dnsguard.core.submission import SERVER_OWNED_TYPES

FINDINGS_MAX = 20_000
"""So many findings are named; more are counted."""
SIGNING_TYPES = frozenset({"DNSKEY", "CDS", "CDNSKEY"})
"""Types that a signing server keeps at the apex by itself, and that plans may set where it does not."""
SERVER_KEPT_TYPES = SERVER_OWNED_TYPES | SIGNING_TYPES | {"SOA", "TYPE65534"}
"""Types that come and go with the server's own work; TYPE65534 is BIND's note of how far its signing is."""


class Kind(enum.Enum):
    """How an RRset differs."""

    MISSING = "missing"
    """A plan wants it, and it is not there."""
    CHANGED = "changed"
    """It has other records than a plan wants."""
    TTL = "ttl"
    """It has the wanted records with another TTL."""
    FOREIGN = "foreign"
    """It stands at a managed name and no plan covers it, or a plan has retired it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. ``expected`` is None where no plan covers the RRset, ``found`` where nothing stands.

    ``rrsets`` is what to publish anew to mend it; it is empty where there is nothing to publish.
    """

    kind: Kind
    key: Key
    expected: Wanted | None
    found: Records | None
    generation: int | None
    rrsets: tuple[tuple[Key, Wanted], ...] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison came to. ``base`` is below ``generation`` while a publication is under way.

    ``compared`` counts RRsets that plans cover, ``unmanaged`` those in the zone that are nobody's business here,
    ``count`` the findings of each kind, the named and those beyond.
    """

    zone: str
    generation: int
    base: int
    at: float
    compared: int
    unmanaged: int
    findings: tuple[Finding, ...]
    count: Mapping[Kind, int]
    opaque: tuple[Key, ...] = ()
    """The RRsets in the zone with a record that is not valid rdata of its type: they are compared by octets."""

    @property
    def total(self) -> int:
        """How many findings there are."""
        return sum(self.count.values())

    def differing(self) -> frozenset[Key]:
        """Return the covered RRsets that the named findings concern."""
        return frozenset(key for finding in self.findings for key, _ in finding.rrsets)


@dataclass(slots=True)
class Comparison:
    """A comparison under way: first `take` all that is covered, by name, then `look_at` all that is `left`.

    ``wire`` is the whole zone, ``moving`` what plans that are being published want: of an RRset that changes
    just now, its contents at the base and whatever one of those plans wants are both right.
    """

    zone: str
    layout: Layout
    wire: Mapping[Key, Records]
    moving: Mapping[Key, tuple[Wanted, ...]] = field(default_factory=dict)
    compared: int = 0
    unmanaged: int = 0
    findings: list[Finding] = field(default_factory=list)
    count: dict[Kind, int] = field(default_factory=dict)
    opaque: list[Key] = field(default_factory=list)
    _left: dict[Key, Records] = field(init=False)
    _names: set[str] = field(init=False, default_factory=set)
    """Where plans have put records: nodes of the versioned layout included."""
    _moving_names: frozenset[str] = field(init=False)
    _cuts: frozenset[Key] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._left = dict(self.wire)
        self._moving_names = frozenset(key.name for key in self.moving)
        for key, wanted in self.moving.items():
            self._left.pop(key, None)
            if self.layout.whole_names:
                self._left.pop(Key(key.name, "CNAME"), None)
            if any(isinstance(each, Records) for each in wanted):
                self._names.add(key.name)

    @property
    def left(self) -> tuple[Key, ...]:
        """What stands in the zone and was not covered by anything taken."""
        return tuple(self._left)

    def take(self, covered: Sequence[Covered]) -> None:
        """Compare what is covered at some names: all RRsets of each name, together."""
        for name, group in groupby(covered, key=lambda each: each.key.name):
            here = tuple(group)
            self.compared += len(here)
            if any(isinstance(each.wanted, Records) for each in here):
                self._names.add(name)
            if self.layout.whole_names:
                self._take_laid_out(name, here)
            else:
                self._take_at(here, name)

    def look_at(self, keys: Iterable[Key]) -> None:
        """Judge what is left in the zone: foreign at a managed name, else nobody's business."""
        apex_ns, fence = Key(self.zone, "NS"), fence_name(self.zone)
        for key in keys:
            if key.type in SERVER_KEPT_TYPES or key == apex_ns or is_within(key.name, fence):
                continue
            if key.name in self._names or (is_cut(self.zone, key) and key in self._hiding_cuts()):
                self._note(Finding(Kind.FOREIGN, key, None, self._left[key], None))
            elif not self.layout.reserves(key.name):
                self.unmanaged += 1

    @property
    def possibly_opaque(self) -> tuple[Key, ...]:
        """The RRsets in the zone of which it is asked whether they are opaque."""
        return tuple(key for key in self.wire if key.type not in SERVER_KEPT_TYPES)

    def note_opaque(self, keys: Iterable[Key]) -> None:
        """Note which of these RRsets of the zone are opaque."""
        self.opaque += (key for key in keys if has_opaque(key.type, self.wire[key]))

    def _hiding_cuts(self) -> frozenset[Key]:
        """The delegations and DNAMEs that hide what plans have put below them from clients."""
        if self._cuts is None:
            hidden = hidden_in(self.zone, self.wire)
            self._cuts = frozenset(cut for key, cut in hidden.items() if key.name in self._names)
        return self._cuts

    def done(self, generation: int, base: int, at: float) -> Verification:
        """Return what it came to."""
        findings = tuple(sorted(self.findings, key=lambda finding: finding.key))
        opaque = tuple(sorted(self.opaque))
        count = dict(self.count)
        return Verification(self.zone, generation, base, at, self.compared, self.unmanaged, findings, count, opaque)

    def _take_laid_out(self, name: str, here: Sequence[Covered]) -> None:
        """Follow the alias to the node where the records of a name stand."""
        alias = Key(name, "CNAME")
        found = self.wire.get(alias)
        node = target_of(found)
        place = None if node is None else node_of(node)
        if node is not None and place is not None and place[1] == name:
            self._left.pop(alias, None)
            self._take_at(here, node)
            if name in self._moving_names:
                return
            self._names.add(node)
            wanted = self._alias(name, here, place[0])
            if wanted is not None and found is not None and found.ttl != wanted.ttl:
                self._note(Finding(Kind.TTL, alias, wanted, found, place[0], _standing(here)))
        elif (wanted := self._alias(name, here)) is None or name in self._moving_names:
            self._take_at(here, name)
        else:
            for key in (alias, *(each.key for each in here)):
                self._left.pop(key, None)
            kind = Kind.MISSING if found is None else Kind.CHANGED
            generation = max(each.generation for each in here)
            self._note(Finding(kind, alias, wanted, found, generation, _standing(here)))

    def _alias(self, name: str, here: Sequence[Covered], generation: int | None = None) -> Records | None:
        """Return the alias that is to stand at a name, None if there is to be none."""
        changes = [Change(each.key, each.wanted, each.generation) for each in here]
        node = live_node(self.zone, name, changes)
        if node is None:
            return None
        ttl = min(each.wanted.ttl for each in here if isinstance(each.wanted, Records))
        return alias_to(node if generation is None else node_name(name, generation), ttl)

    def _take_at(self, here: Sequence[Covered], place: str) -> None:
        """Compare RRsets where they stand: at the owner name itself, or at a node."""
        for each in here:
            at = Key(place, each.key.type)
            self._left.pop(at, None)
            self._left.pop(each.key, None)
            found = self.wire.get(at)
            allowed = (each.wanted, *self.moving.get(each.key, ()))
            kind = _differs(allowed, found)
            if kind is not None:
                expected = allowed[-1]
                self._note(Finding(kind, each.key, expected, found, each.generation, ((each.key, expected),)))

    def _note(self, finding: Finding) -> None:
        self.count[finding.kind] = self.count.get(finding.kind, 0) + 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


def _differs(allowed: Sequence[Wanted], found: Records | None) -> Kind | None:
    """Say how what was found differs from what may stand, the last of which is wanted; None if it does not."""
    if found in allowed or Absence.UNCOVERED in allowed or (found is None and Absence.RETIRED in allowed):
        return None
    wanted = allowed[-1]
    if found is None:
        return Kind.MISSING
    if not isinstance(wanted, Records):
        return Kind.FOREIGN
    return Kind.TTL if wanted.canonical == found.canonical else Kind.CHANGED


def _standing(here: Sequence[Covered]) -> tuple[tuple[Key, Wanted], ...]:
    return tuple((each.key, each.wanted) for each in here if isinstance(each.wanted, Records))


def by_key(contents: Iterable[Covered]) -> dict[Key, tuple[Wanted, ...]]:
    """Gather what several plans want of each RRset, in their order."""
    found: dict[Key, tuple[Wanted, ...]] = {}
    for each in contents:
        found[each.key] = (*found.get(each.key, ()), each.wanted)
    return found
