"""Which RRsets a refused message was probably refused for: what decides that is read, and nothing is published."""

from collections.abc import Mapping

from dnsguard.core.message import Message, Refused, Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Suspect
from dnsguard.core.refusal_causes import Attempt, explained, names_to_read, suspects_of
from dnsguard.core.written import Written
from dnsguard.workers.effects import Publisher


async def explain(
    publisher: Publisher, written: Written, message: Message, refused: Refused, blamed: int
) -> tuple[str, tuple[Suspect, ...]]:
    """Say why a message was refused: in words, and by the RRsets of a generation, the likeliest first."""
    names = names_to_read(written.zone, written.changes, message.prerequisites, refused.rcode)
    wire: Mapping[Key, Records] = {}
    read: frozenset[str] = frozenset()
    if names:
        found = await publisher.read(written.zone, names)
        if not isinstance(found, Unreachable):
            wire, read = found.rrsets, frozenset(names) - found.unread.keys()
    attempt = Attempt(written.zone, refused.rcode, written.changes, blamed, message.prerequisites, wire, read)
    return explained(attempt, refused.detail), suspects_of(attempt)
