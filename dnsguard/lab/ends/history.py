"""The history of a zone in memory: what several stores (daemons) share. It only keeps; what follows from it is
said elsewhere, by the same rules as the SQL store's tables follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dnsguard.core.history import Accepted, Entry, KeyReused, PlanState, Submission, Unchanged, Zone
from dnsguard.core.names import names_above
from dnsguard.core.occlusion import ancestors_of, cuts_made
from dnsguard.core.plan import Plan, Wanted, chain_digest, plan_digest
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.submission import Standing, Submitted
from dnsguard.core.withdrawal import Withdrawal


@dataclass(slots=True)
class Head:
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
    heads: dict[Key, Head] = field(default_factory=dict)
    answered: dict[tuple[str, str], tuple[Accepted | Unchanged, bytes]] = field(default_factory=dict)
    """By actor and idempotency key: the answer, and the digest of the body."""
    turned_down: dict[int, dict[Key, Wanted]] = field(default_factory=dict)
    """What rejected, waiting and withdrawn plans want."""
    adopt: set[int] = field(default_factory=set)
    """Plans that may take over what they find."""
    as_found: set[int] = field(default_factory=set)
    """Plans that take over what they found."""

    def newest_change(self, key: Key, upto: int) -> tuple[int, Wanted] | None:
        """Return what the newest plan at or below a generation says of an RRset."""
        generations = [generation for generation in self.changes.get(key, ()) if generation <= upto]
        return (max(generations), self.changes[key][max(generations)]) if generations else None


def make_history(zone: str, history: str) -> MemoryHistory:
    """Return the history of a zone before its first plan."""
    return MemoryHistory(Zone(zone, history, 0, 0, 0, None, None, None, None, 0, None))


def append(history: MemoryHistory, submission: Submission, generation: int, reverts: int | None = None) -> None:
    """Keep a plan as a generation, chained to the one before."""
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
    if plan.adopt:
        history.adopt.add(generation)
    if plan.as_found:
        history.as_found.add(generation)
    for key, wanted in plan.rrsets:
        history.changes.setdefault(key, {})[generation] = wanted
        head = history.heads.setdefault(key, Head())
        head.adopt = head.adopt or plan.adopt
    answer(history, submission, Accepted(generation))
    history.zone = replace(about, newest=generation)


def answer(history: MemoryHistory, submission: Submission, given: Accepted | Unchanged) -> None:
    """Keep what a submission was answered, if it has an idempotency key."""
    if submission.idempotency_key is not None:
        history.answered[submission.actor, submission.idempotency_key] = (given, submission.body_digest)


def answered(history: MemoryHistory, submission: Submission) -> Accepted | Unchanged | KeyReused | None:
    """Return what a submission was answered before under its idempotency key, None if it is new."""
    if submission.idempotency_key is None:
        return None
    given, body_digest = history.answered.get((submission.actor, submission.idempotency_key), (None, b""))
    if given is None:
        return None
    return replace(given, repeated=True) if body_digest == submission.body_digest else KeyReused(given.generation)


def with_backlog(history: MemoryHistory) -> Zone:
    """Return the zone with how many plans wait, and since when."""
    states = [entry.state for entry in history.entries.values()]
    unpublished = {PlanState.ACCEPTED, PlanState.WITHDRAWING}
    pending = [entry.accepted_at for entry in history.entries.values() if entry.state in unpublished]
    return replace(
        history.zone,
        pending=len(pending),
        oldest_pending_at=min(pending, default=None),
        waiting=states.count(PlanState.WAITING),
        faulted=states.count(PlanState.FAULTED),
        withdrawing=states.count(PlanState.WITHDRAWING),
    )


def open_withdrawals(history: MemoryHistory) -> tuple[Withdrawal, ...]:
    """Return the withdrawals of which the fence has not yet been recorded to say what became of them."""
    barriers = {entry.reverts: entry.generation for _, entry in sorted(history.entries.items())}
    return tuple(
        Withdrawal(generation, barriers[generation], generation in history.turned_down)
        for generation, entry in sorted(history.entries.items())
        if entry.state is PlanState.WITHDRAWING
    )


def facts_of(history: MemoryHistory, plan: Plan, policy: Policy, wire: Mapping[Key, Records] | None) -> Submitted:
    """Return what the guards ask about a plan that is submitted."""
    names = {key.name for key in plan.keys} | ancestors_of(plan)
    cuts = {cut.name for cut in cuts_made(plan)}
    standing: dict[Key, Standing] = {}
    for key in history.changes:
        asked = key.name in names or not cuts.isdisjoint(names_above(key.name, plan.zone))
        found = history.newest_change(key, history.zone.newest) if asked else None
        if found is not None:
            generation, wanted = found
            actor = history.entries[generation].actor
            head = history.heads[key]
            standing[key] = Standing(wanted, generation, actor, head.live is not None or head.adopt)
    return Submitted(plan, policy, history.zone.newest, standing, wire)
