"""Whether another server takes updates for a zone past its primary's fence. The fence holds where one server decides:
two PowerDNS instances on one database both say yes to writes of which one must lose. Nobody can see that from outside
but by trying, so it is tried, on a name of its own below the fence. No plan's record is ever touched here.
"""

import asyncio
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRRset,
    Message,
    Outcome,
    Refused,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Unknown,
)
from dnsguard.core.names import fence_name
from dnsguard.core.records import Key, Records
from dnsguard.wire.identity import version_of
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher

ROUNDS = 16
"""Races run before it is believed that one of two wins."""
_ABSENT = 300
"""Deletions of what is absent in each message. They change nothing and take time, between the check of the
prerequisites and the write: without them, a server that is a little faster won all 16 races in one case of ten.
"""


class Standing(enum.Enum):
    """What another server is to a zone's primary."""

    TAKES_NONE = "takes no updates for the zone"
    ONE_WINS = "takes updates, and of two at once exactly one wins: it passes them on to the primary"
    BOTH_WIN = "takes updates past the primary: of two at once both won, so the fence does not hold"
    COLLIDES = "takes updates past the primary: of two at once one failed in the database that they share"
    PRIMARY_FAILS = "could not be examined, since the primary cannot write"
    UNCLEAR = "could not be examined"

    @property
    def is_clear(self) -> bool:
        """Whether this is a finding for the other server, and not only none against it."""
        return self in (Standing.TAKES_NONE, Standing.ONE_WINS)

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be published while it is so."""
        return self in (Standing.BOTH_WIN, Standing.COLLIDES, Standing.PRIMARY_FAILS)


@dataclass(frozen=True, slots=True)
class Rival:
    """What was found about one other server."""

    place: str
    standing: Standing
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about a zone's primary and the other servers."""

    zone: str
    primary: str
    rivals: tuple[Rival, ...]

    @property
    def refusal(self) -> str:
        """Why nothing may be published to this zone, for people; empty if nothing was found against it."""
        return next((refusal for rival in self.rivals if (refusal := self.refusal_of(rival))), "")

    def refusal_of(self, rival: Rival) -> str:
        """Why nothing may be published to this zone because of one other server; empty if there is nothing."""
        way_out = f"set dnsupdate=no on all PowerDNS instances but {self.primary}, restart these, and that one last"
        if rival.standing is Standing.PRIMARY_FAILS:
            return (
                f"expected {self.primary} to take a record below the fence of {self.zone}, found {rival.detail}; its "
                f"log says why, a full disk, say; two PowerDNS on one database fail like that once both have taken "
                f"updates: then {way_out}"
            )
        if rival.standing.is_refused:
            return (
                f"expected one server to take updates for {self.zone}, found two: {rival.place} "
                f"{rival.standing.value}; {way_out}"
            )
        return ""


async def examine(
    primary: Primary, zone: str, others: Sequence[Primary], now: Callable[[], float], label: str
) -> Finding:
    """Find out what other servers are to a zone's primary; ``label`` is a label that nobody else uses.

    Only servers that are named can be found. One that does not answer is UNCLEAR, and that is no refusal: a
    secondary that is down must not stop publications. A primary that answers SERVFAIL is one, since that is what two
    PowerDNS come to that share a database and have collided: examined once more, they are not told apart. Writes a TXT
    record below the fence, and removes it.
    """
    mine = DnsPublisher(primary, now)
    try:
        # All at once: the zone waits for the slowest answer, not for the sum of them.
        names = [Key(f"{label}-{index}.probe.{fence_name(zone)}", "TXT") for index in range(len(others))]
        each = (_look(mine, primary, other, zone, name, now) for other, name in zip(others, names, strict=True))
        rivals = await asyncio.gather(*each)
    finally:
        await mine.close()
    return Finding(zone, str(primary), tuple(rivals))


async def _look(
    mine: DnsPublisher, primary: Primary, other: Primary, zone: str, scratch: Key, now: Callable[[], float]
) -> Rival:
    theirs = DnsPublisher(other, now)
    try:
        standing, detail = await _compare(mine, theirs, zone, scratch)
    finally:
        await theirs.close()
    if standing is Standing.COLLIDES and not await _are_powerdns((primary, other), now):
        alone = await mine.publish(Message(zone, (RRsetAbsent(scratch),), (AddRecords(scratch, _value(0, 0)),)))
        if alone == Applied():
            await mine.publish(Message(zone, (), (DeleteRRset(scratch),)))
        standing = Standing.PRIMARY_FAILS if _is_failure(alone) else Standing.UNCLEAR
    return Rival(str(other), standing, detail)


async def _are_powerdns(servers: Sequence[Primary], now: Callable[[], float]) -> bool:
    """Tell whether all say so. From others SERVFAIL in a race may be a full disk, and proves nothing."""
    versions = [await version_of(server, now) for server in servers]
    return all(isinstance(version, str) and "PowerDNS" in version for version in versions)


async def _compare(mine: DnsPublisher, theirs: DnsPublisher, zone: str, scratch: Key) -> tuple[Standing, str]:
    match await theirs.publish(Message(zone, (RRsetExists(Key(zone, "SOA")),), ())):
        case Unknown(reason, rcode):
            # An unsigned word: it has no such key, or takes no updates. Nothing that it takes could be ours.
            return (Standing.TAKES_NONE if rcode else Standing.UNCLEAR), reason
        case Refused(rcode, detail):
            return Standing.TAKES_NONE, f"{rcode}: {detail}"
    value = _value(0, 0)
    begun = await mine.publish(Message(zone, (RRsetAbsent(scratch),), (AddRecords(scratch, value),)))
    if _is_failure(begun):
        return Standing.PRIMARY_FAILS, _worded(begun)
    if begun != Applied():
        return Standing.UNCLEAR, f"the primary does not take the record to try it with: {_worded(begun)}"
    try:
        return await _race(mine, theirs, zone, scratch, value)
    finally:
        # One of two that collided can delete nothing any more until it is restarted.
        for publisher in (mine, theirs):
            if await publisher.publish(Message(zone, (), (DeleteRRset(scratch),))) == Applied():
                break


async def _race(
    mine: DnsPublisher, theirs: DnsPublisher, zone: str, scratch: Key, value: Records
) -> tuple[Standing, str]:
    slow = [DeleteRRset(Key(f"{index}.{scratch.name}", "TXT")) for index in range(_ABSENT)]
    for number in range(1, ROUNDS + 1):
        values = _value(number, 1), _value(number, 2)
        sent = [
            publisher.publish(
                Message(
                    zone, (RRsetIs(scratch, value.rdatas),), (*slow, DeleteRRset(scratch), AddRecords(scratch, after))
                )
            )
            for publisher, after in zip((mine, theirs), values, strict=True)
        ]
        # Whoever is sent to first has a start, so they take turns.
        outcomes = await asyncio.gather(*sent) if number % 2 else [*reversed(await asyncio.gather(*reversed(sent)))]
        won = [after for after, outcome in zip(values, outcomes, strict=True) if outcome == Applied()]
        if len(won) == 2:
            return Standing.BOTH_WIN, f"in round {number}"
        if any(map(_is_failure, outcomes)):
            return Standing.COLLIDES, f"in round {number}"
        if not won or any(isinstance(outcome, Unknown) for outcome in outcomes):
            return Standing.UNCLEAR, "; ".join(map(_worded, outcomes))
        value = won[0]
    return Standing.ONE_WINS, f"in {ROUNDS} rounds"


def _value(number: int, who: int) -> Records:
    text = f"round {number} writer {who}".encode("ascii")
    return Records(0, (bytes((len(text),)) + text,))


def _is_failure(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.rcode == "SERVFAIL"


def _worded(outcome: Outcome) -> str:
    match outcome:
        case Refused(rcode, detail):
            return f"{rcode}: {detail}"
        case Unknown(reason):
            return reason
        case Applied():
            return "applied"
