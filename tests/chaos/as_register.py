"""A zone's fence at the primary as a register: which operations on it the history tells of. Its value is how far the
zone stands: the generation, and how much of it is on the wire. Reads are the looks at it. Who writes a value, and when,
nobody says outside; but it was after its plan was asked for, and before a client was told that it is published.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from tests.chaos.history import PRIMARY
from tests.chaos.place import NOWHERE, Place, place
from tests.chaos.register import EMPTY, NEVER, Operation, why_not_linearizable
from tests.chaos.story import ON_THE_WIRE, Story

Step = tuple[int, bool, int]


def why_no_register(story: Story) -> str | None:
    """Return why a zone's fence at the primary was no linearizable register; None if it was."""
    unreadable = next((look for look in story.fences.get(PRIMARY, ()) if place(look.text) is None), None)
    if unreadable is not None:
        return f"what was read is no fence: {unreadable.text}"
    found, steps = operations_of(story)
    why = why_not_linearizable(found)
    return why and f"{why} (values by their rank: {_around(why, steps)})"


def operations_of(story: Story) -> tuple[list[Operation], list[Step]]:
    """Return reads and writes, whose values are ranks, and the steps by their ranks."""
    looks = [(look, place(look.text) or NOWHERE) for look in story.fences.get(PRIMARY, ())]
    ends = _ends(story, [at for _, at in looks])
    seen = {_step(story, at) for _, at in looks}
    steps = sorted((seen | ends.keys()) - {NOWHERE.step})
    rank = {NOWHERE.step: EMPTY, **{step: EMPTY + 1 + index for index, step in enumerate(steps)}}
    reads = [Operation(False, rank[_step(story, at)], look.sent, look.received) for look, at in looks]
    asked = story.asked()
    writes = [Operation(True, rank[step], asked.get(step[0], -NEVER), ends.get(step, NEVER)) for step in steps]
    return [*reads, *writes], [NOWHERE.step, *steps]


def _step(story: Story, at: Place) -> Step:
    """Return the value: after a rejection a publication is begun anew, so then nobody knows which part was first."""
    return (at.generation, at.complete, 0) if story.rejected(at.base, at.generation) else at.step


def _ends(story: Story, places: Sequence[Place]) -> dict[Step, float]:
    """Return by when a generation was wholly on the wire, as clients were told.

    One that went out together with newer ones was on the wire when the last of those was: a fence that is under way
    from before it to beyond it says so. Where none was seen, it stands for whatever came next, which is not less.
    """
    under_way = sorted((at.base, at.generation) for at in places if not at.complete)
    bases, beyond = [base for base, _ in under_way], list(accumulate((each for _, each in under_way), max))
    ends: dict[Step, float] = {}
    for answer in story.answered:
        if answer.generation is None or answer.state not in ON_THE_WIRE:
            continue
        index = bisect_left(bases, answer.generation)
        carried = max(answer.generation, beyond[index - 1]) if index else answer.generation
        step = (carried, True, 0)
        ends[step] = min(ends.get(step, NEVER), answer.at)
    return ends


def _around(why: str, steps: Sequence[Step]) -> str:
    """Name the step that a reason begins with."""
    generation, complete, done = steps[int(why.partition(" ")[0])]
    return f"generation {generation}" + ("" if complete else f", {done} done")
