"""The statement of the protocol: one table of guarded actions on the states of `world`, and nothing of dnsguard.
`search` looks at every state, `refinement` replays through these same actions what the real code did.

Assumed: an UPDATE is taken whole or not at all, and its prerequisites are compared in the same step; a store's
transaction is one step; what an enactor or a clean-up reads is what stood there (authentic, not cached). Nothing is
assumed of time: a message whose answer is missing stays in flight for ever and may arrive any number of times, and
an enactor may crash at any step and knows nothing afterwards. `python -m tests.model.spec --big` searches larger
worlds than the tests do.
"""

from collections.abc import Callable, Iterator

from tests.model.world import (
    ABSENT,
    BUILD,
    CHECKED,
    FLIP,
    FRESH,
    IDLE,
    SEEN,
    SWEEPING,
    WRITING,
    WRITTEN,
    Bound,
    Check,
    Cleaner,
    Enactor,
    Message,
    Place,
    Rules,
    Setup,
    State,
    Sweep,
    applied,
    decided,
    folded,
    message_of,
    newest,
    overtaken,
    put,
    rejected,
    too_late,
    withdrawing,
)

Words = tuple[object, ...]
After = Iterator[tuple[Words, State]]


def accept(setup: Setup, state: State) -> After:
    """The planner's next plan is accepted."""
    generation = newest(state) + 1
    # Each rejection takes the place of a plan, so that worlds stay small; a withdrawal comes in addition.
    if newest(state) - 2 * state.asked < setup.plans:
        cover = setup.covers[(generation - 1) % len(setup.covers)]
        yield ("latest is", generation), state._replace(plans=(*state.plans, (generation, cover)))


def look(setup: Setup, state: State, number: int, _: Enactor) -> After:
    """An enactor reads the fence; in October it picks the newest plan, and makes its one check, in the same step."""
    last = newest(state)
    if setup.october:
        if last > max(state.wire):
            cover = dict(state.plans)[last]
            enactor = Enactor(WRITING, state.fence, last, tuple((rrset, last) for rrset in cover))
            yield (f"E{number} picks", last, "check passes"), put(state, number, enactor)
    elif state.fence != Place(last, last) or state.published < last:
        yield (f"E{number} observes", state.fence), put(state, number, Enactor(SEEN, state.fence))


def fetch(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """An enactor takes from the store what changed since the fence that it saw (or, unguarded, that is on record)."""
    seen = enactor.seen if setup.rules.observed else Place(state.published, state.published)
    last = newest(state)
    if seen == Place(last, last):
        yield (
            (f"E{number} finds nothing to publish",),
            put(state, number, Enactor(WRITTEN, seen) if state.published < seen.base else FRESH),
        )
        return
    if setup.rules.late_recorded_first and too_late(state, seen):
        yield (f"E{number} learns of a withdrawal that came too late",), put(state, number, Enactor(WRITTEN, seen))
        return
    under_way = seen.base != seen.generation
    resumed = under_way and not (setup.rules.rejection_overtakes and overtaken(state, seen))
    target = seen.generation if resumed else last
    changes = folded(state, seen.base, target, kept=state.kept)
    of = len(changes) * (2 if setup.versioned else 1)
    for order in setup.orders:
        told = setup.rules.order_in_fence
        done = seen.done if resumed and of == seen.of and (order == seen.order or not told) else 0
        ordered = setup.arrange(order, changes)
        yield (
            (f"E{number} fetches", seen.base, "to", target, *(("in order", order) if order else ())),
            put(state, number, Enactor(WRITING, seen, target, ordered, done, order)),
        )


def check_again(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """Just before the write, as a step of its own, an enactor asks whether its plan is still the newer one."""
    if setup.rules.check is Check.AGAIN and message_of(setup, enactor)[0].stage != BUILD:
        if enactor.target > max(state.wire):
            yield (f"E{number} checks again",), put(state, number, enactor._replace(at=CHECKED))
        else:
            yield (f"E{number} checks again and gives up",), put(state, number, FRESH)


def write(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """The primary takes an enactor's message, or refuses it, and the answer arrives."""
    message, done = message_of(setup, enactor)
    if setup.rules.check is Check.AGAIN and message.stage != BUILD and enactor.at != CHECKED:
        return
    after = applied(setup.rules, state, message)
    if after is None:
        yield (f"E{number}'s message is refused",), put(state, number, FRESH)
        return
    place = message.next or enactor.seen
    if message.part and done < len(enactor.changes) * (2 if setup.versioned else 1):
        then = enactor._replace(at=WRITING, seen=place, done=done)
    elif setup.october:
        then = Enactor(SWEEPING, ABSENT, enactor.target, listed=state_listed(setup, after))
    else:
        then = Enactor(WRITTEN, place)
    yield (f"E{number}", message.stage, *said(setup, state, message)), put(after, number, then)


def said(setup: Setup, state: State, message: Message) -> Words:
    """Return what a message changes, for a story."""
    if message.stage == FLIP:
        return tuple(f"{name(setup, r)}{state.wire[r]} to {g}" for r, g in message.part)
    return tuple(f"{name(setup, r)}{g}" for r, g in message.part) or ("the fence to", message.next)


def name(setup: Setup, rrset: int) -> str:
    """Return an RRset's letter; nothing if there is only one."""
    return f"{'abcdefgh'[rrset]}:" if max(map(max, setup.covers)) else ""


def lose(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """An enactor waits in vain: its message stays in flight."""
    message, _ = message_of(setup, enactor)
    if len(state.late) < setup.late and message not in state.late:
        after = put(state._replace(late=state.late | {message}), number, FRESH)
        yield (f"E{number} hears nothing of its message:", message.stage, *said(setup, state, message)), after


def deliver(setup: Setup, state: State) -> After:
    """A message arrives late, or once more."""
    for message in state.late:
        after = applied(setup.rules, state, message)
        if after is not None and after != state:
            yield ("a late message arrives and", message.stage, *said(setup, state, message)), after


def record(_: Setup, state: State, number: int, enactor: Enactor) -> After:
    """The store writes down what an enactor saw: never more than stands on the wire."""
    published = max(state.published, enactor.seen.base)
    after = decided(state._replace(published=published), enactor.seen)
    yield (f"E{number} records", enactor.seen.base), put(after, number, Enactor(SEEN, enactor.seen))


def reject(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """The primary cannot hold a plan's contents: it is rejected, and a new generation puts back what stood."""
    if len(state.rejected) < setup.rejections:
        for generation in {g for _, g in message_of(setup, enactor)[0].part}:
            after = rejected(state, generation)
            if after is not None:
                yield (f"E{number} rejects", generation), put(after, number, FRESH)


def withdraw(setup: Setup, state: State) -> After:
    """An operator takes a plan back: a new generation, its barrier, puts back what stood."""
    if state.asked < setup.withdrawals:
        for generation, _ in state.plans:
            after = withdrawing(setup.rules, state, generation)
            if after is not None:
                yield ("an operator withdraws", generation), after


def crash(setup: Setup, state: State, number: int, _: Enactor) -> After:
    """An enactor is gone; the next one knows nothing."""
    if state.crashes < setup.crashes:
        yield (f"E{number} crashes",), put(state._replace(crashes=state.crashes + 1), number, FRESH)


def state_listed(setup: Setup, state: State) -> tuple[int, ...]:
    """Return what a sweep remembers of its listing, if it will ask for it."""
    return state.wire if setup.rules.sweep is Sweep.LISTED else ()


def sweep(setup: Setup, state: State, number: int, enactor: Enactor) -> After:
    """In October an enactor, once done, deletes nodes by age, one by one."""
    upto = enactor.target - setup.keep
    for rrset, generation in old_nodes(state, upto):
        if not spared(setup.rules, state, rrset, generation, enactor.listed):
            yield (f"E{number} cleans", f"{name(setup, rrset)}{generation}"), without_node(state, rrset, generation)
            return
    yield (f"E{number} is done",), put(state, number, FRESH)


def old_nodes(state: State, upto: int) -> Iterator[tuple[int, int]]:
    """Yield the nodes up to a generation, oldest first."""
    for generation in range(1, upto + 1):
        for rrset, bits in enumerate(state.nodes):
            if bits >> generation & 1:
                yield rrset, generation


def spared(rules: Rules, state: State, rrset: int, generation: int, listed: tuple[int, ...]) -> bool:
    """Tell whether a clean-up leaves a node alone."""
    match rules.sweep:
        case Sweep.AGE:
            return False
        case Sweep.LISTED:
            return listed[rrset] == generation
        case Sweep.INSIDE:
            return state.wire[rrset] == generation
        case Sweep.REACHABLE:
            return generation in {state.wire[rrset], state.back[rrset]} or generation > state.fence.base


def without_node(state: State, rrset: int, generation: int) -> State:
    """Return the state once a node's records are deleted."""
    bits = state.nodes[rrset] & ~(1 << generation)
    return state._replace(nodes=(*state.nodes[:rrset], bits, *state.nodes[rrset + 1 :]))


def clean_read(setup: Setup, state: State) -> After:
    """Clean-up reads the fence, and lists the aliases, at the primary."""
    if setup.cleanup and (read := Cleaner(state.fence, state.wire, state.back)) != state.cleaner:
        yield ("clean-up reads", state.fence), state._replace(cleaner=read)


def reach(setup: Setup, state: State, cleaner: Cleaner) -> int:
    """Return up to where clean-up goes."""
    bound = {Bound.AGE: newest(state), Bound.FENCE: cleaner.seen.base}
    return min(newest(state) - setup.keep, bound[setup.rules.bound])


def prune(setup: Setup, state: State) -> After:
    """The store forgets what newer plans up to a generation superseded, of what it has on record as published."""
    if state.cleaner is None:
        return
    upto = min(reach(setup, state, state.cleaner), state.published)
    if upto > state.kept:
        yield ("clean-up prunes up to", upto), state._replace(kept=upto)


def delete(setup: Setup, state: State) -> After:
    """Clean-up deletes a node; guarded, the message is refused if the aliases are not as listed."""
    read = state.cleaner
    if read is None or not setup.versioned:
        return
    for rrset, generation in old_nodes(state, reach(setup, state, read)):
        if setup.rules.sweep is Sweep.REACHABLE:
            listed = read.wire[rrset], read.back[rrset]
            if generation in listed or not _as_listed(setup.rules, state, rrset, read):
                continue
        elif spared(setup.rules, state, rrset, generation, read.wire):
            continue
        yield ("clean-up deletes", f"{name(setup, rrset)}{generation}"), without_node(state, rrset, generation)


def _as_listed(rules: Rules, state: State, rrset: int, read: Cleaner) -> bool:
    """Tell whether a deletion's prerequisites hold."""
    listed = read.wire[rrset], read.back[rrset]
    return not rules.aliases_as_listed or listed == (state.wire[rrset], state.back[rrset])


def stranger(setup: Setup, state: State) -> After:
    """Somebody else deletes a node that no alias names."""
    if state.strangers < setup.strangers:
        for rrset, generation in old_nodes(state, newest(state)):
            if generation not in {state.wire[rrset], state.back[rrset]}:
                after = without_node(state, rrset, generation)
                yield ("a stranger deletes", generation), after._replace(strangers=state.strangers + 1)


def hand(setup: Setup, state: State) -> After:
    """Somebody points a name at an older node, as people do when the automation fails them; the fence stays."""
    if state.hands < setup.hands:
        for rrset, generation in old_nodes(state, newest(state)):
            if generation < state.wire[rrset]:
                wire = (*state.wire[:rrset], generation, *state.wire[rrset + 1 :])
                after = state._replace(wire=wire, hands=state.hands + 1)
                yield ("somebody points the name by hand at", generation), after


def restore(setup: Setup, state: State) -> After:
    """The primary is restored from a backup of some earlier time."""
    if state.restores < setup.restores:
        place = state.fence, state.wire, state.back, state.nodes
        if state.backup is None:
            yield ("a backup is taken",), state._replace(backup=place)
        elif state.backup != place:
            fence, wire, back, nodes = state.backup
            after = state._replace(fence=fence, wire=wire, back=back, nodes=nodes, restores=state.restores + 1)
            yield ("the primary is restored to", fence), after


EnactorAction = Callable[[Setup, State, int, Enactor], After]
WorldAction = Callable[[Setup, State], After]

WORK: dict[int, tuple[EnactorAction, ...]] = {
    IDLE: (look,),
    SEEN: (fetch,),
    WRITING: (check_again, write),
    CHECKED: (write,),
    WRITTEN: (record,),
    SWEEPING: (sweep,),
}
"""What an enactor does by itself, by where it is. The first that can go on brings the zone forward."""

FAULTS: dict[int, tuple[EnactorAction, ...]] = {
    IDLE: (),
    SEEN: (crash,),
    WRITING: (lose, reject, crash),
    CHECKED: (lose, crash),
    WRITTEN: (crash,),
    SWEEPING: (crash,),
}

WORLD: tuple[WorldAction, ...] = (accept, withdraw, deliver, clean_read, prune, delete, stranger, hand, restore)


def steps(setup: Setup, state: State) -> After:
    """Yield everything that can happen next."""
    for action in WORLD:
        yield from action(setup, state)
    for number, enactor in enumerate(state.enactors):
        for act in WORK[enactor.at]:
            yield from act(setup, state, number, enactor)
        for act in FAULTS[enactor.at]:
            yield from act(setup, state, number, enactor)


if __name__ == "__main__":
    from tests.model.search import main  # late: it imports this module

    main()
