"""What people do in the demo, with the TSIG key and nothing of the automation: copy a zone, and repair one.
Plain UPDATE messages, as nsupdate would send them.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from dnsguard.core.layout import target_of
from dnsguard.core.message import AddRecords, Applied, Message, Refused, Unreachable
from dnsguard.core.plan import Plan
from dnsguard.core.records import Key, Records
from dnsguard.lab.demo.script import ZONE
from dnsguard.wire.publisher import DnsPublisher

_OF_THE_SERVER = frozenset({Key(ZONE, "SOA"), Key(ZONE, "NS"), Key(f"ns1.{ZONE}", "A")})


class Unrepairable(RuntimeError):
    """The name server did not take what people sent it by hand, or could not be read."""


async def send(publisher: DnsPublisher, message: Message) -> None:
    """Send an UPDATE that must be taken. Raises Unrepairable."""
    outcome = await publisher.publish(message)
    if not isinstance(outcome, Applied):
        word = outcome.rcode if isinstance(outcome, Refused) else outcome.reason
        raise Unrepairable(f"expected the name server to take a plain update, found {word}")


async def copy_zone(source: DnsPublisher, target: DnsPublisher) -> None:
    """Copy all that is not the server's own from one zone to another. Raises Unrepairable."""
    found = await source.transfer(ZONE)
    if isinstance(found, Unreachable):
        raise Unrepairable(f"expected to list the zone, found: {found.reason}")
    copied = tuple(AddRecords(key, records) for key, records in sorted(found.items()) if key not in _OF_THE_SERVER)
    await send(target, Message(ZONE, (), copied))


async def copy_history(source: Path, target: Path) -> None:
    """Copy a history while it is in use."""
    await asyncio.to_thread(_copy, source, target)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


async def repair(publisher: DnsPublisher, wanted: Plan) -> Message | None:
    """Put records back where the aliases point and nothing is, and return the UPDATE; None if nothing was missing.

    What an alias names exists again, so that it can be kept for a rollback: that ends the wedge, too. Raises
    Unrepairable.
    """
    found = await publisher.transfer(ZONE)
    if isinstance(found, Unreachable):
        raise Unrepairable(f"expected to list the zone, found: {found.reason}")
    missing = []
    for key, records in wanted.rrsets:
        node = target_of(found.get(Key(key.name, "CNAME")))
        if node is not None and isinstance(records, Records) and Key(node, key.type) not in found:
            missing.append(AddRecords(Key(node, key.type), records))
    if not missing:
        return None
    message = Message(ZONE, (), tuple(missing))
    await send(publisher, message)
    return message
