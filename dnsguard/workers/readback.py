"""Reading back: does the zone hold what was published? Servers skip some things silently and answer NOERROR.
The primary compares itself, under the fence: an UPDATE with prerequisites only (RFC 2136 section 2.4).
"""

from collections.abc import Sequence
from dataclasses import replace

from dnsguard.core.layout import Layout, at_names
from dnsguard.core.message import Applied, Refused, Unknown, Unreachable
from dnsguard.core.plan import Change
from dnsguard.core.policy import Policy
from dnsguard.core.publication import parts, verification
from dnsguard.core.written import Seen, Written
from dnsguard.workers.effects import Publisher


async def read_back(
    publisher: Publisher, layout: Layout, zone: str, seen: Seen, changes: Sequence[Change], policy: Policy
) -> tuple[tuple[int, str], ...] | Unreachable:
    """Return the generations of which something is not on the wire as published, each with the reason.

    Unreachable where nothing can be said: the primary does not answer, or the zone has gone on since.
    """
    if not policy.read_back:
        return ()
    faults: dict[int, str] = {}
    for part in parts(layout, changes, 0, policy.message_rrsets_max):
        carried = Written(zone, seen, tuple(changes[part.first : part.last]), {}, frozenset(), part.stage.name)
        outcome = await publisher.publish(verification(part.stage, carried))
        if isinstance(outcome, Unknown):
            return Unreachable(outcome.reason)
        if isinstance(outcome, Applied):
            continue
        for _, here in at_names(carried.changes):
            generations = {change.generation for change in here}
            alone = verification(part.stage, replace(carried, changes=here))
            if generations <= faults.keys():
                continue
            outcome = await publisher.publish(alone)
            if isinstance(outcome, Unknown):
                return Unreachable(outcome.reason)
            if isinstance(outcome, Refused):
                keys = ", ".join(str(change.key) for change in here)
                why = f"{keys}: published, and reads back otherwise; look at what else stands at that name"
                # Each of them: what one generation alone is marked for is all that is ever written once more.
                faults |= dict.fromkeys(generations, why)
    if faults:
        now = await publisher.observe(zone)
        if isinstance(now, Unreachable):
            return now
        if now.rdatas != seen.rdatas:
            return Unreachable("the zone has gone on since")
    return tuple(sorted(faults.items()))
