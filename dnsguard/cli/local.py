"""Commands that need no running daemon: `serve`, `migrate`, `version`.
They say what was asked for and hand over; nothing here opens a port or a database.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dnsguard import __version__
from dnsguard.cli.asking import Verb
from dnsguard.daemon.config import DEFAULT_DNS, DEFAULT_HTTP, Options

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

CONFIG: Decorator = click.option(
    "--config",
    envvar="DNSGUARD_CONFIG",
    show_envvar=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings in TOML; without a file there is one zone, example.test., on a server of its own.",
)
DATA_DIR: Decorator = click.option(
    "--data-dir",
    envvar="DNSGUARD_DATA_DIR",
    show_envvar=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where database, token and test zones are kept.",
)


@click.command(cls=Verb, examples=("dnsguard serve", "dnsguard serve --config /etc/dnsguard/dnsguard.toml"))
@CONFIG
@DATA_DIR
@click.option(
    "--http",
    envvar="DNSGUARD_HTTP",
    show_envvar=True,
    metavar="HOST:PORT",
    help=f"Where the API listens ({DEFAULT_HTTP}); port 0 takes a free one and prints it.",
)
@click.option(
    "--dns",
    envvar="DNSGUARD_DNS",
    show_envvar=True,
    metavar="HOST:PORT",
    help=f"Where the embedded name server listens ({DEFAULT_DNS}); port 0 takes a free one.",
)
@click.option(
    "--unguarded",
    is_flag=True,
    help="Reproduce the incident: the October system's rules, against name servers on loopback only.",
)
@click.pass_context
def serve(
    ctx: click.Context, config: Path | None, data_dir: Path | None, http: str | None, dns: str | None, unguarded: bool
) -> None:
    """Run the daemon until Ctrl-C or SIGTERM.

    With no configuration at all it serves the zone example.test. on loopback, and prints what to try next.
    """
    # Late, because the other commands need neither database nor name server, and should start at once.
    from dnsguard.daemon.serve import run

    ctx.exit(run(Options(config=config, data_dir=data_dir, http=http, dns=dns, unguarded=unguarded)))


@click.command(cls=Verb, examples=("dnsguard migrate --config /etc/dnsguard/dnsguard.toml",))
@CONFIG
@DATA_DIR
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.pass_context
def migrate(ctx: click.Context, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Bring the database's tables up to this version.

    'dnsguard serve' does the same when it starts; this is for those who want it as a step of its own.
    """
    from dnsguard.daemon.serve import migrate as migrate_database  # late for the same reason

    ctx.exit(migrate_database(Options(config=config, data_dir=data_dir), as_json=as_json))


@click.command(cls=Verb, examples=("dnsguard version",))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def version(*, as_json: bool) -> None:
    """Print this program's version."""
    click.echo(json.dumps({"version": __version__}) if as_json else f"dnsguard {__version__}")


COMMANDS = (serve, migrate, version)
