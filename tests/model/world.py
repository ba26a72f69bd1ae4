"""What the specification speaks of: guards, sizes, states, messages, and how a primary takes a message or refuses it.
Values and pure functions; what can happen, and when, is said in `spec`.

The contents of an RRset are the generation that they come from; generation 0 is the zone before its first plan.
"""

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple


class Check(enum.Enum):
    """When an enactor compares its plan with what stands."""

    START = "once at start"
    AGAIN = "again just before the write, separate step"
    WRITE = "compare-and-set in the writing transaction"
    """The fence as prerequisite of each message."""


class Sweep(enum.Enum):
    """Which old nodes clean-up deletes."""

    AGE = "by age"
    LISTED = "skips what is live when listing"
    INSIDE = "live check inside the deleting transaction"
    REACHABLE = "by reachability"
    """Neither live nor kept for a rollback, asked inside the deleting message; up to the fence's base, so that nothing
    of a publication under way goes."""


class Bound(enum.Enum):
    """Up to where clean-up goes, besides the generations that it keeps by number.

    The store by itself forgets nothing that is not on record as published.
    """

    AGE = "age alone"
    FENCE = "the fence as the primary shows it"


@dataclass(frozen=True, slots=True)
class Rules:
    """The guards; as they stand here, all of them are on."""

    check: Check = Check.WRITE
    observed: bool = True
    """A publication starts from the fence that was observed, not from the store's record of it."""
    sweep: Sweep = Sweep.REACHABLE
    bound: Bound = Bound.FENCE
    target_exists: bool = True
    """A name becomes an alias only to a node that exists."""
    rollback_tolerated: bool = True
    """Where the node before has vanished, no rollback is set; otherwise the flip is refused."""
    aliases_as_listed: bool = True
    """A deletion is refused if the aliases of its name have changed since the listing."""
    rejection_overtakes: bool = True
    """A publication of which a plan was rejected is not resumed but overtaken by the one that puts back."""
    order_in_fence: bool = True
    """The fence names the order in which its position counts, and nobody resumes in another one."""
    withdrawal_waits: bool = True
    """A plan is withdrawn once the fence has passed its barrier, and not at once."""
    late_recorded_first: bool = True
    """Where the fence shows that a withdrawal came too late, that is recorded before anything is published over it."""


def in_order(order: int, changes: "Part") -> "Part":
    """Return changes in an order: by number, or the other way round."""
    return changes[::-1] if order else changes


@dataclass(frozen=True, slots=True)
class Setup:
    """How large a world is searched. ``covers``: by turns, the RRsets that the planner's plans cover."""

    rules: Rules = Rules()
    enactors: int = 2
    plans: int = 3
    covers: tuple[tuple[int, ...], ...] = ((0,),)
    versioned: bool = False
    october: bool = False
    """One look at start (plan and endpoint in one step), no store's record; an enactor sweeps after its flip."""
    keep: int = 1
    message_rrsets: int = 1
    crashes: int = 0
    late: int = 0
    """How many messages may be left in flight, lost, delayed or doubled."""
    rejections: int = 0
    withdrawals: int = 0
    strangers: int = 0
    """How often somebody deletes a node that no alias names."""
    hands: int = 0
    """How often somebody points a name at another node by hand, past the fence."""
    restores: int = 0
    """How often the primary is restored from the backup, which is taken at any time."""
    cleanup: bool = False
    orders: tuple[int, ...] = (0,)
    """In which orders enactors publish, as daemons of different versions do: with each fetch, in any of these."""
    arrange: Callable[[int, "Part"], "Part"] = in_order


class Place(NamedTuple):
    """The fence: complete at a generation, or ``done`` of ``of`` RRsets (counted per stage) on the way from base, in
    an order.
    """

    generation: int
    base: int
    done: int = 0
    of: int = 0
    order: int = 0


WRITE, BUILD, FLIP = "writes", "builds", "flips"
Part = tuple[tuple[int, int], ...]


class Message(NamedTuple):
    """An UPDATE: what it expects of the fence (None: nothing), the fence's next value, and (RRset, generation)s."""

    expected: Place | None
    next: Place | None
    stage: str
    part: Part


IDLE, SEEN, WRITING, CHECKED, WRITTEN, SWEEPING = range(6)


class Enactor(NamedTuple):
    """What an enactor knows; all of it is lost in a crash."""

    at: int = IDLE
    seen: Place = Place(0, 0)
    target: int = 0
    changes: Part = ()
    done: int = 0
    order: int = 0
    listed: tuple[int, ...] = ()
    """While sweeping: the aliases as listed."""


class Cleaner(NamedTuple):
    """What a clean-up read: the fence and the aliases."""

    seen: Place
    wire: tuple[int, ...]
    back: tuple[int, ...]


class State(NamedTuple):
    """Everything. ``plans`` has (generation, RRsets covered) of all ever accepted, so that it is also the ghost of
    what clean-up forgot; ``wire`` and ``back`` have generations by RRset, ``nodes`` a bit per generation.
    """

    plans: tuple[tuple[int, tuple[int, ...]], ...]
    rejected: frozenset[int]
    """Plans that say nothing any more: the primary refused them, or they are withdrawn, or a withdrawal's barrier that
    came too late.
    """
    kept: int
    published: int
    fence: Place
    wire: tuple[int, ...]
    back: tuple[int, ...]
    nodes: tuple[int, ...]
    enactors: tuple[Enactor, ...]
    cleaner: Cleaner | None = None
    late: frozenset[Message] = frozenset()
    crashes: int = 0
    strangers: int = 0
    hands: int = 0
    restores: int = 0
    backup: tuple[Place, tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None
    """The fence, ``wire``, ``back`` and ``nodes`` of some earlier time."""
    withdrawals: tuple[tuple[int, int], ...] = ()
    """Plans that are being withdrawn, each with its barrier."""
    asked: int = 0
    """How often an operator has withdrawn a plan."""
    withdrawn: frozenset[int] = frozenset()
    put_back: frozenset[int] = frozenset()
    """The generations that put something back, barriers included."""


ABSENT = Place(0, 0)
FRESH = Enactor()


def initial(setup: Setup) -> State:
    """Return the state before anything: an empty zone, or, as in October, one whose first plan is live."""
    width = 1 + max(rrset for cover in setup.covers for rrset in cover)
    enactors = (FRESH,) * setup.enactors
    none = (0,) * width
    if setup.october:
        plans = ((1, setup.covers[0]),)
        return State(plans, frozenset(), 0, 1, Place(1, 1), (1,) * width, none, (2,) * width, enactors)
    return State((), frozenset(), 0, 0, ABSENT, none, none, none, enactors)


def newest(state: State) -> int:
    """Return the newest generation."""
    return state.plans[-1][0] if state.plans else 0


def folded(state: State, base: int, target: int, *, kept: int = 0) -> Part:
    """Return the newest contents of each RRset that plans after base, up to target, cover; rejected ones say nothing.

    ``kept``: what a newer plan up to there superseded is forgotten.
    """
    last: dict[int, int] = {}
    for generation, cover in state.plans:
        if generation not in state.rejected:
            for rrset in cover:
                if base < generation <= target:
                    last[rrset] = generation
                elif target < generation <= kept:
                    last.pop(rrset, None)
    return tuple(sorted(last.items()))


def overtaken(state: State, seen: Place) -> bool:
    """Tell whether a publication under way carries contents of a rejected plan, so that it cannot be resumed.

    The store forgets rejected plans as it forgets others: who saw a fence whose base lies that far back saw the past.
    """
    last = {rrset: g for g, cover in state.plans if seen.base < g <= seen.generation for rrset in cover}
    return any(generation in state.rejected and generation > state.kept for generation in last.values())


def message_of(setup: Setup, enactor: Enactor) -> tuple[Message, int]:
    """Return an enactor's next message, and how much is done once it is taken."""
    changes, size, stages = enactor.changes, setup.message_rrsets, (BUILD, FLIP) if setup.versioned else (WRITE,)
    count = len(changes)
    stage = min(enactor.done // count, len(stages) - 1) if count else len(stages) - 1
    first = enactor.done - stage * count
    part = changes[first : first + size]
    done, of = enactor.done + len(part), len(stages) * count
    under_way = Place(enactor.target, enactor.seen.base, done, of, enactor.order)
    after = Place(enactor.target, enactor.target) if done == of else under_way
    fenced = setup.rules.check is Check.WRITE
    blind = setup.october and not fenced
    return Message(enactor.seen if fenced else None, None if blind else after, stages[stage], part), done


def applied(rules: Rules, state: State, message: Message) -> State | None:
    """Return the state once the primary has taken a message, None if it refuses."""
    if message.expected is not None and message.expected != state.fence:
        return None
    wire, back, nodes = list(state.wire), list(state.back), list(state.nodes)
    for rrset, generation in message.part:
        if message.stage == BUILD:
            nodes[rrset] |= 1 << generation
            continue
        if message.stage == FLIP:
            before = wire[rrset]
            if rules.target_exists and not nodes[rrset] >> generation & 1:
                return None
            if before and before != generation:
                stands = nodes[rrset] >> before & 1
                if not stands and not rules.rollback_tolerated:
                    return None
                back[rrset] = before if stands else 0
        wire[rrset] = generation
    fence = state.fence if message.next is None else message.next
    return state._replace(fence=fence, wire=tuple(wire), back=tuple(back), nodes=tuple(nodes))


def put(state: State, number: int, enactor: Enactor) -> State:
    """Return the state with one enactor changed."""
    return state._replace(enactors=(*state.enactors[:number], enactor, *state.enactors[number + 1 :]))


def rejected(state: State, generation: int) -> State | None:
    """Return the state once a plan is rejected; None if it is settled already."""
    if generation in state.rejected or generation <= state.published:
        return None
    stood = newest_of(state, {generation})
    after = appended(state, stood) if stood else state
    withdrawals = tuple(each for each in state.withdrawals if each[0] != generation)
    return after._replace(rejected=state.rejected | {generation}, withdrawals=withdrawals)


def newest_of(state: State, generations: Collection[int]) -> tuple[int, ...]:
    """Return the RRsets of which one of these plans is the newest."""
    last = {rrset: g for g, cover in state.plans if g not in state.rejected for rrset in cover}
    return tuple(sorted(rrset for rrset, g in last.items() if g in generations))


def appended(state: State, cover: tuple[int, ...]) -> State:
    """Return the state once a plan that puts something back is appended."""
    generation = newest(state) + 1
    return state._replace(plans=(*state.plans, (generation, cover)), put_back=state.put_back | {generation})


def withdrawing(rules: Rules, state: State, generation: int) -> State | None:
    """Return the state once a plan is taken back, for which a barrier is appended; None if it cannot be."""
    known = {*state.rejected, *state.put_back, *(g for g, _ in state.withdrawals)}
    if generation in known or generation <= state.published or all(g != generation for g, _ in state.plans):
        return None
    after = appended(state, newest_of(state, {generation}))._replace(asked=state.asked + 1)
    if rules.withdrawal_waits:
        return after._replace(withdrawals=(*after.withdrawals, (generation, newest(after))))
    return after._replace(rejected=after.rejected | {generation}, withdrawn=after.withdrawn | {generation})


def too_late(state: State, seen: Place) -> tuple[tuple[int, int], ...]:
    """Return the withdrawals that came too late, as a fence shows: the plan is on the wire, or parts of it may be."""
    return tuple((g, barrier) for g, barrier in state.withdrawals if g <= seen.generation < barrier)


def decided(state: State, seen: Place) -> State:
    """Return the state once a fence is recorded: withdrawals that it decides are over."""
    for _, barrier in too_late(state, seen):
        cover = dict(state.plans)[barrier]
        again = tuple(rrset for rrset in newest_of(state, state.put_back) if rrset in cover)
        state = appended(state, again) if again else state
        state = state._replace(rejected=state.rejected | {barrier})
    past = {generation for generation, barrier in state.withdrawals if barrier <= seen.base}
    open_still = tuple(each for each in state.withdrawals if each[0] not in past and each not in too_late(state, seen))
    return state._replace(withdrawals=open_still, withdrawn=state.withdrawn | past, rejected=state.rejected | past)
