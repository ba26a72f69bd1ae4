"""Plans that are taken back before they are published, and plans that wait until their names can be read.
What became of a withdrawal says the fence, and so `record`: see the comment in `withdraw`.
"""

import sqlalchemy as sa

from dnsguard.core.fence import fence_from_text
from dnsguard.core.history import GenerationUnknown, PlanState, Submission
from dnsguard.core.plan import make_plan
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.withdrawal import Withdrawal, refuse_withdrawal
from dnsguard.store.database import Moved
from dnsguard.store.ledger import open_ledger
from dnsguard.store.put_back import ACTOR, append_put_back, move, open_plan, stood_before, take_out
from dnsguard.store.rows import same_rrset, wanted_from
from dnsguard.store.schema import changes, plans, rejected, rrsets


def withdraw(conn: sa.Connection, zone: str, generation: int, why: str, actor: str, at: float) -> Refusal | None:
    """Take back a plan that is not published; return why not. Raises ZoneUnknown, GenerationUnknown, Moved.

    Appends the barrier, which puts back what stood; a plan that waits has one. `record` says what became of the
    withdrawal. A plan that is withdrawn already stays so.
    """
    ledger, row = open_plan(conn, zone, generation)
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
        if not move(conn, zone, generation, state, after, why, settled_at):
            raise Moved
        return None
    _, put_back = stood_before(conn, seen, generation, (), again=False)
    append_put_back(ledger, put_back, f"withdraws generation {generation}: {why}", actor, at, generation)
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
    if not move(conn, zone, generation, PlanState.ACCEPTED, PlanState.WITHDRAWING, why, None):
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
    if not move(conn, zone, generation, PlanState.WAITING, PlanState.SUPERSEDED, why, at):
        raise Moved
    return appended


def undo(conn: sa.Connection, zone: str, withdrawal: Withdrawal, at: float) -> None:
    """Take a withdrawal back that came too late: what its barrier covers is again as the plan says. Raises Moved.

    Also where something else has put back older contents since, but not where a newer plan wants something.
    """
    ledger, _ = open_plan(conn, zone, withdrawal.barrier)
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
    if not move(conn, zone, withdrawal.barrier, PlanState.ACCEPTED, PlanState.REJECTED, why, at):
        raise Moved
    take_out(conn, zone, withdrawal.barrier)
