"""The history in a SQL database: what workers and the API ask of a store, one transaction each.
Reads no clock and no randomness. Plans that arrive while a transaction is under way are accepted together in the
next one, so that many of them share the wait for the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import (
    Accepted,
    Covered,
    Difference,
    Entry,
    Judged,
    KeyReused,
    Pending,
    StoreUnavailable,
    Submission,
    Unchanged,
    Zone,
)
from dnsguard.core.plan import Plan
from dnsguard.core.policy import Policy
from dnsguard.core.propagation import Tracked
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.roster import Daemon
from dnsguard.store import door, propagation, prune, reads, roster, rows, settle, verification, withdraw, zones
from dnsguard.store.bulletin import Act, Bulletin, News
from dnsguard.store.database import Database, Unclear

TOGETHER_MAX = 256
"""Plans accepted in one transaction."""
TOGETHER_RRSETS_MAX = 20_000
"""RRsets accepted in one transaction, unless a single plan has more."""
UNCLEAR_TRIES_MAX = 14
"""How often a database that broke off is asked what became of plans: about ten seconds."""

P = ParamSpec("P")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Waiting:
    caller: door.Caller
    outcome: asyncio.Future[Accepted | Unchanged | KeyReused | Refusal]


class SqlStore:
    """A `Store` and `Histories` over one database.

    Every method raises StoreUnavailable, and ZoneUnknown where it is given a zone.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._database = Database(engine)
        self._queues: dict[str, list[_Waiting]] = {}
        self._doors: dict[str, asyncio.Task[None]] = {}
        self._bulletin = Bulletin(engine)

    async def close(self) -> None:
        """Finish what is being accepted and close all connections."""
        await asyncio.gather(*self._doors.values())
        await self._bulletin.close()
        await self._database.close()

    @property
    def write_fault(self) -> str | None:
        """Why the newest write failed, None if it succeeded: a database on a full disk can still be read."""
        return self._database.write_fault

    async def _read(
        self,
        look: Callable[Concatenate[sa.Connection, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        return await self._database.read(lambda conn: look(conn, *args, **kwargs))

    async def _write(
        self,
        act: Callable[Concatenate[sa.Connection, P], Result],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Result:
        return await self._database.write(lambda conn: act(conn, *args, **kwargs))

    async def ensure_zone(self, name: str, history: str) -> Zone:
        """Return a zone; make it, with this history, if it is not there. ``history`` has 16 hex digits."""
        return await self._write(zones.ensure, name, history)

    async def zones(self) -> tuple[Zone, ...]:
        """Return all zones, by name."""
        return await self._read(rows.zones_with_backlog)

    async def zone(self, name: str) -> Zone:
        """Return one zone."""
        return await self._read(rows.zone_with_backlog, name)

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | Unchanged | KeyReused | Refusal:
        """Ask the guards and append the plan under the next, or its stated, generation, unless it changes nothing.

        A caller that is cancelled while waiting takes its plan along; once its transaction has begun, the plan
        may be accepted all the same.
        """
        zone = submission.plan.zone
        waiting = _Waiting(door.Caller(submission, guards, policy, wire), asyncio.get_running_loop().create_future())
        self._queues.setdefault(zone, []).append(waiting)
        if zone not in self._doors:
            # A task of its own: a caller that goes away must not take down the transaction that others share.
            self._doors[zone] = asyncio.create_task(self._keep_door(zone), name=f"door of {zone}")
        return await waiting.outcome

    async def _keep_door(self, zone: str) -> None:
        """Accept the waiting plans of a zone, as many together as there are, until nobody waits."""
        try:
            while together := self._next_together(zone):
                try:
                    outcomes = await self._accept(zone, [waiting.caller for waiting in together])
                except Exception as error:  # noqa: BLE001  raised again to everybody who waited for this transaction
                    outcomes = [error] * len(together)
                if any(isinstance(outcome, Accepted) and not outcome.repeated for outcome in outcomes):
                    self._bulletin.post(zone, Act.ACCEPTED)
                for waiting, outcome in zip(together, outcomes, strict=True):
                    _tell(waiting.outcome, outcome)
        finally:
            del self._doors[zone]

    async def _accept(self, zone: str, callers: Sequence[door.Caller]) -> list[door.Outcome]:
        """Judge plans and append them; find out what became of them if the connection breaks meanwhile."""
        unclear: list[door.Verdict] = []
        error = StoreUnavailable()
        for tries in range(UNCLEAR_TRIES_MAX):
            try:
                look = partial(door.decide, zone=zone, callers=callers, unclear=tuple(unclear))
                return (await self._database.decide(look)).outcomes
            except Unclear as found:
                error = found
                unclear += [found.decision] if isinstance(found.decision, door.Verdict) else []
            except StoreUnavailable:
                if not unclear:
                    raise
            await self._database.pause(tries)
        raise error

    def _next_together(self, zone: str) -> list[_Waiting]:
        queue = self._queues.pop(zone, [])
        together: list[_Waiting] = []
        rrsets = 0
        for at, waiting in enumerate(queue):
            rrsets += len(waiting.caller.submission.plan.rrsets)
            if together and (len(together) == TOGETHER_MAX or rrsets > TOGETHER_RRSETS_MAX):
                self._queues[zone] = queue[at:]
                break
            if not waiting.outcome.cancelled():
                together.append(waiting)
        return together

    async def judge(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Judged:
        """Ask every guard and compare with what stands; writes nothing."""
        return await self._read(door.judge, submission, guards, policy, wire)

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        """Return those of the RRsets that no accepted plan covers."""
        return await self._read(door.unmanaged, zone, keys)

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish from a fence on, up to a target. Raises GenerationUnknown."""
        return await self._read(reads.pending, zone, fence, target, whole_names=whole_names)

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed; return whether anything was news."""
        return self._posted(zone, Act.RECORDED, await self._write(settle.record, zone, fence, at, faults, mended))

    async def reject(
        self,
        zone: str,
        generation: int,
        why: str,
        at: float,
        created: Collection[Key] = (),
        suspects: Sequence[Suspect] = (),
        *,
        waits: bool = False,
    ) -> int | None:
        """Mark a plan rejected, or waiting, and append a plan that puts its RRsets back; return its generation."""
        appended = await self._write(settle.reject, zone, generation, why, at, created, suspects, waits=waits)
        return self._posted(zone, Act.ACCEPTED, appended)

    async def withdraw(self, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        """Take back a plan that is not published; return why not. Raises GenerationUnknown."""
        refusal = await self._write(withdraw.withdraw, zone, generation, why, actor, at)
        self._posted(zone, Act.ACCEPTED, refusal is None)
        return refusal

    async def resume(self, zone: str, generation: int, at: float) -> int | None:
        """Accept the contents of a waiting plan once more; return the new generation, None if it does not wait."""
        return self._posted(zone, Act.ACCEPTED, await self._write(withdraw.resume, zone, generation, at))

    async def halt(self, zone: str, why: str) -> bool:
        """Note why publishing is stopped for a zone; return whether that was news."""
        return await self._write(settle.halt, zone, why)

    async def resync(self, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
        """Append a plan above a generation and trust one fence's text; return the plan's generation."""
        return self._posted(zone, Act.ACCEPTED, await self._write(door.resync, zone, plan, seen, above, actor, at))

    def _posted(self, zone: str, act: Act, outcome: Result) -> Result:
        if outcome:
            self._bulletin.post(zone, act)
        return outcome

    def news(self) -> AsyncIterator[News]:
        """Yield what other daemons do until the connection is lost, nothing on SQLite."""
        return self._bulletin.hear()

    @property
    def is_heard(self) -> bool:
        """Whether other daemons hear at once of what is done here."""
        return self._bulletin.is_open

    async def attend(self, daemon: Daemon) -> str | None:
        """Note that a daemon is there; return which revision its code must have, if it is too old for the tables."""
        self._bulletin.post("", Act.ATTENDED)  # a line that is dead without a word is found out by sending
        return await self._write(roster.attend, daemon)

    async def leave(self, daemon: Daemon) -> None:
        """Strike a daemon off the record."""
        await self._write(roster.leave, daemon)

    async def daemons(self) -> tuple[Daemon, ...]:
        """Return the daemons on record, those that ended without a word included."""
        return await self._read(roster.listed)

    async def prune(self, zone: str, upto: int) -> int:
        """Forget what no state at or above a generation is made of; return how many rows went.

        Takes a transaction per some thousands of changes; each leaves a whole history behind.
        """
        total, there = 0, False
        while not there:
            count, there = await self._write(prune.prune_slice, zone, upto)
            total += count
        return total

    async def track(self, zone: str, fences: Collection[Fence], generations: Collection[int]) -> Tracked:
        """Say which fences are of this history, and since when there is something newer than some generations."""
        return await self._read(propagation.track, zone, fences, generations)

    async def propagate(self, zone: str, generation: int, servers: Collection[str], at: float) -> bool:
        """Record that all listed name servers serve a generation; return whether that was news."""
        return await self._write(propagation.propagate, zone, generation, servers, at)

    async def plans(self, zone: str, *, below: int | None, limit: int) -> tuple[Entry, ...]:
        """Return plans, newest first, of generations below a bound (None for all)."""
        return await self._read(reads.plans_below, zone, below, limit)

    async def plans_of(self, zone: str, generations: Collection[int]) -> tuple[Entry, ...]:
        """Return the plans of some generations, without those that have been pruned."""
        return await self._read(reads.plans_of, zone, generations)

    async def unfinished(self, zone: str, *, limit: int) -> tuple[Entry, ...]:
        """Return the plans that wait, are being withdrawn, or are at fault, oldest first."""
        return await self._read(reads.unfinished_plans, zone, limit)

    async def plan(
        self, zone: str, generation: int, *, after: Key | None = None, limit: int | None = None
    ) -> tuple[Entry, tuple[Covered, ...]]:
        """Return one plan with a page of those of its RRsets that are kept. Raises GenerationUnknown."""
        return await self._read(reads.plan_at, zone, generation, after, limit)

    async def rrsets(
        self,
        zone: str,
        *,
        at: int | None = None,
        name: str | None = None,
        rdtype: str | None = None,
        after: Key | None = None,
        limit: int | None = None,
    ) -> tuple[Covered, ...]:
        """Return what is covered at a generation (the newest if None), by name and type. Raises GenerationUnknown."""
        look = partial(reads.rrsets_at, at=at, name=name, rdtype=rdtype, after=after, limit=limit)
        return await self._read(look, zone)

    async def covered(self, zone: str) -> tuple[Covered, ...]:
        """Return every RRset that the history covers, retired ones included, at the newest generation."""
        return await self.rrsets(zone)

    async def differences(
        self, zone: str, before: int, after: int, *, beyond: Key | None = None, limit: int | None = None
    ) -> tuple[Difference, ...]:
        """Return a page of the RRsets that differ between two generations. Raises GenerationUnknown."""
        return await self._read(reads.differences, zone, before, after, beyond, limit)

    async def contents_between(self, zone: str, above: int, upto: int) -> tuple[Covered, ...]:
        """Return whatever plans of a range of generations want, rejected ones included, oldest first."""
        return await self._read(verification.contents_between, zone, above, upto)

    async def repairs_since(self, zone: str, since: float) -> Mapping[Key, tuple[float, ...]]:
        """Return when each RRset was repaired since a time, oldest first."""
        return await self._read(verification.repairs_since, zone, since)


def _tell(outcome: asyncio.Future[Accepted | Unchanged | KeyReused | Refusal], found: door.Outcome) -> None:
    if outcome.done():
        return
    if isinstance(found, Exception):
        outcome.set_exception(found)
    else:
        outcome.set_result(found)
