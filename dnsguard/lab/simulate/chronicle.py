"""The story of a simulated world in plain words, as `story` tells a schedule's: with the weather, the network and
strangers in it. It hears what happened from notes, and decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.core.history import Accepted, Submission, Unchanged
from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Refused, Unknown, Unreachable
from dnsguard.core.plan import Absence
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.ends.story import Teller, short
from dnsguard.lab.scheduler.moves import Kind, Move
from dnsguard.lab.scheduler.simulation import Violation
from dnsguard.lab.simulate.storm import TOLD, TURN

LOST, UNHEARD = "the answer is lost", "it does not hear what comes of that"
"""One is enough."""
AGAIN = "(again)"
"""Told of a step in which nothing happens that was not told already."""
DEEDS = frozenset(
    {
        "store.accept",
        "store.reject",
        "store.withdraw",
        "store.resume",
        "store.prune",
        "store.halt",
        "store.resync",
        TOLD,
    }
)
"""The acts after which the same question may have another answer."""
NAMES_MAX = 6
"""So many are told one by one."""


def is_verifier(who: str) -> bool:
    """Tell whether an actor of a world is a verifier, by its name."""
    return who.startswith("V")


@dataclass
class Chronicle(Teller):
    """Writes one sentence for each move of a world; it learns itself which plan contents are of."""

    plans: dict[Records, int] = field(default_factory=dict)
    _since: set[str] = field(default_factory=set)
    """What was told since something changed."""

    def hear(self, move: Move | None, contents: Mapping[Key, Records]) -> Violation | None:
        """Take in one move and what the zone holds after it; finds nothing wrong with it.

        Where nothing has changed, what was told already is not told once more: its sentence is `AGAIN`.
        """
        self.numbers = self.plans
        acts = {note.act for note in self.notes[self._read :]}
        fault = move is not None and move.kind not in {Kind.GO, Kind.TIMER}
        if contents is not self.contents or acts & DEEDS or fault:
            self._since.clear()
        super().hear(move, contents)
        if move is not None:
            parts = [said for said in self.sentences[-1].split("; ") if said]
            said = "; ".join(part for part in parts if part != LOST or UNHEARD not in parts)
            self.sentences[-1] = AGAIN if said in self._since else said
            self._since |= {said} if said else set()
        return None

    def _change(self, message: Message) -> list[str]:
        added = {update.key.name for update in message.updates if isinstance(update, AddRecords)}
        gone = [u.key for u in message.updates if isinstance(u, DeleteRRset) and u.key.name not in added]
        return super()._change(message) + [f"retires {short(key.name)}" for key in gone if key in self.keys]

    def _said(self, note: Note) -> str:
        match note:
            case Note(who, act, str() as text) if act == TOLD:
                return f"{who} {text}"
            case Note(who, "read", tuple() as names) if len(names) > NAMES_MAX:
                return f"{who} looks at {_some([short(name) for name in names])}"
            case Note(who, act, what) if act == TURN:
                self._cleaning.discard(who)
                self._cleaning |= {who} if what == "clean-up" else set()
                return ""
            case Note(who, "transfer", _, Mapping()) if is_verifier(who):
                return f"{who} lists the zone, to compare it with the history"
            case Note(who, "store.rrsets" | "store.contents_between" | "store.repairs_since"):
                return f"{who} asks the history what should stand"
            case Note(who, "store.pending" | "store.zone") if is_verifier(who):
                return f"{who} asks whose the zone is"
            case Note(who, "store.accept", Submission() as submission, Accepted(generation)):
                covered = _some([short(key.name) for key in submission.plan.keys]) or "nothing"
                for _, wanted in submission.plan.rrsets:
                    if isinstance(wanted, Records):
                        self.plans[wanted] = generation
                retired = [short(key.name) for key, wanted in submission.plan.rrsets if wanted is Absence.RETIRED]
                retires = f" that retires {_some(retired)}" if retired else ""
                return f"{who} submits a plan for {covered}{retires}: accepted as generation {generation}"
            case Note(who, "store.accept", Submission() as submission, Unchanged(generation)):
                covered = _some([short(key.name) for key in submission.plan.keys])
                return f"{who} submits a plan for {covered}: unchanged since generation {generation}"
            case Note(who, "store.accept", Submission() as submission, Refusal() as refusal):
                return f"{who} submits a plan: refused by {refusal.guard}, {refusal.detail}"
            case Note(who, act, _, Unreachable(reason)):
                return f"{who} asks the primary ({act}), and gets no answer: {reason}"
            case Note(who, "publish", Message() as message, outcome) if not message.updates:
                found = {Applied: "it is there", Refused: "something else stands there"}.get(type(outcome), "no answer")
                return f"{who} reads back what was published: {found}"
            case Note(who, "publish", Message() as message, Unknown()):
                said = "; ".join(dict.fromkeys(self._change(message))) or "a message with the fence only"
                return f"{who} sends: {said}; {UNHEARD}"
            case Note(who, "store.reject", generation, None):
                return f"{who} marks generation {generation} at fault: nothing can be put in its place"
            case Note(who, "store.reject", generation, 0):
                return f"{who} rejects generation {generation}; there is nothing to put back"
            case Note(who, "store.withdraw", generation, None):
                return f"{who} withdraws generation {generation}"
            case Note(who, "store.withdraw", generation, Refusal() as refusal):
                return f"{who} tries to withdraw generation {generation}: refused, {refusal.detail}"
            case Note(who, "store.resume", generation, appended):
                return f"{who} has generation {generation} accepted again, as {appended}"
            case Note(who, "store.halt", str() as why):
                return f"{who} stops publishing: {why}"
            case Note(who, "store.resync"):
                return f"{who} settles what is to hold: the zone goes on"
        return super()._said(note)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
