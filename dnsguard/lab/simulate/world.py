"""A simulated world: what planners, operators, strangers and daemons of one zone in a storm share, and what was seen.
Nobody acts or judges here: planners do in `planning`, the weather in `weather`, and the invariants are asked in
`verdicts`.
"""

from dataclasses import dataclass, field

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.layout import node_of, resolved
from dnsguard.core.plan import Change, Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.history import MemoryHistory, make_history
from dnsguard.lab.ends.primary import Contents, MemoryPrimary, MemoryPublisher
from dnsguard.lab.ends.state_store import MemoryStateStore
from dnsguard.lab.scheduler.simulation import Simulation
from dnsguard.lab.simulate.draws import Draws
from dnsguard.lab.simulate.slips import PLAN_RRSETS_MAX, TTL_S_MAX, covered_by_slips
from dnsguard.lab.simulate.storm import Storm, StormyPublisher, StormyStore
from dnsguard.lab.simulate.swarm import Swarm

ZONE = "example.test."
OPERATOR = "operator"
"""The actor of what an operator decides, in the history."""
TRIES_MAX = 60
"""How often a daemon runs, or a planner tries again, once the storm is over."""

ADDRESSES = tuple(parse_records("A", 60, [f"192.0.2.{last}"]) for last in range(1, 200))


DELEGATION = Key(f"cut.{ZONE}", "NS")
SIGNED = Key(DELEGATION.name, "DS")
"""A delegation that somebody else makes, and the DS that a plan puts beside it."""


def mail_of(key: Key) -> Key:
    """Return the MX RRset that points at an address; its name comes before that of the address."""
    return Key(f"mail.{key.name}", "MX")


def mail_to(key: Key) -> Records:
    """Return the MX record that points at an address."""
    return parse_records("MX", 60, [f"10 {key.name}"])


def nodes_in(contents: Contents) -> set[str]:
    """Return the names of the nodes that hold something."""
    return {key.name for key in contents if node_of(key.name) is not None}


NEW_ZONE: Contents = {
    Key(ZONE, "SOA"): parse_records("SOA", 60, [f"ns.{ZONE} hostmaster.{ZONE} 2026 60 60 60 60"]),
    Key(ZONE, "NS"): parse_records("NS", 60, ["ns.elsewhere.test."]),
}
"""What the primary has before dnsguard comes."""


@dataclass(slots=True)
class World:
    """One world: what it is made of, and what has been seen of it."""

    simulation: Simulation
    swarm: Swarm
    guards: Guards
    draw: Draws
    history: MemoryHistory = field(default_factory=lambda: make_history(ZONE, "0123456789abcdef"))
    primary: MemoryPrimary = field(default_factory=lambda: MemoryPrimary(ZONE, dict(NEW_ZONE)))
    notes: list[Note] | None = None
    storm: Storm = field(init=False)
    keys: tuple[Key, ...] = field(init=False)
    judged: tuple[Key, ...] = field(init=False)
    """The RRsets that somebody looks at after every effect."""
    policy: Policy = field(init=False)
    clock_jump_s: float = 0.0
    acknowledged: list[int] = field(default_factory=list)
    unchanged: list[tuple[int, Plan]] = field(default_factory=list)
    """Plans that were answered with "unchanged" and not looked at yet, each with a generation at which it was so."""
    unchanged_at: set[int] = field(default_factory=set)
    """The generations with which plans were answered that changed nothing."""
    hopeless: dict[int, str] = field(default_factory=dict)
    """Plans that were answered with yes, and of which it could be known then that nothing can come of them: why."""
    planners_done: int = 0
    plans_made: int = 0
    seen_contents: object = None
    fence: Fence | None = None
    shown: dict[Key, Records] = field(default_factory=dict)
    came_from: dict[Key, int] = field(default_factory=dict)
    kept_from: int = 0
    changes_before: tuple[Change, ...] = ()
    adopting: set[Key] = field(default_factory=set)
    """The RRsets that some plan may take over, whoever has put something there."""
    theirs: dict[Key, Records] = field(default_factory=dict)
    """What strangers put into the zone, and dnsguard must keep."""
    strange: frozenset[Records] = frozenset()
    """Contents that only strangers ever write."""
    junk: Records | None = None
    """What a stranger put in the fence's place; until an operator settles it, nothing may be published."""
    contested: set[Key] = field(default_factory=set)
    """RRsets at whose name somebody else stands, or stood, although they are on record as published."""
    owed: set[Key] = field(default_factory=set)
    """RRsets that were published once, and then refused by the primary: their plan is marked at fault until they stand.
    """
    by_hand: dict[Key, int] = field(default_factory=dict)
    """RRsets that somebody changed past dnsguard, and the newest generation then: what is newer must be as it says."""
    visited: set[str] = field(default_factory=set)
    """The names at which strangers ever did something."""
    verifiers_done: int = 0
    withdrawers_done: bool = False
    false_alarm: str | None = None
    """What a verifier has found that nobody can have done."""
    settled_at: int | None = 0
    """The generation from which history and zone agree; None until an operator has settled it."""
    ever_shown: set[Key] = field(default_factory=set)
    lost_history: bool = False
    """Whether the database was ever put back."""
    operator_done: bool = False
    restored: int = 0
    """How often the primary was put back to a backup."""
    cleaning_since: dict[str, int] = field(default_factory=dict)
    """By daemon: how often that had happened when it began to clean up."""
    accepted_upto: int = 0
    built: set[str] = field(default_factory=set)
    """The nodes that stood in the zone when it was last looked at."""

    def __post_init__(self) -> None:
        self.storm = Storm(self.simulation, self.swarm, self.draw, notes=self.notes)
        self.keys = tuple(Key(f"n{number}.{ZONE}", "A") for number in range(self.swarm.names))
        self.judged = (
            *self.keys,
            *map(mail_of, self.keys if self.swarm.mail else ()),
            *covered_by_slips(ZONE, self.keys),
            SIGNED,
        )
        self.primary.checks_targets = self.swarm.mail
        self.policy = Policy(
            ttl_s_max=TTL_S_MAX,
            plan_rrsets_max=PLAN_RRSETS_MAX,
            retire=self.swarm.retiring,
            layout=self.swarm.layout,
            history_generations_min=self.swarm.keep,
            message_rrsets_max=self.swarm.message_rrsets_max,
            verify=self.swarm.verify,
        )

    def now(self) -> float:
        """Return the time that the daemons' clocks show."""
        return 1_000_000.0 + self.simulation.now + self.clock_jump_s

    async def sleep(self, seconds: float) -> None:
        """Wait, as an actor."""
        await self.simulation.pause(seconds)

    def hex_digits(self, count: int) -> str:
        """Return digits."""
        return f"{self.draw.getrandbits(4 * count):0{count}x}"

    def is_settled(self) -> bool:
        """Tell whether faults, planners and operators have come to their end: from now on the world must converge."""
        done = self.operator_done and self.withdrawers_done and self.planners_done == self.swarm.planners
        return done and not self.storm.late

    def ends(self, who: str) -> tuple[StormyStore, StormyPublisher]:
        """Return an actor's own ends."""
        store = MemoryStateStore({ZONE: self.history}, self.simulation.gate)
        return (
            StormyStore(store, self.storm, who),
            StormyPublisher(MemoryPublisher(self.primary, self.simulation.gate), self.storm, who),
        )

    def is_under_way(self, key: Key) -> bool:
        """Tell whether an RRset was ever published, or a publication may be writing it.

        A retirement that is published, and perhaps not yet on record, makes a name ours as records do.
        """
        fence = self.fence
        if fence is None:
            return key in self.ever_shown
        covered = any(generation <= fence.generation for generation in self.history.changes.get(key, ()))
        return fence.progress is not None or covered or key in self.ever_shown

    def put_back(self, contents: Contents) -> None:
        """Have the primary restored from a backup: what was seen of it does not count any more."""
        self.primary.contents = contents
        if SIGNED in self.history.changes:
            self.contested.add(SIGNED)  # the delegation that it needs is somebody else's, and may be lost
        self.restored += 1
        self.forget()
        self.theirs, self.junk = {}, None

    def forget(self) -> None:
        """Begin to look anew: somebody else has put the zone back."""
        self.seen_contents, self.fence, self.shown, self.came_from = None, None, {}, {}

    def settle_views(self) -> None:
        """Take what stands now as it is: somebody else has put it there."""
        contents = self.primary.contents
        self.seen_contents = contents
        self.fence = seen_in(ZONE, contents).fence
        self.built = nodes_in(contents)
        self.shown = {key: found for key in self.judged if (found := resolved(contents, key)) is not None}

    def restore_history(self, backup: MemoryHistory) -> None:
        """Put the database back as it was."""
        for name in ("zone", "entries", "chains", "changes", "heads", "answered", "turned_down", "adopt", "as_found"):
            setattr(self.history, name, getattr(backup, name))
        self.lost_history = True
        newest = backup.zone.newest
        if self.fence is not None and self.fence.generation > newest:
            self.settled_at = None
        self.acknowledged = [generation for generation in self.acknowledged if generation <= newest]
        self.unchanged = [(generation, plan) for generation, plan in self.unchanged if generation <= newest]
        self.unchanged_at = {generation for generation in self.unchanged_at if generation <= newest}
        self.hopeless = {generation: why for generation, why in self.hopeless.items() if generation <= newest}
        self.kept_from, self.changes_before, self.accepted_upto = backup.zone.kept_from, (), newest

    def settled_by_operator(self, generation: int) -> None:
        """Go on from an operator's decision: from this generation on everything must hold again."""
        self.settled_at, self.junk, self.theirs = generation, None, {}

    def changes(self) -> tuple[Change, ...]:
        """Return every change that the history has."""
        return tuple(
            Change(key, wanted, generation)
            for key, changes in self.history.changes.items()
            for generation, wanted in changes.items()
        )

    def rejected(self) -> tuple[Change, ...]:
        """Return what rejected plans wanted."""
        return tuple(
            Change(key, wanted, generation)
            for generation, rrsets in self.history.turned_down.items()
            for key, wanted in rrsets.items()
        )
