"""Short ways to say what is submitted to a store and what a primary shows."""

from collections.abc import Mapping

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, KeyReused, Submission, Unchanged
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.refusal import Refusal
from dnsguard.workers.effects import Store

ZONE = "example.test."
HISTORY = "0123456789abcdef"
RETIRED, UNCOVERED = Absence.RETIRED, Absence.UNCOVERED


def key(name: str, rdtype: str = "A") -> Key:
    return Key(ZONE if name == "@" else f"{name}.{ZONE}", rdtype)


def a(last: int, ttl: int = 300) -> Records:
    return parse_records("A", ttl, [f"192.0.2.{last}"])


async def submit(
    store: Store,
    rrsets: Mapping[Key, Wanted],
    *,
    actor: str = "planner",
    at: float = 1000.0,
    adopt: bool = False,
    based_on: int | None = None,
    stated: int | None = None,
    idempotency_key: str | None = None,
    body_digest: bytes = b"",
    wire: Mapping[Key, Records] | None = None,
    guards: Guards = GUARDED,
    zone: str = ZONE,
    republish: bool = False,
    open_findings: tuple[tuple[Key, int], ...] = (),
) -> Accepted | Unchanged | KeyReused | Refusal:
    plan = make_plan(zone, rrsets, reason="a test", adopt=adopt, based_on=based_on, stated=stated)
    submission = Submission(plan, actor, at, idempotency_key, body_digest, republish, open_findings)
    return await store.accept(submission, guards, Policy(), wire)


async def accepted(store: Store, rrsets: Mapping[Key, Wanted], **how: bool | float | str) -> int:
    outcome = await submit(store, rrsets, **how)  # type: ignore[arg-type]
    assert isinstance(outcome, Accepted), outcome
    return outcome.generation


async def fence_at(store: Store, generation: int, progress: Progress | None = None) -> Fence:
    """Return the fence that an enactor would write at a generation."""
    pending = await store.pending(ZONE, None, generation)
    return Fence(pending.zone.history, generation, pending.target_digest, progress)


async def publish(store: Store, generation: int, at: float = 2000.0) -> Fence:
    """Record that a primary stands at a generation."""
    fence = await fence_at(store, generation)
    assert await store.record(ZONE, fence, at)
    return fence
