"""Which zone a command is about: said as an argument or as --zone, whichever comes to mind.
Nothing here asks a daemon.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from dnsguard.core.names import NameRefused, parse_name

Command = Callable[..., Any]


def zone_either_way(command: Command) -> Command:
    """Let a command take its zone as ZONE and as --zone alike; it gets one of them, or None, as ``zone``."""

    @wraps(command)
    def merged(*args: Any, zone: str | None, zone_option: str | None, **kwargs: Any) -> Any:  # noqa: ANN401  whatever click passes on
        if zone is not None and zone_option is not None and _plain(zone) != _plain(zone_option):
            raise click.UsageError(f"expected one zone, found {zone} and --zone {zone_option}; leave one of them out")
        return command(*args, zone=zone if zone is not None else zone_option, **kwargs)

    merged = click.option("--zone", "zone_option", metavar="ZONE", help="The same as the argument.")(merged)
    return click.argument("zone", required=False)(merged)


def _plain(zone: str) -> str:
    try:
        return parse_name(zone)
    except NameRefused as error:
        raise click.UsageError(str(error)) from None
