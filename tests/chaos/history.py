"""What a run leaves behind, one JSON object a line: what was asked of daemons and what they answered, what name
servers answered, when servers were down, when faults began and ended. Times are seconds of one monotonic clock.
Contents are one text, TTL first and records sorted; None is absence. Nothing here judges.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

PRIMARY = "primary"
UNCOVERED = "uncovered"
_PLAN = re.compile(r"plan (\d+)")

Contents = str | None


class Line(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """One line of a history."""


class Submitted(Line, frozen=True, tag="submitted"):
    """A planner asks for a plan; ``wanted`` is None for a rollback ``to`` a generation. Written before it is sent."""

    zone: str
    plan: int
    at: float
    how: str
    wanted: dict[str, Contents] | None = None
    to: int | None = None


class Answered(Line, frozen=True, tag="answered"):
    """A final answer: generation and state, or a refusal without one.

    ``propagated``: all name servers serve it. ``retried``: it was asked for before, without a clear answer.
    ``unchanged``: it changes nothing, and the generation is one that has what it wants.
    """

    zone: str
    plan: int
    sent: float
    at: float
    status: int
    generation: int | None = None
    state: str = ""
    propagated: bool = False
    retried: bool = False
    unchanged: bool = False


class Listed(Line, frozen=True, tag="listed"):
    """A plan as the API lists it at a time."""

    zone: str
    generation: int
    at: float
    reason: str
    actor: str
    state: str
    why: str | None = None
    reverts: int | None = None

    @property
    def plan(self) -> int | None:
        """Which submission it is, None if it is nobody's."""
        match = _PLAN.fullmatch(self.reason)
        return None if match is None else int(match[1])


class Said(Line, frozen=True, tag="said"):
    """All that a plan covers, as the API shows it."""

    zone: str
    generation: int
    contents: dict[str, Contents]


class Stood(Line, frozen=True, tag="stood"):
    """What the API says that stood at a generation to which a rollback is promised."""

    zone: str
    generation: int
    contents: dict[str, Contents]


class Fence(Line, frozen=True, tag="fence"):
    """The fence record as a name server showed it; ``text`` is None where there is none."""

    zone: str
    server: str
    observer: int
    sent: float
    received: float
    text: str | None


class Look(Line, frozen=True, tag="look"):
    """An RRset as a name server showed it (NOERROR or NXDOMAIN, authoritative)."""

    zone: str
    server: str
    observer: int
    sent: float
    received: float
    key: str
    contents: Contents


class Silence(Line, frozen=True, tag="silence"):
    """A question without a usable answer; what an observer asks next has nothing to do with what it asked before."""

    server: str
    observer: int
    at: float


class Down(Line, frozen=True, tag="down"):
    """A name server was killed, and was back at a later time."""

    server: str
    since: float
    until: float


class Handover(Line, frozen=True, tag="handover"):
    """A name server's manner: at a change its old process answers beside the new one, no longer than this."""

    server: str
    lasts_s: float


class Fault(Line, frozen=True, tag="fault"):
    """A fault, from its beginning until it was lifted."""

    what: str
    begun: float
    ended: float
    whom: str = ""


class Transferred(Line, frozen=True, tag="transferred"):
    """A whole zone by AXFR, SOA left out: before the first plan, or ``last``, after the run."""

    zone: str
    server: str
    contents: dict[str, Contents]
    last: bool = False


class Ended(Line, frozen=True, tag="ended"):
    """The end of a zone's run: its newest generation by the API, and when it stood with nothing pending (or never)."""

    zone: str
    newest: int
    since: float
    at: float | None


Anything = (
    Submitted
    | Answered
    | Listed
    | Said
    | Stood
    | Fence
    | Look
    | Silence
    | Down
    | Handover
    | Fault
    | Transferred
    | Ended
)
_DECODER = msgspec.json.Decoder(Anything)
_ENCODER = msgspec.json.Encoder()


class Writer:
    """Writes lines to a new file as they come."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")

    def write(self, line: Line) -> None:
        """Append a line."""
        self._file.write(_ENCODER.encode(line) + b"\n")

    def flush(self) -> None:
        """Hand what was written to the file."""
        self._file.flush()

    def close(self) -> None:
        """End it."""
        self._file.close()


def read(paths: Iterable[Path]) -> Iterator[Anything]:
    """Read the lines of histories, each in its order. Raises msgspec.DecodeError for anything else."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                yield _DECODER.decode(line)


def contents_of(ttl: int, rdatas: Iterable[str]) -> str:
    """Return an RRset as one text."""
    return f"{ttl} " + " | ".join(sorted(rdatas))
