"""Which nodes of the versioned layout may go, and the message that takes one away: pure.
A node is reachable while an alias names it. That is looked up when listing, and asked again inside the deleting
message: between the two, an alias may have been flipped.

A node in flight, built and not yet named, is of a generation above the fence's base, and clean-up goes up to that
base only (`bound_by_fence`); a base never goes back while all publish behind the fence. Where it does (a restored
primary, an operator's resync), an old node may be in flight again and lose its records: then its flip is refused
(`target_exists`), and the publication builds it anew. So the deletion itself need not ask for the fence.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dnsguard.core.layout import marker_key, node_of, rollback_name, target_of
from dnsguard.core.message import DeleteRRset, Message, Prerequisite, RRsetAbsent, RRsetIs
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen


@dataclass(frozen=True, slots=True)
class Node:
    """A node as listed: its name, the owner name that it is of, its generation, and the RRsets at it."""

    name: str
    owner: str
    generation: int
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """What a clean-up saw: the whole zone (one transfer) and the fence in it."""

    zone: str
    seen: Seen
    wire: Mapping[Key, Records]

    def aliases(self, owner: str) -> tuple[Key, Key]:
        """Return the two aliases of an owner name: the live one and the one kept for a rollback."""
        return Key(owner, "CNAME"), Key(rollback_name(owner), "CNAME")


SpareRule = Callable[[Listed, Node], bool]
DeleteRule = Callable[[Listed, Node], tuple[Prerequisite, ...]]


def spare_live(listed: Listed, node: Node) -> bool:
    """Spare the node that the owner name is an alias to. Without this, clean-up empties a live name."""
    live, _ = listed.aliases(node.owner)
    return target_of(listed.wire.get(live)) == node.name


def spare_rollback(listed: Listed, node: Node) -> bool:
    """Spare the node that is kept for a rollback. Without this, there is nothing to go back to."""
    _, back = listed.aliases(node.owner)
    return target_of(listed.wire.get(back)) == node.name


def aliases_as_listed(listed: Listed, node: Node) -> tuple[Prerequisite, ...]:
    """The aliases still name what they named when listed, which is not this node.

    Without this, an alias that was set to the node after the listing is left pointing at nothing: by a blind writer,
    by hand, or by a primary that was restored from a backup.
    """
    found = [(alias, listed.wire.get(alias)) for alias in listed.aliases(node.owner)]
    return tuple(RRsetAbsent(alias) if records is None else RRsetIs(alias, records.rdatas) for alias, records in found)


def nodes(listed: Listed, upto: int) -> tuple[Node, ...]:
    """Return the nodes with records of generations up to a bound, oldest first."""
    found: dict[str, list[Key]] = {}
    for key in sorted(listed.wire):
        place = node_of(key.name)
        if place is not None and place[0] <= upto:
            found.setdefault(key.name, []).append(key)
    made = []
    for name, keys in found.items():
        place = node_of(name)
        if place is not None:
            made.append(Node(name, place[1], place[0], tuple(keys)))
    return tuple(sorted(made, key=lambda node: (node.generation, node.name)))


def markers(listed: Listed, upto: int) -> tuple[Node, ...]:
    """Return the nodes without records whose marker is left, of generations up to a bound, oldest first."""
    bare = []
    for key in sorted(listed.wire):
        label, _, name = key.name.partition(".")
        place = node_of(name)
        if place is not None and key == marker_key(name) and place[0] <= upto and label:
            bare.append(Node(name, place[1], place[0], (key,)))
    held = {node.name for node in nodes(listed, upto)}
    return tuple(
        sorted((node for node in bare if node.name not in held), key=lambda node: (node.generation, node.name))
    )


def deletion(listed: Listed, node: Node, rules: Sequence[DeleteRule]) -> Message:
    """Build the UPDATE that takes a node's records away, if what the rules believe is so."""
    prerequisites = tuple(dict.fromkeys(check for rule in rules for check in rule(listed, node)))
    return Message(listed.zone, prerequisites, tuple(DeleteRRset(key) for key in node.keys))
