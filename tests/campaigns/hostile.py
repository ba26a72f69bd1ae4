"""Hostile input with a budget: mutated DNS messages and malformed HTTP requests.

    python -m tests.campaigns.hostile [--dns 1000000] [--http 100000] [--seconds N] [--seed 1] [--json]

DNS messages go to every reader of octets from the network in this process, and one of fifty over UDP and TCP to the
embedded server of a running daemon. HTTP requests go to that daemon over raw sockets. Exit code 0 if readers raise only
what they declare and take a bounded time, each request is answered below 500 or its connection closed, health answers
quickly all along, no token and no traceback is in the log, and memory and descriptors stay flat.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import structlog

from tests.campaigns import hostile_dns, hostile_http
from tests.campaigns.daemons import Daemon
from tests.campaigns.many_zones_account import share_of
from tests.servers.process import NotStarted

SOCKETS_SHARE = 50
"""One of so many DNS messages goes over a socket."""
WARM_SHARE = 10
"""One of so many requests comes before memory and descriptors are measured for the first time."""
LIVE_P99_MS_MAX = 1_000.0
RSS_GROWTH_MB_MAX = 96.0
DESCRIPTORS_GROWTH_MAX = 16
_IN_LOG = ("Traceback", "request.failed", "connection.failed", "message.failed", "loop.failed", "task.failed")


@dataclass(frozen=True, slots=True)
class Options:
    """What is run; ``seconds`` bounds each of the three parts."""

    dns: int = 1_000_000
    http: int = 100_000
    seconds: float = float("inf")
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """What the daemon takes."""

    rss_mb: float
    descriptors: int


@dataclass(slots=True)
class Result:
    """What was seen."""

    readers: hostile_dns.Account = field(default_factory=hostile_dns.Account)
    sockets: hostile_dns.Account = field(default_factory=hostile_dns.Account)
    http: hostile_http.Account = field(default_factory=hostile_http.Account)
    usage: dict[str, Usage] = field(default_factory=dict)
    """At start, when warm, and at the end."""
    log: list[str] = field(default_factory=list)
    """Lines of the daemon's log that must not be there."""
    took_s: dict[str, float] = field(default_factory=dict)


class _Budget:
    """Time that may pass from now on."""

    def __init__(self, seconds: float) -> None:
        self._begun = time.monotonic()
        self._seconds = seconds

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._begun

    def is_over(self) -> bool:
        return self.took_s >= self._seconds


async def run(options: Options, folder: Path) -> Result:
    """Run all parts, one after the other."""
    result = Result()
    on_sockets = options.dns // SOCKETS_SHARE
    budget = _Budget(options.seconds)
    if options.dns:
        result.readers = await hostile_dns.run_readers(options.dns - on_sockets, options.seed, budget.is_over)
        result.took_s["readers"] = budget.took_s
    if not on_sockets and not options.http:
        return result
    token, log = secrets.token_urlsafe(24), folder / "daemon.log"
    configuration = folder / "dnsguard.toml"
    configuration.write_text(
        f'data_dir = "{folder}/data"\n[http]\nlisten = "127.0.0.1:0"\n[dns]\nlisten = "127.0.0.1:0"\n'
        f'[log]\nlevel = "info"\nformat = "json"\n[zones."{hostile_dns.ZONE}"]\n'
        f'[tokens.hostile]\nsha256 = "{hashlib.sha256(token.encode()).hexdigest()}"\nzones = ["{hostile_dns.ZONE}"]\n'
    )
    async with aiohttp.ClientSession() as session:
        prefix = ("sh", "-c", 'log=$1; shift; exec "$@" 2> "$log"', "sh", str(log))
        daemon = Daemon(folder, configuration, session, token, prefix=prefix)
        await daemon.start()
        try:
            await _attack(options, daemon, token, on_sockets, result)
        finally:
            await daemon.stop()
    result.log = suspicious(log.read_text(errors="replace"), token)
    return result


async def _attack(options: Options, daemon: Daemon, token: str, on_sockets: int, result: Result) -> None:
    pid, url, address = daemon.pid, daemon.url, daemon.dns
    if pid is None or url is None or address is None:
        raise NotStarted("the daemon did not say where it listens")
    result.usage["start"] = usage(pid)
    host, _, port = url.removeprefix("http://").rpartition(":")
    http = (host, int(port))
    if on_sockets:
        budget = _Budget(options.seconds)
        result.sockets = await hostile_dns.run_sockets(address, on_sockets, options.seed, budget.is_over)
        result.took_s["sockets"] = budget.took_s
    if options.http:
        budget, warm = _Budget(options.seconds), max(1, options.http // WARM_SHARE)
        warming = _Budget(options.seconds / 4)
        await hostile_http.run(http, token, warm, options.seed, warming.is_over, result.http)
        result.usage["warm"] = usage(pid)
        await hostile_http.run(http, token, options.http - warm, options.seed, budget.is_over, result.http)
        result.took_s["http"] = budget.took_s
    result.usage["end"] = usage(pid)


def usage(pid: int) -> Usage:
    """Return what a process takes now."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Usage(int(fields["VmRSS"].split()[0]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())))


def suspicious(log: str, token: str) -> list[str]:
    """Return what must not be in a log: tracebacks, faults, and the token or half of it."""
    half = token[: len(token) // 2]
    return [
        line.replace(token, "TOKEN")[:500]
        for line in log.splitlines()
        if half in line or any(word in line for word in _IN_LOG)
    ]


def verdict(result: Result) -> list[str]:
    """Return what speaks against dnsguard; empty if hostile input did no harm."""
    found = [*result.readers.breaches, *result.sockets.breaches, *result.http.breaches]
    found += [f"in the log: {line}" for line in result.log[:10]]
    if (live := share_of(result.http.live_ms, 0.99)) is not None and live > LIVE_P99_MS_MAX:
        found.append(f"p99 of /v1/health/live is {live:.0f} ms; expected at most {LIVE_P99_MS_MAX:.0f} ms")
    if "warm" in result.usage:
        warm, end = result.usage["warm"], result.usage["end"]
        if end.rss_mb - warm.rss_mb > RSS_GROWTH_MB_MAX:
            found.append(
                f"resident memory grew from {warm.rss_mb:.0f} to {end.rss_mb:.0f} MB; "
                f"expected at most {RSS_GROWTH_MB_MAX:.0f} MB more"
            )
        if end.descriptors - warm.descriptors > DESCRIPTORS_GROWTH_MAX:
            found.append(
                f"open descriptors grew from {warm.descriptors} to {end.descriptors}; expected them to stay flat"
            )
    return found


def figures(result: Result) -> dict[str, Any]:
    """Return the summary."""
    times = {**result.readers.cpu_us, **result.sockets.cpu_us}
    worst = {**result.readers.worst_us, **result.sockets.worst_us}
    return {
        "messages": {
            "readers": result.readers.messages,
            "sockets": result.sockets.messages,
            "http": result.http.requests,
        },
        "took_s": {name: round(seconds, 1) for name, seconds in result.took_s.items()},
        "time_ms": {
            name: {"p99": round((share_of(values, 0.99) or 0) / 1000, 3), "max": round(worst[name] / 1000, 3)}
            for name, values in times.items()
        },
        "live_ms": {
            word: None if (value := share_of(result.http.live_ms, share)) is None else round(value, 1)
            for word, share in (("median", 0.5), ("p99", 0.99), ("max", 1.0))
        },
        "usage": {
            name: {"rss_mb": round(each.rss_mb, 1), "descriptors": each.descriptors}
            for name, each in result.usage.items()
        },
        "dns": dict(sorted((result.readers.calls + result.sockets.calls).items())),
        "http": _statuses(result.http.outcomes),
    }


def _statuses(outcomes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for name, count in outcomes.items():
        shape, _, status = name.rpartition(" ")
        if status == "answer":
            shape, status = shape.removesuffix(" no"), "no answer"
        found.setdefault(shape, Counter())[status] += count
    return {shape: dict(sorted(statuses.items())) for shape, statuses in sorted(found.items())}


def table(result: Result) -> str:
    """Return the summary for people."""
    lines = []
    for part, content in figures(result).items():
        lines.append(part)
        for name, value in content.items():
            shown = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
            lines.append(f"  {name:32} {shown}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.hostile", description=__doc__)
    parser.add_argument("--dns", type=int, default=Options().dns, help="mutated DNS messages")
    parser.add_argument("--http", type=int, default=Options().http, help="hostile HTTP requests")
    parser.add_argument("--seconds", type=float, default=Options().seconds, help="at most, for each of the three parts")
    parser.add_argument("--seed", type=int, default=Options().seed)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory(prefix="dnsguard-hostile-") as folder:
        try:
            result = asyncio.run(run(Options(given.dns, given.http, given.seconds, given.seed), Path(folder)))
        except (NotStarted, RuntimeError) as error:
            print(f"hostile: {error}", file=sys.stderr)
            return 2
    against = verdict(result)
    if given.json:
        print(json.dumps({**figures(result), "against": against}))
    else:
        print(table(result))
        print("\n".join(against) or "no breach")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
