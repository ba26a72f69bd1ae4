"""The way out of a halt: an operator decides whether the zone or the database is right, and history goes on.
Either way a new generation is made above both, so that nothing ever goes backwards.
"""

from collections.abc import Mapping
from typing import Literal

from dnsguard.core.enactment import Enacted
from dnsguard.core.guards import Guards
from dnsguard.core.message import Unreachable
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.records import Key, Records
from dnsguard.workers.effects import Clock, Publisher, Store

Keep = Literal["wire", "store"]


class ResyncRefused(Exception):
    """A resynchronisation is not needed or not possible; the message says why."""


async def resync(
    zone: str,
    keep: Keep,
    actor: str,
    reason: str,
    *,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    guards: Guards,
) -> int:
    """Append the generation with which publishing goes on, and return it.

    With ``keep="wire"`` every covered RRset takes the contents that it has in the zone now; with "store" the
    zone takes the contents of the newest generation. What no plan covers stays as it is. Raises ResyncRefused.
    """
    seen = await publisher.observe(zone)
    if isinstance(seen, Unreachable):
        raise ResyncRefused(f"the primary of {zone} must answer for this, and does not: {seen.reason}")
    pending = await store.pending(zone, seen.fence)
    about = pending.zone
    unreadable = seen.text if seen.rdatas and seen.fence is None else None
    facts = Enacted(zone, about.history, about.newest, about.kept_from, seen.fence, pending.known_digest, unreadable)
    if guards.refuse_enactment(facts) is None:
        raise ResyncRefused(f"{zone} and the database agree on their history; there is nothing to settle")
    wanted: dict[Key, Wanted] = {covered.key: covered.wanted for covered in await store.covered(zone)}
    if keep == "wire":
        found = await publisher.transfer(zone)
        if isinstance(found, Unreachable):
            raise ResyncRefused(f"the primary of {zone} must allow a zone transfer for this: {found.reason}")
        wanted = as_found(wanted, found)
    plan = make_plan(zone, wanted, reason=reason or f"resync, keeping the {keep}", adopt=True)
    above = 0 if seen.fence is None else seen.fence.generation
    return await store.resync(zone, plan, seen.text, above, actor, clock.now())


def as_found(covered: Mapping[Key, Wanted], found: Mapping[Key, Records]) -> dict[Key, Wanted]:
    """Return what stands in the zone for each covered RRset; what is gone there is retired here."""
    return {key: found.get(key, Absence.RETIRED) for key in covered}
