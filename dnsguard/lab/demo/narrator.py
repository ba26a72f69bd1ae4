"""The story in plain words, told as it happens: each sentence once, when the event comes that it is about.
It reads the journals and decides nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from dnsguard.lab.demo.journal import CLEANUP, CLIENT, OPERATOR, PLAN, PLANNER, ZONE_LANE, Event
from dnsguard.lab.demo.play import GUARDED_SIDE, RESCUED_SIDE, UNGUARDED_SIDE, Run
from dnsguard.lab.demo.script import LAST_PLAN, MAIN
from dnsguard.lab.demo.wording import short


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence of the story."""

    at: float
    side: str
    """Whom it is about; empty for both."""
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """When a sentence is due, and how it reads."""

    side: str
    lane: str
    kind: str
    words: Callable[[Run, Event], str]
    about: str = ""
    """"" for both sides."""
    when: Callable[[Run, Event], bool] = lambda _run, _event: True
    """``kind`` is how the event's kind begins."""


def _sent_plan(event: Event) -> int:
    return 0 if event.sent is None or event.sent.plan is None else event.sent.plan


def _answered_plan(event: Event) -> int:
    word = event.kind.removeprefix(f"answer.{PLAN}")
    return int(word) if word.isdigit() else 0


def _newest(run: Run, event: Event) -> int:
    return run.journal(event.side).newest(event.at)


def _is_old(run: Run, event: Event) -> bool:
    return _sent_plan(event) + 5 < _newest(run, event)


def _is_newest_at_last(run: Run, event: Event) -> bool:
    return _was_empty(run, event) and _answered_plan(event) == _newest(run, event)


def _label(event: Event) -> str:
    return event.text.partition(" ")[2]


def _goes_back(run: Run, event: Event) -> bool:
    by_hand = [sent.plan or 0 for sent in run.journal(event.side).sent if sent.act == "repair"]
    switched_on = event.at > run.chapters.get("switched on", event.at)
    return switched_on and 0 < _answered_plan(event) < max(by_hand, default=0)


def _begun(run: Run, event: Event) -> str:
    flips = [s for s in run.journal(event.side).sent if s.act == "flip" and s.applied and s.answered_at <= event.at]
    label = flips[-1].label if flips else f"{PLAN}{_answered_plan(event)}"
    return label.replace(", put back", " (put back when newer ones were thrown away)")


def _is_installed(number: int) -> Callable[[Run, Event], bool]:
    return lambda _run, event: (
        _sent_plan(event) == number and event.sent is not None and event.sent.about == short(MAIN.name)
    )


def _installed(run: Run, event: Event) -> str:
    after = event.at - run.chapters.get("switched on", event.at)
    return f"{event.lane} installs {PLAN}{_sent_plan(event)}, {after:.0f} s later: plans can be installed again."


def _fence_refused(_run: Run, event: Event) -> bool:
    return event.sent is not None and event.sent.failed.startswith("the fence")


def _node_gone(_run: Run, event: Event) -> bool:
    return event.sent is not None and event.sent.failed.startswith("node ")


def _plan(number: int) -> Callable[[Run, Event], bool]:
    return lambda _run, event: event.text.startswith(f"plan {number} ")


def _was_empty(run: Run, event: Event) -> bool:
    empty = run.journal(event.side).first(event.lane, "empty")
    return empty is not None and empty.start < event.at


def _late(run: Run, event: Event) -> str:
    spans = run.journal(event.side).spans.get(ZONE_LANE, ())
    empty = next((span.start for span in spans if span.answer == "empty"), event.at)
    served = next((span.start for span in spans if span.start > empty and span.plan), event.at)
    return f" The server had addresses again {event.at - served:.0f} s ago."


STORY = (
    Sentence(
        GUARDED_SIDE,
        ZONE_LANE,
        f"answer.{PLAN}1",
        lambda _r, _e: "Plan 1 is published on both sides. The client asks for the regional endpoint, all the time.",
    ),
    Sentence(
        GUARDED_SIDE,
        "C",
        "build.applied",
        lambda _r, _e: (
            "Plan 2. Enactor C sees it first, checks once that it is newer than what is published (it is), "
            "and builds its records."
        ),
        when=lambda _r, e: _sent_plan(e) == 2,
    ),
    Sentence(
        GUARDED_SIDE,
        "C",
        "lock.lost",
        lambda _r, _e: (
            "C finds the endpoint's lock held by A. It backs off; it will try again, with plan 2 in its hand."
        ),
    ),
    Sentence(
        GUARDED_SIDE,
        PLANNER,
        "plan.accepted",
        lambda _r, _e: (
            "The planner goes on, A publishes every plan, and renews the lock each time. C loses it again and again."
        ),
        when=_plan(6),
    ),
    Sentence(
        GUARDED_SIDE,
        "A",
        "publication.completed",
        lambda _r, _e: "A has published plan 10 everywhere and starts the clean-up of what is old. It lists the zone.",
        when=lambda _r, e: _label(e) == f"{PLAN}10",
    ),
    Sentence(
        UNGUARDED_SIDE,
        "C",
        "flip.applied",
        lambda r, e: (
            f"The lock is free, and C gets it. Nobody asks how old C's check is: plan 2 goes over plan "
            f"{_newest(r, e)}. The lock did its job; it compares holders, not generations."
        ),
        UNGUARDED_SIDE,
        _is_old,
    ),
    Sentence(
        GUARDED_SIDE,
        "C",
        "flip.refused",
        lambda _r, e: (
            f"C gets the lock and sends the same message, with what it believes: {e.sent and e.sent.failed}. "
            f"The server finds {e.sent and e.sent.found} and refuses ({e.sent and e.sent.outcome}). "
            "C looks again: nothing to do."
        ),
        GUARDED_SIDE,
        _fence_refused,
    ),
    Sentence(
        UNGUARDED_SIDE,
        ZONE_LANE,
        "answer.empty",
        lambda _r, e: (
            f"A's clean-up deletes what is old by its age. Plan 2 is old, and it is what the endpoint names: "
            f"{e.text}. Not NXDOMAIN: the name is there, and empty."
        ),
        UNGUARDED_SIDE,
    ),
    Sentence(
        GUARDED_SIDE,
        CLEANUP,
        "clean-up.ended",
        lambda _r, _e: (
            "The same clean-up deletes the same old plans here, since no alias names them, and the server was "
            "asked that inside each deleting message."
        ),
        GUARDED_SIDE,
    ),
    Sentence(
        UNGUARDED_SIDE,
        CLIENT,
        "answer.empty",
        lambda _r, _e: "The client's last good answer has expired. It has no address, and remembers that (RFC 2308).",
        UNGUARDED_SIDE,
    ),
    Sentence(
        UNGUARDED_SIDE,
        "A",
        "flip.refused",
        lambda _r, e: (
            f"Plan 11 would mend it, and cannot be installed: the rollback alias must name what was live before, "
            f"and that is gone ({e.sent and e.sent.outcome}). The zone is wedged."
        ),
        UNGUARDED_SIDE,
        _node_gone,
    ),
    Sentence(
        UNGUARDED_SIDE,
        "B",
        "flip.refused",
        lambda _r, _e: "Every enactor fails in the same way, with every plan. The planner goes on.",
        UNGUARDED_SIDE,
        _node_gone,
    ),
    *(
        Sentence(
            UNGUARDED_SIDE,
            name,
            "plan.rejected",
            lambda _r, e: f"{e.lane} takes {_label(e)} for what is wrong, and throws it away. It does not help.",
            UNGUARDED_SIDE,
        )
        for name in "ABC"
    ),
    Sentence(
        RESCUED_SIDE,
        OPERATOR,
        "zone.copied",
        lambda r, e: (
            "The wedged zone and its history are copied, as they are, and guarded enactors are started on the copy. "
            f"The newest plan in it is {_newest(r, e)}."
        ),
        RESCUED_SIDE,
    ),
    Sentence(
        RESCUED_SIDE,
        ZONE_LANE,
        f"answer.{PLAN}",
        lambda r, e: (
            f"The copy answers again, {e.at - r.chapters['copied']:.1f} s later, without a person: the publication "
            f"that it was found in, of {_begun(r, e)}, is finished first."
        ),
        RESCUED_SIDE,
        lambda r, e: _was_empty(r, e) and not _is_newest_at_last(r, e),
    ),
    Sentence(
        RESCUED_SIDE,
        ZONE_LANE,
        f"answer.{PLAN}",
        lambda r, e: (
            f"The copy serves {PLAN}{_answered_plan(e)}, the newest, "
            f"{e.at - r.chapters['copied']:.1f} s after it was made, without a person."
        ),
        RESCUED_SIDE,
        _is_newest_at_last,
    ),
    Sentence(
        UNGUARDED_SIDE,
        OPERATOR,
        "automation.stopped",
        lambda _r, _e: "People have found out. They switch the automation off.",
        UNGUARDED_SIDE,
    ),
    Sentence(
        UNGUARDED_SIDE,
        OPERATOR,
        "repair.applied",
        lambda _r, e: (
            "By hand, with the TSIG key and one plain UPDATE, they put records where the aliases point: "
            f"those of plan {_sent_plan(e)}, the newest."
        ),
        UNGUARDED_SIDE,
    ),
    Sentence(
        UNGUARDED_SIDE,
        CLIENT,
        f"answer.{PLAN}",
        lambda r, e: f"The client's empty answer has expired, and it has addresses again.{_late(r, e)}",
        UNGUARDED_SIDE,
        _was_empty,
    ),
    Sentence(
        UNGUARDED_SIDE,
        OPERATOR,
        "automation.started",
        lambda _r, _e: f"The automation is switched on again, and the planner makes plan {LAST_PLAN}.",
        UNGUARDED_SIDE,
    ),
    Sentence(
        UNGUARDED_SIDE,
        ZONE_LANE,
        f"answer.{PLAN}",
        lambda r, e: (
            f"The enactors first finish what they had begun: {_begun(r, e)} goes over the newer one that people had "
            "put there. Nobody asks."
        ),
        UNGUARDED_SIDE,
        _goes_back,
    ),
    *(
        Sentence(UNGUARDED_SIDE, name, "flip.applied", _installed, UNGUARDED_SIDE, _is_installed(LAST_PLAN))
        for name in "ABC"
    ),
)


@dataclass(slots=True)
class Narrator:
    """Tells a run; ask it again and again."""

    run: Run
    told: list[Told] = field(default_factory=list)
    _due: list[Sentence] = field(default_factory=lambda: list(STORY))
    _read: dict[str, int] = field(default_factory=dict)

    def catch_up(self) -> list[Told]:
        """Read what is new in the journals and return what is new in the story."""
        fresh: list[Event] = []
        for name, side in self.run.sides.items():
            events = side.journal.events
            fresh += events[self._read.get(name, 0) :]
            self._read[name] = len(events)
        before = len(self.told)
        for event in sorted(fresh, key=lambda one: one.at):
            if event.at <= self.run.story:
                self._tell(event)
        return self.told[before:]

    def _tell(self, event: Event) -> None:
        for sentence in self._due:
            here = (sentence.side, sentence.lane) == (event.side, event.lane)
            if here and event.kind.startswith(sentence.kind) and sentence.when(self.run, event):
                self.told.append(Told(event.at, sentence.about, sentence.words(self.run, event)))
                self._due.remove(sentence)
                return
