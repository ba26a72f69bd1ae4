"""Scenarios of the incident: what is exhausted, what is found, and that the strategies agree about it."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any

import pytest

import dnsguard.lab.ends.store as ends_store
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.history import Pending, PlanState
from dnsguard.core.plan import Change
from dnsguard.core.publication_order import Arranged, by_name, targets_first
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Submitted, unmanaged_contents_kept
from dnsguard.core.withdrawal import Verdict
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.history import MemoryHistory, with_backlog
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.settlement import take_out
from dnsguard.lab.ends.sqlite import SqliteFile
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.explore.exploring import QUICK, SCENARIOS, Exploration, Story, explore, gravest
from dnsguard.lab.explore.scenario import STORES, Fresh, Reading, begin, copied, opening, scenario
from dnsguard.lab.explore.setting import HISTORY, ZONE, Setting, as_in_october
from dnsguard.lab.explore.watch import ACCOUNTABLE, EMPTY, PREFIX, REFUSED, STALE, WEDGED
from dnsguard.lab.scheduler.moves import Faults, Move, Offer, Schedule, ScheduleUnreadable
from dnsguard.lab.scheduler.simulation import Outcome, Scenario, Simulation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import search
from dnsguard.lab.search.recognition import Recognised
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import Exhaustive, Strategy
from dnsguard.workers.effects import Store

OCTOBER = Exploration(guards="unguarded")


def test_the_incident_is_found_at_once_and_told_the_same_every_time() -> None:
    stories = []
    for _ in range(2):
        findings = explore(OCTOBER, stop_at_first=True)
        assert findings.schedules <= 20
        assert {EMPTY, STALE, WEDGED} <= findings.violations.keys()
        story = gravest(OCTOBER, findings)
        assert story is not None
        stories.append(story)
    assert stories[0] == stories[1]
    assert stories[0].violation == EMPTY
    assert len(stories[0].schedule) == 25


def test_the_story_is_the_one_of_october() -> None:
    story = gravest(OCTOBER, explore(OCTOBER, stop_at_first=True))
    assert story is not None
    sentences = story.sentences()
    assert len(sentences) == len(story.schedule)
    told = iter(sentences)
    for said in (
        "E0 takes up generation 2",
        "P submits a full plan: accepted as generation 4",
        "E1 takes up generation 4",
        "E1 flips regional from 1 to 4; regional now answers: plan 4",
        "E0 flips regional from 4 to 2; regional now answers: plan 2",
        "clean-up of E1 deletes node 1 of regional",
        "clean-up of E1 deletes node 2 of regional; regional now answers: EMPTY",
    ):
        assert said in told, f"expected {said!r} in this order in {sentences}"


@pytest.mark.parametrize("strategy", ["dpor", "states"])
def test_every_exhaustive_strategy_finds_the_incident_within_20_schedules(strategy: str) -> None:
    findings = explore(OCTOBER, strategy, stop_at_first=True, schedules_max=20)
    assert EMPTY in findings.violations


def test_a_saved_story_is_played_to_the_letter() -> None:
    story = gravest(OCTOBER, explore(OCTOBER, stop_at_first=True))
    assert story is not None
    again = Story.from_json(story.to_json())
    assert again == story
    assert again.sentences() == story.sentences()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"exploration": {"guards": "none", "without": []}}'])
def test_what_is_no_story_is_refused(text: str) -> None:
    with pytest.raises(ScheduleUnreadable, match="expected a story"):
        Story.from_json(text)


@pytest.mark.parametrize("exploration", QUICK, ids=str)
def test_guarded_a_scenario_is_exhausted_without_a_violation(exploration: Exploration) -> None:
    findings = explore(exploration)
    assert findings.exhausted
    assert findings.violations == {}


def test_the_listed_scenarios_have_all_kinds() -> None:
    assert len(set(SCENARIOS)) >= 10
    for listed in (SCENARIOS, QUICK):
        assert {each.layout for each in listed} == {"inline", "versioned"}
        assert any(each.crashes for each in listed)
        assert any(each.losses for each in listed)
        assert all(each.value == GUARDED and each.cleanup for each in listed)


@pytest.mark.parametrize("layout", ["inline", "versioned"])
def test_the_large_scenarios_are_listed_in_both_layouts(layout: str) -> None:
    assert Exploration(enactors=3, plans=3, endpoints=2, layout=layout) in SCENARIOS
    assert Exploration(enactors=2, plans=5, crashes=1, layout=layout) in SCENARIOS
    assert all(each.setting.policy.read_back for each in SCENARIOS)


def ends(strategy: Strategy, within: Scenario, faults: Faults) -> tuple[set[Hashable], set[str]]:
    """Return the worlds in which runs end, whoever of the daemons did what, and what was broken on the way."""
    worlds: set[Hashable] = set()

    def scene(simulation: Simulation) -> None:
        def look() -> None:
            assert simulation.fingerprint is not None
            state = simulation.fingerprint()
            assert isinstance(state, tuple)
            worlds.add(state[0])

        simulation.at_end(look)
        within(simulation)

    run = Simulator(scene, faults=faults, ends_at_violation=False).run
    findings = search(run, strategy, minimise_runs_max=0, schedules_max=20_000)
    assert findings.exhausted
    assert len(worlds) > 1
    return worlds, set(findings.violations)


@pytest.mark.parametrize("guards", [GUARDED, UNGUARDED], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("faults", [Faults(), Faults(1, 0), Faults(0, 1)], ids=["no faults", "a crash", "a loss"])
def test_all_exhaustive_strategies_come_to_the_same_ends(guards: Guards, faults: Faults) -> None:
    setting = Setting(guards, plans=2, keep=1, layout="inline", cleanup=not faults.crashes_max + faults.losses_max)
    within = scenario(setting)
    reduced = ends(Reduced(), within, faults)
    assert ends(Recognised(as_in_october(setting), setting.enactor_names), within, faults) == reduced
    assert ends(Recognised(), within, faults) == reduced


@pytest.mark.parametrize("layout", ["inline", "versioned"])
def test_plain_search_of_a_small_case_agrees(layout: str) -> None:
    setting = Setting(UNGUARDED, plans=2, enactors=1, layout=layout, keep=1)
    within = scenario(setting)
    plain = ends(Exhaustive(), within, Faults(1, 0))
    assert ends(Reduced(), within, Faults(1, 0)) == plain
    assert ends(Recognised(alike=setting.enactor_names), within, Faults(1, 0)) == plain


class RecordedStore(MemoryStore):
    """Takes an RRset for unmanaged until its publication is on record, as was done once."""

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        heads = self.histories[zone].heads
        return frozenset(key for key in keys if key not in heads or heads[key].live is None)


def recorded(setting: Setting, primary: MemoryPrimary, notes: list[Note]) -> Fresh:
    history = opening(setting, primary, notes)

    def fresh() -> tuple[Store, MemoryHistory, Reading]:
        own = copied(history)
        return RecordedStore({ZONE: own}), own, lambda: own

    return fresh


def trusting_the_look(facts: Submitted) -> Refusal | None:
    """Take whatever stands at an RRset for someone else's, as was done once until the record said otherwise."""
    return unmanaged_contents_kept(replace(facts, standing={}))


def test_a_second_plan_for_a_new_name_is_never_refused_for_what_the_first_one_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(STORES, "recorded", recorded)
    rules = tuple(trusting_the_look if rule is unmanaged_contents_kept else rule for rule in GUARDED.submit)
    for store, guards, broken in (
        ("memory", GUARDED, set()),
        ("recorded", GUARDED, set()),
        ("recorded", replace(GUARDED, submit=rules), {REFUSED}),
    ):
        setting = Setting(guards, enactors=1, plans=2, layout="inline", fresh=True, store=store)
        run = Simulator(scenario(setting), ends_at_violation=False).run
        findings = search(run, Reduced(), minimise_runs_max=0)
        assert findings.exhausted
        assert set(findings.violations) == broken


MIXED = Setting(plans=2, endpoints=2, layout="inline", mail=True, cleanup=False, orders=(targets_first, by_name))
"""Daemons of two versions on one zone, of which each publishes what points at the other first, or last."""


def mislabelled(changes: Sequence[Change]) -> Arranged:
    """Publish in the order of names, and call that by the version of another order."""
    return replace(by_name(changes), version=targets_first(changes).version)


@pytest.mark.parametrize("faults", [Faults(), Faults(1, 0), Faults(0, 1)], ids=["no faults", "a crash", "a loss"])
def test_enactors_with_different_orders_publish_everything_and_nothing_in_between(faults: Faults) -> None:
    run = Simulator(scenario(MIXED), faults=faults, ends_at_violation=False).run
    findings = search(run, Recognised(), minimise_runs_max=0)
    assert findings.exhausted
    assert findings.violations == {}


def test_an_order_that_its_fence_does_not_tell_apart_is_found_to_skip_something() -> None:
    setting = replace(MIXED, orders=(targets_first, mislabelled))
    run = Simulator(scenario(setting), faults=Faults(1, 0), ends_at_violation=False).run
    findings = search(run, Recognised(), minimise_runs_max=0)
    assert PREFIX in findings.violations


class Fixed:
    """Lets one actor go on as long as it can, then the next."""

    def choose(self, offers: Sequence[Offer]) -> Move:
        return offers[0][0]

    def hidden(self, why: str) -> None:
        raise AssertionError(why)


@pytest.mark.parametrize("layout", ["inline", "versioned"])
def test_without_any_race_all_plans_are_published(layout: str) -> None:
    outcome: Outcome = Simulator(scenario(Setting(layout=layout, endpoints=3)), ends_at_violation=False).run(Fixed())
    assert outcome.violations == ()


def test_over_the_real_sql_store_the_same_story_is_found_and_the_same_is_exhausted() -> None:
    over_sql = replace(OCTOBER, store="sqlite")
    story = gravest(over_sql, explore(over_sql, stop_at_first=True), runs_max=0)
    in_memory = gravest(OCTOBER, explore(OCTOBER, stop_at_first=True), runs_max=0)
    assert story is not None
    assert in_memory is not None
    assert (story.violation, story.schedule) == (in_memory.violation, in_memory.schedule)
    guarded = explore(Exploration(plans=2, layout="inline", store="sqlite"))
    assert guarded.exhausted
    assert guarded.violations == {}


def test_in_memory_and_over_sql_every_schedule_shows_the_same() -> None:
    """Effect by effect, what the two stores answered is the same, so that what holds over one holds over the other."""
    shown: dict[str, list[tuple[Schedule, tuple[str, ...]]]] = {"memory": [], "sqlite": []}
    for store, seen in shown.items():
        tell: list[str] = []
        exploration = Exploration(guards="unguarded", plans=2, keep=1, enactors=1, crashes=1, store=store)

        def note(outcome: Outcome, seen: list[tuple[Schedule, tuple[str, ...]]] = seen, tell: list[str] = tell) -> None:
            seen.append((outcome.schedule(), tuple(tell)))

        findings = search(exploration.simulator(tell).run, Reduced(), minimise_runs_max=0, each=note)
        assert findings.exhausted
    assert len(shown["memory"]) > 10
    assert shown["memory"] == shown["sqlite"]


def test_over_sqlite_every_invariant_is_asked_that_is_asked_in_memory() -> None:
    in_memory, over_sql = (
        explore(replace(OCTOBER, store=store), "dpor", schedules_max=8, rerun=True) for store in ("memory", "sqlite")
    )
    assert ACCOUNTABLE in in_memory.violations
    assert over_sql.violations == in_memory.violations


def test_what_is_read_back_from_a_database_is_what_memory_holds() -> None:
    setting, primary = Setting(), MemoryPrimary(ZONE)
    in_memory = opening(setting, primary, [])
    file = SqliteFile(ZONE, HISTORY, lambda store: begin(setting, store, MemoryPrimary(ZONE), []))
    read = file.history()
    assert read.zone == with_backlog(in_memory)
    for held in ("entries", "changes", "chains"):
        assert getattr(read, held) == getattr(in_memory, held)


WITHDRAWING = Exploration(enactors=2, plans=2, layout="inline", withdraws=True)


def test_a_withdrawal_that_came_too_late_must_be_recorded_before_anything_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pending = MemoryStore.pending

    async def forgetful(self: MemoryStore, *args: Any, **kwargs: Any) -> Pending:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ends_store, "verdict", lambda *_: Verdict.OPEN)
            return await pending(self, *args, **kwargs)

    assert explore(WITHDRAWING).violations == {}
    monkeypatch.setattr(MemoryStore, "pending", forgetful)
    assert explore(WITHDRAWING).violations.keys() >= {"prefix"}


def test_a_plan_is_not_withdrawn_before_the_fence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    withdraw = MemoryStore.withdraw

    async def hasty(self: MemoryStore, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        refusal = await withdraw(self, zone, generation, why, actor, at)
        history = self.histories[zone]
        if history.entries[generation].state is PlanState.WITHDRAWING:
            history.entries[generation] = replace(history.entries[generation], state=PlanState.WITHDRAWN, settled_at=at)
            take_out(history, generation)
        return refusal

    monkeypatch.setattr(MemoryStore, "withdraw", hasty)
    assert explore(WITHDRAWING).violations.keys() >= {"nothing lost", "prefix"}
