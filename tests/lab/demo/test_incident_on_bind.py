"""The incident of October 2025 on a real BIND, looked at with `dig` and repaired with `nsupdate`.

The real enactors and the real clean-up act; who comes when is fixed: the slow enactor's flips wait until the fast
one has published everything that the planner made meanwhile.
"""

import asyncio
import base64
import re
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import dns.name
import dns.tsig
import pytest_asyncio

from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.history import Accepted, Submission
from dnsguard.core.message import Message, Outcome
from dnsguard.core.records import Records, records_text
from dnsguard.lab.demo.script import ENDPOINTS, MAIN, POLICY, ZONE, make_script
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.lock import flipped
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Step, Then
from tests.servers import require
from tests.servers.bind import Bind
from tests.workers.rig import RunningClock

SCRIPT = make_script(1)
KEY_NAME, SECRET = "operator.", b"a key for this test alone"
ORIGIN = dns.name.from_text(ZONE)
NEWEST = 10


@dataclass(frozen=True, slots=True)
class Looked:
    """What dig prints: the status, the count of answers, and the answers."""

    status: str
    count: int
    answers: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Scene:
    """One zone on BIND, its history, and the workers' rules."""

    bind: Bind
    folder: Path
    publisher: DnsPublisher
    store: MemoryStore
    guards: Guards = UNGUARDED

    async def submit(self, number: int) -> None:
        planner = Planner(self.store, self.publisher, self.guards, POLICY)
        answer = await planner.submit(Submission(SCRIPT.plan(number), "planner", 1000.0))
        assert isinstance(answer, Accepted), answer

    def enactor(self, publisher: DnsPublisher | None = None) -> Enactor:
        return Enactor(ZONE, self.store, publisher or self.publisher, RunningClock(), self.guards, POLICY)

    async def settle(self) -> None:
        enactor = self.enactor()
        for _ in range(50):
            if (await enactor.run_once()).then is Then.WOKEN:
                return
        raise AssertionError("no end after 50 runs")

    async def clean(self) -> Step:
        return await Cleanup(ZONE, self.store, self.publisher, self.guards, POLICY).run_once()

    async def october(self) -> Step:
        """Play it up to the slow enactor's last endpoint, and let the fast one clean up; return the slow one's step."""
        await self.submit(1)
        await self.settle()
        await self.submit(2)
        scene, waited = self, False

        class Slow(DnsPublisher):
            async def publish(self, message: Message) -> Outcome:
                nonlocal waited
                if flipped(message) and not waited:
                    waited = True
                    for number in range(3, NEWEST + 1):
                        await scene.submit(number)
                        await scene.settle()
                return await super().publish(message)

        slow = Slow(primary_of(self.bind), time.time)
        try:
            step = await self.enactor(slow).run_once()
        finally:
            await slow.close()
        await self.clean()
        return step

    async def dig(self, name: str, rdtype: str = "A") -> Looked:
        host, port = self.bind.address
        said = await run("dig", f"@{host}", "-p", str(port), "+noall", "+comments", "+answer", name, rdtype)
        status, count = re.search(r"status: (\w+)", said), re.search(r"ANSWER: (\d+)", said)
        assert status is not None, said
        assert count is not None, said
        answers = [line.split() for line in said.splitlines() if line and not line.startswith(";")]
        return Looked(status[1], int(count[1]), tuple((fields[3], " ".join(fields[4:])) for fields in answers))

    async def nsupdate(self, *lines: str) -> None:
        """Send an UPDATE as people do who have the key and nothing else."""
        host, port = self.bind.address
        key = self.folder / "operator.key"
        secret = base64.b64encode(SECRET).decode()
        key.write_text(f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n')
        script = (f"server {host} {port}", f"zone {ZONE}", *lines, "send", "")
        await run("nsupdate", "-v", "-k", str(key), stdin="\n".join(script))


async def run(program: str, *args: str, stdin: str = "") -> str:
    argv = [require(program), *args]
    done = await asyncio.to_thread(
        subprocess.run, argv, input=stdin, check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def primary_of(bind: Bind) -> Primary:
    return Primary(*bind.address, KEY_NAME, "hmac-sha256", SECRET)


def wanted(number: int) -> tuple[tuple[str, str], ...]:
    """The regional endpoint's addresses in a plan, as dig prints them, in order."""
    records = dict(SCRIPT.plan(number).rrsets)[MAIN.key]
    assert isinstance(records, Records)
    return tuple(sorted((MAIN.type, text) for text in records_text(MAIN.type, records)))


def addresses(looked: Looked) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(answer for answer in looked.answers if answer[0] == MAIN.type))


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    key = dns.tsig.Key(dns.name.from_text(KEY_NAME), SECRET, dns.tsig.HMAC_SHA256)
    async with await Bind.start(tmp_path / "bind", zones={ORIGIN: [key.name]}, keys={key.name: key}) as bind:
        publisher = DnsPublisher(primary_of(bind), time.time)
        try:
            yield Scene(bind, tmp_path, publisher, MemoryStore({ZONE: make_history(ZONE, "0123456789abcdef")}))
        finally:
            await publisher.close()


async def test_empty_then_wedged_then_repaired_by_hand(scene: Scene) -> None:
    step = await scene.october()
    assert (step.event, step.generation) == ("publication.completed", 2)

    # Empty. BIND puts the alias itself into the answer, so the endpoint shows one record and no address, and the
    # node, which is what the alias names, shows ANSWER: 0. Both are NOERROR; a name that is not there is NXDOMAIN.
    node = f"g2.{MAIN.name}"
    assert await scene.dig(MAIN.name) == Looked("NOERROR", 1, (("CNAME", node),))
    assert await scene.dig(node) == Looked("NOERROR", 0, ())
    assert (await scene.dig(f"nowhere.{ZONE}")).status == "NXDOMAIN"

    # Wedged. Plans come, are built, and cannot be installed, whichever enactor tries.
    for number in range(NEWEST + 1, NEWEST + 4):
        await scene.submit(number)
        for enactor in (scene.enactor(), scene.enactor()):
            steps = [await enactor.run_once() for _ in range(5)]
            assert all(step.refused or step.event == "publication.overtaken" for step in steps), steps
        assert await scene.dig(MAIN.name) == Looked("NOERROR", 1, (("CNAME", node),))

    # Repaired by hand, without the automation: records where the aliases point.
    await scene.nsupdate(
        *(
            f"update add g2.{endpoint.name} 5 {endpoint.type} {text}"
            for endpoint in ENDPOINTS
            for text in texts(endpoint.name, endpoint.type, NEWEST)
        )
    )
    assert addresses(await scene.dig(MAIN.name)) == wanted(NEWEST)
    await scene.submit(NEWEST + 4)
    await scene.settle()
    assert addresses(await scene.dig(MAIN.name)) == wanted(NEWEST + 4)


def texts(name: str, rdtype: str, number: int) -> tuple[str, ...]:
    records = {key.name: records for key, records in SCRIPT.plan(number).rrsets}[name]
    assert isinstance(records, Records)
    return records_text(rdtype, records)


async def test_with_the_guards_bind_refuses_the_old_plan_and_never_answers_empty(scene: Scene) -> None:
    scene.guards = GUARDED
    step = await scene.october()
    assert (step.event, step.refused) == ("publication.overtaken", 1)
    assert addresses(await scene.dig(MAIN.name)) == wanted(NEWEST)
    assert (await scene.dig(f"g2.{MAIN.name}")).count == 0
    await scene.settle()
    assert addresses(await scene.dig(MAIN.name)) == wanted(NEWEST)


async def test_guarded_enactors_heal_the_wedged_zone_on_bind_without_a_person(scene: Scene) -> None:
    await scene.october()
    assert addresses(await scene.dig(MAIN.name)) == ()
    scene.guards = GUARDED
    await scene.settle()
    assert addresses(await scene.dig(MAIN.name)) == wanted(NEWEST)
