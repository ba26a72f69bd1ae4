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
    Difference,
    Entry,
    GenerationUnknown,
    Judged,
    KeyReused,
    Pending,
    PlanState,
    Submission,
    Zone,
    ZoneUnknown,
)
from dnsguard.core.plan import (
    Absence,
    Before,
    Change,
    Plan,
    Wanted,
    chain_digest,
    fold,
    make_plan,
    plan_digest,
    sort_key,
)
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Standing, Submitted
from dnsguard.lab.gate import Gate, OpenGate
from dnsguard.lab.settlement import mark_faulted, mend, owed_by, settle


@dataclass(slots=True)
class _Head:
    """Of one RRset: what is on record as published, and whether it may be taken over."""

    live: int | None = None
    held: bool = False
    adopt: bool = False


@dataclass(slots=True)
class MemoryHistory:
    """One zone's history: what several stores (daemons) share."""

    zone: Zone
    entries: dict[int, Entry] = field(default_factory=dict)
    chains: dict[int, str] = field(default_factory=dict)
    changes: dict[Key, dict[int, Wanted]] = field(default_factory=dict)
    heads: dict[Key, _Head] = field(default_factory=dict)
    answered: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    turned_down: dict[int, dict[Key, Wanted]] = field(default_factory=dict)
    """What rejected plans wanted."""
    as_found: set[int] = field(default_factory=set)
    """Plans that take over what they found."""

    def newest_change(self, key: Key, upto: int) -> tuple[int, Wanted] | None:
        """Return what the newest plan at or below a generation says of an RRset."""
        generations = [generation for generation in self.changes.get(key, ()) if generation <= upto]
        return (max(generations), self.changes[key][max(generations)]) if generations else None


def make_history(zone: str, history: str) -> MemoryHistory:
    """Return the history of a zone before its first plan."""
    return MemoryHistory(Zone(zone, history, 0, 0, 0, None, None, None, None, 0, None))


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
        return _with_backlog(history)

    async def accept(
        self, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
    ) -> Accepted | KeyReused | Refusal:
        """Ask the guards and append the plan."""
        zone = submission.plan.zone
        history = await self._turn("store.accept", zone, reads=("history", "record"), writes=("history",))
        if submission.idempotency_key is not None:
            answer = history.answered.get((submission.actor, submission.idempotency_key))
            if answer is not None:
                generation, digest = answer
                same = digest == submission.body_digest
                return Accepted(generation, repeated=True) if same else KeyReused(generation)
        refusal = guards.refuse_submission(_facts(history, submission.plan, policy, wire))
        if refusal is not None:
            return refusal
        stated = submission.plan.stated
        generation = history.zone.newest + 1 if stated is None else stated
        _append(history, submission, generation)
        return Accepted(generation)

    async def judge(self, plan: Plan, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None) -> Judged:
        """Ask every guard and compare with what stands."""
        history = await self._turn("store.judge", plan.zone, reads=("history", "record"))
        facts = _facts(history, plan, policy, wire)
        differences = []
        for key, after in plan.rrsets:
            found = history.newest_change(key, history.zone.newest)
            before = None if found is None or found[1] is Absence.WITHDRAWN else found[1]
            if before != after:
                differences.append(Difference(key, before, after))
        return Judged(history.zone.newest, guards.judge_submission(facts), tuple(differences))

    async def unmanaged(self, zone: str, keys: Collection[Key]) -> frozenset[Key]:
        """Return those RRsets that were never published and that no plan may take over."""
        history = await self._turn("store.unmanaged", zone, reads=("history", "record"))
        return frozenset(key for key in keys if not _managed(history.heads.get(key)))

    async def covered(self, zone: str) -> tuple[Covered, ...]:
        """Return every RRset that the history covers at the newest generation."""
        history = await self._turn("store.covered", zone, reads=("history",))
        found = []
        for key in sorted(history.changes):
            change = history.newest_change(key, history.zone.newest)
            if change is not None and change[1] is not Absence.WITHDRAWN:
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
            resuming = resuming and fence is not None and _resumable(history, fence)
            target = fence.generation if fence is not None and resuming else about.newest
        elif target not in history.entries:
            raise GenerationUnknown(zone, target, about.kept_from, about.newest)
        known = None if fence is None else history.chains.get(fence.generation)
        digest = history.chains.get(target, fence.digest if fence is not None else "")
        changes = _changes(history, base, target)
        settled = not changes and fence is not None and fence.progress is None
        owed = owed_by(history) if settled and target == base == about.published else ()
        if whole_names:
            changes, owed = (_with_neighbours(history, each, base) for each in (changes, owed))
        return Pending(_with_backlog(history), known, target, digest, changes, owed)

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
        self, zone: str, generation: int, why: str, at: float, created: Collection[Key] = ()
    ) -> int | None:
        """Mark a plan rejected and append one that puts its RRsets back."""
        history = await self._turn("store.reject", zone, reads=("history", "record"), writes=("history", "record"))
        entry = history.entries.get(generation)
        if entry is None or entry.state is not PlanState.ACCEPTED or generation <= history.zone.published:
            mark_faulted(history, generation, why, at)
            return None
        own = {key: here[generation] for key, here in history.changes.items() if max(here, default=None) == generation}
        back = _put_back(history, own, generation, created, again=entry.reverts is not None)
        if back and back == own:
            back = _put_back(history, own, generation, created, again=True)
        # Where a newer plan covers something of it, taking it away changes what is to be published, and so gets on.
        if back and back == own and len(back) == entry.rrsets:
            mark_faulted(history, generation, why, at)
            return None
        history.entries[generation] = replace(entry, state=PlanState.REJECTED, settled_at=at, why=why)
        here = [key for key, changes in history.changes.items() if generation in changes]
        history.turned_down[generation] = {key: history.changes[key].pop(generation) for key in here}
        for key in history.turned_down[generation].keys() & set(created):
            history.heads[key].adopt = True
        if not back:
            return 0
        reason = f"puts back what stood before generation {generation}, which was rejected: {why}"
        appended = history.zone.newest + 1
        submission = Submission(make_plan(zone, back, reason=reason), "dnsguard", at)
        _append(history, submission, appended, reverts=generation)
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
        _append(history, Submission(replace(plan, stated=None), actor, at), generation)
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


def _resumable(history: MemoryHistory, fence: Fence) -> bool:
    """Tell whether what a publication under way was made of is known to the letter.

    It is not if a restored primary shows one from before the kept history: all that is left of that is made anew.
    """
    kept = fence.generation >= history.zone.kept_from
    return kept and not _turned_down(history, fence.base, fence.generation)


def _put_back(
    history: MemoryHistory, own: Mapping[Key, Wanted], generation: int, created: Collection[Key], *, again: bool
) -> dict[Key, Wanted]:
    """Return what to put back: what the newest plan before says, or, if that was tried, what is on the wire."""
    back: dict[Key, Wanted] = {}
    for key in own:
        before = history.newest_change(key, (history.heads[key].live or 0) if again else generation - 1)
        back[key] = Absence.WITHDRAWN if before is None else before[1]
        if back[key] is Absence.WITHDRAWN and (key in created or _created_before(history, key, own[key], again=again)):
            back[key] = Absence.RETIRED
    return back


def _created_before(history: MemoryHistory, key: Key, wanted: Wanted, *, again: bool) -> bool:
    """Tell whether an RRset was already to be retired because a publication left half-way had created it."""
    return again and history.heads[key].adopt and wanted is Absence.RETIRED


def _turned_down(history: MemoryHistory, base: int, upto: int) -> bool:
    """Tell whether a publication may have written what a rejected plan wanted and no newer one covers by then."""
    return any(
        not any(generation < newer <= upto for newer in history.changes[key])
        for generation, keys in history.turned_down.items()
        if base < generation <= upto
        for key in keys
    )


def _with_backlog(history: MemoryHistory) -> Zone:
    waiting = [entry.accepted_at for entry in history.entries.values() if entry.state is PlanState.ACCEPTED]
    return replace(history.zone, pending=len(waiting), oldest_pending_at=min(waiting, default=None))


def _managed(head: _Head | None) -> bool:
    return head is not None and (head.live is not None or head.adopt)


def _facts(history: MemoryHistory, plan: Plan, policy: Policy, wire: Mapping[Key, Records] | None) -> Submitted:
    names = {key.name for key in plan.keys}
    standing: dict[Key, Standing] = {}
    for key in history.changes:
        found = history.newest_change(key, history.zone.newest) if key.name in names else None
        if found is not None:
            generation, wanted = found
            actor = history.entries[generation].actor
            standing[key] = Standing(wanted, generation, actor, _managed(history.heads.get(key)))
    return Submitted(plan, policy, history.zone.newest, standing, wire)


def _append(history: MemoryHistory, submission: Submission, generation: int, reverts: int | None = None) -> None:
    plan, about = submission.plan, history.zone
    digest = plan_digest(plan)
    previous = about.history if about.newest == 0 else history.chains[about.newest]
    history.chains[generation] = chain_digest(previous, generation, digest)
    history.entries[generation] = Entry(
        about.name,
        generation,
        submission.actor,
        plan.reason,
        submission.at,
        plan.based_on,
        digest.hex(),
        PlanState.ACCEPTED,
        None,
        None,
        len(plan.rrsets),
        reverts,
    )
    if plan.as_found:
        history.as_found.add(generation)
    for key, wanted in plan.rrsets:
        history.changes.setdefault(key, {})[generation] = wanted
        head = history.heads.setdefault(key, _Head())
        head.adopt = head.adopt or plan.adopt
    if submission.idempotency_key is not None:
        history.answered[submission.actor, submission.idempotency_key] = (generation, submission.body_digest)
    history.zone = replace(about, newest=generation)


def _changes(history: MemoryHistory, base: int, target: int) -> tuple[Change, ...]:
    found = []
    for key, changes in history.changes.items():
        head = history.heads[key]
        before = _before(history, key, base)
        found += [
            Change(key, wanted, generation, before, head.adopt, as_found=generation in history.as_found)
            for generation, wanted in changes.items()
            if base < generation <= target
        ]
    return tuple(_with_turned_down(history, change, base, target) for change in fold(found))


def _before(history: MemoryHistory, key: Key, base: int) -> Before:
    """Return how an RRset stands on the wire at a fence, which may be ahead of the record."""
    unrecorded = history.newest_change(key, base)
    if unrecorded is not None and unrecorded[0] > history.zone.published:
        match unrecorded[1]:
            case Absence.WITHDRAWN:
                return Before.UNMANAGED
            case Absence.RETIRED:
                return Before.GONE
            case Records():
                return Before.HELD
    head = history.heads[key]
    return Before.UNMANAGED if head.live is None else Before.HELD if head.held else Before.GONE


def _with_turned_down(history: MemoryHistory, change: Change, base: int, target: int) -> Change:
    """Add what rejected plans wanted at an RRset that is not managed yet: a publication may have written it."""
    if change.before is not Before.UNMANAGED:
        return change
    wanted = [
        here[change.key]
        for generation, here in sorted(history.turned_down.items())
        if base < generation <= target and change.key in here
    ]
    found = tuple(dict.fromkeys((*change.earlier, *(each for each in wanted if isinstance(each, Records)))))
    return replace(change, earlier=found)


def _with_neighbours(history: MemoryHistory, changes: tuple[Change, ...], base: int) -> tuple[Change, ...]:
    """Add what stands unchanged at the names at which something changes."""
    names, keys = {change.key.name for change in changes}, {change.key for change in changes}
    beside = []
    for key in history.changes:
        found = history.newest_change(key, base) if key.name in names and key not in keys else None
        if found is not None and isinstance(found[1], Records):
            beside.append(Change(key, found[1], found[0]))
    return tuple(sorted((*changes, *beside), key=lambda change: sort_key(change.key)))
