"""Commands that only look: `status`, `plans`, `show`, `rrsets`, `diff`.
Nothing here changes a zone; `diff FILE` has the daemon judge a plan, and nothing is stored.
"""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import click

from dnsguard.api.documents import (
    DaemonStatus,
    Difference,
    Differences,
    Plans,
    PlanShown,
    RRset,
    RRsets,
    VerificationSummary,
    Zones,
    ZoneStatus,
)
from dnsguard.cli.asking import Verb, asks
from dnsguard.cli.changes import show_changes
from dnsguard.cli.client import Answer, Daemon, zone_path
from dnsguard.cli.display import OPAQUE_MARK, Display, duration
from dnsguard.cli.following import Manner, name_server_line
from dnsguard.cli.manner import ZONE
from dnsguard.cli.naming import zone_either_way
from dnsguard.cli.outcome import DONE, REFUSED
from dnsguard.cli.writes import submit_file

PAGE_MAX = 500
WORRYING = frozenset({"lagging", "silent", "foreign", "backwards"})
"""How a name server stands that somebody should look after."""

Page = TypeVar("Page", Plans, PlanShown, RRsets, Differences)

_GENERATION = click.IntRange(min=0)


@click.command(cls=Verb, examples=("dnsguard status", "dnsguard status example.test.", "dnsguard status --json"))
@zone_either_way
@asks
async def status(daemon: Daemon, display: Display, zone: str | None) -> int:
    """Show where all zones stand, or all about one ZONE.

    NEWEST is the newest generation accepted, PUBLISHED the one that the name server has. The exit code is 1 if a
    zone that is shown is HALTED: nothing is published there before a person has decided.
    """
    if zone is not None:
        one = await daemon.get(zone_path(zone), ZoneStatus)
        if display.as_json:
            display.raw(one.raw)
        else:
            _show_zone(display, one.document)
        return REFUSED if one.document.halted else DONE
    every = await daemon.get("/v1/zones", Zones)
    if display.as_json:
        display.raw(every.raw)
        return _exit_code(every.document)
    _show_mode(display, every.document.mode)
    display.table(
        ("ZONE", "STATE", "NEWEST", "PUBLISHED", "PROPAGATED", "PENDING", "PUBLISHED AT"),
        [
            (
                found.zone,
                _standing(found),
                str(found.newest),
                str(found.published),
                str(found.propagated),
                str(found.pending),
                _when(display, found.published_at, found.published_age_s),
            )
            for found in every.document.zones
        ],
    )
    if len(every.document.daemons) > 1:
        _show_daemons(display, every.document.daemons)
    for found in every.document.zones:
        for server in found.name_servers:
            if server.standing in WORRYING:
                display.line(f"{found.zone} {name_server_line(server)}", "red")
        if found.halted:
            display.line(f"{found.zone} publishing is stopped: {found.halted}", "bold red")
        elif found.trouble:
            display.line(f"{found.zone} not everything is published at the moment: {found.trouble}", "red")
        _show_unfinished(display, found, f"{found.zone} ")
        verified = found.verification
        if verified is not None and (verified.findings or verified.failure is not None or verified.overdue):
            display.line(f"{found.zone} {_verified(display, verified)}", "red")
    return _exit_code(every.document)


def _show_daemons(display: Display, daemons: Sequence[DaemonStatus]) -> None:
    display.line("")
    display.table(
        ("DAEMON", "STATE", "HOST", "PID", "VERSION", "TABLES", "API", "LAST SEEN"),
        [
            (
                found.id[:8],
                "alive" if found.alive else "gone",
                found.host,
                str(found.pid),
                found.version,
                found.revision,
                found.address or "-",
                _when(display, found.seen_at, found.seen_age_s),
            )
            for found in daemons
        ],
    )


def _exit_code(shown: Zones) -> int:
    return REFUSED if any(zone.halted for zone in shown.zones) else DONE


def _verified(display: Display, found: VerificationSummary) -> str:
    """Say what the newest verification came to; the last success is not shown as if it were current."""
    last = _last_success(display, found)
    if found.failure is not None:
        return f"could not be compared at {found.attempted_at}: {found.failure} (last success: {last or 'none'})"
    if found.overdue:
        return f"not compared for too long (last success: {last or 'none'})"
    return last or "not yet"


def _last_success(display: Display, found: VerificationSummary) -> str | None:
    """Say what the last successful verification came to, None if there was none."""
    if found.at is None:
        return None
    when = _when(display, found.at, found.age_s)
    if not found.findings:
        return f"nothing differed at generation {found.generation}, {when}"
    differ = "1 difference" if found.findings == 1 else f"{found.findings} differences"
    suspended = f", repairs of {found.suspended} suspended" if found.suspended else ""
    return f"{differ} at generation {found.generation}, {when}{suspended}; see 'dnsguard verify'"


def _standing(zone: ZoneStatus) -> str:
    if zone.halted:
        return "HALTED"
    if zone.trouble:
        return "STUCK"
    return "current" if zone.published >= zone.newest else "behind"


def _when(display: Display, at: str | None, age_s: float | None) -> str:
    """Say when something was: on a terminal how long ago, otherwise the time itself."""
    if at is None:
        return "never"
    return f"{duration(age_s)} ago" if display.is_terminal and age_s is not None else at


def _show_mode(display: Display, mode: str) -> None:
    if mode != "guarded":
        display.line(
            f"MODE: {mode.upper()}: guards are off, and nothing stops an old or an empty record set", "bold red"
        )


def _show_zone(display: Display, zone: ZoneStatus) -> None:
    _show_mode(display, zone.mode)
    pending = str(zone.pending)
    if zone.oldest_pending_at is not None:
        pending += f", the oldest since {_when(display, zone.oldest_pending_at, zone.oldest_pending_age_s)}"
    display.fields(
        (
            ("zone", zone.zone),
            ("state", _standing(zone)),
            ("newest", str(zone.newest)),
            ("published", str(zone.published)),
            ("published at", _when(display, zone.published_at, zone.published_age_s)),
            ("propagated", str(zone.propagated)),
            ("pending", pending),
            ("fence", zone.fence or "none seen yet"),
            ("verified", "not yet" if zone.verification is None else _verified(display, zone.verification)),
            ("kept from", str(zone.kept_from)),
            ("history", zone.history),
        )
    )
    for server in zone.name_servers:
        display.line(f"  {name_server_line(server)}", "red" if server.standing in WORRYING else "")
    if zone.halted:
        display.line(f"publishing is stopped: {zone.halted}", "bold red")
    elif zone.trouble:
        display.line(f"not everything is published at the moment: {zone.trouble}", "red")
    _show_unfinished(display, zone)


def _show_unfinished(display: Display, zone: ZoneStatus, before: str = "") -> None:
    """Say which plans wait, are being withdrawn or are at fault, and what can be done."""
    for plan in zone.unfinished:
        way_out = ""
        if plan.state == "waiting":
            way_out = f"; to take it back: 'dnsguard withdraw {plan.generation} --zone {zone.zone}'"
        display.line(
            f"{before}generation {plan.generation} is {plan.state}: {plan.why or 'no reason is known'}{way_out}", "red"
        )


@click.command(cls=Verb, examples=("dnsguard plans example.test.", "dnsguard plans --limit 100 --below 41"))
@zone_either_way
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=20, show_default=True, help="How many at most.")
@click.option("--below", type=click.IntRange(min=1), metavar="GENERATION", help="Only plans older than this one.")
@asks
async def plans(daemon: Daemon, display: Display, zone: str | None, limit: int, below: int | None) -> int:
    """List the plans of ZONE, newest first. ZONE can be left out if the daemon serves only one."""
    path = zone_path(await daemon.only_zone(zone), "plans")
    answer = await daemon.get(path, Plans, limit=limit, below=below)
    if display.as_json:
        display.raw(answer.raw)
        return DONE
    display.table(
        ("GENERATION", "STATE", "ACCEPTED", "ACTOR", "RRSETS", "REASON"),
        [
            (
                str(plan.generation),
                plan.state,
                plan.accepted_at,
                plan.actor,
                str(plan.rrset_count),
                plan.reason + (f" ({plan.why})" if plan.why else ""),
            )
            for plan in answer.document.plans
        ],
    )
    return DONE


@click.command(cls=Verb, examples=("dnsguard show 42", "dnsguard show 42 --zone example.test. --json"))
@click.argument("generation", type=click.IntRange(min=1))
@ZONE
@asks
async def show(daemon: Daemon, display: Display, generation: int, zone: str | None) -> int:
    """Show one plan: how far it got, and all that it covers."""
    path = zone_path(await daemon.only_zone(zone), "plans", generation)
    pages = _pages(daemon, await daemon.get(path, PlanShown, limit=PAGE_MAX), PlanShown)
    if display.as_json:
        async for page in pages:
            display.raw(page.raw)
        return DONE
    answer = await anext(pages)
    plan = answer.document
    known = (
        ("generation", str(plan.generation)),
        ("zone", plan.zone),
        ("state", plan.state),
        ("why", plan.why),
        ("actor", plan.actor),
        ("reason", plan.reason),
        ("accepted at", plan.accepted_at),
        ("settled at", plan.settled_at),
        ("propagated at", plan.propagated_at),
        ("based on", None if plan.based_on is None else str(plan.based_on)),
        ("undoes", None if plan.reverts is None else str(plan.reverts)),
        ("digest", plan.digest),
    )
    display.fields((name, value) for name, value in known if value)
    for suspect in plan.suspects:
        display.line(f"  suspect: {suspect.name} {suspect.type}: {suspect.reason}")
    _show_rrsets(display, plan)
    async for page in pages:
        _show_rrsets(display, page.document)
    return DONE


def _show_rrsets(display: Display, plan: PlanShown) -> None:
    for rrset in plan.rrsets:
        for line in _rrset_lines(rrset):
            display.line(f"  {line}")


def _rrset_lines(rrset: RRset) -> list[str]:
    if rrset.absence is not None:
        return [f"{rrset.name} {rrset.type} ({rrset.absence})"]
    return [f"{rrset.name} {rrset.ttl} {rrset.type} {record}{OPAQUE_MARK * rrset.opaque}" for record in rrset.records]


@click.command(
    cls=Verb,
    short_help="List what dnsguard wants in a zone.",
    examples=("dnsguard rrsets", "dnsguard rrsets example.test. --name www --type A --at 40"),
)
@zone_either_way
@click.option("--name", metavar="NAME", help="Only this owner name, relative or absolute.")
@click.option("--type", "rdtype", metavar="TYPE", help="Only this type.")
@click.option("--at", type=_GENERATION, metavar="GENERATION", help="As they were at this generation.")
@asks
async def rrsets(
    daemon: Daemon, display: Display, zone: str | None, name: str | None, rdtype: str | None, at: int | None
) -> int:
    """List what dnsguard wants in ZONE, each RRset with the plan that it comes from."""
    path = zone_path(await daemon.only_zone(zone), "rrsets")
    first = await daemon.get(path, RRsets, name=name, type=rdtype, at=at, limit=PAGE_MAX)
    rows: list[tuple[str, ...]] = []
    opaque: list[str] = []
    async for page in _pages(daemon, first, RRsets):
        if display.as_json:
            display.raw(page.raw)
            continue
        for rrset in page.document.rrsets:
            contents = rrset.records if rrset.absence is None else (f"({rrset.absence})",)
            ttl = "" if rrset.ttl is None else str(rrset.ttl)
            opaque += [f"{rrset.name} {rrset.type}{OPAQUE_MARK}"] * rrset.opaque
            rows += [(rrset.name, ttl or "-", rrset.type, record, str(rrset.generation)) for record in contents]
    if not display.as_json:
        display.table(("NAME", "TTL", "TYPE", "RECORD", "GENERATION"), rows)
        for said in opaque:
            display.note(said, "yellow")
    return DONE


async def _pages(daemon: Daemon, first: Answer[Page], kind: type[Page]) -> AsyncIterator[Answer[Page]]:
    """Follow a listing to its end; what it shows is of one generation throughout."""
    page = first
    yield page
    while page.document.next is not None:
        page = await daemon.get(page.document.next, kind)
        yield page


@click.command(
    cls=Verb,
    short_help="Show what differs, or what a plan would change.",
    examples=(
        "dnsguard diff",
        "dnsguard diff 40 42",
        "dnsguard diff 40",
        "dnsguard diff plan.yaml",
        "dnsguard diff --exit-code plan.yaml || dnsguard submit plan.yaml",
    ),
)
@click.argument("what", metavar="[FROM [TO] | FILE]", nargs=-1)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs, as 'git diff --exit-code' does.")
@ZONE
@asks
async def diff(daemon: Daemon, display: Display, what: tuple[str, ...], zone: str | None, exit_code: bool) -> int:
    """Show what differs between two generations, or what a plan would change.

    With FROM and TO, two generations; with FROM alone, that one and the newest; with neither, the published one
    and the newest: what is still to be published. With a FILE (or '-'), what submitting it would change and what
    the guards say of it: nothing is stored. A file whose name is a number is written with a path, such as ./42.

    Exit codes: 0 the answer is shown, whether anything differs or not; 1 a guard refuses the plan or, with
    --exit-code, something differs; 2 nobody could be asked.
    """
    if len(what) > 2:
        raise click.UsageError("expected at most two generations, or one file")
    if len(what) == 1 and not _is_generation(what[0]):
        return await submit_file(daemon, display, what[0], zone, Manner(dry_run=True, exit_code=exit_code))
    if not all(_is_generation(text) for text in what):
        raise click.UsageError(f"expected two generations such as 40 42, found {' '.join(what)}")
    zone = await daemon.only_zone(zone)
    known = (await daemon.get(zone_path(zone), ZoneStatus)).document if len(what) < 2 else None
    before = int(what[0]) if what else (known.published if known else 0)
    after = int(what[1]) if len(what) == 2 else (known.newest if known else 0)
    path = zone_path(zone, "differences")
    first = await daemon.get(path, Differences, **{"from": before, "to": after}, limit=PAGE_MAX)
    changed: list[Difference] = []
    async for page in _pages(daemon, first, Differences):
        if display.as_json:
            display.raw(page.raw)
        changed += page.document.differences
    if not display.as_json:
        display.line(f"{zone} from generation {before} to {after}", "bold")
        show_changes(display, changed)
    return REFUSED if exit_code and changed else DONE


def _is_generation(text: str) -> bool:
    return text.isascii() and text.isdigit()


COMMANDS = (status, plans, show, rrsets, diff)
