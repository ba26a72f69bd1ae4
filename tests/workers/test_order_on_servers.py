"""Publications in parts on real servers: in two orders, with enactors and the server killed in the middle."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from dnsguard.core import invariants
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import Accepted, Entry, PlanState, Submission
from dnsguard.core.message import Message, Outcome, Unreachable
from dnsguard.core.plan import Absence, Change, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.publication_order import by_name
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.daemon.clock import SystemClock
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Then
from tests.wire.primaries import HISTORY, SERVERS, ZONE, Server, key, make_publisher, records

BY_NAME = replace(GUARDED, order=(by_name,))
POLICY = Policy(message_rrsets_max=2)


class Killed(Exception):
    """The enactor's process is gone."""


class Mortal:
    """A publisher whose enactor is killed after so many messages, before or after the last one's answer."""

    def __init__(self, inner: DnsPublisher, messages: int) -> None:
        self._inner, self._left = inner, messages
        self.observe, self.read, self.transfer = inner.observe, inner.read, inner.transfer

    async def publish(self, message: Message) -> Outcome:
        """Send one UPDATE."""
        outcome = await self._inner.publish(message)
        if message.updates:
            self._left -= 1
            if self._left == 0:
                raise Killed
        return outcome


class Scene:
    """A server, a history, and enactors one after the other."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.store = MemoryStore({ZONE: make_history(ZONE, HISTORY)})
        self.publisher = make_publisher(server.address)

    async def restart(self) -> None:
        """Kill the server, and start it again."""
        await self.publisher.close()
        await self.server.kill()
        await self.server.restart()
        self.publisher = make_publisher(self.server.address)

    async def submit(self, rrsets: dict[Key, Wanted]) -> int:
        plan = make_plan(ZONE, rrsets, adopt=True)
        answer = await Planner(self.store, self.publisher, GUARDED, POLICY).submit(Submission(plan, "tests", 1.0))
        assert isinstance(answer, Accepted), answer
        return answer.generation

    async def publish(self, guards: Guards, messages: int = 10_000) -> bool:
        """Let an enactor publish until there is nothing more to do, or it is killed; return whether it lived."""
        publisher = Mortal(self.publisher, messages)
        enactor = Enactor(ZONE, self.store, publisher, SystemClock(), guards, POLICY)
        try:
            for _ in range(100):
                if (await enactor.run_once()).then is Then.WOKEN:
                    return True
        except Killed:
            return False
        raise AssertionError("no end after 100 runs")

    async def contents(self) -> dict[Key, Records]:
        found = await self.publisher.transfer(ZONE)
        assert not isinstance(found, Unreachable), found
        return dict(found)

    async def look(self) -> None:
        """Ask the first invariant of the zone."""
        history = self.store.histories[ZONE].changes
        changes = [Change(of, wanted, g) for of, found in history.items() for g, wanted in found.items()]
        contents = await self.contents()
        assert invariants.prefix(changes, seen_in(ZONE, contents).fence, contents) is None

    def entry(self, generation: int) -> Entry:
        return self.store.histories[ZONE].entries[generation]


@pytest_asyncio.fixture(params=SERVERS)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    server = await SERVERS[request.param](tmp_path / "server")
    made = Scene(server)
    yield made
    await made.publisher.close()
    await server.stop()


def mx(target: str, ttl: int = 60) -> Records:
    return parse_records("MX", ttl, [f"10 {target}.{ZONE}"])


def web(last: int) -> dict[Key, Wanted]:
    """Return addresses, and mail that points at them; both orders take it, since the addresses stand already."""
    hosts: dict[Key, Wanted] = {key(f"z{number}", "A"): records("A", f"192.0.2.{last}") for number in range(6)}
    return hosts | {key(f"a{number}", "MX"): mx(f"z{number}", ttl=60 + last) for number in range(6)}


async def test_enactors_of_two_orders_killed_in_turns_with_the_server_leave_what_the_plan_says(scene: Scene) -> None:
    hosts = {of: wanted for of, wanted in web(1).items() if of.type == "A"}
    await scene.submit(hosts)
    await scene.publish(GUARDED)
    orders = (BY_NAME, GUARDED)
    for number, messages in enumerate((1, 3, 5, 2, 4)):
        plan = web(2 + number)
        generation = await scene.submit(plan)
        for turn in range(4):
            lived = await scene.publish(orders[(number + turn) % 2], messages)
            await scene.look()
            await scene.restart()
            await scene.look()
            if lived:
                break
        assert await scene.publish(orders[number % 2])
        await scene.look()
        contents = await scene.contents()
        assert all(contents.get(of) == wanted for of, wanted in plan.items())
        assert scene.entry(generation).state is PlanState.PUBLISHED, scene.entry(generation).why


async def test_a_plan_whose_mail_comes_before_its_hosts_is_published_in_parts(scene: Scene) -> None:
    """An MX in part one whose target's address comes in part two, one whose target was an alias, and all of it gone."""
    plan: dict[Key, Wanted] = {
        key("a", "MX"): mx("zmail"),
        key("b", "MX"): mx("zalias"),
        key("", "NS"): records("NS", "ns.elsewhere.test.", f"zns.{ZONE}"),
        key("_sip._tcp", "SRV"): records("SRV", f"0 0 5060 zmail.{ZONE}"),
        key("d", "NS"): records("NS", f"zns.d.{ZONE}"),
        key("d", "DS"): records("DS", f"1 8 2 {'ab' * 32}"),
        key("zns.d", "A"): records("A", "192.0.2.5"),
        **{key(name, "A"): records("A", "192.0.2.1") for name in ("h", "i", "zalias", "zmail", "zns")},
        key("zalias", "CNAME"): Absence.RETIRED,
    }
    await scene.submit({key("zalias", "CNAME"): records("CNAME", "elsewhere.test.")})
    await scene.publish(GUARDED)
    generation = await scene.submit(plan)
    await scene.publish(GUARDED)
    assert scene.entry(generation).state is PlanState.PUBLISHED, scene.entry(generation).why
    contents = await scene.contents()
    assert all(contents.get(of) == wanted for of, wanted in plan.items() if isinstance(wanted, Records))
    away: dict[Key, Wanted] = {of: Absence.RETIRED for of, wanted in plan.items() if isinstance(wanted, Records)}
    away[key("", "NS")] = records("NS", "ns.elsewhere.test.")
    generation = await scene.submit(away)
    await scene.publish(GUARDED)
    assert scene.entry(generation).state is PlanState.PUBLISHED, scene.entry(generation).why
    assert (await scene.contents()).keys() & away.keys() == {key("", "NS")}


async def test_a_subtree_becomes_a_dname_and_comes_back_in_one_message_and_in_parts(scene: Scene) -> None:
    """Knot refuses a DNAME above names that still exist, and names below one that still stands."""
    below: dict[Key, Wanted] = {key(f"h{number}.sub", "A"): records("A", "192.0.2.1") for number in range(5)}
    gone: dict[Key, Wanted] = dict.fromkeys(below, Absence.RETIRED)
    dname = key("sub", "DNAME")
    for plan in (below, {**gone, dname: records("DNAME", "elsewhere.test.")}, {**below, dname: Absence.RETIRED}):
        generation = await scene.submit(plan)
        await scene.publish(GUARDED)
        assert scene.entry(generation).state is PlanState.PUBLISHED, scene.entry(generation).why
    contents = await scene.contents()
    assert all(contents.get(of) == wanted for of, wanted in below.items())
    assert dname not in contents
