"""A story that the explorer found, played on real sockets: the same workers over a real name server and a database.
Only the order of their effects is forced, by a gate before each: an effect begins when the story says so, and the next
one when its answer has come. What an effect does, and what the server answers, nobody tells anybody.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time as real_time
from typing import Any

from dnsguard.core.message import AddRecords, Message, NamesRead, Outcome, Unknown, Unreachable
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import Seen
from dnsguard.lab.demo.hands import send
from dnsguard.lab.demo.resolver import Answer, Questions
from dnsguard.lab.demo.servers import SOA, serving
from dnsguard.lab.ends.gated import GatedPublisher, Note
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.ends.story import Teller
from dnsguard.lab.explore.exploring import Story
from dnsguard.lab.explore.scenario import LATER, StillClock, World
from dnsguard.lab.explore.setting import HISTORY, PLANNER, ZONE, Setting
from dnsguard.lab.explore.watch import EMPTY, WEDGED
from dnsguard.lab.scheduler.gate import Gate, OpenGate, Turn
from dnsguard.lab.scheduler.moves import Kind, Move, Step
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then

TURN_S_MAX = 30.0
"""How long one effect may take, on a machine however slow."""
_TURNS = {Kind.GO: Turn.GO, Kind.LOST_REQUEST: Turn.LOST_REQUEST, Kind.LOST_ANSWER: Turn.LOST_ANSWER}


class StoryDoesNotFit(Exception):
    """On real sockets the workers do not come to what the story says that they do next."""


@dataclass
class Actor:
    """One worker's life, and its gate: it waits before each effect until it is told to go on."""

    name: str
    start: Callable[["Actor"], Coroutine[Any, Any, None]]
    label: str | None = None
    """The effect before which it waits."""
    _task: asyncio.Task[None] | None = None
    _turn: asyncio.Future[Turn] | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self) -> None:
        """Begin a life, up to its first effect."""
        self._arrived.clear()
        self._task = asyncio.create_task(self.start(self))
        self._task.add_done_callback(lambda _: self._arrived.set())
        await self._wait()

    async def go(self, turn: Turn) -> None:
        """Let the effect happen, and wait until the actor comes to its next one, or to its end."""
        waiting, self._turn, self.label = self._turn, None, None
        self._arrived.clear()
        if waiting is not None:
            waiting.set_result(turn)
        await self._wait()

    async def end(self) -> None:
        """End it where it is, as a crash does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self.label = self._turn = None

    async def pass_through(
        self,
        label: str,
        *,
        reads: Iterable[str] = (),  # noqa: ARG002  the order is settled already
        writes: Iterable[str] = (),  # noqa: ARG002
        losable: bool = False,  # noqa: ARG002
    ) -> Turn:
        """Wait for the story."""
        self.label = label
        self._turn = asyncio.get_running_loop().create_future()
        self._arrived.set()
        return await self._turn

    def touched(self, *, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> None:
        """Need not care."""

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(TURN_S_MAX):
                await self._arrived.wait()
        except TimeoutError:
            raise StoryDoesNotFit(
                f"expected {self.name} to be done with its effect within {TURN_S_MAX:.0f} s, found it waiting"
            ) from None
        if self.label is None and self._task is not None and self._task.done():
            self._task.result()


@dataclass(slots=True)
class Line(GatedPublisher):
    """A publisher behind a gate, to a real name server."""

    line: DnsPublisher = field(kw_only=True)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self.gate.pass_through("observe")
        return self._noted("observe", zone, await self.line.observe(zone))

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE, unless the story loses it."""
        turn = await self.gate.pass_through("publish", losable=True)
        if turn is Turn.LOST_REQUEST:
            return self._noted("publish", message, Unknown("the request was lost"))
        outcome = self._noted("publish", message, await self.line.publish(message))
        return Unknown("the answer was lost") if turn is Turn.LOST_ANSWER else outcome

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        await self.gate.pass_through("read")
        return self._noted("read", tuple(names), await self.line.read(zone, names))

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        await self.gate.pass_through("transfer")
        return self._noted("transfer", zone, await self.line.transfer(zone))


@dataclass(slots=True)
class OnSockets(World):
    """The explorer's world, with a real name server for its primary."""

    line: DnsPublisher = field(kw_only=True)

    def publisher(self, who: str) -> Line:
        """Return the primary as an actor has it."""
        return Line(self.primary, self.gate, self.setting.owners, who, self.notes, line=self.line)

    async def publish(self, who: str) -> None:
        """Publish until there is nothing left to publish, or a plan is found to be at fault, over the line."""
        setting = self.setting
        enactor = Enactor(ZONE, self.store(who), self.publisher(who), StillClock(), setting.guards, setting.policy)
        step = await enactor.run_once()
        while step.then is Then.AT_ONCE and step.event != "plan.rejected":
            step = await enactor.run_once()

    async def live(self, who: str) -> None:
        """Be a daemon: publish, then clean up, all over the line."""
        setting = self.setting
        await self.publish(who)
        if setting.cleanup:
            await Cleanup(ZONE, self.store(who), self.publisher(who), setting.guards, setting.policy).run_once()


@dataclass(frozen=True)
class Played:
    """What came of it."""

    story: Story
    server: str
    address: tuple[str, int]
    sentences: tuple[str, ...]
    """What happened, a sentence for each step."""
    expected: tuple[str, ...]
    """What happened in memory."""
    answers: tuple[tuple[str, Answer], ...]
    """What a client is answered at each endpoint when the story is over."""
    later: tuple[tuple[str, Answer], ...]
    """And once a new plan was made, and an enactor had all the time it wanted."""

    @property
    def empty(self) -> tuple[str, ...]:
        """The endpoints that answer NOERROR, and no address."""
        return tuple(name for name, answer in self.answers if answer.rcode == "NOERROR" and not answer.addresses)

    @property
    def wedged(self) -> tuple[str, ...]:
        """The endpoints at which a new plan cannot be installed any more."""
        newest = ".".join(map(str, self.story.exploration.setting.contents(LATER).rdatas[0]))
        return tuple(name for name, answer in self.later if answer.addresses != (newest,))

    @property
    def as_recorded(self) -> bool:
        """Whether every step came to what it came to in memory, and clients find what the story is about."""
        shown = {EMPTY: self.empty, WEDGED: self.wedged}
        return self.sentences == self.expected and (
            self.story.violation not in shown or bool(shown[self.story.violation])
        )

    def document(self) -> dict[str, object]:
        """Return it as JSON has it."""

        def said(answers: tuple[tuple[str, Answer], ...]) -> dict[str, object]:
            return {name: {"rcode": answer.rcode, "addresses": list(answer.addresses)} for name, answer in answers}

        return {
            "exploration": str(self.story.exploration),
            "violation": self.story.violation,
            "server": self.server,
            "sentences": list(self.sentences),
            "as_recorded": self.as_recorded,
            "answers": said(self.answers),
            "answers_after_a_new_plan": said(self.later),
        }


@dataclass
class Stage:
    """The name server, the history, and who plays."""

    story: Story
    inner: SqlStore
    line: DnsPublisher
    questions: Questions
    told: list[str] = field(default_factory=list)
    actors: dict[str, Actor] = field(default_factory=dict)

    @property
    def setting(self) -> Setting:
        """The story's setting."""
        return self.story.exploration.setting

    def world(self, gate: Gate, notes: list[Note] | None = None) -> OnSockets:
        """Return the world as one actor has it."""
        noted = [] if notes is None else notes
        return OnSockets(self.setting, self.inner, MemoryPrimary(ZONE), gate, noted, line=self.line)

    async def contents(self) -> dict[Key, Records]:
        """Return what the zone holds. Raises StoryDoesNotFit."""
        found = await self.line.transfer(ZONE)
        if isinstance(found, Unreachable):
            raise StoryDoesNotFit(f"expected to list the zone, found: {found.reason}")
        return dict(found)

    async def play(self, heard: Callable[[str], None]) -> None:
        """Play the story, step by step. Raises StoryDoesNotFit."""
        setting, opened = self.setting, self.world(OpenGate())
        await opened.submit(PLANNER, 1)
        await opened.publish(setting.enactor_names[0])
        notes: list[Note] = []
        self.actors = {PLANNER: Actor(PLANNER, lambda actor: self.world(actor, notes).plan(actor.name))}
        for name in setting.enactor_names:
            self.actors[name] = Actor(name, lambda actor: self.world(actor, notes).live(actor.name))
        numbered = {setting.contents(number): number for number in range(1, 1 + setting.plans)}
        teller = Teller(notes, setting.keys, numbered, await self.contents(), self.told)
        for actor in self.actors.values():
            await actor.begin()
        for number, step in enumerate(self.story.schedule.steps, 1):
            await self._take(number, step)
            teller.hear(Move(step.actor, Kind(step.turn), step.label), await self.contents())
            heard(self.told[-1])

    async def _take(self, number: int, step: Step) -> None:
        actor, kind = self.actors.get(step.actor), Kind(step.turn)
        if actor is None:
            raise StoryDoesNotFit(f"expected an actor of the setting at step {number}, found {step.actor!r}")
        if kind is Kind.RESTART:
            await actor.begin()
            return
        if actor.label != step.label:
            raise StoryDoesNotFit(
                f"expected {step.actor} to come to {step.label!r} at step {number}, found "
                f"{actor.label or 'nothing more to do'!r}"
            )
        if kind is Kind.CRASH:
            await actor.end()
        elif kind in _TURNS:
            await actor.go(_TURNS[kind])
        else:
            raise StoryDoesNotFit(f"expected a step that sockets know, found {step.turn!r} at step {number}")

    async def end(self) -> None:
        """End everybody."""
        for actor in self.actors.values():
            await actor.end()

    async def later(self) -> None:
        """Make a new plan, and let an enactor do what it can."""
        world = self.world(OpenGate())
        await world.publish("(later)")
        await world.submit("(later)", LATER)
        await world.publish("(later)")

    async def ask(self) -> tuple[tuple[str, Answer], ...]:
        """Ask for every endpoint, as a client does."""
        return tuple([(key.name, await self.questions.ask(key.name, key.type)) for key in self.setting.keys])


@asynccontextmanager
async def staged(story: Story, server: str) -> AsyncIterator[tuple[Stage, tuple[str, int]]]:
    """Start a name server and a database, and end them. Raises ServerUnavailable."""
    with TemporaryDirectory(prefix="dnsguard-demo-") as name:
        folder = Path(name)
        async with serving(server, folder) as primary:
            engine = make_engine(f"sqlite:///{folder / 'history.sqlite'}")
            await migrate(engine)
            store = SqlStore(engine)
            await store.ensure_zone(ZONE, HISTORY)
            line = DnsPublisher(primary, real_time)
            address = (primary.host, primary.port)
            questions = await Questions.open(address)
            try:
                await send(line, Message(ZONE, (), (AddRecords(Key(ZONE, "SOA"), parse_records("SOA", 300, [SOA])),)))
                yield Stage(story, store, line, questions), address
            finally:
                questions.close()
                await line.close()
                await store.close()


async def play(story: Story, server: str = "embedded", heard: Callable[[str], None] = lambda _: None) -> Played:
    """Play a story on a server of its own; ``heard`` is told each step as it happens.

    Raises ServerUnavailable, StoryDoesNotFit, and ScheduleDoesNotFit for a story that does not even fit in memory.
    """
    expected, _ = await asyncio.to_thread(story.played)
    async with staged(story, server) as (stage, address):
        try:
            await stage.play(heard)
        finally:
            await stage.end()
        answers = await stage.ask()
        await stage.later()
        return Played(story, server, address, tuple(stage.told), expected, answers, await stage.ask())
