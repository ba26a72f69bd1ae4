"""Tells a schedule in plain words: who looks, who writes, what is refused, and what clients find after it.
It hears what happened from the ends' notes, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dnsguard.core.fence import Fence
from dnsguard.core.history import Accepted, Pending, Submission, Unchanged, Zone
from dnsguard.core.layout import node_of, resolved, target_of
from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Refused
from dnsguard.core.names import FENCE_LABEL
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.written import Seen
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.scheduler.moves import Kind, Move
from dnsguard.lab.scheduler.simulation import Violation


@dataclass(slots=True)
class Teller:
    """Writes one sentence for each move of a run; ``numbers`` has the plan that each endpoint's contents are of."""

    notes: list[Note]
    keys: tuple[Key, ...]
    numbers: Mapping[Records, int]
    contents: Mapping[Key, Records]
    sentences: list[str] = field(default_factory=list)
    _read: int = 0
    _cleaning: set[str] = field(default_factory=set)

    def hear(self, move: Move | None, contents: Mapping[Key, Records]) -> Violation | None:
        """Take in one move and what the zone holds after it; finds nothing wrong with it."""
        if move is not None:
            said = [self._said(note) for note in self.notes[self._read :]]
            match move.kind:
                case Kind.CRASH:
                    said = [f"{move.actor} crashes before its next step ({move.label.removeprefix('store.')})"]
                    self._cleaning.discard(move.actor)
                case Kind.RESTART:
                    said = [f"{move.actor} starts again"]
                case Kind.LOST_ANSWER:
                    said.append("the answer is lost")
            self.sentences.append("; ".join((*said, *self._answers(contents))))
        self._read = len(self.notes)
        self.contents = contents
        return None

    def _answers(self, contents: Mapping[Key, Records]) -> list[str]:
        said = []
        for key in self.keys:
            before, now = resolved(self.contents, key), resolved(contents, key)
            if before != now:
                found = "EMPTY" if now is None else f"plan {self.numbers.get(now, '?')}"
                said.append(f"{short(key.name)} now answers: {found}")
        return said

    def _said(self, note: Note) -> str:
        who = f"clean-up of {note.who}" if note.who in self._cleaning else note.who
        match note:
            case Note(_, "store.unmanaged"):
                return f"{who} makes the next plan, and looks up what it covers"
            case Note(_, "store.accept", Submission(), Accepted(generation)):
                return f"{who} submits a full plan: accepted as generation {generation}"
            case Note(_, "store.accept", Submission(), Unchanged(generation)):
                return f"{who} submits a full plan: unchanged since generation {generation}"
            case Note(_, "store.accept", Submission(), Refusal() as refusal):
                return f"{who} submits a plan: refused, {refusal.detail}"
            case Note(_, "observe", _, Seen() as seen):
                return f"{who} observes the fence: {place(seen.fence)}"
            case Note(_, "store.pending", _, Pending() as pending):
                found = f"takes up generation {pending.target}" if pending.changes else "finds nothing to publish"
                return f"{who} {found}"
            case Note(_, "read", tuple() as names):
                return f"{who} looks at {', '.join(short(name) for name in names)}"
            case Note(_, "publish", Message() as message):
                return f"{who} {self._written(message, note.result)}"
            case Note(_, "store.record", Fence() as fence):
                return f"{who} has it recorded that {place(fence)} is published"
            case Note(_, "store.zone", _, Zone() as zone):
                self._cleaning.add(note.who)
                return f"{who} begins the clean-up: newest is {zone.newest}, on record as published is {zone.published}"
            case Note(_, "transfer"):
                self._cleaning.add(note.who)
                return f"clean-up of {note.who} lists the zone"
            case Note(_, "store.prune", upto):
                return f"{who} forgets the plans that nothing below generation {upto} needs"
            case Note(_, "store.reject", generation, appended):
                return f"{who} rejects generation {generation}; {appended} puts back what stood before"
        return f"{who}: {note.act}"

    def _written(self, message: Message, result: object) -> str:
        if not message.updates:
            found = {Applied: "it is there", Refused: "it is not so any more"}.get(type(result), "the request is lost")
            return f"reads back what was published: {found}"
        said = "; ".join(dict.fromkeys(self._change(message))) or "writes the fence only"
        match result:
            case Applied():
                return said
            case Refused(rcode):
                return f"tries: {said}; the server refuses all of it ({rcode})"
        return f"sends: {said}; the request is lost"

    def _change(self, message: Message) -> list[str]:
        said = []
        aliases = {Key(key.name, "CNAME") for key in self.keys}
        fenced = False
        for update in message.updates:
            key = update.key
            fenced |= key.name.startswith(f"{FENCE_LABEL}.")
            place_of = node_of(key.name)
            if isinstance(update, AddRecords) and place_of is not None and key.type == "A":
                said.append(f"builds node {place_of[0]} of {short(place_of[1])}")
            elif isinstance(update, AddRecords) and key in aliases:
                nodes = f"from {_node(self.contents.get(key))} to {_node(update.records)}"
                said.append(f"flips {short(key.name)} {nodes}")
            elif isinstance(update, AddRecords) and key in self.keys:
                said.append(f"writes plan {self.numbers.get(update.records, '?')} at {short(key.name)}")
        if not fenced:
            gone = [node_of(update.key.name) for update in message.updates if isinstance(update, DeleteRRset)]
            said += [f"deletes node {each[0]} of {short(each[1])}" for each in gone if each is not None]
        return said


def _node(records: Records | None) -> str:
    target = target_of(records)
    place_of = None if target is None else node_of(target)
    return "nothing" if place_of is None else str(place_of[0])


def short(name: str) -> str:
    """Return the first label of a name."""
    return name.partition(".")[0]


def place(fence: Fence | None) -> str:
    """Say where a zone stands."""
    if fence is None:
        return "none"
    part = fence.progress
    if part is None:
        return f"generation {fence.generation}"
    return f"{part.done} of {part.of} on the way from generation {part.base} to {fence.generation}"
