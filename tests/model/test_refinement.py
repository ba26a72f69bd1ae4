"""What the real workers do is a behaviour of the specification, in whatever order their effects come; and what is no
behaviour of it is refused, with where and why.
"""

import random
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Submission
from dnsguard.core.message import AddRecords, Message, Outcome, Refused
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.primary import MemoryPrimary, first_refusal
from dnsguard.lab.scheduler.gate import Turn
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
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
    Unchanged,
)
from tests.model.recording import RecordedPublisher, RecordedStore, Recorder
from tests.model.refinement import accepts
from tests.model.world import ABSENT, Place, Rules
from tests.workers.rig import HISTORY, ZONE, RunningClock, a, key

A, B = key("a"), key("b")


def at(generation: int) -> Place:
    return Place(generation, generation)


HALF = Place(1, 0, 1, 2)
PUBLISHED = (
    Event("P", Accepted(1, (A, B))),
    Event("E0", Observed(ABSENT)),
    Event("E1", Observed(ABSENT)),
    Event("E0", Fetched(0, 1, ((A, 1), (B, 1)))),
    Event("E0", Published(ABSENT, HALF, ((A, 1),), "applied")),
    Event("E0", Published(HALF, at(1), ((B, 1),), "unknown")),
)
"""E0 has one RRset on the wire, and hears nothing of the message with the other."""


def test_a_publication_that_another_enactor_resumes_is_a_behaviour() -> None:
    resumed = (
        Event("E1", Observed(HALF)),
        Event("E1", Fetched(0, 1, ((A, 1), (B, 1)))),
        Event("E1", Published(HALF, at(1), ((B, 1),), "applied")),
        Event("E1", Recorded(at(1))),
        Event("E0", Crashed()),
    )
    assert accepts(PUBLISHED + resumed) is None


def test_a_message_without_an_answer_may_have_arrived_or_not() -> None:
    for seen in (HALF, at(1)):
        assert accepts((*PUBLISHED, Event("E0", Observed(seen)))) is None


def test_a_message_may_arrive_after_its_sender_has_looked() -> None:
    assert accepts((*PUBLISHED, Event("E0", Observed(HALF)), Event("E1", Observed(at(1))))) is None


NEWER = (
    *PUBLISHED,
    Event("E0", Observed(at(1))),
    Event("E0", Fetched(1, 1, ())),
    Event("E0", Recorded(at(1))),
    Event("P", Accepted(2, (A,))),
    Event("E1", Observed(at(1))),
    Event("E1", Fetched(1, 2, ((A, 2),))),
)


def test_a_plan_that_changes_nothing_rests_on_the_newest_plan_of_what_it_covers() -> None:
    said = (Event("P", Unchanged(2, (A,))), Event("P", Unchanged(1, (B,))), Event("P", Unchanged(2, (A, B))))
    assert accepts((*NEWER, *said)) is None


@pytest.mark.parametrize(
    ("trace", "why"),
    [
        ((Event("P", Accepted(2, (A,))), Event("P", Accepted(2, (A,)))), "event 2"),
        ((*NEWER, Event("P", Unchanged(1, (A,)))), "the newest contents come from"),
        ((*NEWER, Event("P", Unchanged(1, (A, B)))), "the newest contents come from"),
        ((*NEWER[:4], Event("P", Unchanged(2, (A,)))), "the newest contents come from"),
        ((*PUBLISHED, Event("E0", Observed(at(2)))), "the fence is"),
        ((*PUBLISHED, Event("E0", Observed(HALF)), Event("E0", Observed(at(1))), Event("E1", Observed(HALF))), "is Pl"),
        ((*NEWER, Event("E1", Published(None, at(2), ((A, 2),), "applied"))), "the prerequisite would be"),
        ((*NEWER, Event("E1", Published(at(1), at(2), ((A, 1),), "applied"))), "would change"),
        ((*NEWER, Event("E1", Published(at(1), at(2), (), "applied"))), "would change"),
        ((*NEWER, Event("E1", Published(at(1), at(3), ((A, 2),), "applied"))), "next value"),
        ((*NEWER, Event("E1", Recorded(at(2)))), "last saw"),
        ((*NEWER, Event("C", Observed(at(1))), Event("C", Pruned(2))), "could go"),
        ((*NEWER, Event("E1", Rejected(1, 3))), "that plan is settled"),
        ((*NEWER, Event("E1", Rejected(2, 0))), "generation 3 would be appended"),
        ((*NEWER, Event("E1", Rejected(2, 3, suspect=False))), "no message with contents of 2 was refused"),
        ((*PUBLISHED, Event("E1", Fetched(0, 1, ((A, 1),)))), "the changes are"),
        ((*PUBLISHED, Event("E1", Fetched(0, 2, ((A, 1), (B, 1))))), "the newest plan is 1"),
        (
            (
                *PUBLISHED[:5],
                Event("E0", Rejected(1, 2)),
                Event("E1", Observed(HALF)),
                Event("E1", Fetched(0, 1, ())),
            ),
            "must be overtaken",
        ),
    ],
)
def test_what_is_no_behaviour_is_refused_with_where_and_why(trace: tuple[Event, ...], why: str) -> None:
    assert why in (accepts(trace) or "accepted")


def test_a_node_in_use_is_never_deleted() -> None:
    built = Place(1, 0, 1, 2)
    trace = (
        Event("P", Accepted(1, (A,))),
        Event("E0", Observed(ABSENT)),
        Event("E0", Fetched(0, 1, ((A, 1),))),
        Event("E0", Published(ABSENT, built, ((A, 1),), "applied")),
        Event("E0", Published(built, at(1), ((A, 1),), "applied")),
        Event("C", Observed(at(1))),
    )
    assert accepts(trace, versioned=True) is None
    for aliases, why in (((1, 0), "neither alias"), (None, "neither alias"), ((2, 0), "the aliases name 1 and 0")):
        deleted = Event("C", Deleted(A, 1, "applied", aliases))
        assert why in (accepts((*trace, deleted), versioned=True) or "")
    blind = Event("C", Deleted(A, 1, "applied", None))
    assert "breaks empty" in (accepts((*trace, blind), versioned=True, rules=Rules(aliases_as_listed=False)) or "")


class Turnstile:
    """A gate at which a coroutine stops before each effect, until it is driven on; some messages are lost there."""

    def __init__(self, chance: random.Random, losses: int) -> None:
        self.chance, self.losses = chance, losses

    async def pass_through(
        self, label: str, *, reads: Iterable[str] = (), writes: Iterable[str] = (), losable: bool = False
    ) -> Turn:
        del label, reads, writes
        await _Stop()
        if losable and self.losses and self.chance.random() < 0.3:
            self.losses -= 1
            return self.chance.choice([Turn.LOST_REQUEST, Turn.LOST_ANSWER])
        return Turn.GO

    def touched(self, *, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
        del reads, writes


class _Stop:
    def __await__(self) -> Generator[None, None, None]:
        yield


POISON = a("192.0.2.66")


@dataclass(slots=True)
class Flaky(RecordedPublisher):
    """A primary that mostly cannot hold some contents."""

    chance: random.Random = field(kw_only=True)

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        poisoned = any(isinstance(u, AddRecords) and u.records == POISON for u in message.updates)
        if not poisoned or self.chance.random() < 0.2:
            return await RecordedPublisher.publish(self, message)
        await _Stop()
        rcode = self.chance.choice(("SERVFAIL", "REFUSED"))
        refused = Refused(first_refusal(self.primary.contents, message.prerequisites) or rcode)
        self.recorder.note(self.who, "publish", message, refused)
        return refused


class Scene:
    """The real workers of a zone in memory, driven effect by effect in an order drawn from a seed."""

    def __init__(self, seed: int, layout: str, guards: Guards, *, plans: int, poison: bool = False) -> None:
        self.chance = random.Random(seed)
        self.gate = Turnstile(self.chance, losses=2)
        self.recorder = Recorder(ZONE)
        self.histories = {ZONE: make_history(ZONE, HISTORY)}
        self.primary = MemoryPrimary(ZONE)
        self.guards = guards
        size = self.chance.choice((1, 2, 300))
        self.policy = Policy(layout=layout, message_rrsets_max=size, history_generations_min=1)
        self.plans = plans
        self.poison = poison

    def ends(self, who: str) -> tuple[RecordedStore, RecordedPublisher]:
        store = RecordedStore(self.histories, self.gate, recorder=self.recorder, who=who)
        return store, Flaky(self.primary, self.gate, recorder=self.recorder, who=who, chance=self.chance)

    async def planner(self) -> None:
        planner = Planner(*self.ends("P"), self.guards, self.policy)
        for number in range(1, self.plans + 1):
            contents = {A: a(f"192.0.2.{number}"), B: a(f"192.0.2.{number}")}
            if number > 2:
                del contents[A if number % 2 else B]
            if self.poison and number == 2:
                contents[B] = POISON
            submission = Submission(make_plan(ZONE, contents), "P", 999.0)
            await planner.submit(submission)
            if number == self.plans:
                await planner.submit(submission)  # it changes nothing, unless it was rejected meanwhile

    async def enactor(self, who: str) -> None:
        store, publisher = self.ends(who)
        for life in range(4):
            if life:
                self.recorder.crashed(who)
            enactor = Enactor(ZONE, store, publisher, RunningClock(), self.guards, self.policy)
            for _ in range(self.chance.randrange(1, 8)):
                await enactor.run_once()

    async def cleanup(self) -> None:
        for _ in range(6):
            await Cleanup(ZONE, *self.ends("C"), self.guards, self.policy).run_once()

    def run(self) -> str | None:
        left: list[Coroutine[Any, Any, None]] = [
            self.planner(),
            self.enactor("E0"),
            self.enactor("E1"),
            self.cleanup(),
        ]
        while left:
            going = self.chance.choice(left)
            for _ in range(self.chance.choice([1, 1, 2, 5, 20])):
                try:
                    going.send(None)
                except StopIteration:
                    left.remove(going)
                    break
        return accepts(self.recorder.events, versioned=self.policy.layout == "versioned", keep=1)


@pytest.mark.parametrize("poison", [False, True])
@pytest.mark.parametrize("layout", ["inline", "versioned"])
def test_what_the_real_workers_do_is_a_behaviour(layout: str, poison: bool) -> None:
    acts: Counter[type] = Counter()
    for seed in range(120):
        scene = Scene(seed, layout, GUARDED, plans=4, poison=poison)
        refused = scene.run()
        assert refused is None, f"seed {seed}: {refused}"
        acts.update(type(event.act) for event in scene.recorder.events)
    print(acts)
    assert {Accepted, Unchanged, Observed, Fetched, Published, Recorded, Pruned, Crashed} <= acts.keys()
    assert (Rejected in acts) is poison
    assert (Deleted in acts) is (layout == "versioned")
