"""Guards on what is about to be published or pruned: the same rules again, asked of what the primary shows now.
A check that does not travel with the write is no check: what these let through still carries prerequisites.
"""

from dataclasses import dataclass

from dnsguard.core.fence import Fence
from dnsguard.core.kept_by_servers import ds_without_ns
from dnsguard.core.layout import at_names, live_node
from dnsguard.core.names import fence_name
from dnsguard.core.plan import Before, Change
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import SERVER_OWNED_TYPES, cname_beside, contents_taken
from dnsguard.core.written import FLIP, Seen, Written


@dataclass(frozen=True, slots=True)
class Enacted:
    """Facts on a publication about to begin.

    ``newest`` and ``kept_from`` are generations of the store; ``known_digest`` is the store's chain digest at
    the fence's generation, None if that generation is not (or no longer) in the history.
    """

    zone: str
    history: str
    newest: int
    kept_from: int
    fence: Fence | None
    known_digest: str | None
    unreadable: str | None = None
    """What stands at the fence's name, if that is no fence; None otherwise."""
    trusted: bool = False
    """Whether an operator decided to write over exactly the fence that was seen (resync)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Facts on a clean-up: up to where the history might be pruned.

    ``fence`` is what the primary itself showed over TCP; ``published`` is the store's record.
    """

    history: str
    newest: int
    published: int
    fence: Fence | None
    policy: Policy


def _resync(zone: str) -> str:
    """Return the way out of a halt, for people."""
    command = f"dnsguard zone resync {zone} --keep"
    return f"'{command} wire' (what the name server has) or '{command} store' (what the database has)"


def fence_readable(facts: Enacted) -> Refusal | None:
    """What stands at the fence's name is a fence. Without this, somebody else's record is taken for "no fence"."""
    if facts.unreadable is None or facts.trusted:
        return None
    return Refusal(
        "fence_readable",
        f"what stands at {fence_name(facts.zone)} TXT is not a fence; find out who wrote it, then "
        f"{_resync(facts.zone)}",
        "a fence such as 'v=1 h=… g=42 d=…'",
        facts.unreadable,
    )


def fence_of_this_history(facts: Enacted) -> Refusal | None:
    """The zone's fence belongs to the history in this database.

    Without this, a database restored from a backup, or a second one, publishes over newer contents.
    """
    fence = facts.fence
    if fence is None or facts.trusted:
        return None
    if fence.history != facts.history:
        return Refusal(
            "fence_of_this_history",
            f"the fence in {facts.zone} was written from another database; decide which one is right, then "
            f"{_resync(facts.zone)}",
            f"history {facts.history}",
            f"history {fence.history} at generation {fence.generation}",
        )
    if fence.generation > facts.newest:
        return Refusal(
            "fence_of_this_history",
            f"the fence in {facts.zone} is ahead of this database, which seems restored from a backup; decide which "
            f"one is right, then {_resync(facts.zone)}",
            f"a generation ≤ {facts.newest}",
            f"generation {fence.generation}",
        )
    if facts.known_digest != fence.digest and (facts.known_digest is not None or fence.generation >= facts.kept_from):
        return Refusal(
            "fence_of_this_history",
            f"generation {fence.generation} in {facts.zone} is not the one in this database: the history was "
            f"restored from a backup and went on differently; decide which one is right, then "
            f"{_resync(facts.zone)}",
            f"digest {facts.known_digest}",
            f"digest {fence.digest}",
        )
    return None


def cname_alone_on_the_wire(facts: Written) -> Refusal | None:
    """A CNAME stands alone at its name: asked again of what the primary shows now.

    Without this, records that came after the plan was accepted make the server drop it silently; and so they do with
    an alias to a node.
    """
    before = dict.fromkeys(facts.wire, "on the server")
    wanted = {change.key: change.wanted for change in facts.changes}
    return cname_beside(before, wanted) or (_alias_beside(facts) if facts.stage == FLIP else None)


def _alias_beside(facts: Written) -> Refusal | None:
    """Refuse an alias to a node where something stands that the plan does not replace."""
    for name, here in at_names(facts.changes):
        if live_node(facts.zone, name, here) is not None:
            replaced = {change.key for change in here} | {Key(name, "CNAME")}
            beside = [key for key in facts.wire if key.name == name and key not in replaced]
            others = [key.type for key in beside if key.type not in SERVER_OWNED_TYPES]
            if others:
                return Refusal(
                    "cname_alone",
                    f"at {name} the alias to a node would stand beside {min(others)} (on the server); "
                    "cover it in the same plan, or take it away",
                    "an alias alone at its name",
                    f"alias and {min(others)}",
                )
    return None


def ds_beside_ns_on_the_wire(facts: Written) -> Refusal | None:
    """A DS stands beside an NS only: asked again of what the primary shows now.

    Without this, the prerequisite `no_ds_orphaned` has the plan rejected all the same, and nothing says why.
    """
    before = dict.fromkeys(facts.wire, "on the server")
    # A DS that stands there just so is kept, as it is by servers that take one without NS.
    newly = {change.key: change.wanted for change in facts.changes if facts.wire.get(change.key) != change.wanted}
    return ds_without_ns(before, newly)


def unmanaged_contents_kept_on_the_wire(facts: Written) -> Refusal | None:
    """What dnsguard does not manage yet is not taken over: asked again of what the primary shows now.

    Without this, a plan that was accepted while the primary was away is refused all the same (the prerequisite
    `unmanaged_as_seen` protects the contents), and nothing says why.
    """
    for change in facts.changes:
        if (
            change.before is Before.UNMANAGED
            and not change.adopt
            and change.key.name in facts.read
            and (refusal := _taken(facts, change)) is not None
        ):
            return refusal
    return None


def _taken(facts: Written, change: Change) -> Refusal | None:
    return contents_taken(change.key, change.wanted, facts.wire, change.earlier, as_found=change.as_found)


def fence_unmoved(started: Seen, now: Seen) -> Refusal | None:
    """The fence has not moved since the start of the run: asked again just before a write, as a step of its own.

    This is the mend that first comes to mind, and none of ours: between the step and the write, it moves.
    """
    if now.rdatas == started.rdatas:
        return None
    return Refusal("fence_unmoved", "somebody else has published since this run began", started.text, now.text)


def bound_by_age(facts: Reach) -> int:
    """Keep the last N generations, so that a rollback can reach them."""
    return facts.newest - facts.policy.history_generations_min


def bound_by_age_published(facts: Reach) -> int:
    """Keep the last N generations before the newest that was published.

    This is the October system's, and none of ours: what is older than what was just published is taken for unused.
    """
    return facts.published - facts.policy.history_generations_min


def bound_by_fence(facts: Reach) -> int:
    """Keep whatever the zone, as its primary shows it, is made of or under way to; all of it if that is unknown.

    Without this, a publication in several messages cannot be resumed, and a fence that fell behind is unknown.
    """
    return 0 if facts.fence is None or facts.fence.history != facts.history else facts.fence.base
