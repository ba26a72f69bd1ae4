"""The command `verify`: does the name server hold what the history says? One line for each thing that differs.
It changes nothing by itself; where the zone's policy is to repair, the daemon does so afterwards.
"""

from collections.abc import Iterator

import click

from dnsguard.api.documents import Contents
from dnsguard.api.verification import FindingShown, VerificationShown
from dnsguard.cli.asking import Verb, asks
from dnsguard.cli.client import Daemon, zone_path
from dnsguard.cli.display import OPAQUE_MARK, Display
from dnsguard.cli.naming import zone_either_way
from dnsguard.cli.outcome import DONE, REFUSED

TRANSFER_S_MAX = 330
"""How long the daemon may take to transfer and compare a large zone."""


@click.command(
    cls=Verb,
    short_help="Compare the name server with the history.",
    examples=("dnsguard verify", "dnsguard verify example.test.", "dnsguard verify --zone example.test. --json"),
)
@zone_either_way
@asks
async def verify(daemon: Daemon, display: Display, zone: str | None) -> int:
    """Compare what the primary of ZONE holds with the history, and name each difference on a line of its own.

    'missing' is wanted and not there, 'changed' has other records, 'ttl' has the same ones with another TTL, and
    'foreign' stands at a name that dnsguard fills, though no plan covers it, or one has retired it. Names of which
    no plan covers anything are counted, and nobody's business otherwise.

    Exit codes: 0 nothing differs; 1 something does, or the zone is stopped; 2 nobody could be asked.
    """
    path = zone_path(await daemon.only_zone(zone), "verifications")
    with display.waiting("waiting until the zone is transferred and compared"):
        answer = await daemon.look(path, VerificationShown, TRANSFER_S_MAX)
    found = answer.document
    if display.as_json:
        display.raw(answer.raw)
        return REFUSED if found.finding_count else DONE
    for finding in found.findings:
        display.line(line_of(finding), "red")
    for rrset in found.opaque:
        display.line(f"compared by octets: {rrset.name} {rrset.type}{OPAQUE_MARK}", "dim")
    for said in _summary(found):
        display.line(said, "yellow" if found.finding_count else "green")
    return REFUSED if found.finding_count else DONE


def line_of(finding: FindingShown) -> str:
    """Say one difference on one line."""
    rrset = f"{finding.name} {finding.type}"
    expected, found = _said(finding.expected), _said(finding.found)
    plan = "" if finding.generation is None else f" by generation {finding.generation}"
    match finding.kind:
        case "missing":
            return f"missing {rrset}: expected {expected}{plan}, found nothing"
        case "foreign" if finding.expected is None:
            return f"foreign {rrset}: found {found}, which no plan covers"
        case "foreign":
            return f"foreign {rrset}: found {found}, and it was retired{plan}"
        case "ttl" if finding.expected is not None and finding.found is not None:
            return f"ttl {rrset}: expected {finding.expected.ttl}{plan}, found {finding.found.ttl}"
        case _:
            return f"{finding.kind} {rrset}: expected {expected}{plan}, found {found}"


def _said(contents: Contents | None) -> str:
    if contents is None:
        return "nothing"
    return f"TTL {contents.ttl} " + " | ".join(contents.records) + OPAQUE_MARK * contents.opaque


def _summary(found: VerificationShown) -> Iterator[str]:
    listed = len(found.findings)
    if found.finding_count > listed:
        yield f"… and {found.finding_count - listed} more"
    differ = f"{found.finding_count} differ" if found.finding_count else "nothing differs"
    at = f"generation {found.generation}"
    if found.base != found.generation:
        at += f" (being published, from {found.base} on)"
    yield f"{found.zone} at {at}: {found.compared} RRsets compared, {differ}; {found.unmanaged} not managed"
    suspended = {(rrset.name, rrset.type) for rrset in found.suspended}
    mended = any(each.generation is not None and (each.name, each.type) not in suspended for each in found.findings)
    if found.policy == "repair" and (mended or found.finding_count > listed):
        yield "the zone's policy is to repair: what plans cover is published anew by the daemon"
    for rrset in found.suspended:
        yield f"repairs are suspended: {rrset.name} {rrset.type} was changed again each time; find out who writes there"


COMMANDS = (verify,)
