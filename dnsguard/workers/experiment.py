"""The control experiment to a refusal: is it the contents, or does the primary refuse everything, or cannot it write?
A plan is to blame only if this was taken; it has nothing of any plan in it, and what it writes goes again.
"""

from dataclasses import dataclass

from dnsguard.core.guards import Guards
from dnsguard.core.message import Applied, Message, Outcome, Refused, Unknown
from dnsguard.core.publication import control, scratch_key, scratch_removed, writing_control
from dnsguard.core.written import Seen
from dnsguard.workers.doubt import TROUBLE
from dnsguard.workers.effects import Clock, Publisher


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. ``why`` says for people why nothing is to be blamed on contents, and is empty if it is.

    ``litters``: what was written may stand there still, or come late.
    """

    why: str
    litters: bool = False


async def try_without_contents(
    publisher: Publisher, clock: Clock, guards: Guards, seen: Seen, message: Message, refused: Refused
) -> Trial:
    """Send the primary an update like the refused one, without its contents.

    A word on what the message asks for is met by one that asks for nothing new. SERVFAIL may be a full disk, so that is
    met by writing as much.
    """
    zone = message.zone
    said = f"{refused.rcode}: {refused.detail}" if refused.detail else refused.rcode
    if refused.rcode != TROUBLE:
        taken = await publisher.publish(control(zone, seen, guards.write)) == Applied()
        return Trial("" if taken else f"the primary refuses every update of {zone} ({said})")
    token = clock.hex_digits(16)
    written = await publisher.publish(writing_control(zone, seen, guards.write, message, token))
    match written:
        case Applied():
            removed = await tidy(publisher, zone)
            return Trial("" if removed == Applied() else f"the primary cannot write {zone} ({said})", litters=True)
        case Refused(rcode) if rcode != TROUBLE:
            name = scratch_key(zone).name
            return Trial(
                f"the primary cannot write {zone} ({said}), or not these contents: which of the two cannot be told, "
                f"since it answered {rcode} to a TXT record at {name}; let the TSIG key update all names and types"
            )
        case Refused():
            return Trial(f"the primary cannot write {zone} ({said})")
        case Unknown():
            return Trial(f"the primary cannot write {zone} ({said})", litters=True)


async def tidy(publisher: Publisher, zone: str) -> Outcome:
    """Remove what an experiment may have left."""
    return await publisher.publish(scratch_removed(zone))
