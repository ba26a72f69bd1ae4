"""What happened on a side, as values: events, messages with the server's word, and what was answered when.
Written by everybody who plays, read by the screen, the report and the verdict; nothing is decided here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from dnsguard.core.message import Message

PLAN = "plan "
PLANNER, CLEANUP, ZONE_LANE, CLIENT, OPERATOR = "planner", "clean-up", "zone", "client", "operator"


@dataclass(frozen=True, slots=True)
class Sent:
    """An UPDATE and what became of it. Times are story seconds."""

    at: float
    answered_at: float
    lane: str
    site: str
    act: str
    """What it was for: build, flip, delete, lock, repair."""
    about: str
    """The node or endpoint, short."""
    generation: int | None
    plan: int | None
    """The planner's plan whose contents it carries, or to whose contents it sets an alias: told by the contents."""
    label: str
    """That in words; a generation that puts an older plan's contents back says so."""
    message: Message
    outcome: str
    """"applied", or the server's word."""
    failed: str = ""
    """The prerequisite that did not hold, in words."""
    found: str = ""
    """What was seen instead."""

    @property
    def words(self) -> str:
        """What it was for, in words."""
        to = f" to g{self.generation}" if self.act == "flip" else ""
        return f"{self.act} {self.about}{to}" + (f" ({self.label})" if self.label else "")

    @property
    def applied(self) -> bool:
        """Whether the server took it."""
        return self.outcome == "applied"


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell."""

    at: float
    side: str
    lane: str
    kind: str
    text: str
    sent: Sent | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One run of a worker: when, for which generation, and what it came to."""

    lane: str
    site: str
    start: float
    end: float
    event: str
    generation: int | None


@dataclass(slots=True)
class Span:
    """What was answered from ``start`` on, until ``end``."""

    start: float
    end: float
    answer: str
    """"plan 10" for the plan whose addresses these are, "other" for nobody's, "empty", "absent", or "silent"."""
    said: str = ""
    """The answer in words."""

    @property
    def plan(self) -> int:
        """The planner's plan whose addresses were answered, 0 for none."""
        return int(self.answer.removeprefix(PLAN)) if self.answer.startswith(PLAN) else 0

    @property
    def length(self) -> float:
        """How long."""
        return self.end - self.start


@dataclass(slots=True)
class Journal:
    """One side's book."""

    side: str
    story: Callable[[], float]
    events: list[Event] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    accepted: list[tuple[float, int, int]] = field(default_factory=list)
    """The planner's plans: when, which number, which generation."""
    contents: dict[int, int] = field(default_factory=dict)
    """The plan whose contents a generation has."""
    spans: dict[str, list[Span]] = field(default_factory=dict)
    doing: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    failed: int = 0

    def tell(self, lane: str, kind: str, text: str, sent: Sent | None = None) -> None:
        """Note an event, now."""
        self.events.append(Event(self.story(), self.side, lane, kind, text, sent))

    def worked(self, lane: str, site: str, start: float, event: str, generation: int | None) -> None:
        """Note a run that has ended now."""
        self.works.append(Work(lane, site, start, self.story(), event, generation))

    def newest(self, at: float) -> int:
        """Return the number of the newest plan that had been accepted at a time."""
        return max((number for time, number, _ in self.accepted if time <= at), default=0)

    def learn(self, generation: int, plan: int) -> None:
        """Note whose contents a generation has."""
        self.contents[generation] = plan

    def label(self, generation: int | None) -> str:
        """Return a generation's name in the story: the planner's plan, and whether its contents were put back."""
        if generation is None:
            return ""
        if (plan := self.contents.get(generation)) is None:
            return f"generation {generation}"
        own = any(given == generation for _, _, given in self.accepted)
        return f"{PLAN}{plan}" + ("" if own else ", put back")

    def inherit(self, other: "Journal") -> None:
        """Take over what is known of a zone and a history that were copied."""
        self.accepted, self.contents = list(other.accepted), dict(other.contents)

    def answered(self, lane: str, answer: str, said: str) -> bool:
        """Note what was answered now; returns whether it is another answer than before."""
        now = self.story()
        spans = self.spans.setdefault(lane, [])
        if spans:
            spans[-1].end = now
        if spans and (spans[-1].answer, spans[-1].said) == (answer, said):
            return False
        changed = not spans or spans[-1].answer != answer
        spans.append(Span(now, now, answer, said))
        return changed

    def of(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if event.kind == kind]

    def last(self, lane: str) -> Span | None:
        """Return the newest answer."""
        spans = self.spans.get(lane)
        return spans[-1] if spans else None

    def first(self, lane: str, answer: str) -> Span | None:
        """Return the first span with an answer."""
        return next((span for span in self.spans.get(lane, ()) if span.answer == answer), None)

    def seconds(self, lane: str, answer: str) -> float:
        """Return how long something was answered."""
        return sum(span.length for span in self.spans.get(lane, ()) if span.answer == answer)
