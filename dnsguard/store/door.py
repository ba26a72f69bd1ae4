"""The door of the history: plans are judged against what stands, and appended.
Plans that wait at the same time are judged one after the other, each against what the ones before it left, and
appended together. Nothing is appended unless the zone's newest generation is still the one that they were judged by.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Judged, KeyReused, StoreUnavailable, Submission, Unchanged
from dnsguard.core.occlusion import ancestors_of
from dnsguard.core.plan import Absence, Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.unchanged import judged, replaced, unchanged_at
from dnsguard.store.below import read_below
from dnsguard.store.ledger import Ledger, open_ledger
from dnsguard.store.rows import same_rrset, slices, zone_row
from dnsguard.store.schema import changes, plans, rrsets

Outcome = Accepted | Unchanged | KeyReused | Refusal | Exception
"""What became of one plan; an exception is a fault in judging it, and does not concern its neighbours."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A plan at the door with the rules that it is judged by."""

    submission: Submission
    guards: Guards
    policy: Policy
    wire: Mapping[Key, Records] | None


@dataclass(slots=True)
class Verdict:
    """What became of plans that were judged together, and what is to be appended of them."""

    outcomes: list[Outcome]
    ledger: Ledger
    done: bool = False

    def write(self, conn: sa.Connection) -> None:
        """Append the plans that no guard refused, and record answers, if the zone is as it was. Raises Moved."""
        if not self.ledger.is_empty and not self.done:
            self.ledger.write(conn)


def decide(conn: sa.Connection, zone: str, callers: Sequence[Caller], unclear: Sequence[Verdict] = ()) -> Verdict:
    """Judge plans in order, each against what the ones before it leave. Raises ZoneUnknown, Moved.

    ``unclear`` has earlier verdicts on the same plans of which nobody knows whether they were written. One that was
    is returned as it is. The others never will be: what they believed of the zone is gone, or will be once this
    verdict is written.
    """
    submissions = [caller.submission for caller in callers]
    submitted = [each.plan for each in submissions]
    ledger = open_ledger(conn, zone, _names(submitted), submissions)
    read_below(conn, ledger, submitted)
    # Looked for after the ledger is read: what is committed in between is found here, and what is committed after
    # this makes the ledger's own write fail.
    for verdict in unclear:
        if _is_written(conn, verdict.ledger, ledger.seen):
            return replace(verdict, done=True)
    outcomes: list[Outcome] = []
    for caller in callers:
        try:
            outcomes.append(_accept(ledger, caller))
        except Exception as fault:  # noqa: BLE001  raised again to this caller; the others' plans are not to suffer
            outcomes.append(fault)
    return Verdict(outcomes, ledger)


def _names(some: Sequence[Plan]) -> set[str]:
    """Return the names at which a judgement of plans needs to know what stands: their own, and those above."""
    return {key.name for plan in some for key in plan.keys}.union(*(ancestors_of(plan) for plan in some))


def _is_written(conn: sa.Connection, ledger: Ledger, seen: sa.Row[Any]) -> bool:
    """Tell whether the history has a ledger's plans: they were appended all together or not at all.

    The chain says what was appended after what; actor, time and key say by whom. Another who submits the very same
    plans as the same actor in the same microsecond is answered the same generations, and gets the same contents.
    """
    if not ledger.plans or seen.newest == ledger.seen.newest:
        return False  # nothing was to be written, or nothing has been
    last = ledger.plans[-1]
    if last["generation"] < seen.kept_from:
        raise StoreUnavailable(
            f"expected to find in the history what became of plans for {seen.name}, found it pruned already; "
            "look at what stands before you submit them again"
        )
    marks = ("chain", "actor", "accepted_at", "idempotency_key")
    query = sa.select(*(plans.c[mark] for mark in marks)).where(
        plans.c.zone == seen.name, plans.c.generation == last["generation"]
    )
    row = conn.execute(query).one_or_none()
    return row is not None and tuple(row) == tuple(last[mark] for mark in marks)


def _accept(ledger: Ledger, caller: Caller) -> Outcome:
    submission, answered = caller.submission, ledger.answered
    key = None if submission.idempotency_key is None else (submission.actor, submission.idempotency_key)
    if key is not None and key in answered:
        return answered[key].again(submission.body_digest)
    facts = ledger.facts(submission.plan, caller.policy, caller.wire)
    refusal = caller.guards.refuse_submission(facts)
    if refusal is not None:
        return refusal
    rests_on = unchanged_at(facts, submission)
    if rests_on is not None:
        ledger.answer_unchanged(submission, rests_on)
        return Unchanged(rests_on)
    outcome = Accepted(ledger.newest + 1 if facts.plan.stated is None else facts.plan.stated, replaced=replaced(facts))
    ledger.append(submission, outcome.generation)
    return outcome


def judge(
    conn: sa.Connection, submission: Submission, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
) -> Judged:
    """Ask every guard and compare with what stands. Raises ZoneUnknown."""
    plan = submission.plan
    ledger = open_ledger(conn, plan.zone, _names([plan]))
    read_below(conn, ledger, [plan])
    facts = ledger.facts(plan, policy, wire)
    return judged(facts, submission, guards.judge_submission(facts))


def unmanaged(conn: sa.Connection, zone: str, keys: Collection[Key]) -> frozenset[Key]:
    """Return those RRsets that no accepted plan covers. Raises ZoneUnknown."""
    zone_row(conn, zone)
    ours: set[Key] = set()
    query = (
        sa.select(rrsets.c.name, rrsets.c.type)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == rrsets.c.newest))
        .where(
            rrsets.c.zone == zone,
            rrsets.c.name.in_(sa.bindparam("names", expanding=True)),
            changes.c.disposition != Absence.UNCOVERED.value,
        )
    )
    for some in slices(sorted({key.name for key in keys})):
        ours |= {Key(*row) for row in conn.execute(query, {"names": some})}
    return frozenset(keys) - ours


def resync(conn: sa.Connection, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
    """Append a plan above a generation, trust one fence, and end a halt. Raises ZoneUnknown, Moved."""
    ledger = open_ledger(conn, zone, {key.name for key in plan.keys})
    generation = max(ledger.newest, above) + 1
    ledger.append(Submission(replace(plan, stated=None), actor, at), generation)
    ledger.write(conn, trusted_fence=seen, halted=None)
    return generation
