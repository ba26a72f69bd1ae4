"""What stands on the wire where a part is about to be written, and which plan is to blame if it may not be.
It reads and judges; what comes of a refusal is the enactor's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dnsguard.core.guards import Guards
from dnsguard.core.layout import Layout, at_names
from dnsguard.core.message import NamesRead, Unreachable
from dnsguard.core.plan import Change
from dnsguard.core.publication import Part
from dnsguard.core.refusal import Suspect
from dnsguard.core.written import Seen, Written
from dnsguard.workers.effects import Publisher


@dataclass(frozen=True, slots=True)
class Culprit:
    """The oldest plan with which, and with those before it, a name is refused already.

    With several names it is not known yet which of them it is.
    """

    names: tuple[str, ...]
    generation: int
    why: str
    suspects: tuple[Suspect, ...] = ()


async def look(
    publisher: Publisher,
    layout: Layout,
    zone: str,
    seen: Seen,
    changes: Sequence[Change],
    part: Part,
    *,
    unmanaged: bool,
) -> Written | Unreachable:
    """Read the wire where a part must be judged by what stands there now.

    ``unmanaged``: also wherever somebody else may have put something.
    """
    carried = tuple(changes[part.first : part.last])
    names = part.stage.names_to_read(zone, carried, unmanaged)
    found = await publisher.read(zone, names) if names else NamesRead({})
    if isinstance(found, Unreachable):
        return found
    wire = found.rrsets
    ours = frozenset(wire.keys() - layout.foreign(wire).keys())
    read = frozenset(name for name in names if name not in found.unread)
    return Written(zone, seen, carried, wire, read, part.stage.name, ours, found.unread)


def refused_change(layout: Layout, guards: Guards, written: Written) -> Culprit | None:
    """Ask the change guards, name by name, where the wire was read."""
    written = replace(written, wire=layout.foreign(written.wire))
    for name, here in at_names(written.changes):
        if name not in written.read:
            continue
        for generation in sorted({change.generation for change in here}):
            upto = tuple(change for change in here if change.generation <= generation)
            refusal = guards.refuse_change(replace(written, changes=upto))
            if refusal is not None and guards.refuse_change(replace(written, changes=here)) is not None:
                own = [change.key for change in here if change.generation == generation]
                return Culprit((name,), generation, refusal.detail, tuple(Suspect(key, refusal.detail) for key in own))
    return None
