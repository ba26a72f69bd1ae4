"""Making good what is on record as published and is not on the wire: somebody else stood in its way, or the primary
could not hold it. It is tried again under the fence that stands, which says that it should be there: nothing moves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.layout import Layout, at_names
from dnsguard.core.message import Applied, Refused, Unknown, Unreachable
from dnsguard.core.plan import Change
from dnsguard.core.policy import Policy
from dnsguard.core.publication import compose, parts
from dnsguard.core.written import Seen
from dnsguard.workers.effects import Publisher
from dnsguard.workers.judging import judge, look
from dnsguard.workers.readback import read_back


@dataclass(frozen=True, slots=True)
class Amends:
    """What came of trying again: the generations that are on the wire now, and those that are not, with reasons."""

    mended: tuple[int, ...]
    faults: tuple[tuple[int, str], ...]
    messages: int
    refused: int


async def make_amends(
    publisher: Publisher,
    layout: Layout,
    zone: str,
    seen: Seen,
    fence: Fence,
    owed: Sequence[Change],
    guards: Guards,
    policy: Policy,
) -> Amends | Unreachable:
    """Write once more, name by name, what is owed and does not stand there by itself.

    Each message leaves the fence as it is, and is taken only while it is so: one that comes late, or twice, writes
    what the same fence says anyway.
    """
    faults: dict[int, str] = {}
    messages = refused = 0
    for _, here in at_names(owed):
        missing = await read_back(publisher, layout, zone, seen, here, policy)
        if isinstance(missing, Unreachable):
            return missing
        if not missing and policy.read_back:
            continue
        why = None
        for part in parts(layout, here, 0, len(here)):
            written = await look(publisher, layout, zone, seen, here, part, unmanaged=True)
            if isinstance(written, Unreachable):
                return written
            culprit = await judge(publisher, layout, guards, part.stage, written)
            if isinstance(culprit, Unreachable):
                return culprit
            if culprit is not None:
                why = culprit.why
                break
            match await publisher.publish(compose(part.stage, written, fence, guards.write)):
                case Applied():
                    messages += 1
                case Refused(rcode, detail):
                    refused += 1
                    keys = ", ".join(str(change.key) for change in written.changes)
                    why = f"{keys}: the primary answered {rcode}" + (f" ({detail})" if detail else "")
                    break
                case Unknown(reason):
                    return Unreachable(reason)
        if why is None:
            again = await read_back(publisher, layout, zone, seen, here, policy)
            if isinstance(again, Unreachable):
                return again
            why = again[0][1] if again else None
        if why is not None:
            faults |= {change.generation: why for change in here}
    mended = tuple(sorted({change.generation for change in owed} - faults.keys()))
    return Amends(mended, tuple(sorted(faults.items())), messages, refused)
