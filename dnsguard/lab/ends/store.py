"""A store in memory: the same promises as the SQL one (the same contract tests), behind a gate.
Each method is one effect: it waits for its turn, then does all of its work in one step.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import (
    Accepted,
    Covered,
    GenerationUnknown,
    Judged,
    KeyReused,
    Pending,
    PlanState,
    Submission,
    Unchanged,
    Zone,
    ZoneUnknown,
)
from dnsguard.core.plan import (
    Absence,
    Plan,
    make_plan,
)
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.unchanged import judged, replaced, unchanged_at
from dnsguard.lab.ends.history import MemoryHistory, answer, answered, append, facts_of, with_backlog
from dnsguard.lab.ends.pending import changes_between, resumable, with_neighbours
from dnsguard.lab.ends.settlement import mark_faulted, mend, owed_by, put_back, settle
from dnsguard.lab.scheduler.gate import Gate, OpenGate


@dataclass(slots=True)
class MemoryStore:
    """A `Store` over histories in memory."""

    histories: Mapping[str, MemoryHistory]
    gate: Gate = field(default_factory=OpenGate)

    async def _turn(
        self, label: str, zone: str, *, reads: Iterable[str] = (), writes: Iterable[str] = ()
    ) -> MemoryHistory:
        await self.gate.pass_through(
            label, reads=[f"{part} {zone}" for part in reads], writes=[f"{part} {zone}" for part in writes]
        )
        if zone not in self.histories:
            raise ZoneUnknown(zone)
        return self.histories[zone]

    async def zone(self, name: str) -> Zone:
        """Return a zone."""
        history = await self._turn("store.zone", name, reads=("history", "record"))
        return with_backlog(history)

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | Unchanged | KeyReused | Refusal:
        """Ask the guards and append the plan, unless it changes nothing."""
        zone = submission.plan.zone
        history = await self._turn("store.accept", zone, reads=("history", "record"), writes=("history",))
        if (before := answered(history, submission)) is not None:
            return before
        facts = facts_of(history, submission.plan, policy, wire)
        refusal = guards.refuse_submission(facts)
        if refusal is not None:
            return refusal
        rests_on = unchanged_at(facts, submission)
        if rests_on is not None:
            unchanged = Unchanged(rests_on)
            answer(history, submission, unchanged)
            return unchanged
        stated = submission.plan.stated
        accepted = Accepted(history.zone.newest + 1 if stated is None else stated, replaced=replaced(facts))
        append(history, submission, accepted.generation)
        return accepted

    async def judge(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Judged:
        """Ask every guard and compare with what stands."""
        history = await self._turn("store.judge", submission.plan.zone, reads=("history", "record"))
        facts = facts_of(history, submission.plan, policy, wire)
        return judged(facts, submission, guards.judge_submission(facts))

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        """Return those RRsets that no accepted plan covers."""
        history = await self._turn("store.unmanaged", zone, reads=("history", "record"))
        newest = {key: history.newest_change(key, history.zone.newest) for key in keys}
        return frozenset(key for key, found in newest.items() if found is None or found[1] is Absence.UNCOVERED)

    async def covered(self, zone: str) -> tuple[Covered, ...]:
        """Return every RRset that the history covers at the newest generation."""
        history = await self._turn("store.covered", zone, reads=("history",))
        found = []
        for key in sorted(history.changes):
            change = history.newest_change(key, history.zone.newest)
            if change is not None and change[1] is not Absence.UNCOVERED:
                found.append(Covered(key, change[1], change[0]))
        return tuple(found)

    async def pending(
        self, zone: str, fence: Fence | None, target: int | None = None, *, whole_names: bool = False
    ) -> Pending:
        """Return what there is to publish from a fence on."""
        history = await self._turn("store.pending", zone, reads=("history", "record"))
        about = history.zone
        trusted = fence is not None and str(fence) == about.trusted_fence
        base = 0 if fence is None or trusted else fence.base
        if target is None:
            resuming = fence is not None and fence.progress is not None and not trusted
            resuming = resuming and fence is not None and resumable(history, fence)
            target = fence.generation if fence is not None and resuming else about.newest
        elif target not in history.entries and (fence is None or target != fence.generation):
            raise GenerationUnknown(zone, target, about.kept_from, about.newest)
        known = None if fence is None else history.chains.get(fence.generation)
        digest = history.chains.get(target, fence.digest if fence is not None else "")
        changes = changes_between(history, base, target)
        settled = not changes and fence is not None and fence.progress is None
        owed = owed_by(history) if settled and target == base == about.published else ()
        changes, owed = (with_neighbours(history, each, base, whole_names=whole_names) for each in (changes, owed))
        return Pending(with_backlog(history), known, target, digest, changes, owed)

    async def record(
        self,
        zone: str,
        fence: Fence | None,
        at: float,
        faults: Sequence[tuple[int, str]] = (),
        mended: Collection[int] = (),
    ) -> bool:
        """Write down what was observed."""
        history = await self._turn("store.record", zone, reads=("history", "record"), writes=("record",))
        about = history.zone
        if fence is None:
            history.zone = replace(about, fence=None)
            return about.fence is not None
        ours = fence.history == about.history and fence.generation <= about.newest
        if not ours or history.chains.get(fence.generation, fence.digest) != fence.digest:
            return False
        reached = max(about.published, fence.base)
        news = reached > about.published or about.fence != str(fence) or about.halted is not None or bool(faults)
        news = mend(history, mended, at) or news
        if not news:
            return False
        settle(history, reached, at, dict(faults))
        history.zone = replace(
            about,
            published=reached,
            fence=str(fence),
            halted=None,
            published_at=at if reached > about.published else about.published_at,
            trusted_fence=None if str(fence) != about.trusted_fence else about.trusted_fence,
        )
        return True

    async def reject(
        self,
        zone: str,
        generation: int,
        why: str,
        at: float,
        created: Collection[Key] = (),
        suspects: Sequence[Suspect] = (),
    ) -> int | None:
        """Mark a plan rejected and append one that puts its RRsets back."""
        history = await self._turn("store.reject", zone, reads=("history", "record"), writes=("history", "record"))
        entry = history.entries.get(generation)
        if entry is None or entry.state is not PlanState.ACCEPTED or generation <= history.zone.published:
            mark_faulted(history, generation, why, at, suspects)
            return None
        own = {key: here[generation] for key, here in history.changes.items() if max(here, default=None) == generation}
        back = put_back(history, own, generation, created, again=entry.reverts is not None)
        if back and back == own:
            back = put_back(history, own, generation, created, again=True)
        # Where a newer plan covers something of it, taking it away changes what is to be published, and so gets on.
        if back and back == own and len(back) == entry.rrsets:
            mark_faulted(history, generation, why, at, suspects)
            return None
        history.entries[generation] = replace(
            entry, state=PlanState.REJECTED, settled_at=at, why=why, suspects=tuple(suspects)
        )
        here = [key for key, changes in history.changes.items() if generation in changes]
        history.turned_down[generation] = {key: history.changes[key].pop(generation) for key in here}
        for key in history.turned_down[generation].keys() & set(created):
            history.heads[key].adopt = True
        if not back:
            return 0
        reason = f"puts back what stood before generation {generation}, which was rejected: {why}"
        appended = history.zone.newest + 1
        submission = Submission(make_plan(zone, back, reason=reason), "dnsguard", at)
        append(history, submission, appended, reverts=generation)
        return appended

    async def halt(self, zone: str, why: str) -> bool:
        """Note why publishing is stopped for a zone."""
        history = await self._turn("store.halt", zone, reads=("record",), writes=("record",))
        if history.zone.halted == why:
            return False
        history.zone = replace(history.zone, halted=why)
        return True

    async def resync(self, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
        """Append a plan above a generation and trust one fence."""
        history = await self._turn("store.resync", zone, reads=("history", "record"), writes=("history", "record"))
        generation = max(history.zone.newest, above) + 1
        append(history, Submission(replace(plan, stated=None), actor, at), generation)
        history.zone = replace(history.zone, trusted_fence=seen, halted=None)
        return generation

    async def prune(self, zone: str, upto: int) -> int:
        """Forget superseded changes and settled plans."""
        history = await self._turn("store.prune", zone, reads=("history", "record"), writes=("history",))
        upto = min(upto, history.zone.published)
        if upto <= history.zone.kept_from:
            return 0
        gone = 0
        referred: set[int] = set()
        for changes in history.changes.values():
            kept_from = max((generation for generation in changes if generation <= upto), default=0)
            for generation in [generation for generation in changes if generation < kept_from]:
                del changes[generation]
                gone += 1
            referred |= changes.keys()
        for generation, entry in list(history.entries.items()):
            settled = entry.state is not PlanState.ACCEPTED
            if generation < upto and settled and generation not in referred and generation != history.zone.published:
                del history.entries[generation], history.chains[generation]
                history.turned_down.pop(generation, None)
                gone += 1
        history.zone = replace(history.zone, kept_from=upto)
        return gone
