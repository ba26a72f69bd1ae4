"""The command `doctor`: is everything as dnsguard needs it? It asks the servers itself, so no daemon needs to run.
What is found is shown; nothing is mended here.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from dnsguard.cli.asking import Verb
from dnsguard.cli.display import Display
from dnsguard.cli.local import CONFIG, DATA_DIR
from dnsguard.cli.outcome import DONE, REFUSED

_STYLES = {"good": "green", "note": "yellow", "wrong": "bold red"}


@click.command(
    cls=Verb,
    short_help="Examine servers and database before trusting them.",
    examples=(
        "dnsguard doctor --config /etc/dnsguard/dnsguard.toml",
        "dnsguard doctor --zone example.com. --json",
        "dnsguard doctor --powerdns-database postgresql://powerdns@db.example.net/powerdns",
    ),
)
@CONFIG
@DATA_DIR
@click.option("--zone", metavar="ZONE", help="Examine this zone alone.")
@click.option(
    "--powerdns-database",
    metavar="URL",
    help="PowerDNS's own database, to see who else is connected to it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with an object for each check.")
@click.pass_context
def doctor(
    ctx: click.Context,
    config: Path | None,
    data_dir: Path | None,
    zone: str | None,
    powerdns_database: str | None,
    *,
    as_json: bool,
) -> None:
    """Examine each zone's primary and name servers, and the database, the way the daemon will use them.

    Is the primary there, and authoritative? Is the key taken, and does it agree with the clock? Does the server take
    updates and transfers, is the fence of this history, and does nobody else decide over the same zone?

    Exit codes: 0 nothing is wrong; 1 something is; 2 the settings cannot be read.
    """
    from dnsguard.daemon.check import Check, Verdict  # late: other commands need neither database nor name server
    from dnsguard.daemon.config import Options
    from dnsguard.daemon.serve import examine

    display = Display(as_json=as_json)
    wrong = False

    def show(checks: list[Check]) -> None:
        nonlocal wrong
        wrong = any(check.verdict is Verdict.WRONG for check in checks)
        if as_json:
            display.raw(json.dumps([asdict(check) for check in checks]).encode())
            return
        for check in checks:
            said = f"{check.verdict}: {check.about}: expected {check.expected}; found {check.found}"
            display.line(said + (f"; {check.advice}" if check.advice else ""), _STYLES[check.verdict])

    code = examine(Options(config=config, data_dir=data_dir), zone, powerdns_database, show)
    ctx.exit(code or (REFUSED if wrong else DONE))


COMMANDS = (doctor,)
