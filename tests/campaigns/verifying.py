"""How long it takes to take over and to verify a large zone on a real BIND, and how long others wait meanwhile.

    python -m tests.campaigns.verifying --rrsets 100000

Prints one line for each step: seconds, those of them spent working, the longest piece of work in which nothing else
could run (in processor time: a busy machine does not lengthen it), and the largest memory.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from dnsguard.core.comparison import Verification
from dnsguard.core.guards import GUARDED
from dnsguard.core.policy import Policy
from dnsguard.daemon.clock import SystemClock
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.workers.adoption import Adoption, Wish
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then
from dnsguard.workers.verifier import Verifier
from tests.servers.bind import Bind
from tests.servers.running import zone_file, zone_text
from tests.wire.by_hand import update
from tests.wire.primaries import HISTORY, KEYS, ORIGIN, ZONE, ZONES, make_publisher

_BEAT_S = 0.002
RUNS_MAX = 1_000
Result = TypeVar("Result")


async def timed(what: str, act: Callable[[], Awaitable[Result]]) -> Result:
    """Do something, and say how long it took and how much work at a time it kept the loop from everybody else with."""
    loop = asyncio.get_running_loop()
    begun, worked, last = loop.time(), time.thread_time(), time.thread_time()
    longest = 0.0
    beating = True

    def beat() -> None:
        nonlocal last, longest
        longest, last = max(longest, time.thread_time() - last), time.thread_time()
        if beating:
            loop.call_later(_BEAT_S, beat)

    beat()
    try:
        return await act()
    finally:
        beating = False
        memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{what:<22} {loop.time() - begun:7.2f} s, {time.thread_time() - worked:6.2f} s of work, at most "
            f"{longest * 1000:4.0f} ms at a time; memory {memory_mib:4.0f} MiB"
        )


async def enact(enactor: Enactor) -> int:
    """Publish what there is; return how many messages it took."""
    messages = 0
    for _ in range(RUNS_MAX):
        step = await enactor.run_once()
        messages += step.messages
        if step.then is Then.WOKEN:
            return messages
    raise RuntimeError(f"expected an end within {RUNS_MAX} runs, found none")


async def measure(folder: Path, rrsets: int) -> tuple[Verification, Verification]:
    """Take over and verify a zone of so many RRsets, then once more with two differences in it."""
    (folder / "bind").mkdir()
    lines = "".join(f"n{number}.{ZONE} 300 IN A 192.0.2.{number % 250 + 1}\n" for number in range(rrsets))
    (folder / "bind" / zone_file(ORIGIN)).write_text(zone_text(ORIGIN) + lines)
    engine = make_engine(f"sqlite:///{folder}/history.db")
    await migrate(engine)
    store, clock, policy = SqlStore(engine), SystemClock(), Policy()
    await store.ensure_zone(ZONE, HISTORY)
    async with await Bind.start(folder / "bind", zones=ZONES, keys=KEYS) as bind:
        publisher = make_publisher(bind.address, timeout_s=60.0)
        adoption = Adoption(store, publisher, clock, GUARDED, policy)
        adopted = await timed(
            "accept what is found", lambda: adoption.adopt(Wish(ZONE, None), "campaign", dry_run=False)
        )
        enactor = Enactor(ZONE, store, publisher, clock, GUARDED, policy)
        messages = await timed("publish it, unwritten", lambda: enact(enactor))
        print(f"{len(adopted.taken)} RRsets in {adopted.plans} plans and {messages} messages")
        wire = await timed("transfer alone", lambda: publisher.transfer(ZONE))
        del wire
        verifier = Verifier(ZONE, store, publisher, clock, GUARDED, policy)
        clean = await timed("verify", verifier.look)
        await update(bind.address, "n7 0 - A", "n8 300 A 192.0.2.254")
        found = await timed("verify, two differ", verifier.look)
        await publisher.close()
    await store.close()
    return expect_comparison(clean), expect_comparison(found)


def expect_comparison(found: object) -> Verification:
    """Return a comparison that took place. Raises TypeError."""
    if not isinstance(found, Verification):
        raise TypeError(f"expected a comparison, found {found}")
    print(f"{found.compared} compared, {found.total} differ, {found.unmanaged} not managed")
    return found


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rrsets", type=int, default=100_000)
    rrsets: int = parser.parse_args().rrsets
    with tempfile.TemporaryDirectory(prefix="dnsguard-verifying-") as folder:
        asyncio.run(measure(Path(folder), rrsets))


if __name__ == "__main__":
    main()
