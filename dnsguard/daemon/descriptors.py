"""Whether this process may open as many files as its settings can make it need, judged before it serves.

Linux starts programs with a soft limit of 1,024, which they may raise themselves up to the hard limit.
"""

import resource
from dataclasses import replace

import structlog

from dnsguard.api.limits import Limits

OWN_MAX = 96
"""Database, logs, listeners, threads, and what Python itself opens."""
PER_ZONE_MAX = 4
"""Connections to a zone's primary, a transfer, and questions to its name servers, if it shares them with no other."""
CONNECTIONS_MIN = 16

log = structlog.get_logger()


class DescriptorsShort(Exception):
    """Not even a few clients could connect; the message says what to raise."""


def fit(limits: Limits, zones: int, database_connections: int) -> Limits:
    """Raise the soft limit of open files as far as needed; return limits with as many connections as there is room for.

    Raises DescriptorsShort if hardly any connection could be accepted.
    """
    others = OWN_MAX + PER_ZONE_MAX * zones + database_connections + limits.connections_reserved
    found = _raise_soft_limit(others + limits.connections_max)
    room = found - others
    if room >= limits.connections_max:
        return limits
    if room < CONNECTIONS_MIN:
        raise DescriptorsShort(
            f"too few files may be open at once: expected at least {others + CONNECTIONS_MIN} for {zones} zones, "
            f"found a limit of {found}; raise it (ulimit -n, LimitNOFILE in a systemd unit)"
        )
    log.warning(
        "connections_max.lowered",
        expected=limits.connections_max,
        found=room,
        advice=f"raise the limit of open files from {found} to {others + limits.connections_max} (LimitNOFILE), or "
        "lower connections_max under [http]",
    )
    return replace(limits, connections_max=room)


def _raise_soft_limit(wanted: int) -> int:
    """Return the soft limit, after raising it towards what is wanted as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if target == soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    except (OSError, ValueError):  # a sandbox may forbid it
        return soft
    log.info("open_files.raised", before=soft, after=target)
    return target
