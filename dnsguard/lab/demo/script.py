"""The script of the demo: endpoints, plans, and every delay, declared here and drawn from the seed.
All times are story seconds. Nothing here knows which side it is for: both play the same script.
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from dnsguard.core.plan import Plan, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records, records_text

ZONE = "example.test."
REGION = f"region1.{ZONE}"
TTL_S = 5
NEGATIVE_TTL_S = 15
KEEP = 8
"""Generations that clean-up by age leaves alone."""
POLICY = Policy(layout="versioned", message_rrsets_max=1, history_generations_min=KEEP, read_back=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A name that clients ask for."""

    kind: str
    name: str
    type: str
    pool: str

    @property
    def key(self) -> Key:
        """The RRset that a plan gives it."""
        return Key(self.name, self.type)


ENDPOINTS = (
    Endpoint("regional", f"db.{REGION}", "A", "192.0.2.{}"),
    Endpoint("FIPS", f"fips-db.{REGION}", "A", "198.51.100.{}"),
    Endpoint("IPv6", f"ipv6-db.{REGION}", "AAAA", "2001:db8::{:x}"),
    Endpoint("account-specific", f"tenant7-db.{REGION}", "A", "203.0.113.{}"),
)
MAIN = ENDPOINTS[0]


@dataclass(frozen=True, slots=True)
class Site:
    """Where an enactor runs: how long each exchange with the primary takes from there, and a listing of the zone."""

    name: str
    words: str
    exchange_s: float
    listing_s: float
    pause_s: float
    """How long the enactor rests after a run that was refused."""


SITES = (
    Site("A", "quick", 0.03, 14.0, 0.8),
    Site("B", "seldom looks", 0.04, 14.0, 1.0),
    Site("C", "loses the lock again and again", 0.05, 16.0, 1.2),
)
LEASE_S = 8.0
BACKOFF_S_MAX = 1.2
PATIENCE_S = 4.0
QUICK = "A"
"""The site that publishes first, nearly always."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A moment at which the planner makes plans, and how long after it each site looks."""

    at: float
    plans: tuple[int, ...]
    looks: Mapping[str, float]
    patience_s: float = 0.0
    """On a machine that is too slow for the speed, the planner and the other sites wait at most so long for A to be
    done with what was there before: so the story stays the same."""
    slow: str = ""
    """The site that is waiting for a lock before A looks; with the same patience."""


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that is settled before the curtain rises."""

    seed: int
    beats: tuple[Beat, ...]
    client_from: float = 4.0
    client_every_s: float = 0.5
    watch_every_s: float = 0.1
    incident_by: float = 55.0
    """If no endpoint is empty by then, the incident did not happen."""
    waiting_after: float = 15.5
    """After the first empty answer the planner makes one more plan: it waits when the zone is copied."""
    copied_after: float = 17.0
    """After the first empty answer the zone is copied, and the copy given to guarded enactors."""
    repaired_after: float = 21.0
    """After the first empty answer people have found out, stop the automation, and repair by hand."""
    resumed_after: float = 37.5
    current_by: float = 60.0
    """By so long after the first empty answer every side should serve the newest plan, at all endpoints."""
    epilogue_s: float = TTL_S + 0.5
    """How long it is watched when it is so: until the client knows it, too."""

    def plan(self, number: int) -> Plan:
        """Return the planner's plan of a number: the complete records of every endpoint."""
        chance = random.Random(f"{self.seed} plan {number}")  # noqa: S311  a story, no secret
        wanted: dict[Key, Records] = {
            endpoint.key: parse_records(
                endpoint.type, TTL_S, [endpoint.pool.format(host) for host in chance.sample(range(1, 255), 3)]
            )
            for endpoint in ENDPOINTS
        }
        return make_plan(ZONE, wanted, reason=f"plan {number}: load balancers by health and load")

    def number_of(self, key: Key, texts: Collection[str]) -> int | None:
        """Return the number of the plan that gives an RRset these records, None if none does: told by contents."""
        return _numbers(self.seed).get((key, frozenset(texts)))


WAITING_PLAN = 14
"""The plan that is made while the zone is wedged, shortly before it is copied."""
LAST_PLAN = 15
"""The plan that is made when the automation is switched on again after the repair."""


@cache
def _numbers(seed: int) -> Mapping[tuple[Key, frozenset[str]], int]:
    script = Script(seed, ())
    return {
        (key, frozenset(records_text(key.type, wanted))): number
        for number in range(LAST_PLAN, 0, -1)
        for key, wanted in script.plan(number).rrsets
        if isinstance(wanted, Records)
    }


_FIRST = {"A": 0.3, "B": 2.8, "C": 3.0}
_SLOW_BEGINS = {"C": 0.1, "A": 2.6}
"""At plan 2 the crowded site is the first to look: it builds its nodes, and then waits for the lock."""
_USUAL = {"A": 0.3, "C": 2.6}
ALL_LOOK = {"A": 0.3, "B": 2.6, "C": 2.8}
"""All sites look, the quick one first."""


def make_script(seed: int) -> Script:
    """Draw the script of a seed: what happens is always the same, when exactly is not."""
    chance = random.Random(f"{seed} beats")  # noqa: S311  a story, no secret

    def at(time: float) -> float:
        return round(time + chance.uniform(-0.15, 0.15), 2)

    beats = [Beat(1.0, (1,), _FIRST, PATIENCE_S), Beat(at(5.0), (2,), _SLOW_BEGINS, PATIENCE_S, "C")]
    for step in range(1, 7):
        looks = ALL_LOOK if step % 3 == 0 else _USUAL
        beats.append(Beat(at(6.2 + 3.2 * step), (2 + step,), looks, PATIENCE_S))
    beats.append(Beat(at(28.6), (9, 10), ALL_LOOK, PATIENCE_S))
    beats += [Beat(at(time), (plan,), ALL_LOOK) for time, plan in ((48.0, 11), (52.0, 12), (56.0, 13))]
    return Script(seed, tuple(beats))
