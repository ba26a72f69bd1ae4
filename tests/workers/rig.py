"""A zone with its history and primary in memory, and the real workers on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, Entry, Submission
from dnsguard.core.message import Message, Outcome, Refused, Unknown
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.primary import MemoryPrimary, MemoryPublisher
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Step, Then

ZONE = "example.test."
HISTORY = "0123456789abcdef"


class RunningClock:
    """A clock that is ten minutes later each time somebody looks."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> float:
        self._now += 600.0
        return self._now

    def hex_digits(self, count: int) -> str:
        return "0" * count


def key(name: str, rdtype: str = "A") -> Key:
    return Key(f"{name}.{ZONE}" if name != "@" else ZONE, rdtype)


def a(*addresses: str, ttl: int = 300) -> Records:
    return parse_records("A", ttl, addresses)


def retired() -> Wanted:
    return Absence.RETIRED


@dataclass(slots=True)
class PickyPublisher(MemoryPublisher):
    """A primary that refuses some contents, and whose answers can be lost."""

    poison: set[bytes] = field(default_factory=set)
    refuse_all: str | None = None
    lose_answers: int = 0
    drops: set[Key] = field(default_factory=set)
    sent: list[Message] = field(default_factory=list)

    async def publish(self, message: Message) -> Outcome:
        self.sent.append(message)
        if self.refuse_all is not None:
            return Refused(self.refuse_all)
        rdatas = {
            rdata for update in message.updates for rdata in getattr(getattr(update, "records", None), "rdatas", ())
        }
        if rdatas & self.poison:
            return Refused("SERVFAIL", "cannot hold these contents")
        if any(getattr(update, "key", None) in self.drops for update in message.updates):
            updates = tuple(update for update in message.updates if update.key not in self.drops)
            message = Message(message.zone, message.prerequisites, updates)
        outcome = self.take(message)
        if self.lose_answers and message.updates:
            self.lose_answers -= 1
            return Unknown("no answer within 5 s")
        return outcome


@dataclass(slots=True)
class Rig:
    """One zone in memory."""

    policy: Policy = field(default_factory=Policy)
    guards: Guards = GUARDED
    store: MemoryStore = field(default_factory=lambda: MemoryStore({ZONE: make_history(ZONE, HISTORY)}))
    primary: MemoryPrimary = field(default_factory=lambda: MemoryPrimary(ZONE))
    publisher: PickyPublisher = field(init=False)

    def __post_init__(self) -> None:
        self.publisher = PickyPublisher(self.primary)

    def enactor(self, publisher: MemoryPublisher | None = None) -> Enactor:
        return Enactor(ZONE, self.store, publisher or self.publisher, RunningClock(), self.guards, self.policy)

    async def submit(self, rrsets: Mapping[Key, Wanted], *, adopt: bool = False, based_on: int | None = None) -> int:
        planner = Planner(self.store, MemoryPublisher(self.primary), self.guards, self.policy)
        plan = make_plan(ZONE, rrsets, adopt=adopt, based_on=based_on)
        answer = await planner.submit(
            Submission(plan, "tests", 999.0, republish=True)
        )  # what is asked for is a generation
        assert isinstance(answer, Accepted), answer
        return answer.generation

    async def settle(self, enactor: Enactor | None = None, runs_max: int = 200) -> list[Step]:
        """Run an enactor until it has nothing more to do."""
        enactor = enactor or self.enactor()
        steps = []
        for _ in range(runs_max):
            steps.append(await enactor.run_once())
            if steps[-1].then is Then.WOKEN:
                return steps
        raise AssertionError(f"no end after {runs_max} runs: {steps[-5:]}")

    def on_wire(self, of: Key) -> Records | None:
        return self.primary.contents.get(of)

    def entry(self, generation: int) -> Entry:
        return self.store.histories[ZONE].entries[generation]
