"""The October system's lock per endpoint: it makes a crowded enactor slow, and protects nothing.
It compares who holds it, and not which generation is written: an old plan waits its turn and then goes out. The
lock lies in the zone and is compared and replaced inside the very message that flips the endpoint.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from dnsguard.core.layout import is_reserved, target_of
from dnsguard.core.message import (
    AddRecords,
    DeleteRRset,
    Message,
    NamesRead,
    Outcome,
    Prerequisite,
    Refused,
    RRsetAbsent,
    RRsetIs,
    Unknown,
    Unreachable,
    Update,
)
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.workers.effects import Clock, Publisher

LOCK_LABEL = "_lock"
TRIES_MAX = 1_000
_LOST = frozenset({"NXRRSET", "YXRRSET"})


class PatientClock(Clock, Protocol):
    """Time that can also be waited for, and chance as a number."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def random(self) -> float:
        """Return a number from 0 up to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds an endpoint, and until when (seconds since the epoch)."""

    holder: str
    expires_at: float


def lock_key(endpoint: str) -> Key:
    """Return the key of an endpoint's lock record."""
    return Key(f"{LOCK_LABEL}.{endpoint}", "TXT")


def lease_records(lease: Lease) -> Records:
    """Write a lease as one TXT record of one string. Raises ValueError if the holder's name is too long."""
    text = f"holder={lease.holder} expires={lease.expires_at:.3f}".encode("ascii")
    if len(text) > 255:
        raise ValueError(f"expected a holder's name of at most 200 characters, found {len(lease.holder)}")
    return Records(0, (bytes((len(text),)) + text,))


def read_lease(found: Records | None) -> Lease | None:
    """Read a lease; None where no lock stands, and where what stands is no lease of ours."""
    if found is None or len(found.rdatas) != 1:
        return None
    fields = dict(part.partition("=")[::2] for part in found.rdatas[0][1:].decode("ascii", "replace").split())
    try:
        return Lease(fields["holder"], float(fields["expires"]))
    except (KeyError, ValueError):
        return None


def flipped(message: Message) -> tuple[str, ...]:
    """Return the endpoints whose alias a message sets to a node."""
    return tuple(
        update.key.name
        for update in message.updates
        if isinstance(update, AddRecords)
        and update.key.type == "CNAME"
        and target_of(update.records) is not None
        and not is_reserved(update.key.name)
    )


@dataclass(frozen=True, slots=True)
class LockingPublisher:
    """A `Publisher` that flips an endpoint only while it holds the endpoint's lock.

    ``lease_s`` is how long a lock is held after a flip; who finds it held, or loses the race for it, waits
    between half of ``backoff_s_max`` and all of it, and tries again within the same publication.
    """

    publisher: Publisher
    clock: PatientClock
    holder: str
    lease_s: float
    backoff_s_max: float

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        return await self.publisher.observe(zone)

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        return await self.publisher.read(zone, names)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        return await self.publisher.transfer(zone)

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE; one that flips endpoints waits until their locks are free, and takes them along."""
        locks = tuple(lock_key(endpoint) for endpoint in flipped(message))
        if not locks:
            return await self.publisher.publish(message)
        for _ in range(TRIES_MAX):
            found = await self.publisher.read(message.zone, [lock.name for lock in locks])
            if isinstance(found, Unreachable):
                return Unknown(f"the lock could not be read, and nothing was sent: {found.reason}")
            for name, why in found.unread.items():
                return Unknown(f"the lock at {name} could not be read, and nothing was sent: {why}")
            if not self._free(locks, found.rrsets):
                await self._back_off()
                continue
            outcome = await self.publisher.publish(self._locking(message, locks, found.rrsets))
            if not (isinstance(outcome, Refused) and outcome.rcode in _LOST):
                return outcome
            now = await self.publisher.read(message.zone, [lock.name for lock in locks])
            if isinstance(now, Unreachable) or all(now.rrsets.get(lock) == found.rrsets.get(lock) for lock in locks):
                return outcome
            await self._back_off()
        return Unknown(f"the lock of {locks[0].name} was held by others {TRIES_MAX} times; nothing was sent")

    def _free(self, locks: Collection[Key], found: Mapping[Key, Records]) -> bool:
        leases = [read_lease(found.get(lock)) for lock in locks]
        now = self.clock.now()
        return all(lease is None or lease.holder == self.holder or lease.expires_at <= now for lease in leases)

    def _locking(self, message: Message, locks: Collection[Key], found: Mapping[Key, Records]) -> Message:
        """Add to a message: the locks are as they were read, and become ours."""
        mine = lease_records(Lease(self.holder, self.clock.now() + self.lease_s))
        as_read: list[Prerequisite] = [
            RRsetIs(lock, found[lock].rdatas) if lock in found else RRsetAbsent(lock) for lock in locks
        ]
        taken: list[Update] = [part for lock in locks for part in (DeleteRRset(lock), AddRecords(lock, mine))]
        return replace(message, prerequisites=(*as_read, *message.prerequisites), updates=(*message.updates, *taken))

    async def _back_off(self) -> None:
        await self.clock.sleep(self.backoff_s_max * (0.5 + self.clock.random() / 2))
