"""What became of plans: published, superseded, faulted, rejected, waiting, withdrawn; and why a zone is halted.
Here the store follows the zone. A row may lag behind what the primary shows, never lead it, and nothing is lowered.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from dnsguard.core.fence import Fence
from dnsguard.core.history import PlanState, Zone
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key
from dnsguard.core.refusal import Suspect
from dnsguard.core.withdrawal import Verdict, verdict
from dnsguard.store.database import Moved
from dnsguard.store.put_back import ACTOR, append_put_back, is_taken_out, move, open_plan, stood_before, take_out
from dnsguard.store.rows import (
    chain_at,
    claim,
    newest_between,
    open_withdrawals,
    same_rrset,
    zone_row,
)
from dnsguard.store.schema import changes, plans, rrsets
from dnsguard.store.withdraw import undo


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
    verdicts = [(each, verdict(each, fence)) for each in open_withdrawals(conn, zone)]
    too_late = [each for each, said in verdicts if said is Verdict.TOO_LATE]
    for each in too_late:
        move(conn, zone, each.generation, PlanState.WITHDRAWING, PlanState.ACCEPTED, None, None)
    if rises:
        _bring_live(conn, zone, seen.published, fence.base)
        _settle(conn, zone, seen.published, fence.base, at)
    for each, said in verdicts:
        if said is Verdict.WITHDRAWN:
            move(conn, zone, each.generation, PlanState.WITHDRAWING, PlanState.WITHDRAWN, plans.c.why, at)
            take_out(conn, zone, each.generation)
    for each in too_late:
        undo(conn, zone, each, at)
    news |= bool(too_late)
    faulted = [_mark(conn, zone, generation, PlanState.FAULTED, why, at) for generation, why in faults]
    cleared = [_mend(conn, zone, generation, at) for generation in mended]
    return news or any((*faulted, *cleared))


def _mend(conn: sa.Connection, zone: str, generation: int, at: float) -> bool:
    """Take the mark of a fault from a plan; return whether it had one."""
    return move(conn, zone, generation, PlanState.FAULTED, PlanState.PUBLISHED, None, at)


def of_this_history(conn: sa.Connection, seen: sa.Row[Any] | Zone, fence: Fence) -> bool:
    """Tell whether a fence was written from this history, as far as it is kept."""
    if fence.history != seen.history or fence.generation > seen.newest:
        return False
    chain = chain_at(conn, seen.name, fence.generation)
    if chain != fence.digest and (chain is not None or fence.generation >= seen.kept_from):
        return False
    return fence.base <= seen.published or chain_at(conn, seen.name, fence.base) is not None


def _bring_live(conn: sa.Connection, zone: str, above: int, upto: int) -> None:
    """Note which change of each RRset is on the wire now. What is uncovered is nobody's again."""
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
    on_record = (PlanState.PUBLISHED.value, PlanState.SUPERSEDED.value)
    others = on_record if state is PlanState.FAULTED else (PlanState.WITHDRAWING.value,)
    open_states = (PlanState.ACCEPTED.value, *others)
    return (
        conn.execute(
            sa.update(plans)
            .where(plans.c.zone == zone, plans.c.generation == generation, plans.c.state.in_(open_states))
            .values(
                state=state.value,
                why=why,
                settled_at=None if state is PlanState.WAITING else at,
                suspects=[[*key, reason] for key, reason in suspects],
            )
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
    *,
    waits: bool = False,
) -> int | None:
    """Mark a plan rejected, take its contents out of every state, and append a plan that puts back what stood.

    With ``waits`` it is marked as waiting instead: `resume` accepts its contents once more.

    ``created`` has what was absent until a publication left half-way put it on the wire. Returns 0 if there was
    nothing to put back, and None if the plan is settled already or what stood before is the same: then it is only
    marked at fault, for it is still what should be there. Raises ZoneUnknown, Moved.
    """
    ledger, row = open_plan(conn, zone, generation)
    open_states = {PlanState.ACCEPTED.value, PlanState.WITHDRAWING.value}
    if row is None or generation <= ledger.seen.published or row.state not in open_states:
        _mark(conn, zone, generation, PlanState.FAULTED, why, at, suspects)
        return None
    if row.state == PlanState.WITHDRAWING.value and (waits or is_taken_out(conn, zone, generation)):
        return 0  # it is not given out to be published any more
    own, put_back = stood_before(conn, ledger.seen, generation, created, again=row.reverts is not None)
    if put_back and own == {key: wanted for key, (wanted, _) in put_back.items()}:
        _, put_back = stood_before(conn, ledger.seen, generation, created, again=True)
    same = put_back and own == {key: wanted for key, (wanted, _) in put_back.items()}
    # Where a newer plan covers something of it, taking it away changes what is to be published, and so gets on.
    if same and len(put_back) == row.rrsets:
        _mark(conn, zone, generation, PlanState.FAULTED, why, at, suspects)
        return None
    if row.state == PlanState.WITHDRAWING.value:
        put_back = _created_before_withdrawal(conn, zone, generation, created)
    appended = 0
    if put_back or waits:
        said = "waits" if waits else "was rejected"
        reason = f"puts back what stood before generation {generation}, which {said}: {why}"
        appended = append_put_back(ledger, put_back, reason, ACTOR, at, generation)
    # An enactor that was slow to refuse, and one that has published meanwhile: the record moves ``published``,
    # and this rejection starts again and finds the plan settled.
    ledger.write(conn, "published")
    if not _mark(conn, zone, generation, PlanState.WAITING if waits else PlanState.REJECTED, why, at, suspects):
        raise Moved
    take_out(conn, zone, generation)
    return appended


def _created_before_withdrawal(
    conn: sa.Connection, zone: str, generation: int, created: Collection[Key]
) -> dict[Key, tuple[Wanted, bool]]:
    """Return what a publication created before its plan was withdrawn, and what the barrier would leave standing."""
    query = (
        sa.select(rrsets.c.name, rrsets.c.type)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == rrsets.c.newest))
        .join(plans, (plans.c.zone == rrsets.c.zone) & (plans.c.generation == rrsets.c.newest))
        .where(rrsets.c.zone == zone, plans.c.reverts == generation)
        .where(changes.c.disposition == Absence.UNCOVERED.value)
    )
    found = {Key(*row) for row in conn.execute(query)}
    return dict.fromkeys(sorted(found & set(created)), (Absence.RETIRED, True))


def halt(conn: sa.Connection, zone: str, why: str) -> bool:
    """Note why publishing is stopped; return whether that was news. Raises ZoneUnknown, Moved."""
    seen = zone_row(conn, zone)
    if seen.halted == why:
        return False
    # Without this condition a slow enactor's halt would undo a decision or an observation made meanwhile.
    if not claim(conn, seen, ("newest", "published", "halted", "trusted_fence", "fence"), {"halted": why}):
        raise Moved
    return True
