"""What stands on the wire where a part is about to be written, and which plan is to blame if it may not be.
It reads and judges; what comes of a refusal is the enactor's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dnsguard.core.guards import Guards
from dnsguard.core.layout import Layout, Stage, at_names
from dnsguard.core.message import Applied, NamesRead, Unknown, Unreachable
from dnsguard.core.plan import Change
from dnsguard.core.publication import Part, prerequisites_only
from dnsguard.core.refusal import Suspect
from dnsguard.core.refusal_causes import PREREQUISITE_RCODES
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
    waits: bool = False
    """Whether nothing is wrong with it, and it only has to wait until the name can be read."""


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


async def judge(
    publisher: Publisher, layout: Layout, guards: Guards, stage: Stage, written: Written
) -> Culprit | Unreachable | None:
    """Ask the change guards where the wire was read, and the primary itself where it could not be read."""
    return refused_change(layout, guards, written) or await _refused_unread(publisher, guards, stage, written)


async def _refused_unread(
    publisher: Publisher, guards: Guards, stage: Stage, written: Written
) -> Culprit | Unreachable | None:
    """Find a plan that cannot be published at a name that cannot be read.

    Prerequisites say whether something stands there that dnsguard does not manage, so most plans need no reading.
    Only where a message cannot be built without it, or the primary does not compare either, the plan waits.
    """
    for name, here in at_names(written.changes):
        if (reason := written.unread.get(name)) is None:
            continue
        newest = max(change.generation for change in here)
        if stage.needs_reading(written.zone, here):
            return Culprit((name,), newest, f"{name} cannot be read: {reason}", waits=True)
        for generation in sorted({change.generation for change in here}):
            upto = replace(written, changes=tuple(change for change in here if change.generation <= generation))
            outcome = await publisher.publish(prerequisites_only(upto, guards.write))
            if isinstance(outcome, Unknown):
                return Unreachable(outcome.reason)
            if isinstance(outcome, Applied):
                continue
            answer = await publisher.observe(written.zone)
            if isinstance(answer, Unreachable):
                return answer
            if answer.rdatas != written.seen.rdatas:
                return None  # the fence has moved on, and the message itself will be refused
            if outcome.rcode not in PREREQUISITE_RCODES:
                why = f"{name} cannot be read ({reason}), and the primary does not compare it either ({outcome.rcode})"
                return Culprit((name,), newest, why, waits=True)
            keys = ", ".join(str(change.key) for change in upto.changes)
            why = (
                f"something stands at {name} that dnsguard does not manage, and the primary does not show it "
                f"({reason}); remove it, or submit {keys} again with --adopt"
            )
            return Culprit((name,), generation, why)
    return None


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
