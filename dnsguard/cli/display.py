"""What people and programs see: colours and tables on a terminal, plain and stable columns otherwise, or JSON.
Text that came from elsewhere is shown with its control characters made visible: it cannot steer a terminal.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dnsguard.cli.outcome import CANNOT_ASK, CannotAsk, Refused

OPAQUE_MARK = " (opaque: not valid for its type)"
STATE_STYLES = {
    "published": "green",
    "accepted": "yellow",
    "publishing": "yellow",
    "superseded": "dim",
    "rejected": "bold red",
    "faulted": "bold red",
    "waiting": "yellow",
    "withdrawing": "yellow",
    "withdrawn": "dim",
    "current": "green",
    "behind": "yellow",
    "HALTED": "bold red",
    "STUCK": "red",
}


class Display:
    """Where a command's answer goes."""

    def __init__(self, *, as_json: bool) -> None:
        """Write documents as they came if ``as_json``, and for people otherwise."""
        self.as_json = as_json
        self._out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self._err = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at this."""
        return self._out.is_terminal

    def raw(self, document: bytes) -> None:
        """Write a document as it came."""
        self._out.file.write(document.decode("utf-8", "replace").rstrip("\n") + "\n")

    def line(self, text: str, style: str = "") -> None:
        """Write one line; on a terminal in a style."""
        self._say(self._out, text, style)

    def note(self, text: str, style: str = "") -> None:
        """Write one line beside the answer, to standard error."""
        self._say(self._err, text, style)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table: nothing in it is ever cut off."""
        cells = [[visible(cell) for cell in row] for row in rows]
        if not self._out.is_terminal:
            widths = [max(len(row[at]) for row in [list(head), *cells]) for at in range(len(head))]
            for row in [list(head), *cells]:
                padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
                self._out.file.write("  ".join(padded).rstrip() + "\n")
            return
        table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for title in head:
            table.add_column(title, overflow="fold", justify="right" if title in _NUMERIC else "left")
        for row in cells:
            table.add_row(*(Text(cell, style=STATE_STYLES.get(cell, "")) for cell in row))
        self._out.print(table)

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write names and values, one pair a line."""
        for name, value in pairs:
            self.line(f"{name + ':':<14} {value}", STATE_STYLES.get(value, ""))

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show on a terminal that something is awaited."""
        if not self._err.is_terminal or self._err.is_dumb_terminal:
            return nullcontext()
        return self._err.status(Text(visible(text)))

    def failed(self, failure: Refused | CannotAsk) -> int:
        """Say why a command failed. Returns its exit code."""
        if isinstance(failure, Refused):
            if self.as_json:
                self.raw(failure.raw)
            else:
                self._refused(failure)
            return failure.exit_code
        if self.as_json:
            problem = {"type": "about:blank", "title": "No daemon could be asked", "detail": str(failure)}
            self.raw(json.dumps(problem).encode())
        else:
            for line in str(failure).split("\n"):
                self.note(f"dnsguard: {line}", "red")
        return CANNOT_ASK

    def _refused(self, refused: Refused) -> None:
        problem = refused.problem
        errors: Any = problem.get("errors")
        several = isinstance(errors, list) and len(errors) > 1
        said = f"{len(errors)} errors in the request" if several else str(refused)
        self.note(f"{'refused' if refused.status < 500 else 'dnsguard'}: {said}", "bold red")
        if several:
            self.errors(each for each in errors if isinstance(each, dict))
        else:
            for name in ("guard", "expected", "found", "pointer"):
                if problem.get(name) not in (None, ""):
                    self.note(f"  {name + ':':<9} {problem[name]}")
        suspects: Any = problem.get("suspects")
        for suspect in suspects if isinstance(suspects, list) else ():
            self.note(f"  suspect:  {suspect['name']} {suspect['type']}: {suspect['reason']}")
        missing: Any = problem.get("missing")
        if isinstance(missing, dict):
            for part, why in missing.items():
                self.note(f"  {part}: {why}")
        if problem.get("guard") in _ADOPTION:
            self.note("  --adopt takes it over")
        if refused.status in (401, 403):
            self.note(f"  the token was sought in {refused.sought}; name another with --token-file")

    def errors(self, errors: Iterable[Mapping[str, Any]]) -> None:
        """Write what is wrong with a request, one error a line, each with its place in the document."""
        for error in errors:
            place = error.get("pointer")
            self.note(f"  {place + ': ' if place else ''}{error.get('detail')}")

    def _say(self, console: Console, text: str, style: str) -> None:
        if console.is_terminal:
            console.print(Text(visible(text), style=style), soft_wrap=True)
        else:
            console.file.write(visible(text) + "\n")


_NUMERIC = frozenset({"GENERATION", "NEWEST", "PUBLISHED", "PENDING", "RRSETS", "TTL"})

_ADOPTION = frozenset({"unmanaged_contents_kept", "unmanaged_contents_kept_on_the_wire"})


def visible(text: str) -> str:
    r"""Return a text on one line with everything that is not printable written out, such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def duration(seconds: float) -> str:
    """Say a duration in the two units that matter."""
    left, words = max(0, int(seconds)), []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= length:
            words.append(f"{left // length} {unit}")
            left %= length
    return " ".join(words[:2]) or "0 s"
