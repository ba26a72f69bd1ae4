"""The options with which a plan is submitted: what it was made from, how long to wait, why, and under which key.
Nothing here asks a daemon.
"""

from collections.abc import Callable
from typing import Any, TypedDict, get_args

import click

from dnsguard.api.desk import WaitFor
from dnsguard.cli.following import DEFAULT_WAIT_S, Manner

WAIT_S_MAX = 3600
Command = Callable[..., Any]


def read_based_on(text: str) -> str:
    """Return the value of an If-Match header, ``"41"`` or ``*``, for a generation or ``any``. Raises ValueError."""
    bare = text.strip().strip('"')
    if bare.lower() in ("any", "*"):
        return "*"
    if not (bare.isascii() and bare.isdigit()) or len(bare) > 19:
        raise ValueError(f"expected a generation such as 41, or 'any', found {text[:40]!r}")
    return f'"{int(bare)}"'


def _based_on(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else read_based_on(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


REASON = click.option("--reason", metavar="TEXT", help="Why; kept in the zone's history.")
_KEY = click.option(
    "--idempotency-key",
    "key",
    metavar="KEY",
    help="Repeat a write of which the outcome is unclear, under the key that was printed then.",
)
ZONE = click.option("--zone", metavar="ZONE", help="The zone; can be left out if the daemon serves only one.")
ADOPT = click.option("--adopt", is_flag=True, help="Take over records on the server that dnsguard does not manage yet.")
REPUBLISH = click.option(
    "--republish", is_flag=True, help="Make a generation and publish it even if it changes nothing that is accepted."
)
_MANNER = (
    click.option(
        "--if-match",
        callback=_based_on,
        metavar="GENERATION",
        help="The generation that this was made from; refused if what it covers changed since. "
        "Without it the zone's newest is read first and stated. 'any': whatever the zone is at.",
    ),
    click.option(
        "--wait",
        "wait_s",
        type=click.IntRange(1, WAIT_S_MAX),
        metavar="SECONDS",
        help=f"Wait so long for publication, and exit with 1 if it takes longer. Without it, {DEFAULT_WAIT_S} seconds "
        "are waited, and a plan that is accepted and not yet published is exit code 0: it is durable, "
        "and published as soon as the zone can be.",
    ),
    click.option(
        "--wait-for",
        type=click.Choice(get_args(WaitFor)),
        default="published",
        show_default=True,
        help="What to wait for: that the primary has it, or that all listed name servers serve it.",
    ),
    click.option("--no-wait", is_flag=True, help="Don't wait: exit with 0 as soon as the plan is accepted."),
    REASON,
    _KEY,
)
DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Only say what would change and what the guards say; exit with 1 if one refuses."
)


def manners(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_MANNER):
        command = option(command)
    return command


class How(TypedDict):
    """What the options of `_MANNER` give."""

    if_match: str | None
    wait_s: int | None
    wait_for: WaitFor
    no_wait: bool
    reason: str | None
    key: str | None


def read_manner(how: How, *, dry_run: bool = False) -> Manner:
    """Read what the options gave. Raises click.UsageError for what contradicts itself."""
    key, wait_s = how["key"], how["wait_s"]
    if how["no_wait"] and wait_s is not None:
        raise click.UsageError("expected --wait or --no-wait, found both")
    if key is not None and not (0 < len(key) <= 255 and all("!" <= char <= "~" for char in key)):
        raise click.UsageError("expected an --idempotency-key of 1 to 255 visible ASCII characters")
    if how["no_wait"] and how["wait_for"] != "published":
        raise click.UsageError(f"expected --wait-for {how['wait_for']} or --no-wait, found both")
    return Manner(how["if_match"], 0 if how["no_wait"] else wait_s, dry_run, key, how["wait_for"])
