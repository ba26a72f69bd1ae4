"""Is the history of a fence that of a linearizable register? Writes have distinct, rising values, and a write that
would not rise is refused and no write at all; so their order is known, and one pass over them decides.
It judges times and values, and knows nothing of zones.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

NEVER = float("inf")
EMPTY = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """A read or a write of a value, from when it was asked until when it was answered.

    Values are above `EMPTY`, which a register holds before its first write. A write that was never answered
    (``answered`` is `NEVER`) may have taken effect at any time since, or not at all; so may a read have none.
    """

    writes: bool
    value: int
    asked: float
    answered: float


def why_not_linearizable(operations: Sequence[Operation]) -> str | None:
    """Return why there is no order of all operations that a register could have shown; None if there is one.

    In such an order each operation stands at a moment between its question and its answer, writes rise, and each
    read has the value written last. Takes the time of sorting. The values are gone through upwards, each written as
    early as can be: not before it was asked for, nor before the last write, nor before any read of a smaller
    value has begun. If that is too late for its own answer, or for a read of it, any other order is worse.
    """
    reads: dict[int, list[Operation]] = defaultdict(list)
    writes: dict[int, Operation] = {}
    for operation in operations:
        if not operation.writes:
            if operation.answered != NEVER:
                reads[operation.value].append(operation)
        elif operation.value in writes or operation.value <= EMPTY:
            raise ValueError(f"expected distinct values above {EMPTY} to be written, found {operation.value} again")
        else:
            writes[operation.value] = operation
    earliest = -NEVER
    for value in sorted(reads.keys() | writes.keys() | {EMPTY}):
        write = writes.get(value)
        if write is None:
            if value != EMPTY:
                return f"{value} was read, and never written"
        elif write.answered == NEVER and not reads[value]:
            continue  # nobody knows whether it was written, and nobody needs it
        else:
            earliest = max(earliest, write.asked)
            if earliest > write.answered:
                return f"{value} was written by {write.answered:.6f}, and cannot have been before {earliest:.6f}"
        for read in reads[value]:
            if earliest > read.answered:
                return f"{value} was read by {read.answered:.6f}, and cannot have been before {earliest:.6f}"
        # A smaller value is not read once this one is overwritten: the next write waits for all reads of this one.
        earliest = max([earliest, *(read.asked for read in reads[value])])
    return None
