"""Whose is a zone? Its fence, as it was just seen, against the history in the database, asked of the guards.
Reads only what is recorded of that one generation; nothing of what is to be published.
"""

from dataclasses import replace

from dnsguard.core.enactment import Enacted
from dnsguard.core.guards import Guards
from dnsguard.core.history import Zone
from dnsguard.core.refusal import Refusal
from dnsguard.core.written import Seen
from dnsguard.workers.effects import Store


async def judge_fence(store: Store, guards: Guards, zone: str, seen: Seen) -> tuple[Zone, Refusal | None]:
    """Return the zone's record, and why the fence is not of its history; None if it is, or is trusted.

    Raises ZoneUnknown, GenerationUnknown.
    """
    fence, known = seen.fence, None
    if fence is None:
        about = await store.zone(zone)
    else:
        pending = await store.pending(zone, replace(fence, progress=None), fence.generation)
        about, known = pending.zone, pending.known_digest
    unreadable = seen.text if seen.rdatas and fence is None else None
    trusted = bool(seen.rdatas) and seen.text == about.trusted_fence
    facts = Enacted(zone, about.history, about.newest, about.kept_from, fence, known, unreadable, trusted)
    return about, guards.refuse_enactment(facts)
