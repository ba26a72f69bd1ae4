"""The invariants, asked of a simulated world after every effect and at its end.
What strangers and operators did is taken for what it is; everything else is held against what was promised.
"""

from dataclasses import replace

from dnsguard.core.fence import Fence, fence_key
from dnsguard.core.history import PlanState
from dnsguard.core.invariants import (
    Violation as Broken,
)
from dnsguard.core.invariants import (
    accountable,
    cleanup_harmless,
    contained,
    forward,
    healed,
    never_empty,
    nothing_lost,
    origins,
    prefix,
    standing,
    unchanged_kept,
    unpublished,
)
from dnsguard.core.layout import LAYOUTS, ROLLBACK_LABEL, resolved, target_of
from dnsguard.core.occlusion import hidden_in
from dnsguard.core.plan import Absence, Change
from dnsguard.core.records import Key, Records
from dnsguard.core.repair import REASON
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.primary import Contents
from dnsguard.lab.scheduler.moves import Move
from dnsguard.lab.scheduler.simulation import Violation
from dnsguard.lab.simulate.world import OPERATOR, ZONE, World, nodes_in

LEAVE_HISTORY = (
    "observe",
    "publish",
    "read",
    "transfer",
    "store.pending",
    "store.zone",
    "store.unmanaged",
    "store.rrsets",
    "store.contents_between",
    "store.repairs_since",
)
"""Effects that change nothing of the history."""
DOOR = 0, "the door's word"
"""None of the invariants: what a yes at the door says beside them. The plan was made from what stands, it can be
published as far as the door can know, it says something, and caches give its records up in the time that the policy
has.
"""
PREREQUISITE_RCODES = ("NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN")


def look(world: World, move: Move | None) -> Violation | None:
    """Ask the invariants of what has changed."""
    zone = world.history.zone
    broken: Broken | None = None
    if world.primary.contents is not world.seen_contents:
        broken = _look_at_zone(world)
    if broken is None and zone.kept_from != world.kept_from:
        broken = _look_at_clean_up(world, move)
        world.kept_from = zone.kept_from
    if move is None or not move.label.startswith(LEAVE_HISTORY):
        broken = broken or _doubled(world) or _look_at_promises(world)
        world.changes_before = world.changes()
    if broken is None and world.false_alarm is not None:
        broken = Broken(7, "accountable", world.false_alarm)
    return None if broken is None else Violation(broken.invariant, broken.detail)


def look_at_the_end(world: World) -> Violation | None:
    """Ask what must hold once the storm is over and there was time."""
    zone, seen = world.history.zone, seen_in(ZONE, world.primary.contents)
    broken = (
        _contained(world)
        or healed(zone.newest, seen.fence)
        or _uncovered(seen)
        or nothing_lost((*world.acknowledged, *world.unchanged_at), world.history.entries, zone.kept_from, quiet=True)
        or _doubled(world)
        or _look_at_promises(world)
        or _returned(world)
        or _verified(world)
    )
    return None if broken is None else Violation(broken.invariant, broken.detail)


def _uncovered(seen: Seen) -> Broken | None:
    """Ask whether a fence that a stranger has hidden can be read again."""
    hidden = seen.fence is not None and seen.hidden_by
    return Broken(6, "self-healing", f"{hidden[0]} hides the fence") if hidden else None


def _contained(world: World) -> Broken | None:
    """Ask whether names that cannot be read have held up nothing but what needs them to be read."""
    own = _by_hand(world, world.fence) | world.contested | world.owed
    keys = [key for key in world.keys if key not in own]
    wire = {key: found for key in keys if (found := resolved(world.primary.contents, key)) is not None}
    waiting = [
        change for change in world.rejected() if world.history.entries[change.generation].state is PlanState.WAITING
    ]
    return contained(world.changes(), wire, keys, waiting, world.primary.unreadable)


def _look_at_clean_up(world: World, move: Move | None) -> Broken | None:
    zone, changes = world.history.zone, world.changes()
    since = list(range(zone.kept_from, zone.newest + 1))
    fence = world.fence
    # A primary that is put back while a clean-up is at work may show what that one has forgotten: it is caught up with.
    steady = move is not None and world.cleaning_since.get(move.actor) == world.restored
    if steady and world.settled_at == 0 and world.junk is None and fence is not None:
        since.append(fence.base)
    known = [change for change in world.changes_before if change.key in world.history.changes]
    before = [c for c in known if c.generation in world.history.entries or c.generation <= zone.kept_from]
    reach = zone.newest - world.policy.history_generations_min
    broken = cleanup_harmless(_standing_only(world, before), changes, since)
    if zone.kept_from > max(0, reach):
        broken = Broken(5, "clean-up is harmless", f"a rollback reaches to {zone.kept_from}, and not to {reach}")
    return broken


def _standing_only(world: World, changes: list[Change]) -> list[Change]:
    rejected = {(change.key, change.generation) for change in world.rejected()}
    return [change for change in changes if (change.key, change.generation) not in rejected]


def _look_at_promises(world: World) -> Broken | None:
    """Ask whether what was answered with yes was answered rightly, and whether every no says why."""
    history = world.history
    for generation in range(world.accepted_upto + 1, history.zone.newest + 1):
        entry = history.entries.get(generation)
        if entry is None:
            continue
        if entry.reason.startswith(REASON) and (changed := _changed_by_repair(world, generation)) is not None:
            return Broken(4, "nothing lost", f"generation {generation} is a repair, and {changed} was to be otherwise")
        based_on = generation if entry.based_on is None else entry.based_on
        for key, here in history.changes.items():
            unseen = [other for other in here if based_on < other < generation]
            if generation in here and unseen:
                said = f"{key} of generation {unseen[0]} is overwritten by {generation}, made from {based_on}"
                return Broken(*DOOR, f"{said} without a look at it")
    world.accepted_upto = history.zone.newest
    if (broken := _look_at_unchanged(world)) is not None:
        return broken
    for generation, why in world.hopeless.items():
        entry = history.entries.get(generation)
        if entry is not None and entry.state in {PlanState.REJECTED, PlanState.FAULTED}:
            return Broken(*DOOR, f"generation {generation} was answered with yes, and in vain: {why}")
    for entry in history.entries.values():
        if entry.state is PlanState.REJECTED and any(rcode in (entry.why or "") for rcode in PREREQUISITE_RCODES):
            said = f"generation {entry.generation} is rejected with '{entry.why}'"
            return Broken(4, "nothing lost", f"{said}: that is our own prerequisite, and no reason")
        if entry.state is PlanState.REJECTED and "REFUSED" in (entry.why or ""):
            said = f"generation {entry.generation} is rejected with '{entry.why}'"
            return Broken(4, "nothing lost", f"{said}: as a whole it is right, and only its parts are not")
    return None


def _look_at_unchanged(world: World) -> Broken | None:
    """Ask whether each answer "unchanged" was right. Each is looked at once, before clean-up may forget about it."""
    unchanged, world.unchanged = world.unchanged, []
    said = (*world.changes(), *world.rejected()) if unchanged else ()
    kept_from = world.history.zone.kept_from
    checks = (unchanged_kept(said, generation, plan) for generation, plan in unchanged if generation >= kept_from)
    return next((broken for broken in checks if broken is not None), None)


def _changed_by_repair(world: World, generation: int) -> Key | None:
    """Return an RRset of which a repair wants something else than the newest plan before it."""
    for key, here in world.history.changes.items():
        if generation in here:
            before = world.history.newest_change(key, generation - 1)
            if before is None or before[1] != here[generation]:
                return key
    return None


def _look_at_zone(world: World) -> Broken | None:
    contents, changes = world.primary.contents, world.changes()
    fence = seen_in(ZONE, contents).fence
    if (past := _past_strangers(world, contents)) is not None:
        return past
    if world.settled_at == 0 and world.lost_history and _of_lost_history(world, fence):
        world.settled_at = None  # what was on its way when the database was put back has landed
    if world.settled_at is None or (world.settled_at and (fence is None or fence.base < world.settled_at)):
        went_back = forward(world.fence, fence, {}, {}) if world.junk is None and world.fence and fence else None
        world.seen_contents, world.fence = contents, fence or world.fence
        return went_back
    if world.settled_at:
        world.settled_at = 0
        world.forget()
    stages = len(LAYOUTS[world.policy.layout].stages)
    wire = {key: found for key in world.judged if (found := resolved(contents, key)) is not None}
    by_hand = _by_hand(world, fence)
    own = by_hand | world.contested | (_owed(world, fence) if fence is not None else set())
    ours = {k: records for k, records in wire.items() if records not in world.strange and k not in own}
    lookback = _as_inline(fence, stages)
    rejected = world.rejected()
    said = tuple(
        change for change in (*changes, *rejected) if fence is not None and change.generation <= fence.generation
    )
    came_from = origins(said, wire, world.came_from)
    broken = (
        _never_empty(world, said, fence, wire)  # what hurts most is asked first
        or forward(world.fence, fence, *(_without(each, own) for each in (world.came_from, came_from)))
        or _prefix(world, changes, lookback, wire, rejected, by_hand)
        or (_accountable(world, fence, said, ours) if fence and fence.base >= world.kept_from else None)
        or _short_lived(world, said, wire)
        or _in_sight(said, wire)
        or (None if world.restored else unpublished(changes, _withdrawn(world), wire))
    )
    world.seen_contents, world.fence, world.shown, world.came_from = contents, fence, wire, came_from
    world.ever_shown |= ours.keys()
    return broken


def _never_empty(
    world: World, said: tuple[Change, ...], fence: Fence | None, wire: dict[Key, Records]
) -> Broken | None:
    """Ask whether anything is empty; what only a rejected plan had created may go again, whatever the policy says."""
    before = {key: records for key, records in world.shown.items() if key not in world.contested}
    if (broken := never_empty(said, fence, before, wire)) is not None or world.policy.retire:
        return broken
    entries = world.history.entries
    own = {c.key for c in said if c.wanted is Absence.RETIRED and _is_our_own(entries[c.generation].actor)}
    return never_empty(said, fence, {key: before[key] for key in before if key not in own}, wire, retire=False)


def _is_our_own(actor: str) -> bool:
    return actor in {"dnsguard", OPERATOR}


def _accountable(world: World, fence: Fence, said: tuple[Change, ...], wire: dict[Key, Records]) -> Broken | None:
    """Ask where contents come from, of what was covered when the publication under way began; and what a fence says."""
    entry = world.history.entries.get(fence.generation)
    if entry is not None and not entry.rrsets and not _is_our_own(entry.actor):
        return Broken(*DOOR, f"the zone moved to generation {fence.generation}, of a plan that says nothing")
    covered = standing(said, fence.base) if fence.progress is not None else standing(said, fence.generation)
    return accountable(said, world.history.entries, wire, covered.keys())


def _withdrawn(world: World) -> tuple[Change, ...]:
    entries = world.history.entries
    return tuple(c for c in world.rejected() if entries[c.generation].state is PlanState.WITHDRAWN)


def _short_lived(world: World, said: tuple[Change, ...], wire: dict[Key, Records]) -> Broken | None:
    """Ask whether clients can come to the newest generation in the time that the zone's policy promises."""
    most = world.policy.ttl_s_max
    for key in {change.key for change in said}:
        records = wire.get(key)
        if records is not None and records.ttl > most:
            return Broken(*DOOR, f"clients may keep {key} for {records.ttl} s once it is replaced, not {most}")
    return None


def _in_sight(said: tuple[Change, ...], wire: dict[Key, Records]) -> Broken | None:
    """Ask whether clients can find what plans have put there, and dnsguard its fence."""
    hidden = hidden_in(ZONE, wire)
    for key in sorted({fence_key(ZONE), *(change.key for change in said)} & hidden.keys()):
        return Broken(*DOOR, f"{key} stands there, and no client finds it: {hidden[key]} hides it")
    return None


def _prefix(
    world: World,
    changes: tuple[Change, ...],
    fence: Fence | None,
    wire: dict[Key, Records],
    rejected: tuple[Change, ...],
    by_hand: set[Key],
) -> Broken | None:
    """Ask for the prefix; a plan in flight when it was rejected may land all the same, until it is put back."""
    if fence is None or fence.base < world.kept_from:
        return None
    entries = world.history.entries
    put_back = {entry.reverts: entry.generation for entry in entries.values() if entry.reverts is not None}
    in_flight = [c for c in rejected if put_back.get(c.generation, fence.base + 1) > fence.base]
    world.owed |= (owed := _owed(world, fence))
    keys = [key for key in world.judged if key not in by_hand | world.contested | owed]
    broken = prefix(changes, fence, wire, keys, rejected)
    if broken is None or all(_landed(changes, in_flight, fence, wire, key) for key in keys):
        return None
    return broken


def _landed(
    changes: tuple[Change, ...], in_flight: list[Change], fence: Fence, wire: dict[Key, Records], key: Key
) -> bool:
    """Tell whether an RRset is as it should be, or as one of the plans wanted that were in flight when rejected."""
    possible = [(), *((change,) for change in in_flight if change.key == key)]
    return any(prefix((*changes, *late), fence, wire, (key,)) is None for late in possible)


def _by_hand(world: World, fence: Fence | None) -> set[Key]:
    """Return what strangers have changed, and nothing that was accepted later has been published over."""
    found = set()
    for key, newest in world.by_hand.items():
        change = None if fence is None else world.history.newest_change(key, fence.base)
        if change is None or change[0] <= newest:
            found.add(key)
    return found


def _owed(world: World, fence: Fence) -> set[Key]:
    """Return what may be missing and says so: what should stand comes from a plan that is marked at fault.

    While a newer publication is under way, that is what should have stood before it.
    """
    faulted = {g for g, entry in world.history.entries.items() if entry.state is PlanState.FAULTED}
    if not faulted:
        return set()
    newest = [
        (key, world.history.newest_change(key, upto))
        for key in world.history.changes
        for upto in {fence.base, fence.generation}
    ]
    return {key for key, found in newest if found is not None and found[0] in faulted}


def _of_lost_history(world: World, fence: Fence | None) -> bool:
    chains = world.history.chains
    return fence is not None and chains.get(fence.generation, "" if fence.generation else fence.digest) != fence.digest


def _without(origins_found: dict[Key, int], keys: set[Key]) -> dict[Key, int]:
    return {key: generation for key, generation in origins_found.items() if key not in keys}


def _past_strangers(world: World, contents: Contents) -> Broken | None:
    """Ask whether what strangers did was respected."""
    for key, records in world.theirs.items():
        if contents.get(key) != records:
            return Broken(1, "strangers", f"{key} was somebody else's and no plan adopted it, and it was changed")
    if world.junk is not None and contents.get(fence_key(ZONE)) != world.junk:
        return Broken(1, "strangers", "the fence was somebody else's, nobody had settled it, and it was written over")
    back = {key: target_of(records) for key, records in contents.items() if key.name.startswith(ROLLBACK_LABEL)}
    for key, node in back.items():
        if node is not None and node in world.built and not any(found.name == node for found in contents):
            return Broken(5, "clean-up is harmless", f"{key} names {node}, and there is nothing left to go back to")
    world.built = nodes_in(contents)
    return None


def _as_inline(fence: Fence | None, stages: int) -> Fence | None:
    """Count only what clients can see: of a publication in stages, the last one's part."""
    if fence is None or fence.progress is None or stages == 1:
        return fence
    part = fence.progress
    count = part.of // stages
    return replace(fence, progress=replace(part, done=max(0, part.done - (stages - 1) * count), of=count))


def _doubled(world: World) -> Broken | None:
    if len(set(world.acknowledged)) != len(world.acknowledged):
        return Broken(4, "nothing lost", f"one generation was given to two plans: {world.acknowledged}")
    return None


def _returned(world: World) -> Broken | None:
    """Ask whether names at which somebody else had stood, or that the primary had refused, came back by themselves.

    A database that was restored has forgotten that they were owed: only comparing the zone with it can tell.
    """
    if world.lost_history:
        return None
    wanted = standing(world.changes(), world.history.zone.newest)
    for key in sorted((world.contested | world.owed) - _by_hand(world, world.fence)):
        found = resolved(world.primary.contents, key)
        if key.name in world.primary.unreadable:
            continue
        if isinstance(wanted.get(key), Records) and found != wanted[key]:
            return Broken(6, "self-healing", f"nothing stands in the way of {key} any more, and it has not come back")
    return None


def _verified(world: World) -> Broken | None:
    """Ask whether verifiers have repaired whatever they may, and nothing else."""
    repairing = world.policy.verify == "repair"
    repairs = [g for g, entry in world.history.entries.items() if entry.reason.startswith(REASON)]
    if repairs and not (repairing and world.swarm.verifiers):
        return Broken(7, "accountable", f"generation {repairs[0]} is a repair, which the policy does not want")
    wanted = standing(world.changes(), world.history.zone.newest) if repairing and world.swarm.verifiers else {}
    for key in world.keys:
        found = resolved(world.primary.contents, key)
        expected = wanted.get(key, found)
        if expected is Absence.RETIRED and (found is None or not world.policy.retire):
            continue
        if found != expected:
            return Broken(6, "self-healing", f"{key} is not as the history says, and no verifier has repaired it")
    return None
