"""What is remembered of the workers is what they do: searches on memories and in truth come to the same."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dnsguard.core.guards import GUARDED, UNGUARDED
from dnsguard.lab.explore.exploring import MOVES_MAX, Exploration, explore
from dnsguard.lab.explore.recall import Recalled
from dnsguard.lab.explore.setting import Setting, as_in_october
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.scheduler.moves import Faults, Kind, Schedule
from dnsguard.lab.scheduler.simulation import Outcome
from dnsguard.lab.search.findings import Findings, replay, search
from dnsguard.lab.search.recognition import Recognised
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import Exhaustive, Pct, RandomWalk, Strategy

SMALL = (
    Exploration(enactors=1, plans=2, layout="inline", crashes=1),
    Exploration(enactors=1, plans=2, losses=1),
    Exploration(enactors=2, plans=2, layout="inline"),
    Exploration(guards="unguarded", enactors=1, plans=3, keep=1),
)


def played(run: Callable[..., Outcome], strategy: Strategy, schedules_max: int) -> list[tuple[object, ...]]:
    """Return all that is to be seen of each run but the states' names."""
    seen: list[tuple[object, ...]] = []

    def note(outcome: Outcome) -> None:
        seen.append((outcome.ending, outcome.schedule(), {found.name: found for found in outcome.violations}))

    search(run, strategy, schedules_max=schedules_max, minimise_runs_max=0, each=note)
    return seen


@pytest.mark.parametrize("exploration", SMALL, ids=str)
@pytest.mark.parametrize(
    "strategy",
    [Exhaustive, Reduced, lambda: RandomWalk(0, 40), lambda: Pct(0, 40, depth=3, moves=30, faults=1)],
    ids=["plain", "dpor", "random", "pct"],
)
def test_every_schedule_is_played_as_in_truth(exploration: Exploration, strategy: Callable[[], Strategy]) -> None:
    in_truth = played(exploration.simulator().run, strategy(), 60)
    assert played(exploration.recalled().run, strategy(), 60) == in_truth


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("guards", ["guarded", "unguarded"])
def test_long_random_schedules_are_played_as_in_truth(guards: str, seed: int) -> None:
    exploration = Exploration(guards=guards, enactors=3, plans=5, endpoints=2, crashes=2, losses=2)
    in_truth = played(exploration.simulator().run, RandomWalk(100 * seed, 8), 8)
    assert played(exploration.recalled().run, RandomWalk(100 * seed, 8), 8) == in_truth


def counted(findings: Findings) -> tuple[object, ...]:
    return findings.exhausted, findings.states, findings.violations.keys()


@pytest.mark.parametrize("exploration", SMALL, ids=str)
def test_states_are_counted_as_in_truth(exploration: Exploration) -> None:
    setting = exploration.setting
    found = [
        counted(search(run, Recognised(alike=setting.enactor_names), minimise_runs_max=0))
        for run in (exploration.simulator().run, exploration.recalled().run)
    ]
    assert found[0] == found[1]
    assert found[0][0] is True


def ends_of(setting: Setting, faults: Faults, *, rests: bool) -> tuple[set[object], Findings]:
    """Return the zones and histories in which runs end, as found by a survey or by every order."""
    recalled = Recalled(setting, faults=faults, moves_max=MOVES_MAX, forgets=rests)
    if rests:
        findings = Survey(recalled).search()
    else:
        findings = search(recalled.run, Exhaustive(), minimise_runs_max=0, schedules_max=100_000)
    assert findings.exhausted
    return recalled.ends(), findings


@pytest.mark.parametrize("guards", [GUARDED, UNGUARDED], ids=["guarded", "unguarded"])
@pytest.mark.parametrize("layout", ["inline", "versioned"])
@pytest.mark.parametrize("faults", [Faults(), Faults(1, 0), Faults(0, 1)], ids=["no faults", "a crash", "a loss"])
def test_a_survey_comes_to_the_same_ends_as_every_order(guards: object, layout: str, faults: Faults) -> None:
    setting = replace(Setting(), guards=guards, enactors=1, plans=2, keep=1, layout=layout)  # type: ignore[arg-type]
    every, plain = ends_of(setting, faults, rests=False)
    found, survey = ends_of(setting, faults, rests=True)
    assert found == every
    assert survey.violations.keys() == plain.violations.keys()
    assert survey.schedules < plain.schedules


@pytest.mark.parametrize("guards", [GUARDED, UNGUARDED], ids=["guarded", "unguarded"])
def test_a_survey_of_several_enactors_comes_to_the_same_ends_as_a_search_that_tells_them_apart(guards: object) -> None:
    setting = replace(Setting(), guards=guards, enactors=2, plans=2, keep=1, read_back=False)  # type: ignore[arg-type]
    recalled = Recalled(setting, moves_max=MOVES_MAX)
    apart = search(recalled.run, Recognised(as_in_october(setting)), minimise_runs_max=0)
    found, survey = ends_of(setting, Faults(), rests=True)
    assert apart.exhausted
    assert found == recalled.ends()
    assert survey.violations.keys() == apart.violations.keys()
    assert survey.states is not None
    assert apart.states is not None
    assert survey.states < apart.states


@pytest.mark.parametrize("guards", [GUARDED, UNGUARDED], ids=["guarded", "unguarded"])
def test_a_survey_of_two_with_faults_comes_to_the_same_ends_as_partial_order_reduction(guards: object) -> None:
    fields: dict[str, object] = {"guards": guards, "enactors": 2, "plans": 2, "keep": 1, "layout": "inline"}
    setting, faults = replace(Setting(), read_back=False, **fields), Faults(1, 0)  # type: ignore[arg-type]
    recalled = Recalled(setting, faults=faults, moves_max=MOVES_MAX)
    reduced = search(recalled.run, Reduced(), minimise_runs_max=0)
    found, survey = ends_of(setting, faults, rests=True)
    assert reduced.exhausted
    assert found == recalled.ends()
    assert survey.violations.keys() == reduced.violations.keys()
    assert survey.schedules < reduced.schedules


def test_a_survey_that_was_wrong_about_what_nobody_writes_begins_anew_and_misses_nothing() -> None:
    setting = replace(Setting(), guards=UNGUARDED, enactors=2, plans=2, keep=1, layout="inline")
    found = []
    for wrong in (False, True):
        recalled = Recalled(setting, moves_max=MOVES_MAX)
        survey = Survey(recalled)
        survey.search(schedules_max=20)
        if wrong:
            survey._relied |= survey._written
        findings = survey.search()
        assert findings.exhausted
        found.append((recalled.ends(), findings.violations.keys(), findings.states))
    (ends, broken, states), (ends_anew, broken_anew, states_anew) = found
    assert ends_anew == ends
    assert broken_anew >= broken
    assert states_anew is not None
    assert states is not None
    assert states_anew > states


def test_a_violation_that_a_survey_finds_is_there_in_truth() -> None:
    exploration = Exploration(guards="unguarded")
    findings = explore(exploration, stop_at_first=True)
    for name, found in findings.first.items():
        outcome = replay(exploration.simulator().run, found.schedule)
        assert name in {violation.name for violation in outcome.violations}


def test_a_survey_goes_on_where_it_stopped() -> None:
    exploration = Exploration(enactors=2, plans=2, layout="inline")
    survey, schedules = Survey(exploration.recalled()), 0
    while not (part := survey.search(schedules_max=7)).exhausted:
        schedules += part.schedules
    assert schedules + part.schedules == Survey(exploration.recalled()).search().schedules


def test_turns_have_the_names_that_schedules_have() -> None:
    exploration = Exploration(enactors=1, plans=2, layout="inline", crashes=1)
    seen: list[Schedule] = []
    search(exploration.recalled().run, Exhaustive(), each=lambda outcome: seen.append(outcome.schedule()))
    assert {step.turn for schedule in seen for step in schedule.steps} == {
        kind.value for kind in (Kind.GO, Kind.CRASH, Kind.RESTART)
    }
