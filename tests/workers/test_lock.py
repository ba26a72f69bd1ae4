"""The October lock: one holder at a time, waiting within the publication, and blind to generations."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.layout import alias_to, node_name
from dnsguard.core.message import Message, Outcome, RRsetAbsent, RRsetIs, Unknown
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.workers import lock as locks
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.lock import Lease, LockingPublisher, flipped, lease_records, lock_key, read_lease
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

WWW = key("www")
LOCK = lock_key(WWW.name)
ALIAS = key("www", "CNAME")


@dataclass
class Clock:
    """Time that passes only when it is waited for; ``meanwhile`` is what others do then."""

    time: float = 1000.0
    waits: list[float] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None

    def now(self) -> float:
        return self.time

    def hex_digits(self, count: int) -> str:
        return "0" * count

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds
        if self.meanwhile is not None:
            await self.meanwhile()


def versioned(guards: Guards = GUARDED) -> Rig:
    return Rig(policy=Policy(layout="versioned", history_generations_min=5), guards=guards)


def locking(rig: Rig, clock: Clock, holder: str = "a", publisher: MemoryPublisher | None = None) -> LockingPublisher:
    return LockingPublisher(publisher or rig.publisher, clock, holder, lease_s=5.0, backoff_s_max=1.0)


def enactor(rig: Rig, publisher: LockingPublisher) -> Enactor:
    return Enactor(ZONE, rig.store, publisher, publisher.clock, rig.guards, rig.policy)


def held_by(rig: Rig) -> Lease | None:
    return read_lease(rig.on_wire(LOCK))


async def publish(rig: Rig, publisher: LockingPublisher, address: str) -> None:
    await rig.submit({WWW: a(address)})
    await rig.settle(enactor(rig, publisher))


async def test_a_flip_takes_the_lock_along_and_a_build_does_not() -> None:
    rig, clock = versioned(), Clock()
    await publish(rig, locking(rig, clock), "192.0.2.1")
    assert held_by(rig) == Lease("a", 1005.0)
    with_lock = [message for message in rig.publisher.sent if any(p.key == LOCK for p in message.updates)]
    assert [flipped(message) for message in with_lock] == [(WWW.name,)]
    assert with_lock[0].prerequisites[0] == RRsetAbsent(LOCK)


async def test_who_holds_it_renews_it_and_says_what_was_read() -> None:
    rig, clock = versioned(), Clock()
    publisher = locking(rig, clock)
    await publish(rig, publisher, "192.0.2.1")
    await publish(rig, publisher, "192.0.2.2")
    flips = [message for message in rig.publisher.sent if flipped(message)]
    assert clock.waits == []
    assert flips[-1].prerequisites[0] == RRsetIs(LOCK, lease_records(Lease("a", 1005.0)).rdatas)


async def test_who_finds_it_held_waits_until_it_has_expired() -> None:
    rig, clock = versioned(), Clock()
    await publish(rig, locking(rig, clock, "a"), "192.0.2.1")
    await publish(rig, locking(rig, clock, "b"), "192.0.2.2")
    assert clock.waits == [0.75] * 7
    assert held_by(rig) == Lease("b", 1005.25 + 5.0)


async def test_who_loses_the_race_inside_the_batch_tries_again() -> None:
    rig, clock = versioned(), Clock()

    class Raced(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            if flipped(message) and not self.sent:
                contents = dict(self.primary.contents)
                contents[LOCK] = lease_records(Lease("somebody else", clock.time + 0.5))
                self.primary.contents = contents
            return await PickyPublisher.publish(self, message) if flipped(message) else self.take(message)

    raced = Raced(rig.primary)
    await publish(rig, locking(rig, clock, publisher=raced), "192.0.2.1")
    assert clock.waits == [0.75]
    assert held_by(rig) == Lease("a", 1005.75)


async def test_it_does_not_keep_an_old_plan_from_going_out_late() -> None:
    rig, clock = versioned(UNGUARDED), Clock()
    await publish(rig, locking(rig, clock, "fast"), "192.0.2.1")
    await rig.submit({WWW: a("192.0.2.2")})
    fast = locking(rig, clock, "fast")
    newer = iter(("192.0.2.3", "192.0.2.4"))

    async def others() -> None:
        if (address := next(newer, None)) is not None:
            await publish(rig, fast, address)

    clock.meanwhile = others
    slow = enactor(rig, locking(rig, clock, "slow", MemoryPublisher(rig.primary)))
    await slow.run_once()
    assert rig.on_wire(ALIAS) == alias_to(node_name(WWW.name, 2), 300)
    assert held_by(rig) == Lease("slow", clock.time + 5.0)


async def test_with_the_fence_the_same_late_plan_is_refused_although_the_lock_was_got() -> None:
    rig, clock = versioned(GUARDED), Clock()
    await publish(rig, locking(rig, clock, "fast"), "192.0.2.1")
    await rig.submit({WWW: a("192.0.2.2")})
    fast = locking(rig, clock, "fast")
    newer = iter(("192.0.2.3", "192.0.2.4"))

    async def others() -> None:
        if (address := next(newer, None)) is not None:
            await publish(rig, fast, address)

    clock.meanwhile = others
    slow = enactor(rig, locking(rig, clock, "slow", MemoryPublisher(rig.primary)))
    step = await slow.run_once()
    assert step.event == "publication.overtaken"
    assert rig.on_wire(ALIAS) == alias_to(node_name(WWW.name, 4), 300)


async def test_a_lock_that_cannot_be_read_leaves_the_outcome_unclear_and_sends_nothing() -> None:
    rig, clock = versioned(), Clock()
    await publish(rig, locking(rig, clock), "192.0.2.1")
    flip = next(message for message in rig.publisher.sent if flipped(message))
    rig.primary.away = True
    rig.publisher.sent.clear()
    assert isinstance(await locking(rig, clock).publish(flip), Unknown)
    assert rig.publisher.sent == []


async def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "TRIES_MAX", 3)
    rig, clock = versioned(), Clock()
    await publish(rig, locking(rig, clock, "a"), "192.0.2.1")
    flip = next(message for message in rig.publisher.sent if flipped(message))
    rig.publisher.sent.clear()
    assert isinstance(await locking(rig, clock, "b").publish(flip), Unknown)
    assert (len(clock.waits), rig.publisher.sent) == (3, [])


async def test_what_is_no_lease_holds_nobody_up() -> None:
    assert read_lease(None) is None
    assert read_lease(a("192.0.2.1")) is None
    assert Key(f"_lock.{WWW.name}", "TXT") == LOCK
    with pytest.raises(ValueError, match="holder"):
        lease_records(Lease("x" * 300, 1.0))
