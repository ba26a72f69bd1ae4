"""The door of the history: plans are judged against what stands, and appended.
Plans that wait at the same time are judged one after the other in one transaction, each against what the ones
before it left. Nothing is appended unless the zone's newest generation is still the one that they were judged by.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Difference, Judged, KeyReused, Submission
from dnsguard.core.plan import Absence, Plan, chain_digest, plan_digest
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Standing, Submitted
from dnsguard.store.engine import Moved
from dnsguard.store.rows import chain_at, claim, contents_row, same_rrset, slices, wanted_from, zone_row
from dnsguard.store.schema import changes, plans, rrsets

Outcome = Accepted | KeyReused | Refusal | Exception
"""What became of one plan; an exception is a fault in judging it, and does not concern its neighbours."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A plan at the door with the rules that it is judged by."""

    submission: Submission
    guards: Guards
    policy: Policy
    wire: Mapping[Key, Records] | None


@dataclass(slots=True)
class Ledger:
    """What a transaction is about to append to one zone, and how the zone stands with it."""

    seen: sa.Row[Any]
    newest: int
    chain: str
    standing: dict[str, dict[Key, Standing]]
    adopting: set[Key]
    known: frozenset[Key]
    """The RRsets that had a head when the transaction began."""
    plans: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    heads: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def facts(self, plan: Plan, policy: Policy, wire: Mapping[Key, Records] | None) -> Submitted:
        """Return what the guards are asked about."""
        standing: dict[Key, Standing] = {}
        for name in {key.name for key in plan.keys}:
            standing |= self.standing.get(name, {})
        return Submitted(plan, policy, self.newest, standing, wire)

    def append(self, submission: Submission, generation: int, *, reverts: int | None = None) -> None:
        """Note a plan under its generation."""
        plan, digest = submission.plan, plan_digest(submission.plan)
        self.newest, self.chain = max(self.newest, generation), chain_digest(self.chain, generation, digest)
        self.plans.append(
            {
                "zone": plan.zone,
                "generation": generation,
                "actor": submission.actor,
                "reason": plan.reason,
                "adopt": plan.adopt,
                "accepted_at": submission.at,
                "based_on": plan.based_on,
                "digest": digest.hex(),
                "chain": self.chain,
                "state": "accepted",
                "rrsets": len(plan.rrsets),
                "reverts": reverts,
                "idempotency_key": submission.idempotency_key,
                "body_digest": submission.body_digest,
            }
        )
        for key, wanted in plan.rrsets:
            self.changes.append(
                {"zone": plan.zone, "name": key.name, "type": key.type, "generation": generation} | contents_row(wanted)
            )
            here = self.standing.setdefault(key.name, {})
            managed = plan.adopt or (key in here and here[key].managed)
            if plan.adopt:
                self.adopting.add(key)
            here[key] = Standing(wanted, generation, submission.actor, managed)
            self.heads[key] = {
                "of_zone": plan.zone,
                "of_name": key.name,
                "of_type": key.type,
                "to_newest": generation,
                "to_adopt": key in self.adopting,
            }

    def write(self, conn: sa.Connection, *also_believing: str, **settings: object) -> None:
        """Append what was noted, if the zone's newest generation is still the one seen. Raises Moved."""
        if not claim(conn, self.seen, ("newest", *also_believing), {"newest": self.newest} | settings):
            raise Moved
        if self.plans:
            conn.execute(sa.insert(plans), self.plans)
        if self.changes:
            conn.execute(sa.insert(changes), self.changes)
        if fresh := [_fresh(head) for key, head in self.heads.items() if key not in self.known]:
            conn.execute(sa.insert(rrsets), fresh)
        if moved := [head for key, head in self.heads.items() if key in self.known]:
            conn.execute(_MOVE_HEAD, moved)


_MOVE_HEAD = (
    sa.update(rrsets)
    .where(
        rrsets.c.zone == sa.bindparam("of_zone"),
        rrsets.c.name == sa.bindparam("of_name"),
        rrsets.c.type == sa.bindparam("of_type"),
        rrsets.c.newest < sa.bindparam("to_newest"),
    )
    .values(newest=sa.bindparam("to_newest"), adopt=sa.bindparam("to_adopt"))
)


def _fresh(head: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "zone": head["of_zone"],
        "name": head["of_name"],
        "type": head["of_type"],
        "newest": head["to_newest"],
        "adopt": head["to_adopt"],
        "held": False,
    }


def open_ledger(conn: sa.Connection, zone: str, names: Collection[str]) -> Ledger:
    """Read how a zone stands at some owner names. Raises ZoneUnknown."""
    seen = zone_row(conn, zone)
    chain = seen.history if seen.newest == 0 else chain_at(conn, zone, seen.newest)
    if chain is None:
        raise Moved  # another transaction has appended and pruned since the row was read
    standing: dict[str, dict[Key, Standing]] = {}
    adopting: set[Key] = set()
    query = (
        sa.select(changes, rrsets.c.live, rrsets.c.adopt, plans.c.actor)
        .select_from(rrsets)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == rrsets.c.newest))
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .where(rrsets.c.zone == zone, rrsets.c.name.in_(sa.bindparam("names", expanding=True)))
    )
    for some in slices(sorted(names)):
        for row in conn.execute(query, {"names": some}):
            key = Key(row.name, row.type)
            wanted = wanted_from(row.disposition, row.ttl, row.rdatas)
            managed = row.live is not None or row.adopt
            standing.setdefault(key.name, {})[key] = Standing(wanted, row.generation, row.actor, managed)
            if row.adopt:
                adopting.add(key)
    known = frozenset(key for here in standing.values() for key in here)
    return Ledger(seen, seen.newest, chain, standing, adopting, known)


def accept_all(conn: sa.Connection, zone: str, callers: Sequence[Caller]) -> list[Outcome]:
    """Judge plans in order and append those that no guard refuses. Raises ZoneUnknown, Moved."""
    ledger = open_ledger(conn, zone, {key.name for caller in callers for key in caller.submission.plan.keys})
    answered = _answered(conn, zone, [caller.submission for caller in callers])
    outcomes: list[Outcome] = []
    for caller in callers:
        try:
            outcomes.append(_accept(ledger, answered, caller))
        except Exception as fault:  # noqa: BLE001  raised again to this caller; the others' plans are not to suffer
            outcomes.append(fault)
    if ledger.plans:
        ledger.write(conn)
    return outcomes


def _accept(ledger: Ledger, answered: dict[tuple[str, str], tuple[int, bytes]], caller: Caller) -> Outcome:
    submission = caller.submission
    key = None if submission.idempotency_key is None else (submission.actor, submission.idempotency_key)
    if key is not None and key in answered:
        generation, body_digest = answered[key]
        return Accepted(generation, repeated=True) if body_digest == submission.body_digest else KeyReused(generation)
    refusal = caller.guards.refuse_submission(ledger.facts(submission.plan, caller.policy, caller.wire))
    if refusal is not None:
        return refusal
    stated = submission.plan.stated
    generation = ledger.newest + 1 if stated is None else stated
    ledger.append(submission, generation)
    if key is not None:
        answered[key] = (generation, submission.body_digest)
    return Accepted(generation)


def _answered(
    conn: sa.Connection, zone: str, submissions: Sequence[Submission]
) -> dict[tuple[str, str], tuple[int, bytes]]:
    """Return what was accepted before under the idempotency keys of some submissions."""
    keys = sorted({submission.idempotency_key for submission in submissions if submission.idempotency_key is not None})
    found: dict[tuple[str, str], tuple[int, bytes]] = {}
    query = sa.select(plans.c.actor, plans.c.idempotency_key, plans.c.generation, plans.c.body_digest).where(
        plans.c.zone == zone,
        plans.c.actor.in_(sa.bindparam("actors", expanding=True)),
        plans.c.idempotency_key.in_(sa.bindparam("keys", expanding=True)),
    )
    actors = sorted({submission.actor for submission in submissions})
    for some in slices(keys):
        for row in conn.execute(query, {"keys": some, "actors": actors}):
            found[row.actor, row.idempotency_key] = (row.generation, row.body_digest)
    return found


def judge(
    conn: sa.Connection, plan: Plan, guards: Guards, policy: Policy, wire: Mapping[Key, Records] | None
) -> Judged:
    """Ask every guard and compare with what stands. Raises ZoneUnknown."""
    facts = open_ledger(conn, plan.zone, {key.name for key in plan.keys}).facts(plan, policy, wire)
    differences = []
    for key, after in plan.rrsets:
        standing = facts.standing.get(key)
        before = None if standing is None or standing.wanted is Absence.WITHDRAWN else standing.wanted
        if before != after:
            differences.append(Difference(key, before, after))
    return Judged(facts.newest, guards.judge_submission(facts), tuple(differences))


def unmanaged(conn: sa.Connection, zone: str, keys: Collection[Key]) -> frozenset[Key]:
    """Return those RRsets that were never published and that no plan may take over. Raises ZoneUnknown."""
    zone_row(conn, zone)
    managed: set[Key] = set()
    query = sa.select(rrsets.c.name, rrsets.c.type).where(
        rrsets.c.zone == zone,
        rrsets.c.name.in_(sa.bindparam("names", expanding=True)),
        rrsets.c.live.is_not(None) | rrsets.c.adopt,
    )
    for some in slices(sorted({key.name for key in keys})):
        managed |= {Key(*row) for row in conn.execute(query, {"names": some})}
    return frozenset(keys) - managed


def resync(conn: sa.Connection, zone: str, plan: Plan, seen: str, above: int, actor: str, at: float) -> int:
    """Append a plan above a generation, trust one fence, and end a halt. Raises ZoneUnknown, Moved."""
    ledger = open_ledger(conn, zone, {key.name for key in plan.keys})
    generation = max(ledger.newest, above) + 1
    ledger.append(Submission(replace(plan, stated=None), actor, at), generation)
    ledger.write(conn, trusted_fence=seen, halted=None)
    return generation
