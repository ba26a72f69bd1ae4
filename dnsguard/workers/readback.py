"""Reading back: does the zone hold what was published? Servers skip some things silently and answer NOERROR.
The primary compares itself, under the fence: an UPDATE with prerequisites only (RFC 2136 section 2.4).
"""

from collections.abc import Sequence

from dnsguard.core.message import Refused, Unreachable
from dnsguard.core.plan import Change
from dnsguard.core.policy import Policy
from dnsguard.core.publication import Seen, parts, verification
from dnsguard.workers.effects import Publisher


async def read_back(
    publisher: Publisher, zone: str, seen: Seen, changes: Sequence[Change], policy: Policy
) -> tuple[tuple[int, str], ...]:
    """Return the generations of which something is not on the wire as published, each with the reason.

    Says nothing where nothing can be said: the primary does not answer, or the zone has gone on since.
    """
    if not policy.read_back:
        return ()
    faults: dict[int, str] = {}
    for first, last in parts(changes, 0, policy.message_rrsets_max):
        part = changes[first:last]
        if not isinstance(await publisher.publish(verification(zone, seen, part)), Refused):
            continue
        for change in part:
            if change.generation in faults:
                continue
            if isinstance(await publisher.publish(verification(zone, seen, (change,))), Refused):
                faults[change.generation] = (
                    f"{change.key} was published and reads back otherwise; look at what else stands at that name"
                )
    if faults:
        now = await publisher.observe(zone)
        if isinstance(now, Unreachable) or now.rdatas != seen.rdatas:
            return ()
    return tuple(sorted(faults.items()))
