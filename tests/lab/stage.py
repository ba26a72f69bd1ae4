"""The stage on which a guard is missed: a zone in memory with the real workers, told what to do one after the other,
and the invariants to judge what came of it. A story is a function from guards to what it broke.
"""

from collections.abc import Callable, Coroutine

from dnsguard.core import invariants
from dnsguard.core.fence import Fence
from dnsguard.core.guards import Guards
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.invariants import Violation
from dnsguard.core.layout import resolved
from dnsguard.core.plan import Absence, Change, Plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.explore.scenario import drive
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.planner import Planner
from tests.workers.rig import ZONE, Rig, a, key

Story = Callable[[Guards], Violation | None]
Played = Callable[[Guards], Coroutine[None, None, Violation | None]]

WWW = key("www")
ALIAS = key("www", "CNAME")
ELSEWHERE = parse_records("CNAME", 60, ["elsewhere.test."])
THEIRS = a("192.0.2.66")
NOTE = parse_records("TXT", 60, ['"theirs"'])
VERSIONED = Policy(layout="versioned", history_generations_min=2)


def by_hand(played: Played) -> Story:
    return lambda guards: drive(played(guards))


async def taken(rig: Rig, plan: Plan) -> bool:
    planner = Planner(rig.store, MemoryPublisher(rig.primary), rig.guards, rig.policy)
    return isinstance(await planner.submit(Submission(plan, "tests", 999.0, republish=True)), Accepted)


async def publish(rig: Rig, *lasts: int) -> None:
    """Publish plans for www, one after the other."""
    for last in lasts:
        await rig.submit({WWW: a(f"192.0.2.{last}")})
        await settled(rig)


async def settled(rig: Rig) -> None:
    """Run an enactor until it has nothing more to do, or is stopped."""
    enactor = rig.enactor()
    for _ in range(20):
        await enactor.run_once()


async def clean(rig: Rig) -> None:
    await Cleanup(ZONE, rig.store, rig.publisher, rig.guards, rig.policy).run_once()


def changes(rig: Rig) -> tuple[Change, ...]:
    history = rig.store.histories[ZONE]
    return tuple(Change(k, wanted, g) for k, found in history.changes.items() for g, wanted in found.items())


def fence(rig: Rig) -> Fence | None:
    return seen_in(ZONE, rig.primary.contents).fence


def found(rig: Rig) -> dict[Key, Records]:
    """Return what a client finds, name by name."""
    keys = [change.key for change in changes(rig) if change.wanted is not Absence.UNCOVERED]
    answers = {of: resolved(rig.primary.contents, of) for of in keys}
    return {of: records for of, records in answers.items() if records is not None}


def prefix(rig: Rig) -> Violation | None:
    """1, of what stands at the names themselves."""
    return invariants.prefix(changes(rig), fence(rig), rig.primary.contents)


def prefix_found(rig: Rig) -> Violation | None:
    """1, of what a client finds."""
    return invariants.prefix(changes(rig), fence(rig), found(rig))


def emptied(rig: Rig, before: Records) -> Violation | None:
    """3, of www."""
    return invariants.never_empty(changes(rig), fence(rig), {WWW: before}, found(rig), retire=rig.policy.retire)


def lost(rig: Rig) -> Violation | None:
    """4, once all is quiet."""
    entries = rig.store.histories[ZONE].entries
    return invariants.nothing_lost(entries, entries, quiet=True)


def healed(rig: Rig) -> Violation | None:
    """6."""
    return invariants.healed(rig.store.histories[ZONE].zone.newest, fence(rig))
