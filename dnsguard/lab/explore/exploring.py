"""Explores a setting: which strategy, how far, and what came of it; and plays a saved story again.
The scenarios that are known to be exhausted are listed here.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace

from dnsguard.core.guards import Guards
from dnsguard.lab.explore.bounds import unfit
from dnsguard.lab.explore.recall import Recalled
from dnsguard.lab.explore.scenario import Onlookers, scenario
from dnsguard.lab.explore.setting import Setting, as_in_october
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.explore.variants import NAMED, without
from dnsguard.lab.explore.watch import BY_GRAVITY
from dnsguard.lab.scheduler.moves import Faults, Schedule, ScheduleUnreadable
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.delays import Delayed
from dnsguard.lab.search.findings import Findings, replay, search
from dnsguard.lab.search.minimise import minimise
from dnsguard.lab.search.recognition import Recognised
from dnsguard.lab.search.reduction import Reduced
from dnsguard.lab.search.strategies import Exhaustive, Pct, Prefer, RandomWalk, ScheduleDoesNotFit, Strategy

MOVES_MAX = 1_000
PCT_MOVES = 40
"""About how many moves a run has."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """What is to be explored, in values that can be written down."""

    guards: str = "guarded"
    without: tuple[str, ...] = ()
    enactors: int = 2
    plans: int = 4
    endpoints: int = 1
    keep: int = 2
    layout: str = "versioned"
    rrsets: int = 1
    """RRsets in one message."""
    crashes: int = 0
    losses: int = 0
    cleanup: bool = True
    store: str = "memory"
    read_back: bool = True
    """Whether enactors read back what they published, as the production policy has it."""
    fresh: bool = False
    """Whether the endpoints are new when the scenario begins."""
    withdraws: bool = False
    """Whether the newest plan is withdrawn as soon as it is accepted."""
    database: str = field(default="", repr=False, compare=False)
    """The URL of the PostgreSQL in which histories are. It can hold a password: it is not part of a story."""

    @property
    def value(self) -> Guards:
        """The guards. Raises GuardUnknown."""
        guards = NAMED[self.guards]
        for name in self.without:
            guards = without(guards, name)
        return guards

    @property
    def setting(self) -> Setting:
        """The setting. Raises GuardUnknown."""
        return Setting(
            self.value,
            self.enactors,
            self.plans,
            self.endpoints,
            self.keep,
            self.layout,
            self.rrsets,
            cleanup=self.cleanup,
            store=self.store,
            read_back=self.read_back,
            fresh=self.fresh,
            withdraws=self.withdraws,
            database=self.database,
        )

    @property
    def faults(self) -> Faults:
        """How many faults a run may have."""
        return Faults(self.crashes, self.losses)

    def simulator(self, tell: list[str] | None = None, onlookers: Onlookers | None = None) -> Simulator:
        """Return what runs it, with somebody who looks on if wanted. Raises GuardUnknown."""
        scene = scenario(self.setting, tell, onlookers)
        return Simulator(scene, faults=self.faults, ends_at_violation=False, moves_max=MOVES_MAX)

    def recalled(self) -> Recalled:
        """Return what runs it from what it remembers; for histories in memory. Raises GuardUnknown."""
        return Recalled(self.setting, faults=self.faults, moves_max=MOVES_MAX)

    def __str__(self) -> str:
        said = (
            f"{self.guards}, {self.enactors} enactors x {self.plans} plans x {self.endpoints} endpoints, {self.layout}"
        )
        said += "".join(f", without {name}" for name in self.without) + f", keep {self.keep}"
        said += "" if self.rrsets == 1 else f", {self.rrsets} in a message"
        said += "" if self.cleanup else ", no clean-up"
        said += "" if self.read_back else ", not read back"
        said += ", new names" if self.fresh else ""
        said += ", the newest withdrawn" if self.withdraws else ""
        said += "" if self.store == "memory" else f", {self.store}"
        for count, what in ((self.crashes, "crashes"), (self.losses, "losses")):
            said += f", {count} {what}" if count else ""
        return said


Orders = Callable[[Setting], Prefer | None]
ORDERS: Mapping[str, Orders] = {"october": as_in_october, "neutral": lambda _: None}
"""Which order a search tries first, by name: the one of October, or whoever was there first."""

STRATEGIES: Mapping[str, Callable[[Setting, Prefer | None, int | None], Strategy]] = {
    "states": lambda setting, prefer, _: Recognised(prefer, setting.enactor_names),
    "dpor": lambda _, prefer, __: Reduced(prefer),
    "plain": lambda _, __, ___: Exhaustive(),
    "random": lambda _, __, seeds: RandomWalk(0, seeds),
    "pct": lambda _, __, seeds: Pct(0, seeds, depth=4, moves=PCT_MOVES, faults=1),
    "delays": lambda _, __, count: Delayed(count),
}
"""Ways to search, by name. The first three try everything there is: sleep sets with a table of states (alike enactors
may change places), dynamic partial-order reduction with source and sleep sets, every order; the others take how many
seeds, or delays, to try."""


def explore(
    exploration: Exploration,
    strategy: str = "states",
    *,
    order: str = "october",
    seeds: int | None = None,
    schedules_max: int | None = None,
    seconds_max: float | None = None,
    stop_at_first: bool = False,
    rerun: bool = False,
    halted: Callable[[], bool] = lambda: False,
) -> Findings:
    """Search an exploration's schedules, until none is left, a bound is reached or it is halted. Raises GuardUnknown.

    In memory, steps of the workers that were run once are remembered; ``rerun`` runs every schedule in truth from its
    beginning instead, as is always done over SQL.
    """
    setting, prefer = exploration.setting, ORDERS[order](exploration.setting)
    remembers = exploration.store == "memory" and not rerun
    if strategy == "states" and remembers:
        survey = Survey(exploration.recalled(), prefer)
        enough: Callable[[Collection[str]], bool] = bool if stop_at_first else lambda _: False
        return survey.search(schedules_max=schedules_max, seconds_max=seconds_max, enough=enough, halted=halted)
    return search(
        exploration.recalled().run if remembers else exploration.simulator().run,
        STRATEGIES[strategy](setting, prefer, seeds),
        schedules_max=schedules_max,
        seconds_max=seconds_max,
        stop_at_first=stop_at_first,
        minimise_runs_max=0,
        halted=halted,
    )


@dataclass(frozen=True, slots=True)
class Story:
    """A schedule that breaks something, with the exploration on which it can be played."""

    exploration: Exploration
    schedule: Schedule
    violation: str
    detail: str

    def sentences(self) -> tuple[str, ...]:
        """Play it and tell what happens, a sentence for each move. Raises ScheduleDoesNotFit."""
        return self.played()[0]

    def played(self) -> tuple[tuple[str, ...], dict[str, str]]:
        """Play it; return the sentences, and what it breaks, by name with the detail. Raises ScheduleDoesNotFit."""
        tell: list[str] = []
        outcome = replay(self.exploration.simulator(tell).run, self.schedule)
        return tuple(tell), {violation.name: violation.detail for violation in outcome.violations}

    def holds(self) -> bool:
        """Play it, and tell whether it breaks what it says."""
        try:
            return self.violation in self.played()[1]
        except ScheduleDoesNotFit:
            return False

    def to_json(self) -> str:
        """Write it down."""
        about = {each.name: getattr(self.exploration, each.name) for each in fields(self.exploration) if each.compare}
        head = json.dumps({"exploration": about, "violation": self.violation, "detail": self.detail}, indent=2)
        return f'{head[:-2]},\n  "schedule": {self.schedule.to_json().rstrip()}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> "Story":
        """Read what `to_json` wrote, within the bounds of the command line. Raises ScheduleUnreadable."""
        try:
            found = json.loads(text)
            about, said = found["exploration"], (found["violation"], found["detail"])
            exploration = Exploration(**{**about, "without": _names(about["without"]), "database": ""})
            unfitting = [why for name, value in about.items() if (why := unfit(name, value)) is not None]
            if said[0] not in BREAKABLE or not isinstance(said[1], str):
                unfitting.append(f"expected as violation one of {', '.join(BREAKABLE)}, and its detail as text")
            if unfitting:
                raise ScheduleUnreadable(f"{_NO_STORY}: {unfitting[0]}")
            _ = exploration.value
            return cls(exploration, Schedule.from_json(json.dumps(found["schedule"])), *said)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, ScheduleUnreadable):
                raise
            raise ScheduleUnreadable(f"{_NO_STORY}, found something else ({error}): save it anew") from error


BREAKABLE = (*BY_GRAVITY, "deadlock", "livelock", "fault")
"""What a story may say that it breaks: the checks of a scenario, and what ends a run."""
_NO_STORY = "expected a story that 'dnsguard explore --save' wrote"


def _names(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise TypeError("without is no list of names")
    return tuple(found)


def gravest(
    exploration: Exploration,
    findings: Findings,
    runs_max: int = 500,
    halted: Callable[[], bool] = lambda: False,
) -> Story | None:
    """Return the story of what hurts most, made as short as so many further runs in memory can.

    Over SQL, what came out of it is played there too, and the longer story kept if that does not break the same.
    """
    names = sorted(findings.shortest, key=lambda name: BY_GRAVITY.index(name) if name in BY_GRAVITY else -1)
    if not names:
        return None
    found = findings.shortest[names[0]]
    run = replace(exploration, store="memory").simulator().run
    violation, schedule = minimise(run, found.schedule, found.violation, runs_max=runs_max, halted=halted)
    story = Story(exploration, schedule, violation.name, violation.detail)
    if exploration.store == "memory" or schedule == found.schedule or story.holds():
        return story
    return Story(exploration, found.schedule, found.violation.name, found.violation.detail)


SCENARIOS = (
    Exploration(enactors=1, plans=4, crashes=2),
    Exploration(enactors=2, plans=2, layout="inline", crashes=1, losses=1),
    Exploration(enactors=2, plans=2, losses=1),
    Exploration(enactors=2, plans=2, crashes=1),
    Exploration(enactors=1, plans=3, crashes=1, fresh=True),
    Exploration(enactors=2, plans=3, layout="inline", fresh=True),
    Exploration(enactors=2, plans=3, layout="inline", fresh=True, withdraws=True),
    Exploration(enactors=2, plans=2, layout="inline", losses=1, withdraws=True),
    Exploration(enactors=2, plans=2, withdraws=True),
    Exploration(enactors=2, plans=2, endpoints=2, layout="inline", withdraws=True),
    Exploration(enactors=2, plans=3, layout="inline"),
    Exploration(enactors=2, plans=3),
    Exploration(enactors=2, plans=3, endpoints=2, layout="inline"),
    Exploration(enactors=3, plans=2),
    Exploration(enactors=2, plans=3, endpoints=2),
    Exploration(enactors=2, plans=3, crashes=1),
    Exploration(enactors=2, plans=4),
    Exploration(enactors=3, plans=3, endpoints=2, layout="inline"),
    Exploration(enactors=2, plans=5, layout="inline", crashes=1),
    Exploration(enactors=3, plans=3, endpoints=2, rrsets=2),
    Exploration(enactors=3, plans=3, endpoints=2),
    Exploration(enactors=2, plans=5, crashes=1),
)
"""Scenarios that are exhausted without a violation, smallest first."""
QUICK = SCENARIOS[:17]
"""Those that take a few seconds together."""
