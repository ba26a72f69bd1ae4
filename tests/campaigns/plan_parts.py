"""The cut campaign: random plans whose names point at each other, published in one message and in small ones.

A plan that a server takes in one message must be taken in parts, wherever it is cut, and leave the same zone. One
enactor publishes each plan to a server whole; the other publishes it to a second one in messages of a few RRsets.

    python -m tests.campaigns.plan_parts --plans 500 [--server bind|knot|powerdns|embedded] [--seed N] [--budget-s S]

Exit code 0 only if every plan that was taken whole was taken in parts, and each server took some whole; 1 if not.
"""

import argparse
import asyncio
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.message import Unreachable
from dnsguard.core.names import FENCE_LABEL
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.daemon.clock import SystemClock
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Then
from tests.wire.primaries import HISTORY, SERVERS, ZONE, Server, make_publisher

NAMES = tuple(f"{letter}{number}" for letter in "amz" for number in range(5))
BELOW = ("deep.a0", "deep.m1", "deep.z2", "deep.z3")
WILD = ("*.m3", "*.z4")
SERVICES = ("_sip._tcp.a1", "_sip._tcp.z1")
LABELS = ("@", *NAMES, *BELOW, *WILD, *SERVICES)
CARELESS = 0.02
"""How often a target is taken without a look at whether it has an address: some plans are refused whole."""
RUNS_MAX = 200
ELSEWHERE = "ns.elsewhere.test."


def _name(label: str) -> str:
    return ZONE if label == "@" else f"{label}.{ZONE}"


def _label(name: str) -> str:
    return "@" if name == ZONE else name.removesuffix(f".{ZONE}")


def _is_usable(contents: Mapping[Key, Records], name: str) -> bool:
    """Tell whether a name has an address of its own and nothing above hides it."""
    above = name.partition(".")[2]
    hidden = Key(above, "DNAME") in contents or Key(above, "NS") in contents
    return (Key(name, "A") in contents or Key(name, "AAAA") in contents) and (above == ZONE or not hidden)


class Webs:
    """Makes plan after plan: names that point at each other come, change and go."""

    def __init__(self, seed: int) -> None:
        self.standing: dict[Key, Records] = {}
        """What the plans that were published say."""
        self._chance = random.Random(f"{seed} webs")
        self._inside: list[str] = []
        """The targets of the apex NS in the zone."""

    def plan(self) -> dict[Key, Wanted]:
        """Return a plan: of some names everything, as it is to be from now on."""
        chance = self._chance
        emptying = chance.random()
        labels = chance.sample(LABELS, chance.randint(2, len(LABELS)))
        after = {key: records for key, records in self.standing.items() if _label(key.name) not in labels}
        for label in labels:
            after |= self._addresses(label, emptying)
        usable = [_name(label) for label in (*NAMES, *BELOW) if _is_usable(after, _name(label))]
        for label in labels:
            after |= self._pointers(label, _name(label), after, usable)
        if not all(target in usable for target in self._inside):
            after |= self._pointers("@", ZONE, after, usable)
        changed = [key for key in self.standing.keys() | after.keys() if self.standing.get(key) != after.get(key)]
        return {key: after.get(key, Absence.RETIRED) for key in sorted(changed)}

    def published(self, plan: Mapping[Key, Wanted]) -> None:
        """Go on from a plan."""
        for key, wanted in plan.items():
            self.standing.pop(key, None)
            if isinstance(wanted, Records):
                self.standing[key] = wanted

    def _addresses(self, label: str, emptying: float) -> dict[Key, Records]:
        chance, name = self._chance, _name(label)
        if label == "@" or label in SERVICES or chance.random() < emptying * 0.7:
            return {}
        kind = "host" if label not in NAMES else chance.choices(["host", "alias", "cut", "dname"], [14, 2, 1, 1])[0]
        found: dict[Key, Records] = {}
        match kind:
            case "alias":
                found[Key(name, "CNAME")] = self._records("CNAME", [ELSEWHERE])
            case "cut":
                found[Key(name, "NS")] = self._records("NS", [ELSEWHERE])
            case "dname":
                found[Key(name, "DNAME")] = self._records("DNAME", ["elsewhere.test."])
            case _:
                if chance.random() < 0.8:
                    found[Key(name, "A")] = self._records("A", [f"192.0.2.{chance.randint(1, 9)}"])
                if chance.random() < 0.2:
                    found[Key(name, "AAAA")] = self._records("AAAA", [f"2001:db8::{chance.randint(1, 9)}"])
        return found

    def _pointers(self, label: str, name: str, after: Mapping[Key, Records], usable: list[str]) -> dict[Key, Records]:
        chance = self._chance

        def targets(count: int) -> list[str]:
            named = [ELSEWHERE, *(_name(label) for label in NAMES)] if chance.random() < CARELESS else usable
            return [chance.choice(named or [ELSEWHERE]) for _ in range(count)]

        if label == "@":
            self._inside = [target for target in targets(chance.randint(0, 2)) if target in usable]
            return {Key(name, "NS"): self._records("NS", [ELSEWHERE, *self._inside])}
        if label in SERVICES:
            return {Key(name, "SRV"): self._records("SRV", [f"0 0 5060 {target}" for target in targets(1)])}
        if Key(name, "CNAME") in after:
            return {Key(name, "CNAME"): self._records("CNAME", targets(1))}
        if Key(name, "NS") in after:
            return {Key(name, "NS"): self._records("NS", targets(2))}
        found: dict[Key, Records] = {}
        if Key(name, "DNAME") in after or label in WILD:
            return found
        if chance.random() < 0.5:
            mail = [f"{10 * number} {target}" for number, target in enumerate(targets(chance.randint(1, 3)))]
            found[Key(name, "MX")] = self._records("MX", mail)
        if chance.random() < 0.2:
            found[Key(name, "HTTPS")] = self._records("HTTPS", [f"1 {targets(1)[0]}"])
        if chance.random() < 0.2:
            found[Key(name, "TXT")] = self._records("TXT", [f'"{chance.randint(1, 9)}"'])
        return found

    def _records(self, rdtype: str, texts: list[str]) -> Records:
        return parse_records(rdtype, self._chance.choice((60, 300)), sorted(set(texts)))


@dataclass(slots=True)
class Primary:
    """A server, what was published to it, and how many RRsets go into a message."""

    publisher: DnsPublisher
    rrsets_max: int
    guards: Guards
    store: MemoryStore = field(default_factory=lambda: MemoryStore({ZONE: make_history(ZONE, HISTORY)}))

    async def publish(self, rrsets: Mapping[Key, Wanted]) -> str | None:
        """Submit and publish a plan; return why it was not published, None if it was."""
        policy = Policy(message_rrsets_max=self.rrsets_max)
        plan = make_plan(ZONE, rrsets, adopt=True)
        answer = await Planner(self.store, self.publisher, self.guards, policy).submit(Submission(plan, "tests", 1.0))
        if not isinstance(answer, Accepted):
            return str(answer)
        enactor = Enactor(ZONE, self.store, self.publisher, SystemClock(), self.guards, policy)
        for _ in range(RUNS_MAX):
            if (await enactor.run_once()).then is Then.WOKEN:
                entry = self.store.histories[ZONE].entries[answer.generation]
                return None if entry.state is PlanState.PUBLISHED else f"{entry.state.value}: {entry.why}"
        return f"not published after {RUNS_MAX} runs"

    async def contents(self) -> dict[Key, Records]:
        """Return what the zone holds, but for the serial and what dnsguard keeps there."""
        found = await self.publisher.transfer(ZONE)
        if isinstance(found, Unreachable):
            raise TypeError(found.reason)
        return {key: value for key, value in found.items() if key.type != "SOA" and FENCE_LABEL not in key.name}


@dataclass(slots=True)
class Account:
    """What came of a campaign on one kind of server."""

    server: str
    seed: int
    whole: int = 0
    refused: int = 0
    """Plans that the server did not take in one message either."""
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = f"{self.server} (seed {self.seed}): {self.whole} plans taken in one message and in parts"
        return "\n".join([f"{said}, {self.refused} in neither way", *self.broken])


async def run(
    kind: str, plans: int, seed: int, folder: Path, *, guards: Guards = GUARDED, budget_s: float = 1e9
) -> Account:
    """Publish plans to two servers of a kind, to one whole and to one in parts."""
    account = Account(kind, seed)
    webs, chance = Webs(seed), random.Random(f"{seed} sizes")
    servers: list[Server] = [await SERVERS[kind](folder / f"{kind}{number}") for number in range(2)]
    publishers = [make_publisher(server.address) for server in servers]
    whole, parts = (Primary(publisher, most, guards) for publisher, most in zip(publishers, (10_000, 1), strict=True))
    until = time.monotonic() + budget_s
    try:
        for number in range(plans):
            if time.monotonic() > until:
                break
            plan = webs.plan()
            parts.rrsets_max = chance.choice((1, 1, 2, 3, 5))
            if await whole.publish(plan) is not None:
                account.refused += 1
                # It left no trace but a generation that puts back what stood.
                continue
            webs.published(plan)
            account.whole += 1
            why = await parts.publish(plan)
            if why is None and await whole.contents() != await parts.contents():
                why = "it left another zone"
            if why is not None:
                account.broken.append(f"plan {number}, {parts.rrsets_max} RRsets in a message, {plan}: {why}")
                break
    finally:
        for publisher in publishers:
            await publisher.close()
        for server in servers:
            await server.stop()
    return account


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.plan_parts", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--server", choices=list(SERVERS), action="append", help="may be repeated; all if absent")
    parser.add_argument("--seed", type=int, default=None, help="choices recur with it; a random one if absent")
    parser.add_argument("--budget-s", type=float, default=1e9, help="seconds for each kind of server")
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    failed = False
    for kind in asked.server or list(SERVERS):
        with tempfile.TemporaryDirectory(prefix="dnsguard-campaign-") as folder:
            account = asyncio.run(run(kind, asked.plans, seed, Path(folder), budget_s=asked.budget_s))
        print(account)
        failed |= bool(account.broken) or not account.whole
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
