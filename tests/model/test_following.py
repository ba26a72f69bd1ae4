"""What `dnsguard explore` explores of the real code is a behaviour of the specification: here all guarded scenarios but
the largest, by states as they are remembered; the smallest in truth too, and four by schedules; of the code without any
guard several scenarios, and the story of October. The largest are followed by `python -m tests.model.following`; a plan
that is rejected is in none of the guarded ones, and is followed in `test_refinement`.
What the specification forbids, or the code does without one of its guards, is found.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import pytest

from dnsguard.core.layout import LAYOUTS, ROLLBACK_LABEL, VERSIONED, Layout, node_name
from dnsguard.core.message import AddRecords, DeleteRRset, Update
from dnsguard.core.plan import Change
from dnsguard.core.publication_order import Arranged, by_name, targets_first
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Written
from dnsguard.lab.explore.exploring import QUICK, SCENARIOS, Exploration, explore, gravest
from dnsguard.lab.search.findings import replay
from tests.model import events
from tests.model.events import Event
from tests.model.following import OCTOBER, STAGES, WITHOUT_GUARDS, Followed, PromisingNothing, explored, staged
from tests.model.refinement import NOT_SPECIFIED, Replay, States
from tests.model.world import Check, Rules, State

CLEANING = Exploration(enactors=1, plans=4, keep=1, crashes=1)
LOSING = Exploration(enactors=2, plans=2, layout="inline", crashes=1, losses=1)
TWO_IN_A_MESSAGE = Exploration(enactors=2, plans=2, endpoints=2, rrsets=2)
THREE_BY_THREE_BY_TWO = SCENARIOS[11]
WAYS = ("states", "truth")


@pytest.mark.parametrize("exploration", [*QUICK, TWO_IN_A_MESSAGE, THREE_BY_THREE_BY_TWO, CLEANING], ids=str)
def test_in_every_state_that_the_explorer_visits_the_real_code_is_where_the_specification_may_be(
    exploration: Exploration,
) -> None:
    findings = explored(Followed(exploration))
    assert findings.exhausted
    assert findings.violations == {}


@pytest.mark.parametrize("exploration", [*QUICK[:3], CLEANING], ids=str)
def test_so_it_is_where_every_schedule_is_run_in_truth(exploration: Exploration) -> None:
    findings = explored(Followed(exploration), "truth")
    assert findings.exhausted
    assert findings.violations == {}


@pytest.mark.parametrize("faults", [{}, {"crashes": 1}, {"losses": 1}], ids=str)
def test_enactors_of_two_orders_are_where_the_specification_with_two_orders_may_be(faults: dict[str, int]) -> None:
    exploration = Exploration(plans=2, endpoints=2, layout="inline", cleanup=False, **faults)  # type: ignore[arg-type]
    findings = explored(Followed(exploration, orders=(targets_first, by_name)), "truth")
    assert findings.exhausted
    assert findings.violations == {}


def test_an_order_under_another_ones_version_is_not_what_the_specification_lets() -> None:
    def mislabelled(changes: Sequence[Change]) -> Arranged:
        return replace(by_name(changes), version=1)

    exploration = Exploration(plans=2, endpoints=2, layout="inline", cleanup=False, crashes=1)
    followed = Followed(exploration, orders=(targets_first, mislabelled))
    assert NOT_SPECIFIED in explored(followed, "truth", stop_at_first=True).violations


@pytest.mark.parametrize("exploration", WITHOUT_GUARDS, ids=str)
def test_what_the_code_does_without_guards_the_specification_without_guards_lets(exploration: Exploration) -> None:
    findings = explored(Followed(exploration, OCTOBER, PromisingNothing))
    assert findings.exhausted
    assert NOT_SPECIFIED not in findings.violations


@pytest.mark.parametrize("stage", STAGES)
def test_what_the_code_does_at_each_stage_of_the_table_the_specification_at_that_stage_lets(stage: str) -> None:
    findings = explored(staged(stage, Exploration(plans=3)))
    assert findings.exhausted
    assert NOT_SPECIFIED not in findings.violations


def test_what_the_code_does_at_a_stage_the_specification_with_all_guards_does_not_let() -> None:
    for stage, (guards, rules) in STAGES.items():
        followed = Followed(Exploration(plans=3), specification=PromisingNothing, guards=guards)
        found = explored(followed, stop_at_first=True)
        assert (NOT_SPECIFIED in found.violations) is (rules != Rules()), stage


@pytest.mark.parametrize(
    "exploration",
    [
        Exploration(enactors=2, plans=2, layout="inline", losses=1),
        Exploration(enactors=2, plans=2, layout="inline", crashes=1),
        Exploration(enactors=2, plans=2),
        replace(CLEANING, crashes=0),
    ],
    ids=str,
)
def test_every_schedule_of_the_partial_order_reduction_is_a_behaviour_of_the_specification(
    exploration: Exploration,
) -> None:
    findings = explored(Followed(exploration), "dpor")
    assert findings.exhausted
    assert findings.violations == {}


@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_effect_is_replayed(way: str) -> None:
    acts: set[type] = set()
    for exploration in (LOSING, CLEANING):
        followed = Followed(exploration)
        explored(followed, way)
        acts |= followed.acts
    assert acts == {
        events.Accepted,
        events.Observed,
        events.Fetched,
        events.Published,
        events.Recorded,
        events.Pruned,
        events.Deleted,
        events.Unmarked,
        events.Crashed,
    }


class NothingArrivesLate(Replay):
    """Forbids that a message of which its sender hears nothing has arrived."""

    def with_late_arrivals(self, states: States) -> set[State]:
        """Leave what is in flight there."""
        return set(states)


class Forbidding(Replay):
    """Forbids one kind of effect."""

    forbidden: type

    def follow(self, state: State, event: Event) -> Iterator[State | str]:
        """Refuse what is forbidden."""
        if isinstance(event.act, self.forbidden):
            yield "it is forbidden"
        else:
            yield from Replay.follow(self, state, event)


class NobodyResumes(Replay):
    """Forbids that a publication under way is gone on with by somebody who only sees it."""

    def follow(self, state: State, event: Event) -> Iterator[State | str]:
        """Refuse to fetch towards the generation that is under way."""
        seen = state.enactors[self.numbers[event.actor]].seen
        if isinstance(event.act, events.Fetched) and seen.of and event.act.target == seen.generation:
            yield "nobody resumes"
        else:
            yield from Replay.follow(self, state, event)


class NobodyDeletes(Forbidding):
    """Forbids clean-up in the zone."""

    forbidden = events.Deleted


class NobodyPrunes(Forbidding):
    """Forbids clean-up in the store."""

    forbidden = events.Pruned


class NobodyIsRefused(Replay):
    """Forbids that a primary refuses a message."""

    def follow(self, state: State, event: Event) -> Iterator[State | str]:
        """Refuse a refusal."""
        if isinstance(event.act, events.Published) and event.act.outcome == "refused":
            yield "it would be taken"
        else:
            yield from Replay.follow(self, state, event)


@pytest.mark.parametrize(
    ("exploration", "specification"),
    [
        (LOSING, NothingArrivesLate),
        (LOSING, NobodyIsRefused),
        (replace(CLEANING, plans=2), NobodyResumes),
        (CLEANING, NobodyDeletes),
        (CLEANING, NobodyPrunes),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_specification_that_forbids_something_that_the_code_does_is_told_apart(
    exploration: Exploration, specification: type[Replay], way: str
) -> None:
    followed = Followed(exploration, specification=specification)
    assert NOT_SPECIFIED in explored(followed, way, stop_at_first=True).violations


def node_before(facts: Written) -> tuple[Update, ...]:
    """Write what a node is to hold into the node before, too: before the flip, clients see it."""
    build = VERSIONED.stages[0].lay(facts)
    more = [(Key(node_name(c.key.name, c.generation - 1), "A"), c.wanted) for c in facts.changes if c.generation > 1]
    return (*build, *(each for k, w in more if isinstance(w, Records) for each in (DeleteRRset(k), AddRecords(k, w))))


def no_rollback(facts: Written) -> tuple[Update, ...]:
    """Flip without a way back."""
    flip = VERSIONED.stages[1].lay(facts)
    return tuple(update for update in flip if not update.key.name.startswith(ROLLBACK_LABEL))


def longer(facts: Written) -> tuple[Update, ...]:
    """Give aliases another TTL."""
    flip = VERSIONED.stages[1].lay(facts)
    return tuple(
        replace(update, records=replace(update.records, ttl=7))
        if isinstance(update, AddRecords) and update.key.type == "CNAME"
        else update
        for update in flip
    )


def somebody_elses(facts: Written) -> tuple[Update, ...]:
    """Delete what is none of ours as well."""
    return (*VERSIONED.stages[1].lay(facts), DeleteRRset(Key(f"elsewhere.{facts.zone}", "A")))


def only_the_first(facts: Written) -> tuple[Update, ...]:
    """Flip one name, whatever the message is to flip."""
    return VERSIONED.stages[1].lay(replace(facts, changes=facts.changes[:1]))


@pytest.mark.parametrize(
    ("stage", "lay"),
    [(0, node_before), (1, no_rollback), (1, longer), (1, somebody_elses), (1, only_the_first)],
)
def test_a_layout_that_writes_anything_else_than_it_should_is_told_apart(
    stage: int, lay: Callable[[Written], tuple[Update, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = tuple(replace(each, lay=lay) if at == stage else each for at, each in enumerate(VERSIONED.stages))
    monkeypatch.setitem(cast("dict[str, Layout]", LAYOUTS), "versioned", replace(VERSIONED, stages=stages))
    for exploration in (Exploration(plans=3), TWO_IN_A_MESSAGE):
        if NOT_SPECIFIED in explored(Followed(exploration), stop_at_first=True).violations:
            return
    raise AssertionError("it was not told apart")


def test_a_specification_of_blind_writes_is_not_that_of_the_guarded_code() -> None:
    followed = Followed(LOSING, Rules(check=Check.START))
    assert NOT_SPECIFIED in explored(followed, stop_at_first=True).violations


@pytest.mark.parametrize("guard", ["fence_as_seen", "aliases_as_listed", "spare_live", "spare_rollback"])
@pytest.mark.parametrize("way", WAYS)
def test_real_code_without_a_guard_of_the_protocol_is_no_behaviour_of_the_specification(guard: str, way: str) -> None:
    followed = Followed(replace(CLEANING, without=(guard,)))
    assert NOT_SPECIFIED in explored(followed, way, stop_at_first=True).violations


def test_real_code_whose_messages_have_no_fence_breaks_a_promise_of_the_specification_that_lets_it() -> None:
    followed = Followed(Exploration(enactors=2, plans=3, without=("fence_as_seen",)), Rules(check=Check.START))
    found = explored(followed, stop_at_first=True).first[NOT_SPECIFIED]
    assert "it breaks" in found.violation.detail


def test_the_story_of_october_is_a_behaviour_of_the_specification_without_its_guards_and_of_no_other() -> None:
    exploration = Exploration(guards="unguarded")
    story = gravest(exploration, explore(exploration, stop_at_first=True))
    assert story is not None
    followed = Followed(exploration, OCTOBER, PromisingNothing)
    outcome = replay(followed.simulator().run, story.schedule)
    assert story.violation in {violation.name for violation in outcome.violations}
    assert NOT_SPECIFIED not in {violation.name for violation in outcome.violations}
    assert followed.last is not None
    assert followed.last.heard > 15
    assert isinstance(followed.last.replay, PromisingNothing)
    assert "empty" in followed.last.replay.found
    guarded = replay(Followed(exploration).simulator().run, story.schedule)
    assert NOT_SPECIFIED in {violation.name for violation in guarded.violations}


def test_every_schedule_of_a_scenario_without_guards_is_a_behaviour_of_the_specification_without_them() -> None:
    unguarded = Exploration(guards="unguarded", plans=2, layout="inline")
    findings = explored(Followed(unguarded, OCTOBER), "dpor")
    assert findings.exhausted
    assert findings.violations == {}
    assert NOT_SPECIFIED in explored(Followed(unguarded), "dpor").violations
