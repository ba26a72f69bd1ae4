"""What became of plans: published, superseded, faulted, rejected, waiting, withdrawn; and why a zone is halted.
Here the store follows the zone. A row may lag behind what the primary shows, never lead it, and nothing is lowered.
"""

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from dnsguard.core.fence import Fence, fence_from_text
from dnsguard.core.history import GenerationUnknown, PlanState, Submission, Zone
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal, Suspect
from dnsguard.core.withdrawal import Verdict, Withdrawal, refuse_withdrawal, verdict
from dnsguard.store.database import Moved
from dnsguard.store.ledger import Ledger, open_ledger
from dnsguard.store.rows import (
    chain_at,
    claim,
    newest_between,
    open_withdrawals,
    same_rrset,
    wanted_from,
    zone_row,
)
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
    verdicts = [(each, verdict(each, fence)) for each in open_withdrawals(conn, zone)]
    too_late = [each for each, said in verdicts if said is Verdict.TOO_LATE]
    for each in too_late:
        _move(conn, zone, each.generation, PlanState.WITHDRAWING, PlanState.ACCEPTED, None, None)
    if rises:
        _bring_live(conn, zone, seen.published, fence.base)
        _settle(conn, zone, seen.published, fence.base, at)
    for each, said in verdicts:
        if said is Verdict.WITHDRAWN:
            _move(conn, zone, each.generation, PlanState.WITHDRAWING, PlanState.WITHDRAWN, plans.c.why, at)
            _take_out(conn, zone, each.generation)
    for each in too_late:
        _undo(conn, zone, each, at)
    news |= bool(too_late)
    faulted = [_mark(conn, zone, generation, PlanState.FAULTED, why, at) for generation, why in faults]
    cleared = [_mend(conn, zone, generation, at) for generation in mended]
    return news or any((*faulted, *cleared))


def _move(
    conn: sa.Connection,
    zone: str,
    generation: int,
    before: PlanState,
    after: PlanState,
    why: str | sa.ColumnElement[str | None] | None,
    settled_at: float | None,
) -> bool:
    """Bring a plan from one state into another; return whether it was in the first."""
    return (
        conn.execute(
            sa.update(plans)
            .where(plans.c.zone == zone, plans.c.generation == generation, plans.c.state == before.value)
            .values(state=after.value, why=why, settled_at=settled_at, suspects=None)
        ).rowcount
        == 1
    )


def _mend(conn: sa.Connection, zone: str, generation: int, at: float) -> bool:
    """Take the mark of a fault from a plan; return whether it had one."""
    return _move(conn, zone, generation, PlanState.FAULTED, PlanState.PUBLISHED, None, at)


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
    open_states = [PlanState.ACCEPTED.value, PlanState.WITHDRAWING.value]
    if state is PlanState.FAULTED:
        open_states += [PlanState.PUBLISHED.value, PlanState.SUPERSEDED.value]
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
    ledger, row = _open_plan(conn, zone, generation)
    open_states = {PlanState.ACCEPTED.value, PlanState.WITHDRAWING.value}
    if row is None or generation <= ledger.seen.published or row.state not in open_states:
        _mark(conn, zone, generation, PlanState.FAULTED, why, at, suspects)
        return None
    if waits and row.state == PlanState.WITHDRAWING.value:
        return 0  # it is not given out to be published any more
    own, put_back = _stood_before(conn, ledger.seen, generation, created, again=row.reverts is not None)
    if put_back and own == {key: wanted for key, (wanted, _) in put_back.items()}:
        _, put_back = _stood_before(conn, ledger.seen, generation, created, again=True)
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
        appended = _append_put_back(ledger, put_back, reason, ACTOR, at, generation)
    # An enactor that was slow to refuse, and one that has published meanwhile: the record moves ``published``,
    # and this rejection starts again and finds the plan settled.
    ledger.write(conn, "published")
    if not _mark(conn, zone, generation, PlanState.WAITING if waits else PlanState.REJECTED, why, at, suspects):
        raise Moved
    _take_out(conn, zone, generation)
    return appended


def withdraw(conn: sa.Connection, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
    """Take back a plan that is not published; return why not. Raises ZoneUnknown, GenerationUnknown, Moved.

    Appends the barrier, which puts back what stood; a plan that waits has one. `record` says what became of the
    withdrawal. A plan that is withdrawn already stays so.
    """
    ledger, row = _open_plan(conn, zone, generation)
    if row is None:
        raise GenerationUnknown(zone, generation, ledger.seen.kept_from, ledger.seen.newest)
    state, seen = PlanState(row.state), ledger.seen
    if state in {PlanState.WITHDRAWING, PlanState.WITHDRAWN}:
        return None
    trusted = seen.trusted_fence is not None
    fence, newest = fence_from_text(seen.fence), seen.newest
    refusal = refuse_withdrawal(generation, state, row.reverts, trusted=trusted, fence=fence, newest=newest)
    if refusal is not None:
        return refusal
    if state is PlanState.WAITING:
        # What puts back its contents may not be published yet: until then something of them may stand, or arrive.
        is_past = _barrier_of(conn, zone, generation) <= seen.published
        after, settled_at = (PlanState.WITHDRAWN, at) if is_past else (PlanState.WITHDRAWING, None)
        if not _move(conn, zone, generation, state, after, why, settled_at):
            raise Moved
        return None
    _, put_back = _stood_before(conn, seen, generation, (), again=False)
    _append_put_back(ledger, put_back, f"withdraws generation {generation}: {why}", actor, at, generation)
    # An enactor may have this plan in a message in flight, and may be slow. The fence decides between the two:
    # 1. Enactor E observes fence F, and reads from the store that generation n is to be published.
    # 2. This transaction appends barrier w, after n. A publication that is read from here on and goes to w or beyond
    #    says at n's names what w says. One that writes n's contents ends below w, and so do all that were read before.
    # 3. E's message arrives first: the fence is at n or beyond it, and below w. Messages to w or beyond that expect F
    #    are refused, and no other is sent before this fence is recorded. Recording it makes n published (or lets its
    #    publication in parts go on), takes w's contents back, and so refuses the withdrawal.
    # 4. Or a message to w or beyond arrives first. E's message expects F: it is refused, and so is each copy of it.
    #    Recording that fence makes n withdrawn.
    # 5. What E read before 2 and has not sent yet is as in 3 or 4: it expects F or an older fence.
    # 6. A fence that is recorded between the look above and the statements below changes ``published`` or ``fence``:
    #    then this transaction starts again, and finds n published or being published.
    ledger.write(conn, "published", "fence", fence=seen.fence)
    if not _move(conn, zone, generation, PlanState.ACCEPTED, PlanState.WITHDRAWING, why, None):
        raise Moved
    return None


def _barrier_of(conn: sa.Connection, zone: str, generation: int) -> int:
    """Return the generation that puts back what stood before a plan."""
    query = sa.select(sa.func.max(plans.c.generation)).where(plans.c.zone == zone, plans.c.reverts == generation)
    return conn.scalar(query) or 0


def resume(conn: sa.Connection, zone: str, generation: int, at: float) -> int | None:
    """Accept the contents of a waiting plan once more; return the new generation.

    Leaves out what a newer plan covers; if that is all of it, nothing is appended (0). None if the plan does not wait
    any more. Raises ZoneUnknown, Moved.
    """
    row = conn.execute(sa.select(plans).where(plans.c.zone == zone, plans.c.generation == generation)).one_or_none()
    if row is None or row.state != PlanState.WAITING.value:
        return None
    mine = (rejected.c.zone == zone) & (rejected.c.generation == generation)
    names = conn.scalars(sa.select(rejected.c.name).where(mine).distinct()).all()
    ledger = open_ledger(conn, zone, names)
    query = (
        sa.select(rejected)
        .join(rrsets, same_rrset(rrsets, rejected))
        .join(plans, (plans.c.zone == rrsets.c.zone) & (plans.c.generation == rrsets.c.newest))
        .where(mine, plans.c.reverts.is_not(None))
    )
    wanted = {
        Key(row.name, row.type): wanted_from(row.type, row.disposition, row.ttl, row.rdatas)
        for row in conn.execute(query)
    }
    appended = 0
    if wanted:
        reason = f"generation {generation} again, whose names can be read now: {row.reason}"
        plan = make_plan(zone, wanted, reason=reason, adopt=row.adopt, as_found=row.as_found)
        appended = ledger.newest + 1
        ledger.append(Submission(plan, row.actor, at), appended)
    ledger.write(conn)
    why = f"accepted again as generation {appended}" if appended else "newer plans cover all of it"
    if not _move(conn, zone, generation, PlanState.WAITING, PlanState.SUPERSEDED, why, at):
        raise Moved
    return appended


def _undo(conn: sa.Connection, zone: str, withdrawal: Withdrawal, at: float) -> None:
    """Take a withdrawal back that came too late: what its barrier covers is again as the plan says. Raises Moved.

    Also where something else has put back older contents since, but not where a newer plan wants something.
    """
    ledger, _ = _open_plan(conn, zone, withdrawal.barrier)
    plan, barrier, newest = changes.alias("plan"), changes.alias("barrier"), plans.alias("newest")
    query = (
        sa.select(plan, plans.c.adopt, plans.c.as_found)
        .join(barrier, same_rrset(barrier, plan) & (barrier.c.generation == withdrawal.barrier))
        .join(rrsets, same_rrset(rrsets, plan))
        .join(newest, (newest.c.zone == rrsets.c.zone) & (newest.c.generation == rrsets.c.newest))
        .join(plans, (plans.c.zone == plan.c.zone) & (plans.c.generation == plan.c.generation))
        .where(plan.c.zone == zone, plan.c.generation == withdrawal.generation, newest.c.reverts.is_not(None))
    )
    rows = conn.execute(query).all()
    why = f"generation {withdrawal.generation} was published before it could be withdrawn"
    if rows:
        wanted = {Key(row.name, row.type): wanted_from(row.type, row.disposition, row.ttl, row.rdatas) for row in rows}
        restated = make_plan(zone, wanted, reason=why, adopt=rows[0].adopt, as_found=rows[0].as_found)
        ledger.append(Submission(restated, ACTOR, at), ledger.newest + 1, reverts=withdrawal.barrier)
    ledger.write(conn)
    if not _move(conn, zone, withdrawal.barrier, PlanState.ACCEPTED, PlanState.REJECTED, why, at):
        raise Moved
    _take_out(conn, zone, withdrawal.barrier)


def _append_put_back(
    ledger: Ledger, put_back: dict[Key, tuple[Wanted, bool]], reason: str, actor: str, at: float, generation: int
) -> int:
    """Note a plan that puts back what stood before a generation; return its own."""
    plan = make_plan(ledger.seen.name, {key: wanted for key, (wanted, _) in put_back.items()}, reason=reason)
    ledger.adopting -= put_back.keys()
    ledger.adopting |= {key for key, (_, adopting) in put_back.items() if adopting}
    appended = ledger.newest + 1
    ledger.append(Submission(plan, actor, at), appended, reverts=generation)
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


def _take_out(conn: sa.Connection, zone: str, generation: int) -> None:
    """Move a plan's changes out of every state."""
    mine = (changes.c.zone == zone) & (changes.c.generation == generation)
    columns = [column.name for column in rejected.columns]
    conn.execute(
        sa.insert(rejected).from_select(columns, sa.select(*(changes.c[name] for name in columns)).where(mine))
    )
    conn.execute(sa.delete(changes).where(mine))


def _open_plan(conn: sa.Connection, zone: str, generation: int) -> tuple[Ledger, sa.Row[Any, Any, Any] | None]:
    names = sa.select(changes.c.name).where(changes.c.zone == zone, changes.c.generation == generation).distinct()
    ledger = open_ledger(conn, zone, conn.scalars(names).all())
    query = sa.select(plans.c.state, plans.c.reverts, plans.c.rrsets).where(
        plans.c.zone == zone, plans.c.generation == generation
    )
    return ledger, conn.execute(query).one_or_none()


def _stood_before(
    conn: sa.Connection, seen: sa.Row[Any], generation: int, created: Collection[Key], *, again: bool
) -> tuple[dict[Key, Wanted], dict[Key, tuple[Wanted, bool]]]:
    """Return the RRsets of which a plan is the newest, and what to put back there and whether it may be taken over.

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
            sa.select(rrsets, mine.c.disposition, mine.c.ttl, mine.c.rdatas)
            .select_from(mine)
            .join(rrsets, same_rrset(rrsets, mine) & newest_here)
            .where(mine.c.zone == seen.name, mine.c.generation == generation)
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
    own = {key: wanted_from(row.type, row.disposition, row.ttl, row.rdatas) for key, row in heads.items()}
    return own, found


def halt(conn: sa.Connection, zone: str, why: str) -> bool:
    """Note why publishing is stopped; return whether that was news. Raises ZoneUnknown, Moved."""
    seen = zone_row(conn, zone)
    if seen.halted == why:
        return False
    # Without this condition a slow enactor's halt would undo a decision or an observation made meanwhile.
    if not claim(conn, seen, ("newest", "published", "halted", "trusted_fence", "fence"), {"halted": why}):
        raise Moved
    return True
