"""Changes: plans, rollbacks and resynchronisations come in here, are submitted, and wait for their publication.
Nothing is decided here: the planner asks the guards, the store accepts, and the desk says what became of it.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from dnsguard.api import headers, queries, rendering
from dnsguard.api.bodies import received
from dnsguard.api.desk import WaitFor
from dnsguard.api.documents import (
    REPLACED_MAX,
    DryRun,
    PlanAccepted,
    PlanWanted,
    Request,
    Resynced,
    ResyncWanted,
    RollbackAccepted,
    RollbackWanted,
    WithdrawalWanted,
    encode,
    fields_of,
)
from dnsguard.api.parsing import pointers_of, read_document, read_keys, read_plan, read_reason
from dnsguard.api.problems import (
    FAULTED,
    KEY_REUSED,
    NOT_WITHDRAWABLE,
    REJECTED,
    RESYNC_REFUSED,
    WITHDRAWN,
    ProblemRaised,
    of_refusal,
)
from dnsguard.api.visit import Visit, entity_tag, respond
from dnsguard.core.history import (
    Accepted,
    Entry,
    GenerationUnknown,
    KeyReused,
    PlanState,
    StoreUnavailable,
    Submission,
    Unchanged,
)
from dnsguard.core.plan import Plan, plan_digest
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.workers.planner import Planner, rollback
from dnsguard.workers.resync import ResyncRefused


@dataclass(frozen=True, slots=True)
class Asked:
    """What the headers of a change say."""

    based_on: int | None
    idempotency_key: str | None
    wait_s: int | None
    wait_for: WaitFor


def _asked(visit: Visit) -> Asked:
    received = visit.request.headers
    return Asked(
        headers.based_on(received),
        headers.idempotency_key(received),
        headers.wait_s(received, visit.room.limits.wait_s_max),
        headers.wait_for(received),
    )


async def submit_plan(visit: Visit) -> web.Response:
    """Take a plan in; with ``dry_run`` only say what would become of it."""
    asked = _asked(visit)
    if queries.flag(visit, "dry_run"):
        return await _try_plan(visit, asked)
    accepted, fresh = await _accept_plan(visit, asked)
    entry = await _settle(visit, fresh, accepted, asked)
    return _answer(PlanAccepted(**_shown(visit, entry), **await _outcome(visit, accepted)), entry, asked)


async def _try_plan(visit: Visit, asked: Asked) -> web.Response:
    planner, mode = visit.planner(), visit.room.desk.mode
    async with _received_plan(visit, asked) as (document, plan):
        judged = await planner.judge(_submission(visit, asked, plan, document, republish=document.republish is True))

        def show() -> DryRun:
            return rendering.dry_run(visit.zone, mode, judged, lambda: pointers_of(document, visit.zone))

        return respond(await visit.room.render(show, len(plan.rrsets)))


async def _accept_plan(visit: Visit, asked: Asked) -> tuple[Accepted | Unchanged, Entry]:
    """Take a plan in. Nothing of its contents is kept by the request after that, however long its client waits."""
    planner, room = visit.planner(), visit.room
    async with _received_plan(visit, asked) as (document, plan):
        submission = _submission(visit, asked, plan, document, republish=document.republish is True)
        accepted = await _submit(visit, planner, submission)
        if isinstance(accepted, Refusal):
            raise of_refusal(accepted, await room.render(lambda: pointers_of(document, visit.zone), len(plan.rrsets)))
        return accepted, _fresh(submission, accepted.generation)


def _received_plan(visit: Visit, asked: Asked) -> AbstractAsyncContextManager[tuple[PlanWanted, Plan]]:
    planner, limits = visit.planner(), visit.room.limits

    def read(body: bytearray, abandoned: Callable[[], bool]) -> tuple[PlanWanted, Plan]:
        return read_plan(body, visit.zone, planner.policy, asked.based_on, limits, abandoned)

    return received(visit, read)


async def roll_back(visit: Visit) -> web.Response:
    """Give RRsets the contents that they had at an older generation, as a new plan."""
    asked = _asked(visit)
    accepted, fresh, to, untouched = await _accept_rollback(visit, asked)
    entry = await _settle(visit, fresh, accepted, asked)
    return _answer(
        RollbackAccepted(
            **_shown(visit, entry),
            **await _outcome(visit, accepted),
            to=to,
            untouched=rendering.named(untouched),
        ),
        entry,
        asked,
    )


async def _accept_rollback(visit: Visit, asked: Asked) -> tuple[Accepted | Unchanged, Entry, int, tuple[Key, ...]]:
    """Take a rollback in; return with it the generation that it goes back to and what it leaves untouched."""
    planner, limits = visit.planner(), visit.room.limits

    def read(body: bytearray, _: Callable[[], bool]) -> tuple[RollbackWanted, frozenset[Key] | None]:
        document = read_document(body, RollbackWanted, limits)
        read_reason(document.reason)
        return document, None if document.rrsets is None else read_keys(document.rrsets, visit.zone)

    async with received(visit, read) as (document, only):
        made = await _make_rollback(visit, document, only, asked)
        if isinstance(made, Refusal):
            raise of_refusal(made)
        plan, untouched = made
        submission = _submission(visit, asked, plan, document)
        accepted = await _submit(visit, planner, submission)
        if isinstance(accepted, Refusal):
            raise of_refusal(accepted if plan.rrsets else _nothing_differs(document.to, untouched))
        return accepted, _fresh(submission, accepted.generation), document.to, untouched


async def withdraw_plan(visit: Visit) -> web.Response:
    """Take back a plan of which nothing is published."""
    limits = visit.room.limits
    visit.planner()
    generation = queries.parse_number(visit.request.match_info["generation"], "generation")
    wait_s = headers.wait_s(visit.request.headers, limits.wait_s_max)
    async with received(visit, lambda body, _: read_document(body, WithdrawalWanted, limits)) as document:
        read_reason(document.reason)
        why = f"withdrawn by {visit.actor}" + (f": {document.reason}" if document.reason else "")
    desk, detail = visit.room.desk, f"generation {generation} is being published"
    for _ in range(2):  # once more after a publication under way was settled: then it is clear what is to be done
        refusal = await desk.withdraw(visit.zone, generation, why, visit.actor)
        entry = await _await_settled(visit, generation, wait_s or 0, "published")
        if entry.state in {PlanState.WITHDRAWING, PlanState.WITHDRAWN}:
            break
        detail = detail if refusal is None else refusal.detail
    else:
        members = {"generation": generation, "plan": rendering.plan_path(visit.zone, generation), "zone": visit.zone}
        raise ProblemRaised(NOT_WITHDRAWABLE, detail, members)
    shown = rendering.plan_status(entry, desk.mode, followed=bool(desk.followed(visit.zone)))
    applied = {} if wait_s is None else {"Preference_Applied": f"wait={wait_s}"}
    path = rendering.plan_path(visit.zone, generation)
    return respond(shown, 200 if entry.state is PlanState.WITHDRAWN else 202, Location=path, **applied)


async def resynchronise(visit: Visit) -> web.Response:
    """Settle a zone whose fence is not of this history."""
    limits = visit.room.limits
    visit.planner()
    async with received(visit, lambda body, _: read_document(body, ResyncWanted, limits)) as document:
        read_reason(document.reason)
    desk = visit.room.desk
    try:
        generation = await desk.resync(visit.zone, document.keep, visit.actor, document.reason)
    except ResyncRefused as error:
        raise ProblemRaised(RESYNC_REFUSED, str(error)) from None
    desk.wake(visit.zone)
    return respond(
        Resynced(zone=visit.zone, mode=desk.mode, generation=generation, keep=document.keep),
        ETag=entity_tag(generation),
    )


async def _make_rollback(
    visit: Visit, document: RollbackWanted, only: frozenset[Key] | None, asked: Asked
) -> tuple[Plan, tuple[Key, ...]] | Refusal:
    histories = visit.room.desk.histories
    try:
        then = await histories.rrsets(visit.zone, at=document.to)
    except GenerationUnknown as error:
        return Refusal(
            "rollback_reaches",
            f"{error}; a rollback reaches no further",
            f"{error.kept_from} to {error.newest}",
            str(error.generation),
        )
    now = await histories.rrsets(visit.zone)

    def make() -> tuple[Plan, tuple[Key, ...]] | Refusal:
        return rollback(visit.zone, document.to, then, now, only, based_on=asked.based_on, reason=document.reason)

    return await visit.room.render(make, len(then) + len(now))


def _nothing_differs(to: int, untouched: tuple[Key, ...]) -> Refusal:
    left = (
        f", except {len(untouched)} RRset{'s' * (len(untouched) != 1)} that no plan covered then" if untouched else ""
    )
    return Refusal(
        "plan_covers_something",
        f"nothing differs between generation {to} and now{left}; there is nothing to roll back",
        "≥ 1 RRset that differs",
        "0",
    )


def _submission(visit: Visit, asked: Asked, plan: Plan, document: Request, *, republish: bool = False) -> Submission:
    """Say who submits what; a repetition is known by the document, however its JSON was laid out."""
    digest = b""
    if asked.idempotency_key is not None:
        digest = hashlib.sha256(type(document).__name__.encode("ascii") + b"\0" + encode(document)).digest()
    return Submission(plan, visit.actor, visit.room.desk.now(), asked.idempotency_key, digest, republish)


async def _submit(visit: Visit, planner: Planner, submission: Submission) -> Accepted | Unchanged | Refusal:
    desk = visit.room.desk
    outcome = await planner.submit(submission)
    match outcome:
        case KeyReused(generation):
            raise ProblemRaised(
                KEY_REUSED,
                f"the Idempotency-Key {submission.idempotency_key} belongs to another request, which was answered with "
                f"generation {generation}; use a key of its own for each change",
                {"generation": generation, "plan": rendering.plan_path(visit.zone, generation)},
            )
        case Accepted(repeated=False):
            desk.wake(visit.zone)
    return outcome


async def _outcome(visit: Visit, accepted: Accepted | Unchanged) -> dict[str, Any]:
    """Return what the answer says of the request itself, beside the plan."""
    said: dict[str, Any] = {"repeated": accepted.repeated}
    if isinstance(accepted, Unchanged):
        return said | {"unchanged": True, "replaced_count": 0}
    if (found := accepted.replaced) is None:
        return said
    listed = found[:REPLACED_MAX]
    shown = await visit.room.render(lambda: rendering.replaced(listed), len(listed))
    return said | {"replaced_count": len(found), "replaced": shown}


def _shown(visit: Visit, entry: Entry) -> dict[str, Any]:
    desk = visit.room.desk
    return fields_of(rendering.plan_status(entry, desk.mode, followed=bool(desk.followed(visit.zone))))


async def _settle(visit: Visit, fresh: Entry, accepted: Accepted | Unchanged, asked: Asked) -> Entry:
    """Wait for a plan as long as the client prefers, unless it goes or the door closes; return it as it is then.

    What was accepted just now stays so if the store goes away while somebody waits.
    """
    try:
        return await _awaited(visit, fresh, accepted, asked)
    except StoreUnavailable:
        if not _is_new(accepted):
            raise
        return fresh


def _is_new(accepted: Accepted | Unchanged) -> bool:
    return isinstance(accepted, Accepted) and not accepted.repeated


async def _awaited(visit: Visit, fresh: Entry, accepted: Accepted | Unchanged, asked: Asked) -> Entry:
    if asked.wait_s is None and _is_new(accepted):
        return fresh
    return await _await_settled(visit, accepted.generation, asked.wait_s or 0, asked.wait_for)


async def _await_settled(visit: Visit, generation: int, wait_s: int, wait_for: WaitFor) -> Entry:
    """Wait for a plan, unless the client goes or the API closes; return it as it is then."""
    desk, room = visit.room.desk, visit.room
    if not wait_s or room.closing.done():
        return await desk.settled(visit.zone, generation, 0)
    crowded = asyncio.get_running_loop().create_future()
    async with visit.waiting(wait_s, lambda: crowded.set_result(None)):
        waiting = asyncio.ensure_future(desk.settled(visit.zone, generation, wait_s, wait_for))
        ends: list[asyncio.Future[Any]] = [waiting, room.closing, crowded]
        if visit.connection is not None:
            ends.append(visit.connection.lost)
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            early = not waiting.done()
            if early:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
    return await desk.settled(visit.zone, generation, 0) if early else waiting.result()


def _fresh(submission: Submission, generation: int) -> Entry:
    """Return a plan's entry as it was accepted, without asking the store again."""
    plan = submission.plan
    return Entry(
        zone=plan.zone,
        generation=generation,
        actor=submission.actor,
        reason=plan.reason,
        accepted_at=submission.at,
        based_on=plan.based_on,
        digest=plan_digest(plan).hex(),
        state=PlanState.ACCEPTED,
        settled_at=None,
        why=None,
        rrsets=len(plan.rrsets),
    )


def _answer(document: PlanAccepted, entry: Entry, asked: Asked) -> web.Response:
    """Answer 200 when a client that waits sees its plan through, a problem when it was rejected, else 202.

    A client that does not wait is answered 200 if its request changed nothing: there is nothing left to be done.
    """
    path = rendering.plan_path(entry.zone, entry.generation)
    wait_s, for_all = asked.wait_s, asked.wait_for == "propagated"
    waited = {} if wait_s is None else {"Preference_Applied": f"wait={wait_s}" + ", wait-for=propagated" * for_all}
    members = {"generation": entry.generation, "plan": path, "zone": entry.zone, "suspects": rendering.suspects(entry)}
    if wait_s is not None and entry.state is PlanState.REJECTED:
        raise ProblemRaised(REJECTED, f"generation {entry.generation} was rejected: {entry.why}", members)
    if wait_s is not None and entry.state is PlanState.WITHDRAWN:
        raise ProblemRaised(WITHDRAWN, f"generation {entry.generation} was not published: {entry.why}", members)
    if wait_s is not None and entry.state is PlanState.FAULTED:
        raise ProblemRaised(FAULTED, f"generation {entry.generation} was published, but: {entry.why}", members)
    settled = wait_s is not None and entry.state in {PlanState.PUBLISHED, PlanState.SUPERSEDED}
    settled = settled and (document.propagated or not for_all)
    done = settled or (wait_s is None and document.unchanged)
    return respond(document, 200 if done else 202, ETag=entity_tag(entry.generation), Location=path, **waited)
