"""The command `adopt`: dnsguard takes over what a zone holds already, without changing it.
What the server changes meanwhile is refused, and said; it can be repeated, since what is covered is left out.
"""

import asyncio
from typing import Any

import click

from dnsguard.api.documents import PlanStatus
from dnsguard.api.verification import Adopted
from dnsguard.cli.asking import Verb, asks
from dnsguard.cli.client import Answer, Daemon, zone_path
from dnsguard.cli.display import OPAQUE_MARK, Display
from dnsguard.cli.following import POLL_S, UNSETTLED
from dnsguard.cli.manner import REASON, WAIT_S_MAX
from dnsguard.cli.naming import zone_either_way
from dnsguard.cli.outcome import DONE, REFUSED
from dnsguard.cli.verify import TRANSFER_S_MAX

DEFAULT_WAIT_S = 120


@click.command(
    cls=Verb,
    short_help="Take over what a zone holds already.",
    examples=(
        "dnsguard adopt example.test. --all --dry-run",
        "dnsguard adopt example.test. --all --except old --except www/TXT",
        "dnsguard adopt example.test. --name www --name mail --reason 'from the old tool'",
    ),
)
@zone_either_way
@click.option("--name", "names", multiple=True, metavar="NAME", help="An owner name; may be given more than once.")
@click.option("--all", "everything", is_flag=True, help="Every name of the zone.")
@click.option(
    "--except",
    "excepted",
    multiple=True,
    metavar="NAME[/TYPE]",
    help="Leave out a name, or one type at it; may be given more than once.",
)
@click.option("--signing-keys", is_flag=True, help="DNSKEY, CDS and CDNSKEY, too: where no server keeps them itself.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken over, and what not.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, WAIT_S_MAX),
    default=DEFAULT_WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until all of it is taken over; exit with 1 if it takes longer.",
)
@REASON
@asks
async def adopt(
    daemon: Daemon,
    display: Display,
    zone: str | None,
    names: tuple[str, ...],
    everything: bool,
    excepted: tuple[str, ...],
    signing_keys: bool,
    dry_run: bool,
    wait_s: int,
    reason: str | None,
) -> int:
    """Take over some names of ZONE, or all of it, as they stand: not an octet of them is written.

    The records become a plan, or several if they are more than plan_rrsets_max, which are published on the condition
    that the server still holds exactly these: what somebody changes meanwhile is refused. Left out are the SOA,
    signatures and what else the server keeps by itself, what a plan covers already, what --except names, and what the
    server does not confirm or a guard refuses. Each RRset that is left out is named with the reason.
    """
    if everything == bool(names):
        raise click.UsageError("expected --all, or --name once or more; found " + ("both" if names else "neither"))
    zone = await daemon.only_zone(zone)
    body: dict[str, Any] = {"names": None if everything else list(names), "signing_keys": signing_keys}
    body |= {} if reason is None else {"reason": reason}
    body |= {"excepted": [_excepted(text) for text in excepted]} if excepted else {}
    path = zone_path(zone, "adoptions") + ("?dry_run=true" if dry_run else "")
    with display.waiting("waiting until the zone is transferred and judged"):
        answer = await daemon.order(path, body, Adopted, deadline_s=TRANSFER_S_MAX)
    if dry_run or not answer.document.generations:
        _report(display, answer, dry_run=dry_run)
        return DONE
    with display.waiting(f"{zone}: waiting until all of it is taken over"):
        deadline = asyncio.get_running_loop().time() + wait_s
        states = [await _settled(daemon, zone, each, deadline) for each in answer.document.generations]
    _report(display, answer, dry_run=False)
    for state in states:
        _tell(display, state)
    return DONE if all(each.document.state in ("published", "superseded") for each in states) else REFUSED


def _excepted(text: str) -> dict[str, str]:
    """Read NAME[/TYPE]; a slash in a name, as in reverse zones, is no type after it."""
    name, slash, rdtype = text.rpartition("/")
    if slash and name and rdtype[:1].isalpha() and "." not in rdtype:
        return {"name": name, "type": rdtype}
    return {"name": text}


async def _settled(daemon: Daemon, zone: str, generation: int, deadline: float) -> Answer[PlanStatus]:
    """Wait until a plan is settled, or time is up by the loop's clock."""
    path = zone_path(zone, "plans", generation)
    answer = await daemon.get(path, PlanStatus, limit=1)
    while answer.document.state in UNSETTLED and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL_S)
        answer = await daemon.get(path, PlanStatus, limit=1)
    return answer


def _report(display: Display, answer: Answer[Adopted], *, dry_run: bool) -> None:
    if display.as_json:
        display.raw(answer.raw)
        return
    adopted = answer.document
    for left in adopted.left_out:
        display.line(f"left out {left.name} {left.type}: {left.why}", "dim")
    if adopted.left_out_count > len(adopted.left_out):
        display.line(f"… and {adopted.left_out_count - len(adopted.left_out)} more left out", "dim")
    if dry_run:
        for rrset in adopted.rrsets:
            display.line(f"would take over {rrset.name} {rrset.type}{OPAQUE_MARK * rrset.opaque}")
        if adopted.rrset_count > len(adopted.rrsets):
            display.line(f"… and {adopted.rrset_count - len(adopted.rrsets)} more")
    for rrset in () if dry_run else adopted.rrsets:
        if rrset.opaque:
            display.line(f"taking over {rrset.name} {rrset.type}{OPAQUE_MARK}")
    if not adopted.rrset_count:
        display.line(f"nothing to take over in {adopted.zone}: what may be is covered by plans already")
        return
    plans = "one plan" if adopted.plan_count == 1 else f"{adopted.plan_count} plans, since one holds only so many"
    if dry_run:
        display.line(f"nothing was changed: this was a dry run; {adopted.rrset_count} RRsets would become {plans}")
    else:
        display.line(f"{adopted.rrset_count} RRset{'s' * (adopted.rrset_count != 1)} of {adopted.zone} became {plans}")


def _tell(display: Display, answer: Answer[PlanStatus]) -> None:
    if display.as_json:
        display.raw(answer.raw)
        return
    state = answer.document
    where = f"{state.zone} generation {state.generation}"
    match state.state:
        case "published" | "superseded":
            display.line(f"taken over: {where}, {state.rrset_count} RRsets", "green")
        case "rejected" | "faulted":
            said = state.why or "no reason is known"
            display.note(f"refused: {where}: {said}", "bold red")
        case _:
            display.note(
                f"accepted, and not taken over yet: {where}; 'dnsguard status {state.zone}' says why", "yellow"
            )


COMMANDS = (adopt,)
