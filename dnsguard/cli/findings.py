"""What people and programs are shown of a search: its figures, why it ended, the story of what it found, and the table.
Nothing is searched here.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dnsguard.cli.display import Display

if TYPE_CHECKING:
    from dnsguard.lab.explore.exploring import Exploration, Story
    from dnsguard.lab.explore.table import Row
    from dnsguard.lab.search.findings import Findings

FIRST = {
    "october": "tried first: October's order, in which the first enactor is slow (--order neutral begins without it)",
    "neutral": "tried first: whoever was there first",
}
ENDED = {
    "exhausted": "exhausted: nothing else can happen",
    "all tried": "not exhausted: ended when as many schedules were tried as --seeds says",
    "cut": "not exhausted: some schedules were cut off before their end",
    "found": "not exhausted: ended at the first schedule that breaks something",
    "schedules": "not exhausted: ended after as many schedules as --schedules-max says",
    "seconds": "not exhausted: ended when the time was up (--seconds-max)",
    "halted": "not exhausted: interrupted, this is the tally so far",
}
"""By the value of why a search is over."""


def figures(findings: "Findings") -> dict[str, Any]:
    """Return what a search came to in numbers."""
    return {
        "schedules": findings.schedules,
        "pruned": findings.pruned,
        "moves": findings.moves,
        "states": findings.states,
        "exhausted": findings.exhausted,
        "ended": findings.ended.value,
        "seconds": round(findings.seconds, 3),
        "processor_seconds": round(findings.processor_s, 3),
        "schedules_per_second": round(findings.schedules_per_second, 1),
        "violations": dict(findings.violations),
    }


def show(
    display: Display, exploration: "Exploration", strategy: str, order: str, findings: "Findings", story: "Story | None"
) -> None:
    """Show what a search came to. ``order`` is empty for a strategy that has no say in what is tried first."""
    found = None if story is None else told(story)
    if display.as_json:
        first = {name: found.schedules for name, found in findings.first.items()}
        about = {"exploration": str(exploration), "strategy": strategy, "order": order or None}
        document = {**about, **figures(findings), "first": first}
        display.raw(json.dumps(document | {"story": found}, ensure_ascii=False).encode())
        return
    display.line(f"{exploration}; strategy {strategy}")
    if order:
        display.line(FIRST[order])
    states = "" if findings.states is None else f", {counted(findings.states, 'state')}"
    schedules, moves = counted(findings.schedules, "schedule"), counted(findings.moves, "move")
    display.line(
        f"{schedules} ({findings.pruned} pruned), {moves}{states}; "
        f"{findings.seconds:.1f} s ({findings.processor_s:.1f} s of processor time), "
        f"{findings.schedules_per_second:.0f} schedules/s"
    )
    display.line(ENDED[findings.ended.value])
    if not findings.violations:
        display.line("0 violations", "green")
    for name, count in sorted(findings.violations.items()):
        display.line(
            f"broken: {name}, in {counted(count, 'schedule')}, first in number {findings.first[name].schedules}", "red"
        )
    if found is not None:
        tell(display, found)


def counted(count: int, noun: str) -> str:
    """Say how many there are of something."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def told(story: "Story") -> dict[str, Any]:
    """Play a story; return its sentences and what it breaks. Raises ScheduleDoesNotFit."""
    sentences, broken = story.played()
    detail = broken.get(story.violation)
    return {"violation": story.violation if detail else None, "detail": detail, "sentences": list(sentences)}


def tell(display: Display, found: dict[str, Any], what: str = "the shortest story found") -> None:
    """Write a story that was told, a line for each sentence."""
    sentences = found["sentences"]
    display.line(f"{what} has {counted(len(sentences), 'step')}:")
    for number, sentence in enumerate(sentences, 1):
        display.line(f"{number:>4}. {sentence}")
    if found["violation"] is None:
        display.line("  so: nothing of what the story says is broken", "green")
    else:
        display.line(f"  so: {found['violation']}: {found['detail']}", "red")


def show_table(display: Display, size: dict[str, Any], found: Iterable[tuple[int, "Row"]]) -> None:
    """Show the table of what each stage of guards lets through, each row with how many enactors there were."""
    if display.as_json:
        document = [{"enactors": enactors, **size, **_row(row)} for enactors, row in found]
        display.raw(json.dumps({"table": document}).encode())
        return
    head = ("ENACTORS", "CHECK WHEN WRITING", "CLEAN-UP", "EMPTY ANSWER", "STALE OVERWRITE", "WEDGED",
            "SCHEDULES", "STATES", "EXHAUSTED")  # fmt: skip
    said = {True: "yes", False: "no", None: "?"}
    display.table(
        head,
        (
            (
                str(enactors), row.variant.check, row.variant.cleanup,
                said[row.empty], said[row.stale], said[row.wedged],
                str(row.schedules), str(row.states), said[row.exhausted],
            )
            for enactors, row in found
        ),
    )  # fmt: skip


def _row(row: "Row") -> dict[str, Any]:
    return {
        "check": row.variant.check,
        "cleanup": row.variant.cleanup,
        "empty": row.empty,
        "stale": row.stale,
        "wedged": row.wedged,
        "schedules": row.schedules,
        "states": row.states,
        "exhausted": row.exhausted,
        "seconds": round(row.seconds, 3),
        "as_expected": row.as_expected,
    }
