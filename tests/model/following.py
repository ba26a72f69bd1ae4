"""Has the specification look on while `dnsguard explore`'s own strategies drive the real code: each effect of each
schedule is replayed through `refinement`, and what the specification forbids is a violation like any other.
`python -m tests.model.following` does so for all scenarios that are exhausted, the large ones too, and for some without
guards, which the specification without its guards has to let: some minutes.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.guards import GUARDED as GUARDED_CODE
from dnsguard.core.guards import Guards
from dnsguard.core.message import Unknown
from dnsguard.core.publication_order import OrderRule
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.explore.exploring import MOVES_MAX, SCENARIOS, Exploration
from dnsguard.lab.explore.fingerprint import Fingerprint, Numbers
from dnsguard.lab.explore.fingerprint import State as Known
from dnsguard.lab.explore.scenario import scenario
from dnsguard.lab.explore.setting import PLANNER, ZONE, Setting
from dnsguard.lab.explore.survey import Survey
from dnsguard.lab.explore.variants import VARIANTS
from dnsguard.lab.scheduler.moves import Kind, Move
from dnsguard.lab.scheduler.simulation import Scenario, Simulation, Violation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import Findings, search
from dnsguard.lab.search.recognition import Recognised
from dnsguard.lab.search.reduction import Reduced
from tests.model.alongside import Alongside
from tests.model.recording import Recorder
from tests.model.refinement import NOT_SPECIFIED, Replay, States
from tests.model.world import Bound, Check, Place, Rules, Setup, State, Sweep

GUARDED = Rules()
OCTOBER = Rules(
    check=Check.START,
    sweep=Sweep.AGE,
    bound=Bound.AGE,
    target_exists=False,
    rollback_tolerated=False,
    aliases_as_listed=False,
)
"""What the specification asks of `UNGUARDED`."""
WITHOUT_GUARDS = (
    Exploration(guards="unguarded", plans=2, layout="inline"),
    Exploration(guards="unguarded", plans=3, layout="inline"),
    Exploration(guards="unguarded", plans=2),
    Exploration(guards="unguarded", plans=3, crashes=1),
    Exploration(guards="unguarded"),
)


STAGES = {
    f"{variant.check}; {variant.cleanup}": (variant.guards, rules)
    for variant, rules in zip(
        VARIANTS,
        (
            OCTOBER,
            replace(OCTOBER, check=Check.AGAIN),
            replace(OCTOBER, sweep=Sweep.LISTED),
            replace(OCTOBER, sweep=Sweep.INSIDE, aliases_as_listed=True),
            replace(OCTOBER, rollback_tolerated=True),
            replace(OCTOBER, check=Check.WRITE),
            GUARDED,
        ),
        strict=True,
    )
}
"""The rows of the table, each with what the specification asks of it."""


@dataclass
class Follower:
    """Follows one run, move by move; keeps the states in which the specification may be."""

    replay: Replay
    notes: Sequence[Note]
    states: States
    heard: int = 0
    """How many events were replayed."""
    forbidden: Violation | None = None
    _read: int = 0
    _recorder: Recorder = field(default_factory=lambda: Recorder(ZONE))

    def hear(self, move: Move | None) -> Violation | None:
        """Take in a move's effects; find the first that the specification forbids."""
        recorder = self._recorder
        lost = move is not None and move.kind is Kind.LOST_ANSWER
        for note in self.notes[self._read :]:
            # What its sender cannot know, the specification is not told.
            result = Unknown("the answer is lost") if lost and note.act == "publish" else note.result
            recorder.note(note.who, note.act, note.subject, result)
        self._read = len(self.notes)
        if move is not None and move.kind is Kind.CRASH:
            recorder.crashed(move.actor)
        while self.heard < len(recorder.events) and self.forbidden is None:
            event = recorder.events[self.heard]
            self.heard += 1
            after = self.replay.after(self.states, event)
            if isinstance(after, str):
                self.forbidden = Violation(NOT_SPECIFIED, f"{event.actor} {event.act}: {after}")
            else:
                self.states = after
        return self.forbidden

    def acts(self) -> set[type]:
        """Return what kinds of effects were replayed."""
        return {type(event.act) for event in self._recorder.events[: self.heard]}


@dataclass
class Followed:
    """What runs an exploration with the specification looking on; counts what was replayed."""

    exploration: Exploration
    rules: Rules = GUARDED
    """What the specification is to let."""
    specification: type[Replay] = Replay
    events: int = 0
    acts: set[type] = field(default_factory=set)
    last: Follower | None = None
    guards: Guards | None = None
    """Others than the exploration's, of which there are only the named ones."""
    orders: tuple[OrderRule, ...] = GUARDED_CODE.order
    """In which orders enactors publish, by turns; if there are several, an MX points at an address."""

    @property
    def setting(self) -> Setting:
        """What is explored."""
        found = self.exploration.setting
        found = found if self.guards is None else replace(found, guards=self.guards)
        return found if len(self.orders) == 1 else replace(found, orders=self.orders, mail=True)

    def replay(self) -> Replay:
        """Return what replays it."""
        setting = self.setting
        setup = Setup(self.rules, versioned=setting.layout == "versioned", keep=setting.keep)
        return self.specification(setting.keys, (PLANNER, *setting.enactor_names), setup)

    def simulator(self) -> Simulator:
        """Return what runs each schedule in truth. What the specification knows is part of each state, so that a
        search by states takes nothing for seen that was not replayed.
        """
        replay, within, numbers = self.replay(), scenario(self.setting), Numbers()
        first = frozenset({begun(replay, fresh=self.setting.fresh)})

        def scene(simulation: Simulation) -> None:
            self.count()
            within(simulation)
            fingerprint = simulation.fingerprint
            assert isinstance(fingerprint, Fingerprint)
            recorder = Recorder(ZONE, orders=self.orders)
            follower = self.last = Follower(replay, fingerprint.notes, first, _recorder=recorder)

            def with_specification() -> Known:
                world, known = fingerprint()
                return (world, numbers.of(follower.states)), known

            simulation.fingerprint = with_specification
            simulation.after_effect(follower.hear, reads=())

        run: Scenario = scene
        return Simulator(run, faults=self.exploration.faults, ends_at_violation=False, moves_max=MOVES_MAX)

    def count(self) -> None:
        """Count what was replayed of the last run."""
        if self.last is not None:
            self.events += self.last.heard
            self.acts.update(self.last.acts())
        self.last = None


def begun(replay: Replay, *, fresh: bool) -> State:
    """Return the state in which an exploration begins: nothing yet, or its first plan is published and on record."""
    if fresh:
        return replay.first
    once = (1,) * len(replay.rrsets)
    built = (2,) * len(replay.rrsets) if replay.setup.versioned else replay.first.nodes
    plans = ((1, tuple(range(len(replay.rrsets)))),)
    return replay.first._replace(plans=plans, published=1, fence=Place(1, 1), wire=once, nodes=built)


def explored(followed: Followed, strategy: str = "states", *, stop_at_first: bool = False) -> Findings:
    """Explore with the specification looking on, and say what was replayed.

    Of the strategies, ``states`` goes on from what is remembered; ``truth`` runs every schedule of its search by states
    in truth, and ``dpor`` those of partial-order reduction.
    """
    setting = followed.setting
    if strategy == "states":
        replay = followed.replay()
        first = frozenset({begun(replay, fresh=setting.fresh)})
        alongside = Alongside(setting, followed.exploration.faults, replay, first)
        findings = Survey(alongside).search(enough=lambda broken: stop_at_first and NOT_SPECIFIED in broken)
        followed.events += alongside.events
        followed.acts |= alongside.acts
    else:
        alike = () if setting.orders else setting.enactor_names
        chosen = Recognised(alike=alike) if strategy == "truth" else Reduced()
        findings = search(followed.simulator().run, chosen, stop_at_first=stop_at_first, minimise_runs_max=0)
        followed.count()
    refused = findings.violations.get(NOT_SPECIFIED)
    stage = next((name for name, stage in STAGES.items() if stage[0] is followed.guards), None)
    said = f"{followed.exploration}" if stage is None else f"{followed.exploration}, but {stage}"
    print(
        f"{said}, {strategy}: {'exhausted' if findings.exhausted else 'stopped'} after "
        f"{findings.schedules:,} schedules, {findings.seconds:.1f} s; {followed.events:,} effects replayed; "
        + (f"{refused:,} are {NOT_SPECIFIED}" if refused else "each a behaviour of the specification"),
        *(found.violation.detail for name, found in findings.first.items() if name == NOT_SPECIFIED),
        sep="\n  ",
        flush=True,
    )
    return findings


class PromisingNothing(Replay):
    """Only writes down what is broken, and goes on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.found: set[str] = set()

    def broken(self, before: State, after: State) -> str | None:
        """Find nothing wrong."""
        self.found.add(super().broken(before, after) or "")
        return None


def staged(name: str, exploration: Exploration) -> Followed:
    """Return what runs an exploration with the guards of a row of the table."""
    guards, rules = STAGES[name]
    return Followed(exploration, rules, PromisingNothing, guards=guards)


def main() -> int:
    """Follow all; return how many were not followed to the end without a refusal."""
    unguarded = [Followed(each, OCTOBER, PromisingNothing) for each in WITHOUT_GUARDS]
    stages = [staged(name, Exploration()) for name in STAGES]
    failed = 0
    for followed in (*map(Followed, SCENARIOS), *unguarded, *stages):
        findings = explored(followed)
        failed += not findings.exhausted or NOT_SPECIFIED in findings.violations
        failed += followed.rules is GUARDED and bool(findings.violations)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
