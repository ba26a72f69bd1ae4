"""The table: for each stage between no guards and all of them, what some schedule breaks, and what none does.
A "yes" is a schedule that was found; a "no" is a search that was exhausted without one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dnsguard.lab.recognition import Recognised
from dnsguard.lab.scenario import scenario
from dnsguard.lab.search import Findings, search
from dnsguard.lab.setting import Setting, as_in_october
from dnsguard.lab.simulator import Simulator
from dnsguard.lab.variants import VARIANTS, Variant
from dnsguard.lab.watch import EMPTY, STALE, WEDGED

COLUMNS = (EMPTY, STALE, WEDGED)
MOVES_MAX = 1_000
SLICE = 100
"""Schedules between two looks at whether a row has all that could be found."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for a variant; None where the search ended before it knew."""

    variant: Variant
    empty: bool | None
    stale: bool | None
    wedged: bool | None
    schedules: int
    states: int
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether it is what the variant says."""
        return (self.empty, self.stale, self.wedged) == (self.variant.empty, self.variant.stale, self.variant.wedged)


def fill(variant: Variant, setting: Setting, seconds_max: float | None = None) -> Row:
    """Search a variant until all three were found, nothing is left, or time is up."""
    strategy = Recognised(as_in_october(setting), setting.enactor_names)
    run = Simulator(scenario(setting), ends_at_violation=False, moves_max=MOVES_MAX).run
    found: set[str] = set()
    schedules = states = 0
    seconds = 0.0
    while True:
        left = None if seconds_max is None else seconds_max - seconds
        findings: Findings = search(run, strategy, schedules_max=SLICE, seconds_max=left, minimise_runs_max=0)
        found |= findings.violations.keys()
        schedules += findings.schedules
        states += findings.states or 0
        seconds += findings.seconds
        if findings.exhausted or found.issuperset(COLUMNS) or (left is not None and findings.seconds >= left):
            break
    empty, stale, wedged = (True if name in found else False if findings.exhausted else None for name in COLUMNS)
    return Row(variant, empty, stale, wedged, schedules, states, seconds)


def rows(
    enactors: int = 2, plans: int = 3, endpoints: int = 1, keep: int = 1, seconds_max: float | None = None
) -> Iterator[Row]:
    """Fill the table, row by row."""
    for variant in VARIANTS:
        yield fill(variant, Setting(variant.guards, enactors, plans, endpoints, keep), seconds_max)
