"""The table: for each stage between no guards and all of them, what some schedule breaks, and what none does.
A "yes" is a schedule that was found; a "no" is a search that was exhausted without one.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from dnsguard.lab.explore.recall import Recalled
from dnsguard.lab.explore.setting import Setting, as_in_october
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.explore.variants import VARIANTS, Variant
from dnsguard.lab.explore.watch import EMPTY, STALE, WEDGED
from dnsguard.lab.scheduler.moves import Faults

COLUMNS = (EMPTY, STALE, WEDGED)
MOVES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for a variant; None where the search ended before it knew."""

    variant: Variant
    empty: bool | None
    stale: bool | None
    wedged: bool | None
    schedules: int
    states: int
    exhausted: bool
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Whether it is what the variant says."""
        return (self.empty, self.stale, self.wedged) == (self.variant.empty, self.variant.stale, self.variant.wedged)


def fill(
    variant: Variant,
    setting: Setting,
    faults: Faults = Faults(),  # noqa: B008  frozen
    seconds_max: float | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Row:
    """Search a variant until all three were found, nothing is left, time is up, or somebody halts it."""
    setting = replace(setting, guards=variant.guards)
    survey = Survey(Recalled(setting, faults=faults, moves_max=MOVES_MAX), as_in_october(setting))

    def enough(broken: Collection[str]) -> bool:
        return all(name in broken for name in COLUMNS)

    findings = survey.search(seconds_max=seconds_max, enough=enough, halted=halted)
    found = findings.violations
    empty, stale, wedged = (True if name in found else False if findings.exhausted else None for name in COLUMNS)
    return Row(
        variant, empty, stale, wedged, findings.schedules, findings.states or 0, findings.exhausted, findings.seconds
    )


def rows(
    setting: Setting,
    faults: Faults = Faults(),  # noqa: B008  frozen
    seconds_max: float | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Iterator[Row]:
    """Fill the table, row by row, whatever guards the setting has; the row at which somebody halts it is the last."""
    for variant in VARIANTS:
        yield fill(variant, setting, faults, seconds_max, halted)
        if halted():
            return
