"""A store in memory: the same promises as the SQL one (the same contract tests), behind a gate.
Each method is one effect: it waits for its turn, then does all of its work in one step.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dnsguard.core.fence import Fence, fence_from_text
from dnsguard.core.guards import Guards
from dnsguard.core.history import (
    UNSETTLED,
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
    Wanted,
    make_plan,
)
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.unchanged import judged, replaced, unchanged_at
from dnsguard.core.withdrawal import Verdict, Withdrawal, refuse_withdrawal, verdict
from dnsguard.lab.ends.history import MemoryHistory, answer, answered, append, facts_of, open_withdrawals, with_backlog
from dnsguard.lab.ends.pending import changes_between, resumable, waiting_plans, with_neighbours
from dnsguard.lab.ends.settlement import (
    created_before_withdrawal,
    mark_faulted,
    mend,
    newest_in,
    owed_by,
    put_back,
    settle,
    take_out,
)
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
        known = None if fence is None else history.chains.get(fence.generation)
        withdrawals = open_withdrawals(history)
        if fence is not None and not trusted and any(verdict(w, fence) is Verdict.TOO_LATE for w in withdrawals):
            there = with_backlog(history)
            return Pending(there, known, fence.generation, fence.digest, (), record_first=True)
        if target is None:
            resuming = fence is not None and fence.progress is not None and not trusted
            resuming = resuming and fence is not None and resumable(history, fence)
            target = fence.generation if fence is not None and resuming else about.newest
        elif target not in history.entries and (fence is None or target != fence.generation):
            raise GenerationUnknown(zone, target, about.kept_from, about.newest)
        digest = history.chains.get(target, fence.digest if fence is not None else "")
        changes = changes_between(history, base, target)
        settled = not changes and fence is not None and fence.progress is None
        settled = settled and target == base == about.published
        owed, waiting = (owed_by(history), waiting_plans(history)) if settled else ((), ())
        changes, owed = (with_neighbours(history, each, base, whole_names=whole_names) for each in (changes, owed))
        return Pending(with_backlog(history), known, target, digest, changes, owed, waiting=waiting)

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
        verdicts = [(each, verdict(each, fence)) for each in open_withdrawals(history)]
        too_late = [each for each, said in verdicts if said is Verdict.TOO_LATE]
        if not news and not too_late:
            return False
        for each in too_late:
            entry = history.entries[each.generation]
            history.entries[each.generation] = replace(entry, state=PlanState.ACCEPTED, why=None)
        settle(history, reached, at, dict(faults))
        for each, said in verdicts:
            if said is Verdict.WITHDRAWN:
                entry = history.entries[each.generation]
                history.entries[each.generation] = replace(entry, state=PlanState.WITHDRAWN, settled_at=at)
                if not each.taken_out:
                    take_out(history, each.generation)
        for each in too_late:
            self._undo(history, each, at)
        history.zone = replace(
            history.zone,
            published=reached,
            fence=str(fence),
            halted=None,
            published_at=at if reached > about.published else about.published_at,
            trusted_fence=None if str(fence) != about.trusted_fence else about.trusted_fence,
        )
        return True

    def _undo(self, history: MemoryHistory, withdrawal: Withdrawal, at: float) -> None:
        """Take a withdrawal back that came too late."""
        generation, barrier = withdrawal.generation, withdrawal.barrier
        restated: dict[Key, Wanted] = {}
        for key, here in history.changes.items():
            if barrier in here and history.entries[max(here)].reverts is not None:
                restated[key] = here[generation]
        why = f"generation {generation} was published before it could be withdrawn"
        history.entries[barrier] = replace(history.entries[barrier], state=PlanState.REJECTED, settled_at=at, why=why)
        if restated:
            flags = {"adopt": generation in history.adopt, "as_found": generation in history.as_found}
            plan = make_plan(history.zone.name, restated, reason=why, **flags)
            append(history, Submission(plan, "dnsguard", at), history.zone.newest + 1, reverts=barrier)
        take_out(history, barrier)

    async def withdraw(self, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
        """Take back a plan that is not published; return why not."""
        history = await self._turn("store.withdraw", zone, reads=("history", "record"), writes=("history", "record"))
        about, entry = history.zone, history.entries.get(generation)
        if entry is None:
            raise GenerationUnknown(zone, generation, about.kept_from, about.newest)
        if entry.state in {PlanState.WITHDRAWING, PlanState.WITHDRAWN}:
            return None
        fence, trusted = fence_from_text(about.fence), about.trusted_fence is not None
        refusal = refuse_withdrawal(
            generation, entry.state, entry.reverts, trusted=trusted, fence=fence, newest=about.newest
        )
        if refusal is not None:
            return refusal
        if entry.state is PlanState.WAITING:
            barrier = max((e.generation for e in history.entries.values() if e.reverts == generation), default=0)
            is_past = barrier <= about.published
            state = PlanState.WITHDRAWN if is_past else PlanState.WITHDRAWING
            history.entries[generation] = replace(entry, state=state, settled_at=at if is_past else None, why=why)
            return None
        back = put_back(history, newest_in(history, generation), generation, (), again=False)
        plan = make_plan(zone, back, reason=f"withdraws generation {generation}: {why}")
        append(history, Submission(plan, actor, at), about.newest + 1, reverts=generation)
        history.entries[generation] = replace(entry, state=PlanState.WITHDRAWING, why=why)
        return None

    async def resume(self, zone: str, generation: int, at: float) -> int | None:
        """Accept the contents of a waiting plan once more; return the new generation, None if it does not wait."""
        history = await self._turn("store.resume", zone, reads=("history", "record"), writes=("history", "record"))
        entry = history.entries.get(generation)
        if entry is None or entry.state is not PlanState.WAITING:
            return None
        wanted: dict[Key, Wanted] = {}
        for key, each in history.turned_down[generation].items():
            newest = history.newest_change(key, history.zone.newest)
            if newest is not None and history.entries[newest[0]].reverts is not None:
                wanted[key] = each
        appended = 0
        if wanted:
            reason = f"generation {generation} again, whose names can be read now: {entry.reason}"
            flags = {"adopt": generation in history.adopt, "as_found": generation in history.as_found}
            appended = history.zone.newest + 1
            append(history, Submission(make_plan(zone, wanted, reason=reason, **flags), entry.actor, at), appended)
        why = f"accepted again as generation {appended}" if appended else "newer plans cover all of it"
        history.entries[generation] = replace(entry, state=PlanState.SUPERSEDED, settled_at=at, why=why)
        return appended

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
        """Mark a plan rejected, or waiting, and append one that puts its RRsets back."""
        history = await self._turn("store.reject", zone, reads=("history", "record"), writes=("history", "record"))
        entry = history.entries.get(generation)
        open_states = {PlanState.ACCEPTED, PlanState.WITHDRAWING}
        if entry is None or entry.state not in open_states or generation <= history.zone.published:
            mark_faulted(history, generation, why, at, suspects)
            return None
        if entry.state is PlanState.WITHDRAWING and (waits or generation in history.turned_down):
            return 0
        own = newest_in(history, generation)
        back = put_back(history, own, generation, created, again=entry.reverts is not None)
        if back and back == own:
            back = put_back(history, own, generation, created, again=True)
        # Where a newer plan covers something of it, taking it away changes what is to be published, and so gets on.
        if back and back == own and len(back) == entry.rrsets:
            mark_faulted(history, generation, why, at, suspects)
            return None
        if entry.state is PlanState.WITHDRAWING:
            back = created_before_withdrawal(history, generation, created)
        state = PlanState.WAITING if waits else PlanState.REJECTED
        history.entries[generation] = replace(
            entry, state=state, settled_at=None if waits else at, why=why, suspects=tuple(suspects)
        )
        take_out(history, generation)
        for key in history.turned_down[generation].keys() & set(created):
            history.heads[key].adopt = True
        if not back and not waits:
            return 0
        said = "waits" if waits else "was rejected"
        reason = f"puts back what stood before generation {generation}, which {said}: {why}"
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
            settled = entry.state not in UNSETTLED
            if generation < upto and settled and generation not in referred and generation != history.zone.published:
                del history.entries[generation], history.chains[generation]
                history.turned_down.pop(generation, None)
                gone += 1
        history.zone = replace(history.zone, kept_from=upto)
        return gone
