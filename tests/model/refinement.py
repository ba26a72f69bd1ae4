"""Tells whether what the real code did is a behaviour of the specification: a trace of its effects is replayed through
the very actions of `spec`. What the trace does not say (did a message without an answer arrive, and when?) is
followed in all ways at once; only a trace that fits none of them is refused.

Contents that the primary refuses are nobody's rule here: a refused message changes nothing, whatever the reason.
Not spoken of: resync (an operator's new beginning), halts. In the versioned layout each name holds one RRset, and a
deletion without an answer happens at once or not at all.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.plan import sort_key
from dnsguard.core.records import Key
from tests.model.events import (
    Accepted,
    Crashed,
    Deleted,
    Event,
    Fetched,
    Observed,
    Pruned,
    Published,
    Recorded,
    Rejected,
    Strange,
    Unchanged,
    Unmarked,
    Withdrawn,
)
from tests.model.search import ALWAYS
from tests.model.spec import reach, record, without_node
from tests.model.world import (
    ABSENT,
    BUILD,
    FLIP,
    FRESH,
    SEEN,
    WRITE,
    WRITING,
    WRITTEN,
    Check,
    Cleaner,
    Enactor,
    Message,
    Part,
    Place,
    Rules,
    Setup,
    State,
    Sweep,
    applied,
    folded,
    message_of,
    newest,
    overtaken,
    put,
    rejected,
    too_late,
    withdrawing,
)

NOT_SPECIFIED = "no behaviour of the specification"


def accepts(
    trace: Sequence[Event], *, versioned: bool = False, keep: int = 0, rules: Rules | None = None
) -> str | None:
    """Return where a trace, from an empty zone on, is no behaviour of the specification; None if it is one.

    ``keep``: how many of the newest generations clean-up must leave, whatever is published.
    """
    keys = {key for event in trace if isinstance(event.act, Accepted) for key in event.act.covered}
    setup = Setup(rules=rules or Rules(), versioned=versioned, keep=keep)
    replay = Replay(keys, dict.fromkeys(event.actor for event in trace), setup)
    states = frozenset({replay.first})
    for number, event in enumerate(trace, 1):
        after = replay.after(states, event)
        if isinstance(after, str):
            return f"event {number}, {event.actor} {event.act}: {after}"
        states = after
    return None


States = frozenset[State]


@dataclass
class Replay:
    """Follows traces about some RRsets and actors through the specification, remembering where events have led."""

    keys: Collection[Key]
    actors: Iterable[str]
    setup: Setup
    _known: dict[tuple[States, Event], States | str] = field(default_factory=dict)
    _arranged: dict[tuple[int, Part], Part] = field(default_factory=dict)
    """By version, how real enactors order changes."""

    def __post_init__(self) -> None:
        self.rrsets = {key: number for number, key in enumerate(sorted(self.keys, key=sort_key))}
        arranged = self._arranged
        self.setup = replace(self.setup, arrange=lambda order, changes: arranged.get((order, changes), changes))
        self.numbers = {actor: number for number, actor in enumerate(self.actors)}
        none = (0,) * len(self.rrsets)
        self.first = State((), frozenset(), 0, 0, ABSENT, none, none, none, (FRESH,) * len(self.numbers))

    def after(self, states: States, event: Event) -> States | str:
        """Return the states in which the world may be after an event, or why it cannot happen in any of these."""
        found = self._known.get((states, event))
        if found is None:
            found = self._known[states, event] = self._after(states, event)
        return found

    def _after(self, states: States, event: Event) -> States | str:
        led, why = set(), set()
        for state in self.with_late_arrivals(states):
            for after in self.follow(state, event):
                if isinstance(after, str):
                    why.add(after)
                elif broken := self.broken(state, after):
                    why.add(f"it breaks {broken}")
                else:
                    led.add(after)
        return frozenset(led) if led else "; or ".join(sorted(why)[:3])

    def broken(self, before: State, after: State) -> str | None:
        return next((each.__name__ for each in ALWAYS if each(self.setup, before, after)), None)

    def with_late_arrivals(self, states: States) -> set[State]:
        """Return these states and all to which messages without an answer may lead by arriving."""
        found, left = set(states), list(states)
        while left:
            state = left.pop()
            for message in state.late:
                after = applied(self.setup.rules, state, message)
                if after is not None and after not in found and not self.broken(state, after):
                    found.add(after)
                    left.append(after)
        return found

    def follow(self, state: State, event: Event) -> Iterator[State | str]:
        """Yield the states to which an event may lead, or what forbids it."""
        number = self.numbers[event.actor]
        enactor = state.enactors[number]
        match event.act:
            case Accepted(generation, covered):
                yield from self._accepted(state, generation, covered)
            case Unchanged(generation, covered):
                yield from self._unchanged(state, generation, covered)
            case Observed(fence):
                if fence == state.fence:
                    yield put(state, number, Enactor(SEEN, fence))
                    if enactor.at == WRITING and fence == enactor.seen:
                        yield state  # it has looked again, and goes on with what it fetched
                else:
                    yield f"the fence is {state.fence}"
            case Fetched() as fetched:
                yield from self._fetched(state, event.actor, fetched)
            case Published() as published:
                yield from self._published(state, event.actor, published)
            case Recorded(fence):
                if enactor.at == WRITING and fence == enactor.seen and fence.base <= state.published:
                    yield state  # the zone went back, or somebody else has published since it fetched
                    return
                # Reading back may have shown it a newer fence than the one that it wrote and records.
                if enactor.at in {SEEN, WRITTEN} and (fence == enactor.seen or fence.base <= enactor.seen.base):
                    recorded = put(state, number, Enactor(WRITTEN, fence))
                    yield from (after for _, after in record(self.setup, recorded, number, recorded.enactors[number]))
                else:
                    yield f"it last saw {enactor.seen}"
            case Pruned(upto):
                bound = self._reach(state, enactor)
                if enactor.at == SEEN and upto <= bound:
                    yield state._replace(kept=max(state.kept, min(upto, state.published)))
                else:
                    yield f"history up to {bound} could go, by what it saw"
            case Deleted() as deleted:
                yield from self._deleted(state, enactor, deleted)
            case Unmarked(owner, generation, _):
                bare = (not state.nodes[at] >> generation & 1 for key, at in self.rrsets.items() if key.name == owner)
                if generation > (bound := self._reach(state, enactor) - self.setup.keep):
                    yield f"markers up to {bound} could go, by what was listed at {enactor.seen}"
                elif all(bare):
                    yield state
                else:
                    yield "the node has records"
            case Strange(key):
                yield f"nothing known touches {key} like that"
            case Rejected(generation, _, False):
                yield f"no message with contents of {generation} was refused"
            case Rejected(_, None):
                yield put(state, number, FRESH)
            case Rejected(generation, appended):
                after = rejected(state, generation)
                if after is None:
                    yield "that plan is settled"
                elif appended != (gained := 0 if after.plans == state.plans else newest(after)):
                    yield f"generation {gained} would be appended" if gained else "nothing would be appended"
                else:
                    yield put(after, number, FRESH)
            case Withdrawn(generation):
                withdrawn = withdrawing(self.setup.rules, state, generation)
                yield "that plan cannot be withdrawn" if withdrawn is None else withdrawn
            case Crashed():
                yield put(state, number, FRESH)

    def _reach(self, state: State, enactor: Enactor) -> int:
        """Return up to where clean-up may go, by what it saw."""
        return reach(self.setup, state, Cleaner(enactor.seen, state.wire, state.back))

    def _named(self, keys: Iterable[Key]) -> tuple[int, ...]:
        return tuple(sorted(self.rrsets[key] for key in keys))

    def _accepted(self, state: State, generation: int, covered: tuple[Key, ...]) -> Iterator[State | str]:
        if generation > newest(state):
            yield state._replace(plans=(*state.plans, (generation, self._named(covered))))
        else:
            yield f"the newest plan is {newest(state)} already"

    def _unchanged(self, state: State, generation: int, covered: tuple[Key, ...]) -> Iterator[State | str]:
        """Nothing happens, and the answer names the newest generation that the RRsets' contents come from."""
        rrsets = set(self._named(covered))
        comes_from = {rrset: g for g, cover in state.plans if g not in state.rejected for rrset in rrsets & set(cover)}
        if comes_from.keys() == rrsets and max(comes_from.values()) == generation:
            yield state
        else:
            yield f"the newest contents come from {comes_from}, with RRsets numbered {self.rrsets}"

    def _fetched(self, state: State, actor: str, fetched: Fetched) -> Iterator[State | str]:
        """An enactor may aim at any accepted generation ahead, and may begin a publication under way anew."""
        number = self.numbers[actor]
        seen = state.enactors[number].seen
        changes = tuple((self.rrsets[key], generation) for key, generation in fetched.changes)
        expected = folded(state, fetched.base, fetched.target, kept=state.kept)
        knows = state.enactors[number].at in {SEEN, WRITTEN} and not seen.of and fetched.target == seen.generation
        if knows and fetched.base <= min(state.published, seen.base) and changes == expected:
            # What rose since the record, to be read back before it is recorded; nothing can be published from it.
            yield state
            return
        if state.enactors[number].at != SEEN or fetched.base != seen.base:
            yield f"it saw {seen}"
            return
        if self.setup.rules.late_recorded_first and too_late(state, seen):
            if changes or fetched.target != seen.generation:
                yield "a withdrawal came too late: that must be recorded before anything is published"
            else:
                yield state
            return
        resumed = fetched.target == seen.generation and seen.of > 0
        if resumed and self.setup.rules.rejection_overtakes and overtaken(state, seen):
            yield f"a plan of what is under way at {seen} was rejected: it must be overtaken, not resumed"
            return
        if fetched.target < seen.generation or fetched.target not in {seen.generation, *(g for g, _ in state.plans)}:
            yield f"the zone stands at {seen}, and the newest plan is {newest(state)}"
            return
        if changes != expected:
            yield f"the changes are {expected}, with RRsets numbered {self.rrsets}"
            return
        if not changes and fetched.target == seen.generation and not seen.of:
            yield state
            return
        aside = {(self.rrsets[key], generation) for key, generation in fetched.aside}
        ways = {(0, left) for left in (changes, tuple(change for change in changes if change not in aside))}
        if fetched.arranged:
            ways = {(order, tuple((self.rrsets[key], g) for key, g in found)) for order, found in fetched.arranged}
        for order, left in ways:
            self._arranged[order, tuple(sorted(left))] = left
            of = len(left) * (2 if self.setup.versioned else 1)
            for done in {0, seen.done if resumed and (seen.of, seen.order) == (of, order) else 0}:
                yield put(state, number, Enactor(WRITING, seen, fetched.target, left, done, order))

    def _published(self, state: State, actor: str, published: Published) -> Iterator[State | str]:
        number = self.numbers[actor]
        enactor = state.enactors[number]
        fenced = self.setup.rules.check is Check.WRITE
        believed = published.prerequisite if fenced else enactor.seen
        if published.next == believed and not published.touched:
            # It says what stands already, by what it saw: to learn whether the primary takes anything, or to read back.
            message = Message(published.prerequisite, published.next, WRITE, ())
            if published.outcome != "applied":
                yield state
            elif (after := applied(self.setup.rules, state, message)) is not None:
                yield after
            else:
                yield f"the fence is {state.fence}"
            return
        if enactor.at != WRITING:
            yield "it has fetched nothing to publish"
            return
        size = self._size(enactor, published.next)
        message, done = message_of(_sized(self.setup, max(1, size)), enactor)
        if message.expected != published.prerequisite:
            yield f"the prerequisite would be {message.expected}"
            return
        if size < 0 or message.next != published.next:
            yield f"{enactor.done} is done, and the fence's next value would be such as {message.next}"
            return
        touched = tuple(sorted((self.rrsets[key], generation) for key, generation in published.touched))
        silent = self._named(published.silent) if message.stage != BUILD else tuple(self.rrsets.values())
        said = tuple(part for part in message.part if part in touched or part[0] not in silent)
        if touched != said:
            yield f"the message would change {message.part}, with RRsets numbered {self.rrsets}"
            return
        if published.outcome == "refused":
            yield put(state, number, FRESH)
        elif published.outcome == "unknown":
            yield put(state._replace(late=state.late | {message}), number, FRESH)
        elif (after := applied(self.setup.rules, state, message)) is None:
            yield f"the primary at {state.fence} would refuse it"
        elif fenced and (backs := self._backs(state, message)) != {(self.rrsets[key], g) for key, g in published.backs}:
            yield f"the rollbacks would be {backs}, with RRsets numbered {self.rrsets}"
        elif message.next.of:
            yield put(after, number, enactor._replace(seen=message.next, done=done))
        else:
            yield put(after, number, Enactor(WRITTEN, message.next))

    def _backs(self, state: State, message: Message) -> set[tuple[int, int]]:
        """Return what a flip sets for a rollback: each name's node before, if there is another one."""
        flipped = message.part if message.stage == FLIP else ()
        return {(rrset, state.wire[rrset]) for rrset, g in flipped if state.wire[rrset] not in {0, g}}

    def _stands(self, state: State, rrset: int, aliases: tuple[int, int]) -> bool:
        """Tell whether aliases are as listed. Where writes are blind, only the live one is known: they name as rollback
        what their writer saw, whatever stands since.
        """
        same = aliases[0] == state.wire[rrset]
        return same and (self.setup.rules.check is not Check.WRITE or aliases[1] == state.back[rrset])

    def _size(self, enactor: Enactor, then: Place) -> int:
        of = len(enactor.changes) * (2 if self.setup.versioned else 1)
        return (then.done if then.of else of) - enactor.done

    def _deleted(self, state: State, enactor: Enactor, deleted: Deleted) -> Iterator[State | str]:
        rrset, generation, listed = self.rrsets[deleted.rrset], deleted.generation, deleted.aliases
        named = listed if listed is None or self.setup.rules.sweep is Sweep.REACHABLE else listed[:1]
        if self.setup.rules.aliases_as_listed and (named is None or generation in named):
            yield "the prerequisite would be that neither alias names the node"
        elif generation > (bound := self._reach(state, enactor)):
            yield f"nodes up to {bound} could go, by what was listed at {enactor.seen}"
        elif deleted.outcome == "applied" and listed is not None and not self._stands(state, rrset, listed):
            yield f"the aliases name {state.wire[rrset]} and {state.back[rrset]}"
        else:
            if deleted.outcome != "refused":
                yield without_node(state, rrset, generation)
            if deleted.outcome != "applied":
                yield state


def _sized(setup: Setup, size: int) -> Setup:
    return Setup(setup.rules, versioned=setup.versioned, keep=setup.keep, message_rrsets=size)
