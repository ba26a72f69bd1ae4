"""What stands in a zone, and what is about to be appended to it.
It is read in one statement and, on PostgreSQL, written in one: both are the round trips that a plan waits for. It is
written only if the zone's newest generation is still the one that was read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, insert

from dnsguard.core.history import Accepted, KeyReused, Submission, Unchanged, ZoneUnknown
from dnsguard.core.names import names_above
from dnsguard.core.occlusion import CUT_TYPES, ancestors_of, cuts_made
from dnsguard.core.plan import Plan, chain_digest, plan_digest
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.submission import Standing, Submitted
from dnsguard.store.database import Moved
from dnsguard.store.rows import NAMES_AT_ONCE, claim, contents_row, same_rrset, slices, wanted_from
from dnsguard.store.schema import changes, plans, rrsets, unchanged_answers, zones

REMEMBERED_S = 86_400
"""How long it is remembered under which idempotency key a request was answered that changed nothing."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request under an idempotency key was answered: a generation, made for it or unchanged."""

    generation: int
    body_digest: bytes
    unchanged: bool

    def again(self, body_digest: bytes) -> Accepted | Unchanged | KeyReused:
        """Return the answer to a request under the same key."""
        if body_digest != self.body_digest:
            return KeyReused(self.generation)
        return (Unchanged if self.unchanged else Accepted)(self.generation, repeated=True)


AnswersByKey = dict[tuple[str, str], Answered]
"""By actor and idempotency key."""


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
    answered: AnswersByKey = field(default_factory=dict)
    plans: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    heads: dict[Key, dict[str, Any]] = field(default_factory=dict)
    unchanged: list[dict[str, Any]] = field(default_factory=list)
    below: dict[str, set[str]] | None = None
    """By name: the names of ``standing`` below it; made when a plan first asks for it."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.plans and not self.unchanged

    def facts(self, plan: Plan, policy: Policy, wire: Mapping[Key, Records] | None) -> Submitted:
        """Return what the guards are asked about."""
        standing: dict[Key, Standing] = {}
        for name in {key.name for key in plan.keys}:
            standing |= self.standing.get(name, {})
        for name in ancestors_of(plan):
            here = self.standing.get(name, {})
            standing |= {key: here[key] for key in (Key(name, rdtype) for rdtype in CUT_TYPES) if key in here}
        for cut in cuts_made(plan):
            for name in self._below(cut.name):
                standing |= self.standing[name]
        return Submitted(plan, policy, self.newest, standing, wire)

    def holds(self, key: Key) -> bool:
        """Tell whether the newest generation wants records for an RRset."""
        standing = self.standing.get(key.name, {}).get(key)
        return standing is not None and isinstance(standing.wanted, Records)

    def _below(self, name: str) -> Collection[str]:
        """Return the names below a name, of those that are known here."""
        if self.below is None:
            self.below = {}
            for each in self.standing:
                self._note_below(each)
        return self.below.get(name, ())

    def _note_below(self, name: str) -> None:
        for above in names_above(name, self.seen.name):
            if self.below is not None:
                self.below.setdefault(above, set()).add(name)

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
                "as_found": plan.as_found,
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
        self._answer(submission, generation, unchanged=False)
        for key, wanted in plan.rrsets:
            self.changes.append(
                {"zone": plan.zone, "name": key.name, "type": key.type, "generation": generation} | contents_row(wanted)
            )
            if key.name not in self.standing:
                self.standing[key.name] = {}
                self._note_below(key.name)
            here = self.standing[key.name]
            if plan.adopt:
                self.adopting.add(key)
            adopted = plan.adopt or (key in here and here[key].adopted)
            here[key] = Standing(wanted, generation, submission.actor, adopted)
            self.heads[key] = {
                "zone": plan.zone,
                "name": key.name,
                "type": key.type,
                "newest": generation,
                "adopt": key in self.adopting,
                "name_reversed": key.name[::-1],
            }

    def answer_unchanged(self, submission: Submission, generation: int) -> None:
        """Note that a plan changes nothing; under an idempotency key that is recorded."""
        if submission.idempotency_key is None:
            return
        self._answer(submission, generation, unchanged=True)
        self.unchanged.append(
            {
                "zone": submission.plan.zone,
                "actor": submission.actor,
                "idempotency_key": submission.idempotency_key,
                "generation": generation,
                "body_digest": submission.body_digest,
                "answered_at": submission.at,
            }
        )

    def _answer(self, submission: Submission, generation: int, *, unchanged: bool) -> None:
        if submission.idempotency_key is not None:
            key = submission.actor, submission.idempotency_key
            self.answered[key] = Answered(generation, submission.body_digest, unchanged)

    def write(self, conn: sa.Connection, *also_believing: str, **settings: object) -> None:
        """Append what was noted, if the zone's newest generation is still the one seen. Raises Moved.

        What answers an idempotency key is also written only if no other such answer was recorded since: it may have
        been to the same key.
        """
        if self.unchanged or any(plan["idempotency_key"] is not None for plan in self.plans):
            also_believing = (*also_believing, "unchanged_answers")
        if conn.dialect.name == "postgresql" and not settings and not self.is_empty:
            self._write_as_one(conn, also_believing)
        else:
            self._write_each(conn, also_believing, settings)

    @property
    def _forgotten_before(self) -> float:
        return min((answer["answered_at"] for answer in self.unchanged), default=0.0) - REMEMBERED_S

    def _write_as_one(self, conn: sa.Connection, also_believing: Sequence[str]) -> None:
        believed = {f"seen_{column}": None for column in _BELIEVED}
        believed |= {f"seen_{column}": getattr(self.seen, column) for column in ("newest", *also_believing)}
        sent = {"of_zone": self.seen.name, "to_newest": self.newest} | believed
        written = [(plans, self.plans), (changes, self.changes), (rrsets, list(self.heads.values()))]
        if self.unchanged:
            written.append((unchanged_answers, self.unchanged))
            sent |= {"answers": len(self.unchanged), "forgotten_before": self._forgotten_before}
        for table, rows in written:
            for column in _written(table):
                sent[f"{table.name}_{column.name}"] = [row[column.name] for row in rows]
        if not conn.scalar(_WRITE_AS_ONE_WITH_ANSWERS if self.unchanged else _WRITE_AS_ONE, sent):
            raise Moved

    def _write_each(self, conn: sa.Connection, also_believing: Sequence[str], settings: Mapping[str, object]) -> None:
        moved_to = {"newest": self.newest, **settings}
        if self.unchanged:
            moved_to["unchanged_answers"] = zones.c.unchanged_answers + len(self.unchanged)
        if not claim(conn, self.seen, ("newest", *also_believing), moved_to):
            raise Moved
        if self.plans:
            conn.execute(sa.insert(plans), self.plans)
        if self.changes:
            conn.execute(sa.insert(changes), self.changes)
        if fresh := [head | {"held": False} for key, head in self.heads.items() if key not in self.known]:
            conn.execute(sa.insert(rrsets), fresh)
        if moved := [
            {f"of_{column}": value for column, value in head.items()}
            for key, head in self.heads.items()
            if key in self.known
        ]:
            conn.execute(_MOVE_HEAD, moved)
        if self.unchanged:
            conn.execute(_forget_answers(), {"of_zone": self.seen.name, "forgotten_before": self._forgotten_before})
            conn.execute(sa.insert(unchanged_answers), self.unchanged)


def _forget_answers() -> sa.Delete:
    """Return the statement that deletes answers from before a time."""
    return sa.delete(unchanged_answers).where(
        unchanged_answers.c.zone == sa.bindparam("of_zone"),
        unchanged_answers.c.answered_at < sa.bindparam("forgotten_before", type_=sa.Double),
    )


_MOVE_HEAD = (
    sa.update(rrsets)
    .where(
        rrsets.c.zone == sa.bindparam("of_zone"),
        rrsets.c.name == sa.bindparam("of_name"),
        rrsets.c.type == sa.bindparam("of_type"),
        rrsets.c.newest < sa.bindparam("of_newest"),
    )
    .values(newest=sa.bindparam("of_newest"), adopt=sa.bindparam("of_adopt"))
)


_BELIEVED = ("newest", "published", "unchanged_answers")
_PLAN = (
    "zone generation actor reason adopt as_found accepted_at based_on digest chain state rrsets reverts idempotency_key"
)
_WRITTEN = {
    plans: f"{_PLAN} body_digest",
    changes: "zone name type generation disposition ttl rdatas",
    rrsets: "zone name type newest adopt name_reversed",
    unchanged_answers: "zone actor idempotency_key generation body_digest answered_at",
}


def _written(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in _WRITTEN[table].split()]


def _arrays(table: sa.Table, claimed: sa.CTE) -> sa.Select[Any]:
    """Return the rows to be written to a table, given as an array per column; none unless the zone was claimed."""
    columns = _written(table)
    arrays = [
        sa.bindparam(
            f"{table.name}_{column.name}", type_=ARRAY(sa.Text() if isinstance(column.type, sa.String) else column.type)
        )
        for column in columns
    ]
    rows = sa.func.unnest(*arrays).table_valued(*(column.name for column in columns), name=f"new_{table.name}")
    rows = rows.render_derived()
    return sa.select(*rows.c).where(sa.exists(sa.select(claimed.c.name)))


def _written_as_one(*, with_answers: bool) -> sa.Select[Any]:
    """Return the statement that claims a zone and, if it was as believed, appends plans, changes and heads.

    ``with_answers``: it also records answers to requests that changed nothing, and forgets old ones.
    It is one statement and thereby one transaction: whoever waits for it waits for one round trip.
    """
    still = [
        sa.or_(seen.is_(None), zones.c[column] == seen)
        for column in _BELIEVED
        for seen in [sa.bindparam(f"seen_{column}", type_=sa.BigInteger)]
    ]
    settings: dict[str, sa.ColumnElement[int]] = {"newest": sa.bindparam("to_newest", type_=sa.BigInteger)}
    if with_answers:
        answers = sa.bindparam("answers", type_=sa.BigInteger)
        settings["unchanged_answers"] = zones.c.unchanged_answers + answers
    claimed = (
        sa.update(zones)
        .where(zones.c.name == sa.bindparam("of_zone"), *still)
        .values(settings)
        .returning(zones.c.name)
        .cte("claimed")
    )
    heads = _arrays(rrsets, claimed).add_columns(sa.false())
    into = insert(rrsets).from_select([*(column.name for column in _written(rrsets)), "held"], heads)
    appended: list[sa.Insert | sa.Delete] = [
        *(
            sa.insert(table).from_select([column.name for column in _written(table)], _arrays(table, claimed))
            for table in (plans, changes, *((unchanged_answers,) if with_answers else ()))
        ),
        into.on_conflict_do_update(
            index_elements=[rrsets.c.zone, rrsets.c.name, rrsets.c.type],
            set_={"newest": into.excluded.newest, "adopt": into.excluded.adopt},
            where=rrsets.c.newest < into.excluded.newest,
        ),
    ]
    if with_answers:
        appended.append(_forget_answers().where(sa.exists(sa.select(claimed.c.name))))
    parts = [statement.cte(f"part{number}") for number, statement in enumerate(appended)]
    return sa.select(sa.func.count()).select_from(claimed).add_cte(*parts)


_WRITE_AS_ONE = _written_as_one(with_answers=False)
_WRITE_AS_ONE_WITH_ANSWERS = _written_as_one(with_answers=True)

_ZONE, _HEAD, _ANSWER, _UNCHANGED = 1, 2, 3, 4
"""Which part of the statement a row is of."""


def _standing(
    names: sa.ColumnElement[bool], answered: Mapping[sa.Table, sa.ColumnElement[bool]]
) -> sa.CompoundSelect[Any]:
    """Return the statement that reads a zone's row, what stands at some names, and what was answered before."""
    zone = sa.bindparam("zone", type_=sa.Text())
    tip = zones.outerjoin(plans, (plans.c.zone == zones.c.name) & (plans.c.generation == zones.c.newest))
    heads = rrsets.join(changes, same_rrset(changes, rrsets) & (changes.c.generation == rrsets.c.newest))
    heads = heads.join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
    content = (changes.c.disposition, changes.c.ttl, changes.c.rdatas, rrsets.c.live, rrsets.c.adopt)
    of_zone = (*zones.c, plans.c.chain)
    of_head = (rrsets.c.name.label("at_name"), rrsets.c.type, changes.c.generation, *content, plans.c.actor)

    def answer_as_head(of: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
        key = (of.c.idempotency_key, _null(rrsets.c.type), of.c.generation)
        return (*key, *map(_null, content[:2]), of.c.body_digest, *map(_null, content[3:]), of.c.actor)

    return sa.union_all(
        sa.select(sa.literal(_ZONE).label("part"), *of_zone, *map(_null, of_head))
        .select_from(tip)
        .where(zones.c.name == zone),
        sa.select(sa.literal(_HEAD), *map(_null, of_zone), *of_head)
        .select_from(heads)
        .where(rrsets.c.zone == zone, names),
        *(
            sa.select(sa.literal(part), *map(_null, of_zone), *answer_as_head(table)).where(
                table.c.zone == zone, answered[table]
            )
            for part, table in ((_ANSWER, plans), (_UNCHANGED, unchanged_answers))
        ),
    )


def _null(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return NULL of a column's type and name."""
    kind = sa.Text() if isinstance(column.type, sa.String) else column.type
    return sa.cast(sa.null(), kind).label(column.key or "")


def _any(column: sa.ColumnElement[str], name: str) -> dict[str, sa.ColumnElement[bool]]:
    return {
        "postgresql": column == sa.any_(sa.bindparam(name, type_=ARRAY(sa.Text()))),
        "sqlite": column.in_(sa.bindparam(name, expanding=True)),
    }


_STANDING = {
    dialect: _standing(
        _any(rrsets.c.name, "names")[dialect],
        {
            table: _any(table.c.actor, "actors")[dialect] & _any(table.c.idempotency_key, "keys")[dialect]
            for table in (plans, unchanged_answers)
        },
    )
    for dialect in ("postgresql", "sqlite")
}


def open_ledger(
    conn: sa.Connection, zone: str, names: Collection[str], submissions: Sequence[Submission] = ()
) -> Ledger:
    """Read how a zone stands at some owner names, and what these submissions were answered. Raises ZoneUnknown."""
    keys = sorted({each.idempotency_key for each in submissions if each.idempotency_key is not None})
    actors = sorted({each.actor for each in submissions if each.idempotency_key is not None})
    seen: sa.Row[Any] | None = None
    standing: dict[str, dict[Key, Standing]] = {}
    adopting: set[Key] = set()
    answered: AnswersByKey = {}
    at_once = len(names) or 1 if conn.dialect.name == "postgresql" else NAMES_AT_ONCE
    for some in list(slices(sorted(names), at_once)) or [()]:
        # NULL is in no list; an empty list would be a subquery of its own.
        lists = {"names": some, "keys": keys, "actors": actors}
        sent: dict[str, object] = {"zone": zone, **{name: list(values) or [None] for name, values in lists.items()}}
        for row in conn.execute(_STANDING[conn.dialect.name], sent):
            if row.part == _ZONE:
                seen = row
            elif row.part in (_ANSWER, _UNCHANGED):
                answered[row.actor, row.at_name] = Answered(row.generation, row.rdatas, row.part == _UNCHANGED)
            else:
                key = Key(row.at_name, row.type)
                wanted = wanted_from(row.type, row.disposition, row.ttl, row.rdatas)
                adopted = row.live is not None or row.adopt
                standing.setdefault(key.name, {})[key] = Standing(wanted, row.generation, row.actor, adopted)
                if row.adopt:
                    adopting.add(key)
        keys = []
    if seen is None:
        raise ZoneUnknown(zone)
    chain = seen.history if seen.newest == 0 else seen.chain
    if chain is None:
        raise Moved  # another transaction has appended and pruned since the row was read
    known = frozenset(key for here in standing.values() for key in here)
    return Ledger(seen, seen.newest, chain, standing, adopting, known, answered)
