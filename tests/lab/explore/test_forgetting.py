"""What is forgotten matters to nobody: with and without it searches come to the same, and so does each single step."""

from dataclasses import replace

import pytest

from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.explore.exploring import MOVES_MAX
from dnsguard.lab.explore.learning import Contents, Learned
from dnsguard.lab.explore.recall import Recalled
from dnsguard.lab.explore.scenario import World, copied, drive
from dnsguard.lab.explore.setting import ZONE, Setting
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.explore.variants import VARIANTS, Variant
from dnsguard.lab.scheduler.gate import OpenGate
from dnsguard.lab.scheduler.moves import Faults
from dnsguard.lab.scheduler.simulation import Violation

each_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: f"{variant.check}, {variant.cleanup}")

COMPARED_MAX = 100


@each_variant
@pytest.mark.parametrize(
    ("setting", "faults"),
    [
        (Setting(plans=2, keep=1, read_back=False), Faults()),
        (Setting(enactors=1, plans=2, keep=1, endpoints=2), Faults(1, 0)),
        (Setting(enactors=1, plans=2, keep=1, read_back=False), Faults(1, 1)),
    ],
    ids=["as in the table", "read back, a crash, two endpoints", "a crash and a loss"],
)
def test_with_and_without_forgetting_searches_come_to_the_same(
    variant: Variant, setting: Setting, faults: Faults
) -> None:
    setting = replace(setting, guards=variant.guards)
    kept, forgotten = (
        Recalled(setting, faults=faults, moves_max=MOVES_MAX, forgets=forgets) for forgets in (False, True)
    )
    whole, less = Survey(kept).search(), Survey(forgotten).search()
    assert whole.exhausted
    assert less.exhausted
    assert forgotten.ends() == kept.ends()
    assert less.violations.keys() == whole.violations.keys()
    assert less.states is not None
    assert whole.states is not None
    assert less.states < whole.states


@each_variant
@pytest.mark.parametrize(
    ("setting", "faults"),
    [
        (Setting(plans=3, keep=1, read_back=False), Faults()),
        (Setting(plans=3, keep=1, layout="inline"), Faults()),
        (Setting(enactors=1, plans=3, keep=1), Faults(1, 1)),
    ],
    ids=["as in the table", "read back, inline", "read back, a crash and a loss"],
)
def test_whoever_knows_the_same_goes_on_alike_whatever_was_forgotten(
    variant: Variant, setting: Setting, faults: Faults
) -> None:
    """Of all ways to a point in life some are gone once more, and on from there by each known step, in each history
    that is taken for the one in which it was learned.
    """
    learning = surveyed(replace(setting, guards=variant.guards), faults).learning
    steps = [(step, other) for step in learning.repeatable() for other in learning.alike[step[3]].values()]
    assert len(steps) > 50
    for (life, kind, zone, history, way), other in steps[:: 1 + len(steps) // COMPARED_MAX]:
        again, learned = (
            learning.repeated(life, kind, zone, history, way, other),
            learning.step(life, kind, zone, history),
        )
        assert what_came_of(again, history) == what_came_of(learned, history)


def surveyed(setting: Setting, faults: Faults = Faults()) -> Recalled:  # noqa: B008  frozen
    recalled = Recalled(setting, faults=faults, moves_max=MOVES_MAX)
    assert Survey(recalled).search(schedules_max=2_000).schedules > 100
    return recalled


def what_came_of(learned: Learned, history: int) -> tuple[object, ...]:
    """Return all that came of a step but whether it wrote down anything new: that may be just what does not matter."""
    after = history if learned.history is None else learned.history
    return learned.life, learned.zone, after, learned.notes, learned.faults


@each_variant
def test_zones_come_to_the_same_whatever_their_histories_say_of_what_does_not_matter(variant: Variant) -> None:
    setting = Setting(variant.guards, plans=3, keep=1, read_back=False)
    learning = surveyed(setting).learning
    compared = [
        (contents, each, other)
        for each, alike in zip(learning.histories, learning.alike, strict=True)
        for other in list(alike.values())[1:]
        for contents in learning.zones
    ]
    assert len(compared) > 50
    for contents, history, other in compared[:: 1 + len(compared) // COMPARED_MAX]:
        assert in_the_end(setting, contents, other) == in_the_end(setting, contents, history)


def in_the_end(setting: Setting, contents: Contents, history: MemoryHistory) -> tuple[Violation, ...]:
    store = MemoryStore({ZONE: copied(history)})
    return drive(World(setting, store, MemoryPrimary(ZONE, dict(contents)), OpenGate()).go_on())
