"""Commands that change a zone: `submit`, `set`, `retire`, `rollback`, `withdraw`, `zone resync`.
Each is one plan, made from a generation that is said; none is ever sent twice as two plans.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Unpack

import click

from dnsguard.api.documents import PlanAccepted, PlanStatus, Resynced, RollbackAccepted
from dnsguard.cli.asking import RecordVerb, Verb, asks
from dnsguard.cli.client import Daemon, zone_path
from dnsguard.cli.display import Display
from dnsguard.cli.following import DEFAULT_WAIT_S, Manner, write
from dnsguard.cli.manner import (
    ADOPT,
    DRY_RUN,
    REASON,
    REPUBLISH,
    WAIT_S_MAX,
    ZONE,
    How,
    manners,
    read_based_on,
    read_manner,
)
from dnsguard.cli.naming import zone_either_way
from dnsguard.cli.outcome import DONE, REFUSED, CannotAsk
from dnsguard.cli.plan_file import Document, DocumentRefused, read_plan_file
from dnsguard.cli.quoting import quote_argument
from dnsguard.core.names import NameRefused, parse_name


@click.command(
    cls=Verb,
    examples=(
        "dnsguard submit plan.yaml",
        "dnsguard submit --zone example.test. --wait 60 - < plan.json",
        "",
        "# plan.yaml: for each RRset its complete contents; what is not named is not touched",
        "reason: the new web server",
        "if_match: 41",
        "rrsets:",
        "  - {name: www, type: A, ttl: 300, records: [192.0.2.1, 192.0.2.2]}",
        "  - {name: '@', type: TXT, ttl: 300, records: ['\"v=spf1 -all\"']}",
        "retire:",
        "  - {name: old, type: CNAME}",
    ),
)
@click.argument("file")
@ZONE
@ADOPT
@REPUBLISH
@DRY_RUN
@manners
@asks
async def submit(
    daemon: Daemon,
    display: Display,
    file: str,
    zone: str | None,
    adopt: bool,
    republish: bool,
    dry_run: bool,
    **how: Unpack[How],
) -> int:
    """Submit a plan from FILE, or from standard input for '-'.

    The file is the API's document in JSON or YAML. It may also say "zone" and "if_match", as the options do.
    YAML is read strictly: what could be read in two ways is refused with its line, and never guessed.
    A plan that changes nothing that is accepted is answered with "unchanged" and makes no generation.
    """
    manner = read_manner(how, dry_run=dry_run)
    said = _said(adopt=adopt, republish=republish, reason=how["reason"])
    return await submit_file(daemon, display, file, zone, manner, said)


async def submit_file(
    daemon: Daemon,
    display: Display,
    file: str,
    zone: str | None,
    manner: Manner,
    said: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Submit a plan file, or try it; ``said`` has the fields that options add to it.

    Raises CannotAsk for a file that cannot be read or contradicts the options.
    """
    try:
        document = read_plan_file(file)
    except DocumentRefused as error:
        raise CannotAsk(str(error)) from None
    zone = _agreed(document, "zone", zone, _zone_of)
    if_match = _agreed(document, "if_match", manner.if_match, _based_on)
    document |= said
    manner = replace(manner, if_match=if_match)
    return await write(daemon, display, await daemon.only_zone(zone), "plans", document, manner, PlanAccepted)


def _agreed(document: Document, name: str, stated: str | None, read: Callable[[object], str]) -> str | None:
    """Take a field that the API does not know out of the document; it must agree with the option."""
    if name not in document:
        return stated
    found = read(document.pop(name))
    if stated is not None and read(stated) != found:
        option = "--" + name.replace("_", "-")
        raise CannotAsk(f"{option} says {stated} and the file says {found}; leave one of them out")
    return found


def _zone_of(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise CannotAsk('expected a name such as example.test. for "zone" in the file, found something else')
    try:
        return parse_name(value)
    except NameRefused as error:
        raise CannotAsk(f'"zone" in the file: {error}') from None


def _based_on(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise CannotAsk('expected a generation such as 41, or "any", for "if_match" in the file')
    try:
        return read_based_on(str(value))
    except ValueError as error:
        raise CannotAsk(f'"if_match" in the file: {error}') from None


@click.command(
    "set",
    cls=RecordVerb,
    short_help="Set the complete contents of one RRset.",
    examples=(
        "dnsguard set www A 300 192.0.2.1 192.0.2.2",
        "dnsguard set @ MX 3600 '10 mail.example.test.'",
        'dnsguard set @ TXT 300 "v=spf1 -all"',
        "dnsguard set --reason 'moved' --if-match 41 www AAAA 300 2001:db8::1",
        "dnsguard set _acme-challenge TXT 60 -Zk3_token",
        "dnsguard set _acme-challenge TXT 60 -- --k3_token",
    ),
)
@click.argument("name")
@click.argument("type")
@click.argument("ttl", type=click.IntRange(0, 2**31 - 1))
@click.argument("records", metavar="RECORD...", nargs=-1, required=True)
@ZONE
@ADOPT
@REPUBLISH
@DRY_RUN
@manners
@asks
async def set_(
    daemon: Daemon,
    display: Display,
    name: str,
    type: str,  # noqa: A002  click names the parameter after the argument
    ttl: int,
    records: tuple[str, ...],
    zone: str | None,
    adopt: bool,
    republish: bool,
    dry_run: bool,
    **how: Unpack[How],
) -> int:
    """Set the complete contents of one RRset: these records, and no others.

    NAME is relative to the zone, '@' for its apex, or absolute with a dot at its end. Names within records are
    absolute. A TXT record without quotes is taken as one text, however many blanks are in it. A record may begin
    with a dash; behind '--' everything is a record, even what looks like an option.
    It says what it replaces; if that is the same, it says "unchanged" and makes no generation.
    """
    manner = read_manner(how, dry_run=dry_run)
    quoted = [quote_argument(type, record) for record in records]
    body: Document = {"rrsets": [{"name": name, "type": type, "ttl": ttl, "records": quoted}]}
    body |= _said(adopt=adopt, republish=republish, reason=how["reason"])
    return await write(daemon, display, await daemon.only_zone(zone), "plans", body, manner, PlanAccepted)


@click.command(cls=RecordVerb, examples=("dnsguard retire old CNAME", "dnsguard retire --dry-run www AAAA"))
@click.argument("name")
@click.argument("type")
@ZONE
@ADOPT
@REPUBLISH
@DRY_RUN
@manners
@asks
async def retire(
    daemon: Daemon,
    display: Display,
    name: str,
    type: str,  # noqa: A002  click names the parameter after the argument
    zone: str | None,
    adopt: bool,
    republish: bool,
    dry_run: bool,
    **how: Unpack[How],
) -> int:
    """Remove one RRset by name, if the zone's policy lets it."""
    manner = read_manner(how, dry_run=dry_run)
    body: Document = {"retire": [{"name": name, "type": type}]}
    body |= _said(adopt=adopt, republish=republish, reason=how["reason"])
    return await write(daemon, display, await daemon.only_zone(zone), "plans", body, manner, PlanAccepted)


@click.command(
    cls=RecordVerb,
    short_help="Give a zone older contents, as a new generation.",
    examples=("dnsguard rollback 40", "dnsguard rollback 40 www A www AAAA --reason 'broken'"),
)
@click.argument("to", type=click.IntRange(min=1))
@click.argument("rrsets", metavar="[NAME TYPE]...", nargs=-1)
@ZONE
@manners
@asks
async def rollback(
    daemon: Daemon,
    display: Display,
    to: int,
    rrsets: tuple[str, ...],
    zone: str | None,
    **how: Unpack[How],
) -> int:
    """Give a zone, or some of its RRsets, the contents that they had at generation TO.

    It becomes a new generation with old contents. What no plan covered then is left as it is.
    'dnsguard diff NEWEST TO' shows beforehand what it would change.
    """
    manner = read_manner(how)
    if len(rrsets) % 2:
        raise click.UsageError(f"expected pairs of NAME and TYPE, found {rrsets[-1]!r} without a type")
    body: Document = {"to": to} | _said(reason=how["reason"])
    if rrsets:
        pairs = zip(rrsets[::2], rrsets[1::2], strict=True)
        body["rrsets"] = [{"name": name, "type": rdtype} for name, rdtype in pairs]
    zone = await daemon.only_zone(zone)
    return await write(daemon, display, zone, "rollback", body, manner, RollbackAccepted)


@click.command(
    cls=Verb,
    short_help="Take back a plan of which nothing is published.",
    examples=("dnsguard withdraw 42", "dnsguard withdraw 42 --zone example.test. --reason 'not needed any more'"),
)
@click.argument("generation", type=click.IntRange(min=1))
@ZONE
@REASON
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1, WAIT_S_MAX),
    metavar="SECONDS",
    help="Wait so long until the primary has confirmed it, and exit with 1 if it takes longer. Without it, "
    f"{DEFAULT_WAIT_S} seconds are waited, and a withdrawal that is not confirmed yet is exit code 0: it is durable.",
)
@asks
async def withdraw(
    daemon: Daemon, display: Display, generation: int, zone: str | None, reason: str | None, wait_s: int | None
) -> int:
    """Take back the plan of a GENERATION of which nothing is published.

    A new generation puts back what stood. A plan that is published already is not withdrawn: use 'dnsguard rollback'.
    Doing it again answers the same.
    """
    zone = await daemon.only_zone(zone)
    path = zone_path(zone, "plans", generation, "withdraw")
    with display.waiting(f"{zone}: waiting until generation {generation} is withdrawn"):
        answer = await daemon.order(
            path,
            _said(reason=reason),
            PlanStatus,
            wait_s=DEFAULT_WAIT_S if wait_s is None else wait_s,
            again="repeat it: withdrawing a plan twice changes nothing more",
        )
    if display.as_json:
        display.raw(answer.raw)
    elif answer.document.state == "withdrawn":
        display.line(f"withdrawn: {zone} generation {generation}", "green")
    else:
        display.line(f"withdrawing: {zone} generation {generation}, not yet confirmed by the primary", "yellow")
    return REFUSED if wait_s is not None and answer.document.state != "withdrawn" else DONE


@click.group()
def zone() -> None:
    """Settle what only a person can decide about a zone."""


@zone.command(
    cls=Verb,
    examples=(
        "dnsguard zone resync example.test. --keep wire",
        "dnsguard zone resync example.test. --keep store --reason 'the server was restored from a backup'",
    ),
)
@zone_either_way
@click.option(
    "--keep",
    type=click.Choice(["wire", "store"]),
    required=True,
    help="Whose contents stand: 'wire', what the name server has; 'store', what dnsguard's database has.",
)
@REASON
@asks
async def resync(daemon: Daemon, display: Display, zone: str | None, keep: str, reason: str | None) -> int:
    """Let a stopped ZONE go on whose fence is not of this database's history.

    That is so after one of the two was restored from a backup. 'dnsguard status ZONE' says whether it is needed.
    """
    if zone is None:
        raise click.UsageError("expected the zone to be named: what is decided here cannot be taken back")
    answer = await daemon.order(zone_path(zone, "resync"), {"keep": keep} | _said(reason=reason), Resynced)
    if display.as_json:
        display.raw(answer.raw)
    else:
        display.line(f"{answer.document.zone} goes on from generation {answer.document.generation}", "green")
    return DONE


def _said(*, adopt: bool = False, republish: bool = False, reason: str | None) -> Document:
    """Return the fields that options add to a document."""
    flags = {"adopt": adopt, "republish": republish}
    return {name: True for name, given in flags.items() if given} | ({} if reason is None else {"reason": reason})


COMMANDS = (submit, set_, retire, rollback, withdraw, zone)
