"""After a write: wait until the plan is settled, and say what became of it.
A plan that is accepted and not yet published is never called published, and never resubmitted.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from dnsguard.api.desk import WaitFor
from dnsguard.api.documents import (
    DryRun,
    NameServerStatus,
    PlanAccepted,
    PlanStatus,
    RollbackAccepted,
    ZoneStatus,
)
from dnsguard.cli.changes import show_changes, show_replaced
from dnsguard.cli.client import Answer, Daemon, zone_path
from dnsguard.cli.display import Display, duration
from dnsguard.cli.outcome import DONE, REFUSED, CannotAsk, Refused

UNSETTLED = frozenset({"accepted", "publishing", "waiting", "withdrawing"})
NOT_PUBLISHED = frozenset({"rejected", "faulted", "withdrawn"})
DEFAULT_WAIT_S = 10
POLL_S = 0.5

S = TypeVar("S", bound=PlanAccepted)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a write is to be made. ``if_match`` is a header's value, None to read the zone first."""

    if_match: str | None = None
    wait_s: int | None = None
    """None where nobody asked for waiting: then a plan that is accepted and not yet published is no failure."""
    dry_run: bool = False
    key: str | None = None
    wait_for: WaitFor = "published"
    exit_code: bool = False
    """Whether a dry run that finds a difference exits with 1."""


async def write(
    daemon: Daemon, display: Display, zone: str, act: str, body: Mapping[str, Any], manner: Manner, answer: type[S]
) -> int:
    """Post a plan or a rollback and report. Returns the exit code."""
    if_match = manner.if_match or await newest(daemon, zone)
    path = zone_path(zone, act)
    if manner.dry_run:
        judged = await daemon.submit(f"{path}?dry_run=true", body, DryRun, if_match=if_match)
        return report_dry_run(display, judged, exit_code=manner.exit_code)
    wait_s = DEFAULT_WAIT_S if manner.wait_s is None else manner.wait_s
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    until = "is published" if manner.wait_for == "published" else "has propagated"
    with display.waiting(f"{zone}: waiting until the plan {until}"):
        accepted = await daemon.submit(
            path, body, answer, if_match=if_match, wait_s=wait_s, wait_for=manner.wait_for, key=manner.key
        )
        raw, plan = accepted.raw, accepted.document
        state: PlanStatus = plan
        trouble: str | None = None
        while is_awaited(state, manner.wait_for) and (left := deadline - loop.time()) > POLL_S:
            # The daemon waits with us, as long as its settings let it; what is left we ask for.
            await asyncio.sleep(min(POLL_S, left))
            try:
                found = await daemon.get(zone_path(zone, "plans", plan.generation), PlanStatus, limit=1)
            except (CannotAsk, Refused) as error:
                # The plan is durable whatever happens to the daemon now: this ends the waiting, not the plan.
                trouble = str(error)
                break
            raw, state = found.raw, found.document
    if display.as_json:
        display.raw(raw)
    else:
        _report(display, plan, state, manner.wait_for)
        if state.state in UNSETTLED:
            trouble = trouble or await _hindrance(daemon, plan.zone)
            if trouble is not None:
                display.note(f"  {trouble}", "yellow")
        elif is_awaited(state, manner.wait_for):
            for said in await _followers(daemon, plan.zone):
                display.note(f"  {said}", "yellow")
    if is_awaited(state, manner.wait_for):
        return DONE if manner.wait_s is None or manner.wait_s == 0 else REFUSED
    return REFUSED if state.state in NOT_PUBLISHED else DONE


def is_awaited(plan: PlanStatus, wait_for: WaitFor) -> bool:
    """Tell whether a plan has not come as far yet as somebody waits for. What was refused never will."""
    if plan.state in NOT_PUBLISHED:
        return False
    return plan.state in UNSETTLED or (wait_for == "propagated" and not plan.propagated)


async def _followers(daemon: Daemon, zone: str) -> list[str]:
    """Say which name servers of a zone do not serve what is published, as far as the daemon knows."""
    try:
        found = (await daemon.get(zone_path(zone), ZoneStatus)).document.name_servers
    except (CannotAsk, Refused) as error:
        return [str(error)]
    return [name_server_line(each) for each in found if each.standing != "current"]


def name_server_line(server: NameServerStatus) -> str:
    """Say for people how a name server stands."""
    at = "serves nothing of this history" if server.generation is None else f"serves generation {server.generation}"
    if server.standing == "silent":
        at = "nothing of this history was seen there" if server.generation is None else f"{at} as far as was seen"
    behind = f", {server.behind_generations} behind" if server.behind_generations else ""
    since = f" for {duration(server.behind_s)}" if server.behind_generations and server.behind_s is not None else ""
    return f"{server.server} is {server.standing}: {at}{behind}{since}" + (
        f" ({server.detail})" if server.detail else ""
    )


async def newest(daemon: Daemon, zone: str) -> str:
    """Return the If-Match value of the zone as it is now."""
    return f'"{(await daemon.get(zone_path(zone), ZoneStatus)).document.newest}"'


async def _hindrance(daemon: Daemon, zone: str) -> str | None:
    """Say what keeps a zone from being published, as far as the daemon knows."""
    try:
        status = (await daemon.get(zone_path(zone), ZoneStatus)).document
    except (CannotAsk, Refused) as error:
        return str(error)
    return status.trouble if status.halted is None else f"publishing is stopped for {zone}: {status.halted}"


def _report(display: Display, plan: PlanAccepted, state: PlanStatus, wait_for: WaitFor) -> None:
    where = f"{plan.zone} generation {plan.generation}"
    again = f" ({'answered' if plan.unchanged else 'accepted'} before, under the same key)" if plan.repeated else ""
    if plan.unchanged:
        display.line(f"unchanged: these contents are accepted already, as of {where}; no generation was made{again}")
        again = ""
    match state.state:
        case "published" | "superseded" if plan.unchanged and wait_for == "published":
            pass
        case "published" if wait_for == "propagated":
            if state.propagated:
                display.line(f"propagated: {where}{again}", "green")
            else:
                display.line(f"published: {where}, not yet propagated{again}", "yellow")
        case "published":
            display.line(f"published: {where}{again}", "green")
        case "superseded":
            display.line(f"superseded: {where} was overtaken by a newer plan before it was published{again}")
        case "waiting":
            display.line(f"waiting: {where}, not published: {state.why or 'no reason is known'}{again}", "yellow")
            display.note(f"  to take it back: 'dnsguard withdraw {plan.generation} --zone {plan.zone}'", "yellow")
        case "rejected" | "faulted" | "withdrawn":
            display.note(f"{state.state}: {where}: {state.why or 'no reason is known'}", "bold red")
            for suspect in state.suspects:
                display.note(f"  suspect:  {suspect.name} {suspect.type}: {suspect.reason}")
        case _:
            display.line(f"accepted as {where}, not yet published{again}", "yellow")
    show_replaced(display, plan.replaced, plan.replaced_count or 0)
    if isinstance(plan, RollbackAccepted):
        for rrset in plan.untouched:
            display.line(f"  left as it is: {rrset.name} {rrset.type}, which no plan covered at generation {plan.to}")


def report_dry_run(display: Display, judged: Answer[DryRun], *, exit_code: bool = False) -> int:
    """Say what a plan would change and which guards refuse it. Returns the exit code.

    It is 1 if a guard refuses the plan and, with ``exit_code``, also if something differs.
    """
    document = judged.document
    code = REFUSED if not document.acceptable or (exit_code and document.differences) else DONE
    if display.as_json:
        display.raw(judged.raw)
        return code
    show_changes(display, document.differences)
    for verdict in document.verdicts:
        if not verdict.passed:
            display.note(f"refused: {verdict.detail or 'no reason is known'}", "bold red")
            for name, value in (("guard", verdict.guard), ("expected", verdict.expected), ("found", verdict.found)):
                if value:
                    display.note(f"  {name + ':':<9} {value}")
            if len(verdict.errors) > 1:
                display.note(f"  {len(verdict.errors)} such refusals:")
                display.errors({"pointer": each.pointer, "detail": each.detail} for each in verdict.errors)
    if document.acceptable:
        display.line("nothing was changed: this was a dry run, and every guard lets the plan pass")
    if document.unchanged:
        display.line("unchanged: these contents are accepted already; submitting them makes no generation")
    return code
