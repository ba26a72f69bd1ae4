"""What a run came to: counted from the journals, and judged.
Nothing is assumed of a side: both are counted by the same functions.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dnsguard.lab.demo.journal import CLIENT, ZONE_LANE, Journal, Sent, Span
from dnsguard.lab.demo.play import GUARDED_SIDE, RESCUED_SIDE, UNGUARDED_SIDE, Run
from dnsguard.lab.demo.wording import endpoints_of


@dataclass(frozen=True, slots=True)
class Tally:
    """One side, counted. Times are story seconds."""

    empty_s: float
    """How long the name server gave no address for the regional endpoint."""
    client_empty_s: float
    """How long the client had no address for it."""
    queries: int
    queries_failed: int
    stale_overwrites: int
    """Flips of an endpoint to an older plan's contents than it had."""
    wedged: int
    """Flips refused because a node that had to exist was gone."""
    refused_at_fence: int
    plans_lost: int
    """The planner's plans that were accepted and thrown away."""
    plans_lost_before: int
    """Of these, those that had been thrown away when the side was given its history: not by its own enactors."""
    recovered_s: float | None
    """How long after its first empty answer the side answered again without a person; None if it did not."""
    current_s: float | None
    """And how long until the answer was the newest plan's."""
    newest_at_end: bool
    """Whether, asked at the end, it answered with the newest plan's addresses at every endpoint."""


def tally(run: Run, name: str) -> Tally:
    """Count one side."""
    journal = run.journal(name)
    sent = [each for each in journal.sent if each.answered_at <= run.story]
    return Tally(
        empty_s=round(journal.seconds(ZONE_LANE, "empty"), 1),
        client_empty_s=round(journal.seconds(CLIENT, "empty"), 1),
        queries=journal.asked,
        queries_failed=journal.failed,
        stale_overwrites=len(stale(sent)),
        wedged=len(wedged(sent)),
        refused_at_fence=sum(each.failed.startswith("the fence") for each in sent),
        plans_lost=len(run.lost.get(name, ())),
        plans_lost_before=len(run.lost_before.get(name, ())),
        recovered_s=_recovered(run, journal, lambda span: span.plan > 0),
        current_s=_recovered(run, journal, lambda span: 0 < span.plan == journal.newest(span.start)),
        newest_at_end=run.serves_newest(name),
    )


def stale(sent: list[Sent]) -> list[Sent]:
    """Return the flips that put an older plan's contents where a newer one's were; people put contents, too."""
    newest: dict[str, int] = {}
    found = []
    for each in sorted(sent, key=lambda one: one.answered_at):
        if each.act not in {"flip", "repair"} or not each.applied or each.plan is None:
            continue
        endpoints = (each.about,) if each.act == "flip" else endpoints_of(each.message)
        if any(each.plan < newest.get(endpoint, 0) for endpoint in endpoints):
            found.append(each)
        for endpoint in endpoints:
            newest[endpoint] = max(each.plan, newest.get(endpoint, 0))
    return found


def wedged(sent: list[Sent]) -> list[Sent]:
    """Return the flips that were refused because a node is gone."""
    return [each for each in sent if each.act == "flip" and each.failed.startswith("node ")]


def _recovered(run: Run, journal: Journal, well: Callable[[Span], bool]) -> float | None:
    empty = journal.first(ZONE_LANE, "empty")
    if empty is None:
        return None
    after = [span for span in journal.spans[ZONE_LANE] if span.start > empty.start and well(span)]
    repaired = run.chapters.get("repaired") if journal.side == UNGUARDED_SIDE else None
    switched_off = run.chapters.get("switched off", run.story)
    if not after or (repaired is not None and after[0].start >= switched_off):
        return None
    return round(after[0].start - empty.start, 1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Both sides and the copy, counted, and what is to be said of them."""

    unguarded: Tally
    guarded: Tally
    rescued: Tally
    chapters: dict[str, float]

    @property
    def unguarded_lost(self) -> bool:
        """Whether the incident happened, all of it: empty, stale, wedged, and no way out."""
        left = self.unguarded
        return left.empty_s > 0 and left.stale_overwrites > 0 and left.wedged > 0 and left.recovered_s is None

    @property
    def guarded_held(self) -> bool:
        """Whether the other side was never empty, old, wedged or short of a plan, and healed what was given to it.

        Healed is a side that answers with the newest plan's addresses, and has lost no plan on the way.
        """
        right, copy = self.guarded, self.rescued
        harmed = right.empty_s or right.queries_failed or right.stale_overwrites or right.wedged or right.plans_lost
        healed = copy.recovered_s is not None and copy.current_s is not None
        healed = healed and copy.plans_lost == copy.plans_lost_before
        return not harmed and healed and right.newest_at_end and copy.newest_at_end

    @property
    def repaired(self) -> bool:
        """Whether the repair by hand helped: the unguarded side could install the newest plan afterwards."""
        return self.unguarded.newest_at_end

    @property
    def as_promised(self) -> bool:
        """Whether the unguarded side lost and was repaired by hand, and the guarded one did not lose."""
        return self.unguarded_lost and self.repaired and self.guarded_held

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the table: what was counted, and each side's count."""
        sides = (self.unguarded, self.guarded, self.rescued)

        def row(what: str, *counts: str) -> tuple[str, str, str, str]:
            left, right, copy = counts
            return what, left, right, copy

        return [
            row("empty at the name server", *(f"{side.empty_s:.1f} s" for side in sides)),
            row("no address for the client", *[f"{side.client_empty_s:.1f} s" for side in sides[:2]], "-"),
            row("queries failed", *[f"{side.queries_failed} of {side.queries}" for side in sides[:2]], "-"),
            row("stale overwrites", *(str(side.stale_overwrites) for side in sides)),
            row("wedged installations", *(str(side.wedged) for side in sides)),
            row("refused at the fence", *(str(side.refused_at_fence) for side in sides)),
            row("plans thrown away", *(_lost(side) for side in sides)),
            row("recovered by itself", *(_word(side) for side in sides)),
            row("and serves the newest plan after", *(_until_newest(side) for side in sides)),
            row("serves the newest plan at the end", *("yes" if side.newest_at_end else "no" for side in sides)),
        ]

    def document(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {
            "as_promised": self.as_promised,
            "unguarded_lost": self.unguarded_lost,
            "guarded_held": self.guarded_held,
            "repaired": self.repaired,
            "sides": {
                UNGUARDED_SIDE: asdict(self.unguarded),
                GUARDED_SIDE: asdict(self.guarded),
                RESCUED_SIDE: asdict(self.rescued),
            },
            "chapters": {name: round(at, 2) for name, at in self.chapters.items()},
        }


def _word(side: Tally) -> str:
    if side.empty_s == 0:
        return "nothing to recover"
    if side.recovered_s is None:
        return "no: by hand"
    return f"yes, in {side.recovered_s:.1f} s"


def _until_newest(side: Tally) -> str:
    if side.empty_s == 0:
        return "-"
    return "never by itself" if side.current_s is None else f"{side.current_s:.1f} s"


def _lost(side: Tally) -> str:
    before = f" ({side.plans_lost_before} before it)" if side.plans_lost_before else ""
    return f"{side.plans_lost - side.plans_lost_before}{before}"


def judge(run: Run) -> Verdict:
    """Count all sides of a run that has ended."""
    return Verdict(tally(run, UNGUARDED_SIDE), tally(run, GUARDED_SIDE), tally(run, RESCUED_SIDE), dict(run.chapters))
