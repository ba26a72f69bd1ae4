"""What became of plans: published, superseded, faulted, rejected; and why a zone is halted.
Here the store follows the zone. A row may lag behind what the primary shows, never lead it, and nothing is lowered.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from dnsguard.core.fence import Fence
from dnsguard.core.history import PlanState, Submission, Zone
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.records import Key
from dnsguard.core.refusal import Suspect
from dnsguard.store.database import Moved
from dnsguard.store.ledger import Ledger, open_ledger
from dnsguard.store.rows import chain_at, claim, newest_between, same_rrset, wanted_from, zone_row
from dnsguard.store.schema import changes, plans, rejected, rrsets

ACTOR = "dnsguard"


def record(
    conn: sa.Connection,
    zone: str,
    fence: Fence | None,
    at: float,
    faults: Sequence[tuple[int, str]],
    mended: Collection[int] = (),
) -> bool:
    """Write down an observed fence; return whether it was news. Raises ZoneUnknown, Moved."""
    seen = zone_row(conn, zone)
    if fence is None:
        return seen.fence is not None and claim(conn, seen, ("fence",), {"fence": None})
    if not of_this_history(conn, seen, fence):
        return False
    rises = fence.base > seen.published
    behind = not rises and (fence.generation, fence.progress is None) < (seen.published, True)
    values: dict[str, Any] = {"fence": str(fence)}
    if not behind:
        values |= {"halted": None}
        if seen.trusted_fence != str(fence):
            values |= {"trusted_fence": None}
    if rises:
        values |= {"published": fence.base, "published_at": at}
    news = any(getattr(seen, column) != value for column, value in values.items())
    # Two that observed different fences come here in any order; the one that lost looks again, and sees that
    # the zone is on record at or past its own fence already.
    if news and not claim(conn, seen, ("published", "kept_from", "halted", "trusted_fence"), values):
        raise Moved
    if rises:
        _bring_live(conn, zone, seen.published, fence.base)
        _settle(conn, zone, seen.published, fence.base, at)
    faulted = [_mark(conn, zone, generation, PlanState.FAULTED, why, at) for generation, why in faults]
    cleared = [_mend(conn, zone, generation, at) for generation in mended]
    return news or any((*faulted, *cleared))


def _mend(conn: sa.Connection, zone: str, generation: int, at: float) -> bool:
    """Take the mark of a fault from a plan; return whether it had one."""
    return (
        conn.execute(
            sa.update(plans)
            .where(plans.c.zone == zone, plans.c.generation == generation, plans.c.state == PlanState.FAULTED.value)
            .values(state=PlanState.PUBLISHED.value, why=None, settled_at=at, suspects=None)
        ).rowcount
        == 1
    )


def of_this_history(conn: sa.Connection, seen: sa.Row[Any] | Zone, fence: Fence) -> bool:
    """Tell whether a fence was written from this history, as far as it is kept."""
    if fence.history != seen.history or fence.generation > seen.newest:
        return False
    chain = chain_at(conn, seen.name, fence.generation)
    if chain != fence.digest and (chain is not None or fence.generation >= seen.kept_from):
        return False
    return fence.base <= seen.published or chain_at(conn, seen.name, fence.base) is not None


def _bring_live(conn: sa.Connection, zone: str, above: int, upto: int) -> None:
    """Note which change of each RRset is on the wire now. What is withdrawn is nobody's again."""
    late = newest_between(zone, above, upto)
    query = (
        sa.select(changes.c.name, changes.c.type, changes.c.generation, changes.c.disposition)
        .select_from(late)
        .join(changes, same_rrset(changes, late) & (changes.c.generation == late.c.generation))
    )
    heads = [
        {
            "of_name": row.name,
            "of_type": row.type,
            "to_live": None if row.disposition == Absence.UNCOVERED.value else row.generation,
            "to_held": row.disposition == "records",
        }
        for row in conn.execute(query)
    ]
    if heads:
        conn.execute(
            sa.update(rrsets)
            .where(
                rrsets.c.zone == zone,
                rrsets.c.name == sa.bindparam("of_name"),
                rrsets.c.type == sa.bindparam("of_type"),
            )
            .values(live=sa.bindparam("to_live"), held=sa.bindparam("to_held")),
            heads,
        )


def _settle(conn: sa.Connection, zone: str, above: int, upto: int, at: float) -> None:
    """Settle the accepted plans of a range: published if anything of them got onto the wire, else superseded."""
    newer = changes.alias("newer")
    one = sa.select(sa.literal(1))
    overtaken = one.where(
        same_rrset(newer, changes), newer.c.generation > changes.c.generation, newer.c.generation <= upto
    ).exists()
    stands = one.where(changes.c.zone == plans.c.zone, changes.c.generation == plans.c.generation, ~overtaken).exists()
    state = sa.case((stands | (plans.c.rrsets == 0), PlanState.PUBLISHED.value), else_=PlanState.SUPERSEDED.value)
    conn.execute(
        sa.update(plans)
        .where(
            plans.c.zone == zone,
            plans.c.generation > above,
            plans.c.generation <= upto,
            plans.c.state == PlanState.ACCEPTED.value,
        )
        .values(state=state, settled_at=at)
    )


def _mark(
    conn: sa.Connection,
    zone: str,
    generation: int,
    state: PlanState,
    why: str,
    at: float,
    suspects: Sequence[Suspect] = (),
) -> bool:
    """Settle a plan that is not rejected or faulted yet, with a reason; return whether there was one."""
    open_states = [PlanState.ACCEPTED.value]
    if state is PlanState.FAULTED:
        open_states += [PlanState.PUBLISHED.value, PlanState.SUPERSEDED.value]
    return (
        conn.execute(
            sa.update(plans)
            .where(plans.c.zone == zone, plans.c.generation == generation, plans.c.state.in_(open_states))
            .values(state=state.value, why=why, settled_at=at, suspects=[[*key, reason] for key, reason in suspects])
        ).rowcount
        == 1
    )


def reject(
    conn: sa.Connection,
    zone: str,
    generation: int,
    why: str,
    at: float,
    created: Collection[Key],
    suspects: Sequence[Suspect] = (),
) -> int | None:
    """Mark a plan rejected, take its contents out of every state, and append a plan that puts back what stood.

    ``created`` has what was absent until a publication left half-way put it on the wire. Returns 0 if there was
    nothing to put back, and None if the plan is settled already or what stood before is the same: then it is only
    marked at fault, for it is still what should be there. Raises ZoneUnknown, Moved.
    """
    ledger, row = _open_rejection(conn, zone, generation)
    if row is None or generation <= ledger.seen.published or row.state != PlanState.ACCEPTED.value:
        _mark(conn, zone, generation, PlanState.FAULTED, why, at, suspects)
        return None
    put_back = _stood_before(conn, ledger.seen, generation, created, again=row.reverts is not None)
    own = {key: ledger.standing[key.name][key].wanted for key in put_back}
    if put_back and own == {key: wanted for key, (wanted, _) in put_back.items()}:
        put_back = _stood_before(conn, ledger.seen, generation, created, again=True)
    same = put_back and own == {key: wanted for key, (wanted, _) in put_back.items()}
    # Where a newer plan covers something of it, taking it away changes what is to be published, and so gets on.
    if same and len(put_back) == row.rrsets:
        _mark(conn, zone, generation, PlanState.FAULTED, why, at, suspects)
        return None
    appended = 0
    if put_back:
        reason = f"puts back what stood before generation {generation}, which was rejected: {why}"
        plan = make_plan(zone, {key: wanted for key, (wanted, _) in put_back.items()}, reason=reason)
        ledger.adopting -= put_back.keys()
        ledger.adopting |= {key for key, (_, adopting) in put_back.items() if adopting}
        appended = ledger.newest + 1
        ledger.append(Submission(plan, ACTOR, at), appended, reverts=generation)
    # An enactor that was slow to refuse, and one that has published meanwhile: the record moves ``published``,
    # and this rejection starts again and finds the plan settled.
    ledger.write(conn, "published")
    if not _mark(conn, zone, generation, PlanState.REJECTED, why, at, suspects):
        raise Moved
    _take_out(conn, zone, generation)
    return appended


def _take_out(conn: sa.Connection, zone: str, generation: int) -> None:
    """Move a plan's changes to where no state is made of them."""
    mine = (changes.c.zone == zone) & (changes.c.generation == generation)
    columns = [column.name for column in rejected.columns]
    conn.execute(
        sa.insert(rejected).from_select(columns, sa.select(*(changes.c[name] for name in columns)).where(mine))
    )
    conn.execute(sa.delete(changes).where(mine))


def _open_rejection(conn: sa.Connection, zone: str, generation: int) -> tuple[Ledger, sa.Row[Any, Any, Any] | None]:
    names = sa.select(changes.c.name).where(changes.c.zone == zone, changes.c.generation == generation).distinct()
    ledger = open_ledger(conn, zone, conn.scalars(names).all())
    query = sa.select(plans.c.state, plans.c.reverts, plans.c.rrsets).where(
        plans.c.zone == zone, plans.c.generation == generation
    )
    return ledger, conn.execute(query).one_or_none()


def _stood_before(
    conn: sa.Connection, seen: sa.Row[Any], generation: int, created: Collection[Key], *, again: bool
) -> dict[Key, tuple[Wanted, bool]]:
    """Return what to put back for the RRsets of which a plan is the newest, and whether it may be taken over.

    That is what the newest plan before it says. If there is none, the RRset is nobody's again; but what a
    publication created is retired, or it would stay on the wire for ever.
    ``again``: a plan that puts back was refused itself, so go to what is on record as published at once, or the
    same contents would be tried for ever.
    """
    newest_here = (rrsets.c.zone == seen.name) & (rrsets.c.newest == generation)
    mine = changes.alias("mine")
    heads = {
        Key(row.name, row.type): row
        for row in conn.execute(
            sa.select(rrsets, mine.c.disposition)
            .join(mine, same_rrset(mine, rrsets) & (mine.c.generation == rrsets.c.newest))
            .where(mine.c.zone == seen.name, mine.c.generation == generation, newest_here)
        )
    }
    ours = {
        key
        for key, row in heads.items()
        if key in created or (again and row.adopt and row.disposition == Absence.RETIRED.value)
    }
    nothing: dict[Key, tuple[Wanted, bool]] = {
        key: (Absence.RETIRED, True) if key in ours else (Absence.UNCOVERED, False) for key in heads
    }
    found = dict(nothing)
    earlier = (
        sa.select(changes, plans.c.adopt)
        .select_from(mine)
        .join(changes, same_rrset(changes, mine) & (changes.c.generation < generation))
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .join(rrsets, same_rrset(rrsets, mine) & newest_here)
        .where(
            mine.c.zone == seen.name,
            mine.c.generation == generation,
            (changes.c.generation > seen.published) | (changes.c.generation == rrsets.c.live),
        )
        .order_by(changes.c.generation)
    )
    for row in conn.execute(earlier):
        key = Key(row.name, row.type)
        if row.generation == heads[key].live or not again:
            wanted = wanted_from(row.type, row.disposition, row.ttl, row.rdatas)
            stood = wanted is not Absence.UNCOVERED
            found[key] = (wanted, row.adopt or found[key][1]) if stood else nothing[key]
    return found


def halt(conn: sa.Connection, zone: str, why: str) -> bool:
    """Note why publishing is stopped; return whether that was news. Raises ZoneUnknown, Moved."""
    seen = zone_row(conn, zone)
    if seen.halted == why:
        return False
    # Without this condition a slow enactor's halt would undo a decision or an observation made meanwhile.
    if not claim(conn, seen, ("newest", "published", "halted", "trusted_fence", "fence"), {"halted": why}):
        raise Moved
    return True
