"""What a comparison of many zones comes to: the phases side by side, and whether the zones of other primaries were
delayed. It judges medians by their ratio, and measures nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.campaigns.gate import Manner

IDLE, ALIVE, AGAIN = "idle", Manner.OPEN.value, "alive again"
RATIO_MAX = 5.0
"""How much longer the others' plans may take, at the median, while the last primary is away."""
FLOOR_MS = 50.0
"""Medians below it are as good as this: on a busy machine they are noise."""
PLANS_MIN = 6
"""Fewer plans say nothing."""


@dataclass(slots=True)
class Phase:
    """What was seen while the last primary was in some manner."""

    manner: str
    plans: int = 0
    """Plans for zones of the other primaries, published while somebody waited."""
    published_ms: list[float] = field(default_factory=list)
    """From accepted to published, of the others' plans, by the daemon's clock."""
    answered_ms: list[float] = field(default_factory=list)
    """From the request to the answer that says "published", by the client's clock."""
    accepted_ms: list[float] = field(default_factory=list)
    """From the request to the answer that says "accepted", of plans for zones of the last primary."""
    failed: list[str] = field(default_factory=list)
    cpu: float = 0.0
    """Share of one core that the daemon took."""
    connections: int = 0
    """The most connections to the last primary at once."""
    healed_s: float = 0.0
    """From the gate's opening after this phase to the last zone's newest plan being published."""


def share_of(values: Sequence[float], share: float) -> float | None:
    """Return the value below which a share of all values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def figures(phase: Phase) -> dict[str, Any]:
    """Return what is said of a phase."""
    times = {
        f"{name} {word}": share_of(values, share)
        for name, values in (
            ("accepted to published", phase.published_ms),
            ("answered", phase.answered_ms),
            ("dead primary's plans accepted", phase.accepted_ms),
        )
        for word, share in (("median", 0.5), ("p99", 0.99))
    }
    return {
        "plans": phase.plans,
        **{f"{name}, ms": None if value is None else round(value, 1) for name, value in times.items()},
        "failed": len(phase.failed),
        "daemon's share of a core": round(phase.cpu, 3),
        "connections to the last primary": phase.connections,
        "healed after, s": round(phase.healed_s, 2),
    }


def verdict(phases: Sequence[Phase]) -> list[str]:
    """Return what speaks against the daemon; empty if a dead primary was nothing to the zones of the others."""
    loaded = [phase for phase in phases if phase.manner != IDLE]
    found = [said for phase in phases for said in phase.failed]
    for phase in loaded:
        while_it = f"while the last primary is {phase.manner}"
        if phase.plans < PLANS_MIN:
            found.append(f"expected at least {PLANS_MIN} plans of the others {while_it}, found {phase.plans}")
        if not phase.accepted_ms:
            found.append(f"expected plans for the last primary to be accepted {while_it}, found none")
    published = {phase.manner: phase.published_ms for phase in loaded}
    answered = {phase.manner: phase.answered_ms for phase in loaded}
    return [*found, *_delays("from accepted to published", published), *_delays("from request to answer", answered)]


def _delays(what: str, times_ms: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Yield which medians are too long, compared with the slower of the two phases in which all are alive.

    With the slower one, so that a machine that became slower meanwhile is not taken for it.
    """
    medians = {manner: max(FLOOR_MS, share_of(times, 0.5) or 0.0) for manner, times in times_ms.items()}
    alive = max((medians.pop(manner) for manner in (ALIVE, AGAIN) if manner in medians), default=FLOOR_MS)
    for manner, median in medians.items():
        if median > RATIO_MAX * alive:
            yield (
                f"expected plans of the others to take at most {RATIO_MAX:g} times {alive:.0f} ms {what} while the "
                f"last primary is {manner}, found {median:.0f} ms"
            )


def table(phases: Sequence[Phase]) -> str:
    """Show all phases side by side."""
    columns = [figures(phase) for phase in phases]
    rows = [["last primary is", *(phase.manner for phase in phases)]]
    rows += [[name, *("-" if each[name] is None else str(each[name]) for each in columns)] for name in columns[0]]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
