"""The verifier names what differs, repairs where the policy says so, and gives way in the end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dnsguard.core.comparison import Kind, Verification
from dnsguard.core.fence import Fence, Progress, fence_key, fence_rdata
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, Entry, Submission
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.repair import ACTOR
from dnsguard.lab.ends.primary import MemoryPrimary, MemoryPublisher
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.workers import verifier
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner
from dnsguard.workers.step import Then
from dnsguard.workers.verifier import Postponed, Verifier
from tests.workers.rig import HISTORY, ZONE, a, key

CNAME = parse_records("CNAME", 60, ["elsewhere.test."])


@dataclass
class Clock:
    """A clock that a test sets, and that says how often others were given a turn."""

    at: float = 1_000_000.0
    turns: int = 0

    def now(self) -> float:
        return self.at

    def hex_digits(self, count: int) -> str:
        return "0" * count

    async def sleep(self, seconds: float) -> None:
        assert seconds == 0
        self.turns += 1


@dataclass
class Scene:
    """One zone with the real history on SQLite, and a primary in memory."""

    store: SqlStore
    policy: Policy = field(default_factory=Policy)
    clock: Clock = field(default_factory=Clock)
    primary: MemoryPrimary = field(default_factory=lambda: MemoryPrimary(ZONE))
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.publisher = MemoryPublisher(self.primary)

    @property
    def wire(self) -> dict[Key, Records]:
        return self.primary.contents

    def verifier(self) -> Verifier:
        return Verifier(ZONE, self.store, self.publisher, self.clock, GUARDED, self.policy)

    async def publish(self, rrsets: dict[Key, Wanted]) -> int:
        generation = await self.submit(rrsets)
        await self.enact()
        return generation

    async def submit(self, rrsets: dict[Key, Wanted]) -> int:
        planner = Planner(self.store, self.publisher, GUARDED, self.policy)
        answer = await planner.submit(Submission(make_plan(ZONE, rrsets), "tests", self.clock.now()))
        assert isinstance(answer, Accepted), answer
        return answer.generation

    async def enact(self) -> None:
        enactor = Enactor(ZONE, self.store, self.publisher, self.clock, GUARDED, self.policy)
        for _ in range(50):
            if (await enactor.run_once()).then is Then.WOKEN:
                return
        raise AssertionError("the enactor comes to no end")

    async def compared(self) -> Verification:
        found = await self.verifier().look()
        assert isinstance(found, Verification), found
        return found

    async def newest(self) -> Entry:
        return (await self.store.plans(ZONE, below=None, limit=1))[0]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    await migrate(engine)
    store = SqlStore(engine)
    await store.ensure_zone(ZONE, HISTORY)
    yield store
    await store.close()


@pytest.fixture
def scene(store: SqlStore) -> Scene:
    return Scene(store)


@pytest.fixture
def repairing(store: SqlStore) -> Scene:
    return Scene(store, Policy(verify="repair"))


async def test_a_zone_as_published_is_clean_and_one_without_plans_too(scene: Scene) -> None:
    scene.wire[key("theirs")] = a("192.0.2.99")
    assert ((await scene.compared()).total, (await scene.compared()).unmanaged) == (0, 1)
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    found = await scene.compared()
    assert (found.total, found.compared, found.unmanaged, found.generation, found.base) == (0, 2, 1, 1, 1)
    assert (await scene.verifier().run_once()).event == "zone.verified"


async def test_the_state_at_the_fence_counts_and_not_what_waits_to_be_published(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    await scene.submit({key("www"): a("192.0.2.2"), key("new"): a("192.0.2.3")})
    assert (await scene.compared()).total == 0


async def test_what_differs_is_reported_and_left_alone(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    del scene.wire[key("mail")]
    scene.wire[key("www")] = a("192.0.2.66")
    found = await scene.compared()
    assert {each.key: each.kind for each in found.findings} == {key("mail"): Kind.MISSING, key("www"): Kind.CHANGED}
    step = await scene.verifier().run_once()
    assert (step.event, step.rrsets) == ("difference.found", 0)
    assert "mail.example.test. A" in step.detail
    assert (await scene.newest()).generation == 1


async def test_names_are_compared_whole_however_the_pages_fall(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "PAGE_RRSETS", 3)
    scene.policy = Policy(layout="versioned")
    texts = parse_records("TXT", 60, ["x"])
    wanted: dict[Key, Wanted] = {key(f"n{number}"): a("192.0.2.1") for number in range(7)}
    wanted |= {key(f"n{number}", "TXT"): texts for number in range(0, 7, 2)}
    wanted |= {key("n3", rdtype): texts for rdtype in ("SPF", "AVC", "RESINFO", "WALLET")}
    await scene.publish(wanted)
    found = await scene.compared()
    assert (found.total, found.compared) == (0, len(wanted))


async def test_others_get_a_turn_while_a_large_zone_is_compared(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "PAGE_RRSETS", 10)
    scene.wire.update({key(f"theirs{number}"): a("192.0.2.1") for number in range(95)})
    assert (await scene.compared()).unmanaged == 95
    assert scene.clock.turns == 20  # what is left, and then what may be opaque


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_a_publication_under_way_is_no_difference(store: SqlStore, layout: str) -> None:
    scene = Scene(store, Policy(layout=layout, message_rrsets_max=2))
    await scene.publish({key(f"n{number}"): a("192.0.2.1") for number in range(6)})
    await scene.submit({key(f"n{number}"): a("192.0.2.2") for number in range(3, 9)})
    messages = 0

    @dataclass(slots=True)
    class Watched(MemoryPublisher):
        """Compares after every message."""

        async def publish(self, message):  # type: ignore[no-untyped-def]
            nonlocal messages
            messages += 1
            outcome = await MemoryPublisher.publish(self, message)
            found = await scene.compared()
            assert found.total == 0, found.findings
            return outcome

    scene.publisher = Watched(scene.primary)
    await scene.enact()
    assert messages >= 3


async def test_what_a_rejected_plan_left_half_way_is_no_difference_until_it_is_overtaken(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1"), key("b"): a("192.0.2.1")})
    await scene.submit({key("www"): a("192.0.2.2"), key("b"): a("192.0.2.2")})
    pending = await scene.store.pending(ZONE, None, 2)
    half = Fence(HISTORY, 2, pending.target_digest, Progress(1, 1, 2))
    scene.wire[key("b")] = a("192.0.2.2")
    scene.wire[fence_key(ZONE)] = Records(1, (fence_rdata(half),))
    assert await scene.store.reject(ZONE, 2, "the primary says no", 1000.0) == 3
    found = await scene.compared()
    assert (found.total, found.base, found.generation) == (0, 1, 2)
    scene.wire[key("b")] = a("192.0.2.66")
    assert (await scene.compared()).total == 1


async def test_a_zone_that_cannot_be_compared_is_not_judged(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    fence = scene.wire.pop(fence_key(ZONE))
    assert isinstance(gone := await scene.verifier().look(), Postponed)
    assert "no fence" in gone.reason
    scene.wire[fence_key(ZONE)] = Records(1, (fence_rdata(Fence("f" * 16, 900, "e" * 16)),))
    assert isinstance(other := await scene.verifier().look(), Postponed)
    assert other.halted
    scene.wire[fence_key(ZONE)] = fence
    scene.primary.away = True
    assert (await scene.verifier().run_once()).event == "primary.unreachable"
    assert (await scene.newest()).generation == 1


async def test_a_zone_behind_what_was_published_is_in_no_order_though_it_is_what_it_was(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    backup = dict(scene.wire)
    await scene.publish({key("www"): a("192.0.2.2")})
    scene.primary.contents = backup
    assert isinstance(behind := await scene.verifier().look(), Postponed)
    assert "the zone shows generation 1, and 2 was published" in behind.reason
    await scene.enact()
    assert (await scene.compared()).total == 0


async def test_a_zone_behind_what_is_kept_is_not_judged(scene: Scene) -> None:
    await scene.publish({key("www"): a("192.0.2.1")})
    backup = dict(scene.wire)
    for last in range(2, 9):
        await scene.publish({key("www"): a(f"192.0.2.{last}")})
    await scene.store.prune(ZONE, 7)
    scene.primary.contents = backup
    assert (await scene.verifier().run_once()).event == "verification.postponed"


async def test_a_repair_is_a_plan_of_its_own_that_says_what_and_why(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("old"): a("192.0.2.2"), key("mail"): a("192.0.2.3")})
    await scene.publish({key("old"): Absence.RETIRED})
    scene.wire[key("www")], scene.wire[key("old")] = a("192.0.2.66"), a("192.0.2.2")
    scene.wire[key("www", "TXT")] = foreign = parse_records("TXT", 60, ["theirs"])
    step = await scene.verifier().run_once()
    assert (step.event, step.generation, step.rrsets) == ("repair.submitted", 3, 2)
    await scene.enact()
    entry, covered = await scene.store.plan(ZONE, 3)
    assert (entry.actor, entry.accepted_at, entry.state.value) == (ACTOR, scene.clock.at, "published")
    assert entry.reason.startswith("repair: ")
    assert "www.example.test. A" in entry.reason
    assert {each.key: each.wanted for each in covered} == {
        key("www"): a("192.0.2.1"),
        key("old"): Absence.RETIRED,
    }
    assert (scene.wire[key("www")], scene.wire[key("www", "TXT")]) == (a("192.0.2.1"), foreign)
    assert key("old") not in scene.wire
    assert {each.key for each in (await scene.compared()).findings} == {key("www", "TXT")}


async def test_what_a_waiting_plan_mends_anyway_is_left_to_it(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    await scene.submit({key("www"): a("192.0.2.3")})
    scene.wire[key("www")] = scene.wire[key("mail")] = a("192.0.2.66")
    step = await scene.verifier().run_once()
    assert (step.event, step.rrsets) == ("repair.submitted", 1)
    await scene.enact()
    assert (scene.wire[key("www")], scene.wire[key("mail")]) == (a("192.0.2.3"), a("192.0.2.2"))
    assert (await scene.compared()).total == 0


async def test_a_difference_is_repaired_once_however_many_daemons_see_it(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1")})
    scene.wire[key("www")] = a("192.0.2.66")
    events = [(await scene.verifier().run_once()).event for _ in range(3)]
    assert events == ["repair.submitted", "difference.found", "difference.found"]


async def test_somebody_who_changes_it_back_every_time_is_given_way_to_and_reported(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    events = []
    for _ in range(60):
        scene.wire[key("www")] = a("192.0.2.66")
        worker = scene.verifier()  # a daemon that was restarted knows what others did
        step = await worker.run_once()
        events.append(step.event)
        await scene.enact()
        if step.event == "repair.suspended":
            assert scene.wire[key("www")] == a("192.0.2.66")
            assert worker.suspended == (key("www"),)
            assert worker.resumes_at is not None
            assert worker.resumes_at > scene.clock.at
        scene.clock.at += 60
    assert events.count("repair.submitted") == 3
    assert events.count("repair.suspended") == 57
    scene.clock.at += 3600
    scene.wire[key("mail")] = a("192.0.2.66")
    assert (await scene.verifier().run_once()).event == "repair.submitted"


async def test_others_are_repaired_while_one_is_given_way_to(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    scene.wire[key("www")] = a("192.0.2.66")
    await scene.verifier().run_once()
    await scene.enact()
    scene.wire[key("www")] = scene.wire[key("mail")] = a("192.0.2.66")
    step = await scene.verifier().run_once()
    assert (step.event, step.rrsets) == ("repair.suspended", 1)
    await scene.enact()
    assert scene.wire[key("mail")] == a("192.0.2.2")


async def test_a_stranger_that_stands_in_the_way_is_told_and_holds_up_nothing_else(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    del scene.wire[key("www")], scene.wire[key("mail")]
    scene.wire[key("www", "CNAME")] = CNAME
    step = await scene.verifier().run_once()
    assert (step.event, step.rrsets) == ("repair.submitted", 1)
    assert "not repaired: at www.example.test. a CNAME (on the server)" in step.detail
    await scene.enact()
    assert (await scene.verifier().run_once()).event == "repair.refused"
    assert scene.wire[key("mail")] == a("192.0.2.2")


async def test_nothing_is_repaired_while_a_publication_is_under_way(repairing: Scene) -> None:
    scene = repairing
    await scene.publish({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    await scene.submit({key("mail"): a("192.0.2.3"), key("new"): a("192.0.2.4")})
    pending = await scene.store.pending(ZONE, None, 2)
    half = Fence(HISTORY, 2, pending.target_digest, Progress(1, 1, 2))
    scene.wire[fence_key(ZONE)] = Records(1, (fence_rdata(half),))
    scene.wire[key("www")] = a("192.0.2.66")
    assert (await scene.verifier().run_once()).event == "difference.found"


async def test_where_nothing_may_be_retired_a_repair_retires_nothing_either(store: SqlStore) -> None:
    scene = Scene(store, Policy(verify="repair"))
    await scene.publish({key("www"): a("192.0.2.1")})
    await scene.publish({key("www"): Absence.RETIRED})
    scene.policy = Policy(verify="repair", retire=False)
    scene.wire[key("www")] = a("192.0.2.1")
    assert (await scene.verifier().run_once()).event == "difference.found"


@pytest.mark.parametrize("gone", [key("www", "CNAME"), key("g1.www")])
async def test_an_endpoint_of_the_versioned_layout_is_repaired_by_a_node_of_its_own(store: SqlStore, gone: Key) -> None:
    scene = Scene(store, Policy(verify="repair", layout="versioned"))
    await scene.publish({key("www"): a("192.0.2.1")})
    del scene.wire[gone]
    assert (await scene.verifier().run_once()).event == "repair.submitted"
    await scene.enact()
    assert scene.wire[key("g2.www")] == a("192.0.2.1")
    assert (await scene.compared()).total == 0
