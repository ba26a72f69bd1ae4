"""What always holds, as functions: asked by the simulation after every effect, by the chaos checker of what DNS
answered, and by the running daemon of itself. Each takes what was seen and returns the first violation, or None.

``history`` is every change that the history still has, in any order. Those of rejected, waiting and withdrawn plans
are left out, since no state has their contents. ``wire`` is what stands at the owner names themselves. Who looked at
some RRsets only says which in ``looked_at``; None means that ``wire`` is the whole zone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dnsguard.core.fence import Fence
from dnsguard.core.history import UNSETTLED, Entry, PlanState
from dnsguard.core.plan import Absence, Change, Plan, Wanted, fold
from dnsguard.core.publication_order import ORDERS
from dnsguard.core.records import Key, Records, identical

AT_REST = frozenset(PlanState) - UNSETTLED | {PlanState.WAITING}
"""The states in which plans are once all is quiet."""
SAY_WHY = frozenset({PlanState.REJECTED, PlanState.FAULTED, PlanState.WAITING, PlanState.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that should always hold and does not: which invariant, and what was seen."""

    number: int
    invariant: str
    detail: str


def standing(history: Iterable[Change], generation: int) -> dict[Key, Wanted]:
    """Return what the history says of each RRset at a generation; what is uncovered is left out."""
    upto = fold(change for change in history if change.generation <= generation)
    return {change.key: change.wanted for change in upto if change.wanted is not Absence.UNCOVERED}


def origins(
    history: Iterable[Change], wire: Mapping[Key, Records], previous: Mapping[Key, int] | None = None
) -> dict[Key, int]:
    """Return the generation that each covered RRset's contents on the wire come from; those of no plan are left out.

    Contents may recur: of several generations it is the oldest not older than ``previous`` says, which finds
    an order without a step back whenever there is one.
    """
    fitting: dict[Key, list[int]] = {}
    for change in history:
        on_wire = wire.get(change.key)
        if change.wanted == on_wire or (change.wanted is Absence.RETIRED and on_wire is None):
            fitting.setdefault(change.key, []).append(change.generation)
    found = {}
    for key, generations in fitting.items():
        at_least = (previous or {}).get(key, 0)
        found[key] = min((g for g in generations if g >= at_least), default=max(generations))
    return found


def prefix(
    history: Sequence[Change],
    fence: Fence | None,
    wire: Mapping[Key, Records],
    looked_at: Collection[Key] | None = None,
    rejected: Iterable[Change] = (),
) -> Violation | None:
    """1, prefix: after every UPDATE the managed RRsets equal the state at the fence's generation.

    During a publication in several messages each equals its contents at some generation from base to target
    (a publication that was overtaken left what it had written), and the first ``done`` of them, in the order that the
    fence names, are at the target.
    Until then a part that went out before its plan was ``rejected`` may still stand.
    """
    if fence is None:
        return None
    possible = _possible(history, fence)
    if fence.progress is not None:
        changing = fold(change for change in history if fence.base < change.generation <= fence.generation)
        for change in rejected:
            if fence.base < change.generation <= fence.generation:
                possible[change.key] = (*possible.get(change.key, (Absence.UNCOVERED,)), change.wanted)
        order = ORDERS.get(fence.progress.order)
        # With another count, a plan of this publication was rejected since: it starts from the base again.
        if order is not None and len(changing) == fence.progress.of:
            for change in order(changing).changes[: fence.progress.done]:
                possible[change.key] = (change.wanted,)
    for key, wanted in possible.items():
        if (looked_at is None or key in looked_at) and not _fits(wire.get(key), wanted):
            expected = " or ".join(dict.fromkeys(_said(each) for each in wanted))
            return Violation(
                1, "prefix", f"at fence '{fence}' expected {key} to be {expected}, found {_said(wire.get(key))}"
            )
    return None


def forward(
    fence_before: Fence | None, fence: Fence | None, before: Mapping[Key, int], after: Mapping[Key, int]
) -> Violation | None:
    """2, forward: the fence's generation never goes down, and no RRset shows contents older than it showed.

    ``before`` and ``after`` are `origins`, the later ones found with the earlier ones as ``previous``.
    """
    if fence_before is not None and (fence is None or _place(fence) < _place(fence_before)):
        return Violation(2, "forward", f"the fence went from '{fence_before}' back to '{fence or 'none'}'")
    for key, generation in before.items():
        if (now := after.get(key, generation)) < generation:
            return Violation(2, "forward", f"{key} went from the contents of generation {generation} back to {now}")
    return None


def never_empty(
    history: Sequence[Change],
    fence: Fence | None,
    before: Mapping[Key, Records],
    after: Mapping[Key, Records],
    *,
    retire: bool = True,
) -> Violation | None:
    """3, never empty: a published RRset is not left without records unless a plan retires it and the policy lets it.

    ``fence`` and ``after`` were seen together; ``before`` was seen earlier. ``retire`` is the policy's word.
    """
    covered = {change.key for change in history}
    possible = {} if fence is None else _possible(history, fence)
    for key in sorted((before.keys() & covered) - after.keys()):
        wanted = possible.get(key, ())
        ours = any(change.key == key and change.wanted == before[key] for change in history)
        if (Absence.RETIRED in wanted and retire) or (Absence.UNCOVERED in wanted and not ours):
            continue
        said = "a plan retires it, which the policy does not let" if Absence.RETIRED in wanted else "no plan retires it"
        return Violation(3, "never empty", f"{key} has no records, and at '{fence or 'no fence'}' {said}")
    return None


def nothing_lost(
    acknowledged: Iterable[int], entries: Mapping[int, Entry], kept_from: int = 0, *, quiet: bool = False
) -> Violation | None:
    """4, nothing lost: each plan answered with 2xx is in the history, or was settled and pruned since.

    One that is not published says why. Once all is ``quiet`` each is published, superseded, rejected, withdrawn,
    marked at fault, or waits for a name that cannot be read.
    """
    for generation in acknowledged:
        entry = entries.get(generation)
        if entry is None:
            if generation > kept_from:
                return Violation(4, "nothing lost", f"generation {generation} was acknowledged and is gone")
        elif entry.state in SAY_WHY and not entry.why:
            return Violation(4, "nothing lost", f"generation {generation} is {entry.state.value} and nothing says why")
        elif quiet and entry.state not in AT_REST:
            return Violation(4, "nothing lost", f"generation {generation} is still {entry.state.value}")
    return None


def unchanged_kept(history: Iterable[Change], generation: int, plan: Plan) -> Violation | None:
    """4, nothing lost: a plan that is answered with "unchanged" at a generation has the state at it.

    Give the changes of rejected plans with the ``history``: they were accepted, too, and say visibly what became of
    them.
    """
    stood = {change.key: change.wanted for change in fold(c for c in history if c.generation <= generation)}
    for key, wanted in plan.rrsets:
        if stood.get(key) != wanted:
            said = f"{key} is {_said(stood.get(key))} at generation {generation}, and a plan for {_said(wanted)}"
            return Violation(4, "nothing lost", f"{said} was answered with unchanged")
    return None


def cleanup_harmless(before: Sequence[Change], after: Sequence[Change], generations: Iterable[int]) -> Violation | None:
    """5, clean-up is harmless: the state at each of these generations is the same after pruning as before.

    Give every generation from the fence's base on, and those that a rollback is promised to reach.
    """
    for generation in generations:
        was, now = standing(before, generation), standing(after, generation)
        for key in sorted(was.keys() | now.keys()):
            if not identical(was.get(key), now.get(key)):
                said = f"{key} at generation {generation} was {_said(was.get(key))} and is {_said(now.get(key))}"
                return Violation(5, "clean-up is harmless", said)
    return None


def healed(newest: int, fence: Fence | None) -> Violation | None:
    """6, self-healing: once faults stop and there was time, the zone stands at its newest generation, completely."""
    if newest == 0 or (fence is not None and fence.generation == newest and fence.progress is None):
        return None
    return Violation(6, "self-healing", f"the newest generation is {newest} and the zone stands at '{fence or 'none'}'")


def accountable(
    history: Sequence[Change],
    entries: Mapping[int, Entry],
    wire: Mapping[Key, Records],
    looked_at: Collection[Key] | None = None,
) -> Violation | None:
    """7, accountable: what stands at a covered RRset comes from a plan in the history, with its actor and time.

    While a publication is under way, give the changes of rejected plans with the ``history``.
    """
    known = origins(history, wire)
    last = {change.key: change for change in fold(history)}
    for key, change in last.items():
        if change.wanted is Absence.UNCOVERED or (looked_at is not None and key not in looked_at):
            continue
        if key in wire and key not in known:
            return Violation(7, "accountable", f"{key} is {_said(wire[key])}, which no plan ever said")
        if key in known and ((entry := entries.get(known[key])) is None or not entry.actor or entry.accepted_at <= 0):
            return Violation(
                7, "accountable", f"{key} comes from generation {known[key]}, of which nobody knows by whom"
            )
    return None


def contained(
    history: Sequence[Change],
    wire: Mapping[Key, Records],
    looked_at: Collection[Key],
    waiting: Iterable[Change],
    unreadable: Collection[str],
) -> Violation | None:
    """8, contained: names that cannot be read hold up only the plans that need them to be read.

    Once there was time, every RRset stands at its newest generation, and each plan that still waits covers a name
    that cannot be read. ``waiting`` has what waiting plans want; it is not part of the ``history``.
    """
    for key, wanted in standing(history, max((change.generation for change in history), default=0)).items():
        if key in looked_at and not _fits(wire.get(key), (wanted,)):
            found = f"{key} is to be {_said(wanted)} and is {_said(wire.get(key))}"
            names = ", ".join(sorted(unreadable)) or "none"
            return Violation(8, "contained", f"{found}; names that cannot be read: {names}")
    names_of: dict[int, set[str]] = {}
    for change in waiting:
        names_of.setdefault(change.generation, set()).add(change.key.name)
    for generation, mine in names_of.items():
        if mine.isdisjoint(unreadable):
            return Violation(8, "contained", f"generation {generation} waits, and all its names can be read")
    return None


def unpublished(
    history: Sequence[Change], withdrawn: Iterable[Change], wire: Mapping[Key, Records]
) -> Violation | None:
    """4, nothing lost: none of a withdrawn plan stands on the wire, unless another plan wants the same there.

    ``withdrawn`` has what withdrawn plans wanted.
    """
    said = {(change.key, change.wanted) for change in history}
    for change in withdrawn:
        found = wire.get(change.key)
        if found is not None and found == change.wanted and (change.key, found) not in said:
            what = f"{change.key} has the contents of generation {change.generation}, which was withdrawn"
            return Violation(4, "nothing lost", what)
    return None


def _possible(history: Sequence[Change], fence: Fence) -> dict[Key, tuple[Wanted, ...]]:
    """Return what each RRset covered at the target may hold: its contents at base, or at a generation since."""
    allowed: dict[Key, tuple[Wanted, ...]] = {
        change.key: (change.wanted,) for change in fold(c for c in history if c.generation <= fence.base)
    }
    for change in sorted(history, key=lambda change: change.generation):
        if fence.base < change.generation <= fence.generation:
            # What was not covered at base may still hold whatever it held then.
            allowed[change.key] = (*allowed.get(change.key, (Absence.UNCOVERED,)), change.wanted)
    return allowed


def _fits(on_wire: Records | None, wanted: Iterable[Wanted]) -> bool:
    return any(
        each is Absence.UNCOVERED or each == on_wire or (each is Absence.RETIRED and on_wire is None) for each in wanted
    )


def _place(fence: Fence) -> tuple[int, bool]:
    """Parts may be written again: only what is complete stays complete."""
    return fence.generation, fence.progress is None


def _said(wanted: Wanted | None) -> str:
    match wanted:
        case None:
            return "absent"
        case Absence.UNCOVERED:
            return "anything"
        case Absence.RETIRED:
            return "retired"
        case Records(ttl, rdatas):
            return f"TTL {ttl} {' '.join(rdata[:32].hex() for rdata in rdatas[:4])}"
