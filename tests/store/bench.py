"""How many plans a store accepts a second: `python -m tests.store.bench [SECONDS]`, on a disk, on both databases.

Nothing is published and nothing is asked over HTTP; each plan covers one RRset and is durable when it is answered.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dnsguard.core.history import Accepted
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from tests.servers.postgresql import Postgresql
from tests.store.making import HISTORY, a, key, submit

NAMES = 500
ZONES = [f"zone-{number}.test." for number in range(16)]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    engine = make_engine(url)
    await migrate(engine)
    store = SqlStore(engine)
    try:
        yield store
    finally:
        await store.close()


async def measure(store: SqlStore, callers: int, zones: list[str], seconds: float) -> tuple[float, float, float]:
    """Return plans a second, and the median and the 99th percentile of their times in milliseconds."""
    times: list[float] = []
    for zone in zones:
        await store.ensure_zone(zone, HISTORY)
    end = time.perf_counter() + seconds

    async def call(caller: int) -> None:
        number = 0
        zone = zones[caller % len(zones)]
        while (begun := time.perf_counter()) < end:
            number += 1
            name = key(f"host-{(caller * 31 + number) % NAMES}")
            name = type(name)(name.name.replace("example.test.", zone), name.type)
            outcome = await submit(
                store,
                {name: a(number % 250)},
                zone=zone,
                actor=f"planner-{caller}",
                idempotency_key=f"{caller}-{begun}",
            )
            if not isinstance(outcome, Accepted):
                raise TypeError(f"expected every plan to be accepted, found {outcome}")
            times.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(call(caller) for caller in range(callers)))
    spent = time.perf_counter() - begun
    cuts = statistics.quantiles(times, n=100)
    return len(times) / spent, cuts[49] * 1000, cuts[98] * 1000


async def run(seconds: float) -> None:
    folder = Path(tempfile.gettempdir()) / f"dnsguard-bench-{time.time_ns()}"
    try:
        async with await Postgresql.start(folder / "postgresql", settings={"autovacuum": "on"}) as server:
            print("database    callers  zones   plans/s  median ms  99% ms")
            for name, url in (("SQLite", f"sqlite:///{folder}/history.db"), ("PostgreSQL", server.url())):
                async with opened(url) as store:
                    for callers, zones in ((1, ZONES[:1]), (64, ZONES[:1]), (64, ZONES)):
                        rate, median, most = await measure(store, callers, zones, seconds)
                        print(f"{name:<11} {callers:>7} {len(zones):>6} {rate:>9.0f} {median:>10.2f} {most:>7.1f}")
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


if __name__ == "__main__":
    asyncio.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
