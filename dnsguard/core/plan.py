"""Plans and their history: what a zone should hold, generation by generation.
A plan never says "everything else goes away": what it does not cover, it does not touch.
"""

import enum
import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dnsguard.core.names import name_wire
from dnsguard.core.records import Key, Records, type_code


class Absence(enum.Enum):
    """What stands for an RRset that a plan covers without giving it records."""

    RETIRED = "retired"
    """It is to be gone from the wire."""
    UNCOVERED = "uncovered"
    """No plan covers it any more; what is on the wire there belongs to someone else."""


Wanted = Records | Absence


@dataclass(frozen=True, slots=True)
class Plan:
    """The desired contents of some RRsets of one zone, sorted by key and free of duplicates.

    ``based_on`` is the generation from which the planner made it, None for "whatever it is";
    ``stated`` is the generation that the planner asks for, None for "the next one".
    """

    zone: str
    rrsets: tuple[tuple[Key, Wanted], ...]
    reason: str = ""
    adopt: bool = False
    based_on: int | None = None
    stated: int | None = None
    as_found: bool = False
    """Whether it takes over what it found: published without writing it, and only while exactly that stands."""

    @property
    def keys(self) -> tuple[Key, ...]:
        """The RRsets that this plan covers."""
        return tuple(key for key, _ in self.rrsets)


def make_plan(
    zone: str,
    rrsets: Mapping[Key, Wanted],
    *,
    reason: str = "",
    adopt: bool = False,
    based_on: int | None = None,
    stated: int | None = None,
    as_found: bool = False,
) -> Plan:
    """Build a plan in canonical order."""
    return Plan(
        zone,
        tuple(sorted(rrsets.items(), key=lambda item: sort_key(item[0]))),
        reason,
        adopt,
        based_on,
        stated,
        as_found,
    )


class Before(enum.Enum):
    """How an RRset stood on the wire before a change, as the store has it on record."""

    HELD = "held"
    """dnsguard published records for it."""
    GONE = "gone"
    """dnsguard covers it, and it has no records."""
    UNMANAGED = "unmanaged"
    """dnsguard never published it: what may be found there is somebody else's."""


@dataclass(frozen=True, slots=True)
class Change:
    """One RRset's newest contents in a range of generations, and the generation that they come from.

    ``adopt`` says that a plan allowed to take over what is found at an unmanaged RRset. ``earlier`` has what
    overtaken changes wanted there: a publication that was left half-way may have put it on the wire.
    """

    key: Key
    wanted: Wanted
    generation: int
    before: Before = Before.HELD
    adopt: bool = False
    earlier: tuple[Records, ...] = ()
    as_found: bool = False
    """Its plan takes over what it found: at an unmanaged RRset nothing else may stand, and nothing is written."""


def sort_key(key: Key) -> tuple[str, int]:
    """Order of RRsets within a publication: by owner name, then CNAME last, then by type number."""
    return (key.name, type_code(key.type) + (65_536 if key.type == "CNAME" else 0))


def fold(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Keep one change per RRset, the one of the newest generation, in publication order.

    At an RRset that is not managed yet it keeps what earlier changes wanted, and a leave to adopt that one of
    them gave and none withdrew.
    """
    newest: dict[Key, Change] = {}
    for change in sorted(changes, key=lambda change: change.generation):
        known = newest.get(change.key)
        newest[change.key] = _overtake(known, change) if known and change.before is Before.UNMANAGED else change
    return tuple(sorted(newest.values(), key=lambda change: sort_key(change.key)))


def _overtake(older: Change, newer: Change) -> Change:
    wanted = (older.wanted,) if isinstance(older.wanted, Records) else ()
    earlier = tuple(dict.fromkeys((*older.earlier, *wanted, *newer.earlier)))
    adopt = newer.adopt or (older.adopt and newer.wanted is not Absence.UNCOVERED)
    return replace(newer, adopt=adopt, earlier=earlier)


def state_at(changes: Iterable[Change], generation: int) -> dict[Key, Records]:
    """Return the records that stand at a generation, given all changes up to it."""
    upto = fold(change for change in changes if change.generation <= generation)
    return {change.key: change.wanted for change in upto if isinstance(change.wanted, Records)}


def plan_digest(plan: Plan) -> bytes:
    """Hash what a plan wants on the wire (SHA-256 over its canonical encoding)."""
    digest = hashlib.sha256()
    digest.update(name_wire(plan.zone) + (b"\2" if plan.as_found else b"\1" if plan.adopt else b"\0"))
    for key, wanted in plan.rrsets:
        digest.update(name_wire(key.name) + struct.pack("!H", type_code(key.type)))
        match wanted:
            case Absence.RETIRED:
                digest.update(b"R")
            case Absence.UNCOVERED:
                digest.update(b"W")
            case Records(ttl, rdatas):
                digest.update(struct.pack("!cII", b"S", ttl, len(rdatas)))
                for rdata in rdatas:
                    digest.update(struct.pack("!H", len(rdata)) + rdata)
    return digest.digest()


def chain_digest(previous: str, generation: int, plan_hash: bytes) -> str:
    """Link a generation to all before it: 16 hexadecimal digits that no other history gives."""
    return hashlib.sha256(f"{previous} {generation} ".encode() + plan_hash).hexdigest()[:16]
