"""The account of a campaign: its figures, whether it counts at all, and a table for people. It judges nothing."""

import json
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dnsguard.core.history import PlanState
from dnsguard.core.invariants import Violation
from tests.campaigns.testimony import Testimony

ACCEPTED_PER_KILL_MIN = 4
LOOKS_PER_KILL_MIN = 50
UNDER_WAY_SHARE_MIN = 0.1
_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Kill:
    """A victim's death: when, at which kind of moment it was aimed, and what was going on."""

    at: float
    daemon: int
    aimed: str
    in_parts: bool
    """Whether a publication in several messages had begun and not ended."""
    under_way: bool
    """Whether an acknowledged plan was not on the wire yet, ``in_parts`` included."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a campaign came to."""

    victim: str
    server: str
    daemons: int
    seed: int
    asked: int
    took_s: float
    kills: Sequence[Kill]
    testimony: Testimony
    violations: Sequence[Violation]
    started_s: Sequence[float]
    statuses: Counter[int]
    resubmitted: int
    refused_writes: int
    words: Sequence[str]

    @property
    def accepted(self) -> int:
        """How many plans were answered as durable."""
        return len({reply.number for reply in self.testimony.replies if reply.accepted})

    def missing(self) -> list[str]:
        """Return why the run does not count; empty if it does."""
        asked, found = self.asked, []
        under_way = sum(kill.under_way for kill in self.kills)
        for what, least, number in (
            ("kills", asked, len(self.kills)),
            ("kills during a publication", int(asked * UNDER_WAY_SHARE_MIN), under_way),
            ("plans accepted", asked * ACCEPTED_PER_KILL_MIN, self.accepted),
            ("observations", asked * LOOKS_PER_KILL_MIN, len(self.testimony.looks)),
            ("answered wishes", len(self.testimony.wishes), len({reply.number for reply in self.testimony.replies})),
        ):
            if number < least:
                found.append(f"expected at least {least} {what}, found {number}")
        return found

    def figures(self) -> dict[str, object]:
        """Return every figure, by its name for people."""
        seen, kills = self.testimony, self.kills
        states = Counter(entry.state for entry in seen.entries)
        return {
            "victim": self.victim,
            "server": self.server,
            "daemons": self.daemons,
            "seed": self.seed,
            "seconds": round(self.took_s, 1),
            "kills": len(kills),
            "kills aimed at": ", ".join(
                f"{aim} {count}" for aim, count in Counter(k.aimed for k in kills).most_common()
            ),
            "kills during a publication": sum(kill.under_way for kill in kills),
            "kills between two parts of one": sum(kill.in_parts for kill in kills),
            "restart to first answer, median s": round(statistics.median(self.started_s), 2),
            "restart to first answer, longest s": round(max(self.started_s), 2),
            "plans accepted": self.accepted,
            "plans published": states[PlanState.PUBLISHED],
            "plans superseded": states[PlanState.SUPERSEDED],
            "plans rejected": states[PlanState.REJECTED],
            "plans faulted": states[PlanState.FAULTED],
            "answers by status": ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items())),
            "resubmitted with the same key": self.resubmitted,
            "observations": len(seen.looks),
            "observations under one fence": sum(look.stable for look in seen.looks),
            "observations between parts": sum(
                look.stable and look.after.fence is not None and look.after.fence.progress is not None
                for look in seen.looks
            ),
            "fenced writes refused, at least": self.refused_writes,
            "longest from accepted to published, s": round(_longest_s(seen), 2),
            "from the last kill to convergence, s": None if seen.converged_s is None else round(seen.converged_s, 2),
            "errors in the daemons' logs": len(self.words),
            "plans lost or doubled": sum(violation.number == 4 for violation in self.violations),
            "violations": len(self.violations),
        }

    def table(self) -> str:
        """Return the figures and whatever was wrong, for people."""
        figures = self.figures()
        width = max(map(len, figures))
        lines = [f"{name:<{width}}  {figure}" for name, figure in figures.items()]
        lines += [
            f"VIOLATION {violation.number} ({violation.invariant}): {violation.detail}"
            for violation in self.violations[:_SHOWN_MAX]
        ]
        lines += [f"DOES NOT COUNT: {what}" for what in self.missing()]
        words = Counter(map(gist, self.words))
        lines += [f"LOG: {said} ({times} times)" for said, times in words.most_common(_SHOWN_MAX)]
        return "\n".join(lines)


def gist(line: str) -> str:
    """Return what a line of a daemon's log says, without what differs from one time to the next."""
    try:
        said = json.loads(line)
    except ValueError:
        return line[:300]
    last = str(said.get("exception", "")).strip().rpartition("\n")[2]
    return f"{said.get('event')} {said.get('worker', '')} {last or said.get('detail', '')}"[:300]


def _longest_s(seen: Testimony) -> float:
    """Return the longest time from an answer 2xx to the first look at a fence that was past the plan."""
    newest = 0
    times: list[float] = []
    bases: list[int] = []
    for look in sorted(seen.fences, key=lambda look: look.received):
        if look.fence is not None and look.fence.base > newest:
            newest = look.fence.base
            times.append(look.received)
            bases.append(newest)
    longest = 0.0
    for reply in seen.replies:
        if reply.generation is not None and (index := bisect_left(bases, reply.generation)) < len(times):
            longest = max(longest, times[index] - reply.at)
    return longest
