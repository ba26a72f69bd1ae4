"""How an RRset lies in the zone: pure functions from what changes and what was seen to updates.
*Inline*: the records stand at the owner name itself. *Versioned*: they stand at a node of their own generation,
and the owner name is an alias to the node; a change builds the new node first, and then flips the alias.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    NameInUse,
    Prerequisite,
    RRsetAbsent,
    RRsetIs,
    Update,
)
from dnsguard.core.names import NameRefused, name_from_wire, name_wire
from dnsguard.core.plan import Absence, Before, Change
from dnsguard.core.records import Key, Records
from dnsguard.core.server_effects import companions_in_question
from dnsguard.core.written import BUILD, FLIP, WRITE, Written, found_as_wanted

ROLLBACK_LABEL = "rollback"
MARKER_LABEL = "_node"

_NODE = re.compile(r"g([1-9][0-9]{0,17})\.(.+)")
_NOT_ALIASED = frozenset({"CNAME", "NS", "DS", "DNAME"})


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass over all changes of a publication; a later stage begins when the one before is on the wire."""

    name: str
    names_to_read: Callable[[str, Sequence[Change], bool], tuple[str, ...]]
    """Of (zone, changes, unmanaged): the names at which the wire is read before a message is built."""
    needs_reading: Callable[[str, Sequence[Change]], bool]
    """Of (zone, changes at one name): whether no message can be built without knowing what stands there.

    At other names prerequisites say all that must be known."""
    lay: Callable[[Written], tuple[Update, ...]]
    expect: Callable[[Written], tuple[Prerequisite, ...]]
    """What holds once the message is applied: asked by reading back."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A way in which RRsets lie in a zone."""

    name: str
    stages: tuple[Stage, ...]
    whole_names: bool
    """Whether a change is laid out together with everything else that stands at its owner name."""
    reserves: Callable[[str], bool]
    """Tells whether a name is one that the layout makes by itself."""
    foreign: Callable[[Mapping[Key, Records]], Mapping[Key, Records]]
    """Leaves out, of what was read at owner names, what the layout put there by itself."""


def at_names(changes: Sequence[Change]) -> Iterator[tuple[str, tuple[Change, ...]]]:
    """Group changes, which are in publication order, by owner name."""
    for name, group in groupby(changes, key=lambda change: change.key.name):
        yield name, tuple(group)


# The inline layout.


def _inline_needs_reading(zone: str, here: Sequence[Change]) -> bool:
    """The apex when its NS RRset changes, since servers ignore its deletion as a whole, and a name where a CNAME
    replaces other types.
    """
    cname_comes = any(change.key.type == "CNAME" and isinstance(change.wanted, Records) for change in here)
    return (cname_comes and len(here) > 1) or any(
        change.key == (zone, "NS") and isinstance(change.wanted, Records) for change in here
    )


def _inline_names(zone: str, changes: Sequence[Change], unmanaged: bool) -> tuple[str, ...]:
    """The names that need reading; when in doubt, also every name that holds something not managed yet or where the
    wire decides whether a DS keeps its NS, and always where it is taken over as it was found: prerequisites don't
    compare TTLs.
    """
    names: list[str] = []
    for name, group in at_names(changes):
        here = [change for change in group if change.wanted is not Absence.UNCOVERED]
        in_doubt = any(change.before is not Before.HELD for change in here) or companions_in_question(
            {change.key: change.wanted for change in here}
        )
        if (
            _inline_needs_reading(zone, here)
            or (unmanaged and in_doubt)
            or any(change.as_found and change.before is Before.UNMANAGED for change in here)
        ):
            names.append(name)
    return tuple(names)


def _inline(facts: Written) -> tuple[Update, ...]:
    """Deletions come before additions at a name, so that a CNAME and other types can change places. The apex
    NS RRset grows before it shrinks: its deletion as a whole is ignored (RFC 2136 section 3.4.2.4). An addition that
    differs from what stands in the case of a name only is ignored, too, so what stands is deleted first.
    """
    return tuple(update for _, here in at_names(facts.changes) for update in _inline_at(facts, here))


def _inline_at(facts: Written, here: Sequence[Change]) -> tuple[Update, ...]:
    updates: list[Update] = []
    additions: list[Update] = []
    for change in here:
        if found_as_wanted(facts, change):
            continue
        match change.wanted:
            case Absence.UNCOVERED:
                continue
            case Absence.RETIRED:
                updates.append(DeleteRRset(change.key))
            case Records() as records if change.key == (facts.zone, "NS"):
                additions += _replace_apex_ns(change.key, facts.wire.get(change.key), records)
            case Records() as records:
                updates.append(DeleteRRset(change.key))
                additions.append(AddRecords(change.key, records))
    return (*updates, *additions)


def _replace_apex_ns(key: Key, found: Records | None, wanted: Records) -> Iterator[Update]:
    """Replace the apex NS RRset; a record of which only the case changes goes and comes back while others stand."""
    yield AddRecords(key, wanted)
    if found is None:
        return
    given = dict(zip(wanted.canonical, wanted.rdatas, strict=True))
    held = list(zip(found.canonical, found.rdatas, strict=True))
    if gone := tuple(rdata for canonical, rdata in held if canonical not in given):
        yield DeleteRecords(key, gone)
    for canonical, rdata in held:
        if given.get(canonical, rdata) != rdata:
            yield DeleteRecords(key, (rdata,))
            yield AddRecords(key, Records(wanted.ttl, (given[canonical],), (canonical,)))


def _expect_inline(facts: Written) -> tuple[Prerequisite, ...]:
    return tuple(check for change in facts.changes for check in _expect_at(change.key, change))


def _expect_at(key: Key, change: Change) -> tuple[Prerequisite, ...]:
    match change.wanted:
        case Records(_, rdatas):
            return (RRsetIs(key, rdatas),)
        case Absence.RETIRED:
            return (RRsetAbsent(key),)
        case Absence.UNCOVERED:
            return ()


INLINE = Layout(
    "inline",
    (Stage(WRITE, _inline_names, _inline_needs_reading, _inline, _expect_inline),),
    False,
    lambda _: False,
    lambda wire: wire,
)


# The versioned layout.


def node_name(owner: str, generation: int) -> str:
    """Return the name of the node that holds what an owner name has at a generation."""
    return f"g{generation}.{owner}"


def rollback_name(owner: str) -> str:
    """Return the name of the alias to the node that was live before."""
    return f"{ROLLBACK_LABEL}.{owner}"


def marker_key(node: str) -> Key:
    """Return what stays below a node when its records go: it makes the node NOERROR without records."""
    return Key(f"{MARKER_LABEL}.{node}", "TXT")


def node_of(name: str) -> tuple[int, str] | None:
    """Return the generation and the owner name of a node's name, None if it is no node's."""
    found = _NODE.fullmatch(name)
    return None if found is None else (int(found[1]), found[2])


def alias_to(target: str, ttl: int) -> Records:
    """Return the contents of an alias."""
    return Records(ttl, (name_wire(target),))


def target_of(records: Records | None) -> str | None:
    """Return the node's name that an alias names; None if it is no alias to a node."""
    if records is None:
        return None
    try:
        name = name_from_wire(records.rdatas[0])
    except NameRefused:
        return None
    return name if node_of(name) is not None else None


def is_reserved(name: str) -> bool:
    """Tell whether a name is one that the versioned layout makes by itself."""
    first = name.partition(".")[0]
    return first in {ROLLBACK_LABEL, MARKER_LABEL} or node_of(name) is not None


def live_node(zone: str, name: str, here: Sequence[Change]) -> str | None:
    """Return the node to which a name is to be an alias: None if nothing stands there, or it cannot be one."""
    standing = [change for change in here if isinstance(change.wanted, Records)]
    if name == zone or not standing or any(change.key.type in _NOT_ALIASED for change in standing):
        return None
    return node_name(name, max(change.generation for change in here))


def _build(facts: Written) -> tuple[Update, ...]:
    updates: list[Update] = []
    for name, here in at_names(facts.changes):
        node = live_node(facts.zone, name, here)
        if node is None:
            continue
        marker = marker_key(node)
        note = b"built"
        updates += [DeleteRRset(marker), AddRecords(marker, Records(0, (bytes((len(note),)) + note,)))]
        for change in here:
            if isinstance(change.wanted, Records):
                key = Key(node, change.key.type)
                updates += [DeleteRRset(key), AddRecords(key, change.wanted)]
    return tuple(updates)


def _expect_build(facts: Written) -> tuple[Prerequisite, ...]:
    checks: list[Prerequisite] = []
    for name, here in at_names(facts.changes):
        if (node := live_node(facts.zone, name, here)) is not None:
            for change in here:
                if isinstance(change.wanted, Records):
                    checks += _expect_at(Key(node, change.key.type), change)
    return tuple(checks)


def _all_names(_zone: str, changes: Sequence[Change], _unmanaged: bool) -> tuple[str, ...]:
    """Every name: the alias that stands there names the node to keep for a rollback."""
    return tuple(name for name, here in at_names(changes) if _is_flipped(_zone, here))


def _is_flipped(_zone: str, here: Sequence[Change]) -> bool:
    """Tell whether a flip changes anything at a name."""
    return any(change.wanted is not Absence.UNCOVERED for change in here)


def _no_names(_zone: str, _changes: Sequence[Change], _unmanaged: bool) -> tuple[str, ...]:
    """None: nodes are nobody else's."""
    return ()


def _flip(facts: Written) -> tuple[Update, ...]:
    updates: list[Update] = []
    for name, here in at_names(facts.changes):
        alias = Key(name, "CNAME")
        found = target_of(facts.wire.get(alias))
        node = live_node(facts.zone, name, here)
        if all(change.wanted is Absence.UNCOVERED for change in here):
            continue  # it is nobody's again, whatever stands there
        if node is None:
            if found is not None:
                updates.append(DeleteRRset(alias))
            updates += _inline_at(facts, here)
        else:
            updates += [DeleteRRset(change.key) for change in here if change.key != alias]
            ttl = min(change.wanted.ttl for change in here if isinstance(change.wanted, Records))
            updates += [DeleteRRset(alias), AddRecords(alias, alias_to(node, ttl))]
        if found is not None and found != node:
            back = Key(rollback_name(name), "CNAME")
            updates += [DeleteRRset(back), AddRecords(back, alias_to(found, 0))]
    return tuple(updates)


def _expect_flip(facts: Written) -> tuple[Prerequisite, ...]:
    checks: list[Prerequisite] = []
    for name, here in at_names(facts.changes):
        if (node := live_node(facts.zone, name, here)) is None:
            checks += [check for change in here for check in _expect_at(change.key, change)]
        else:
            checks.append(RRsetIs(Key(name, "CNAME"), (name_wire(node),)))
    return tuple(checks)


def aliases_wanted(facts: Written) -> Iterator[tuple[str, str]]:
    """Yield (alias, node) for the aliases that a flip sets: the owner names', and those kept for a rollback."""
    for name, here in at_names(facts.changes):
        found = target_of(facts.wire.get(Key(name, "CNAME")))
        node = live_node(facts.zone, name, here)
        if node is not None:
            yield name, node
        if found is not None and found != node:
            yield rollback_name(name), found


def target_exists(facts: Written) -> tuple[Prerequisite, ...]:
    """A name becomes an alias only to a node that exists, as a name service with aliases of its own asks.

    Without this, a node that somebody deleted after it was built leaves the name pointing at nothing.
    """
    if facts.stage != FLIP:
        return ()
    rollbacks = {rollback_name(change.key.name) for change in facts.changes}
    return tuple(NameInUse(node) for alias, node in aliases_wanted(facts) if alias not in rollbacks)


def rollback_target_exists(facts: Written) -> tuple[Prerequisite, ...]:
    """The rollback alias, too, is set only to a node that exists.

    This is the October system's, and none of ours: with it, a name whose node has vanished can never be
    repaired by publishing, since every publication must first point the rollback at what is gone.
    """
    if facts.stage != FLIP:
        return ()
    rollbacks = {rollback_name(change.key.name) for change in facts.changes}
    return tuple(NameInUse(node) for alias, node in aliases_wanted(facts) if alias in rollbacks)


VERSIONED = Layout(
    "versioned",
    (
        Stage(BUILD, _no_names, lambda _zone, _here: False, _build, _expect_build),
        Stage(FLIP, _all_names, _is_flipped, _flip, _expect_flip),
    ),
    True,
    is_reserved,
    lambda wire: {key: records for key, records in wire.items() if key.type != "CNAME" or target_of(records) is None},
)

LAYOUTS: Mapping[str, Layout] = {layout.name: layout for layout in (INLINE, VERSIONED)}


def resolved(wire: Mapping[Key, Records], key: Key) -> Records | None:
    """Return what a client finds for an RRset, whichever layout put it there: the alias is followed once."""
    node = target_of(wire.get(Key(key.name, "CNAME")))
    return wire.get(key) if node is None else wire.get(Key(node, key.type))
