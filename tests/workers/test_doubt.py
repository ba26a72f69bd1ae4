"""Who is to blame for refused contents: nobody, where there is nobody left, or where the primary cannot write."""

from dataclasses import dataclass, field

import pytest

from dnsguard.core.history import PlanState
from dnsguard.core.message import AddRecords, Applied, Message, Outcome, Refused, Unknown, octets_of
from dnsguard.core.publication import scratch_key
from dnsguard.core.records import Key, parse_records
from dnsguard.workers.step import Then
from tests.workers.rig import ZONE, PickyPublisher, Rig, RunningClock, a, key

SCRATCH = scratch_key(ZONE)


class Moody(PickyPublisher):
    """Refuses one message, whatever is in it: a bad neighbour in its batch."""

    moody: bool = False

    async def publish(self, message: Message) -> Outcome:
        if self.moody:
            self.moody = False
            return Refused("SERVFAIL", "a bad neighbour in the batch")
        return await PickyPublisher.publish(self, message)


async def test_a_refused_message_of_which_everything_was_rejected_meanwhile_blames_nobody() -> None:
    rig = Rig()
    rig.publisher = publisher = Moody(rig.primary)
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    await rig.submit({key("www"): a("192.0.2.66")})
    await rig.submit({key("api"): a("192.0.2.3")})
    publisher.poison = {*a("192.0.2.66").rdatas, *a("192.0.2.3").rdatas}
    slow = rig.enactor()
    step = await slow.run_once()
    assert (step.event, step.generation) == ("publication.narrowed", 3)
    assert await rig.store.reject(ZONE, 2, "found by another enactor", 1.0) == 4
    publisher.poison, publisher.moody = set(), True
    step = await slow.run_once()
    assert (step.event, step.then) == ("primary.refusing", Then.LATER)
    await rig.settle(slow)
    assert rig.on_wire(key("api")) == a("192.0.2.3")
    assert rig.entry(3).state is PlanState.PUBLISHED


@dataclass(slots=True)
class Disk(PickyPublisher):
    """A primary whose disk has little room. Like BIND it writes nothing where nothing comes to differ."""

    room: int = 1_000_000
    """Octets of updates that a message may have."""
    forbidden: set[Key] = field(default_factory=set)
    failures: int = 0

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE if there is room for it."""
        if {update.key for update in message.updates} & self.forbidden:
            return Refused("REFUSED", "not with this key")
        before = self.primary.contents
        outcome = await PickyPublisher.publish(self, message)
        differs = outcome == Applied() and self.primary.contents != before
        if differs and sum(map(octets_of, message.updates)) > self.room:
            self.primary.contents = before
            self.failures += 1
            return Refused("SERVFAIL", "no space left")
        return outcome


def on_disk(**facts: object) -> tuple[Rig, Disk]:
    rig = Rig()
    rig.publisher = disk = Disk(rig.primary, **facts)  # type: ignore[arg-type]  # the test's keywords
    return rig, disk


@pytest.mark.parametrize("room", [0, 300, 1_000])
async def test_plans_wait_for_a_primary_that_cannot_write_them_and_are_published_once_it_can(room: int) -> None:
    rig, disk = on_disk()
    await rig.submit({key("www"): a("192.0.2.1")})
    enactor = rig.enactor()
    await rig.settle(enactor)
    disk.room = room
    plans = [await rig.submit({key(f"n{n}-{i}"): a("192.0.2.9") for i in range(20)}) for n in range(1, 6)]
    for _ in range(60):
        assert (await enactor.run_once()).event in {"primary.refusing", "publication.narrowed"}
    assert disk.failures > 60
    assert {rig.entry(plan).state for plan in plans} == {PlanState.ACCEPTED}
    assert rig.store.histories[ZONE].zone.newest == plans[-1]
    disk.room = 1_000_000
    await rig.settle(enactor)
    assert {rig.entry(plan).state for plan in plans} == {PlanState.PUBLISHED}
    assert SCRATCH not in rig.primary.contents


async def test_only_the_fence_refused_blames_nobody_whatever_is_set_aside() -> None:
    rig, disk = on_disk()
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    rig.primary.contents = {}  # a backup of before is put back, and the primary cannot hold the record any more
    disk.poison = set(a("192.0.2.1").rdatas)
    enactor = rig.enactor()
    while (await enactor.run_once()).event != "name.refused":
        pass
    disk.room = 0
    for _ in range(5):
        step = await enactor.run_once()
        assert (step.event, step.then) == ("primary.refusing", Then.LATER)
    disk.room, disk.poison = 1_000_000, set()
    await rig.settle(enactor)
    await rig.settle(enactor)  # the name that was left is tried again at the next look
    assert rig.on_wire(key("www")) == a("192.0.2.1")


class Standing(RunningClock):
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


@pytest.mark.parametrize("jump", [1.0, -3600.0])
async def test_a_servers_own_trouble_is_held_against_a_plan_only_if_it_lasts(jump: float) -> None:
    rig, _ = on_disk(poison=set(a("192.0.2.66").rdatas))
    bad = await rig.submit({key("www"): a("192.0.2.66")})
    enactor = rig.enactor()
    enactor.clock = clock = Standing()
    for _ in range(2):
        clock.at += jump
        for _ in range(4):
            step = await enactor.run_once()
            assert (step.event, step.then) == ("publication.narrowed", Then.LATER)
    assert rig.entry(bad).state is PlanState.ACCEPTED
    clock.at += jump
    assert (await enactor.run_once()).event == "plan.rejected"
    assert rig.entry(bad).state is PlanState.REJECTED
    assert SCRATCH not in rig.primary.contents


async def test_what_the_server_forbids_is_rejected_without_writing_anything_to_find_out() -> None:
    rig, disk = on_disk(forbidden={key("www"), SCRATCH})
    bad = await rig.submit({key("www"): a("192.0.2.66")})
    good = await rig.submit({key("api"): a("192.0.2.1")})
    enactor = rig.enactor()
    enactor.clock = Standing()
    await rig.settle(enactor)
    assert (rig.entry(bad).state, rig.entry(good).state) == (PlanState.REJECTED, PlanState.PUBLISHED)
    assert all(update.key != SCRATCH for message in disk.sent for update in message.updates)


async def test_a_key_that_may_not_write_below_the_fence_is_named_where_that_would_tell_more() -> None:
    rig, _ = on_disk(forbidden={SCRATCH}, poison=set(a("192.0.2.66").rdatas))
    bad = await rig.submit({key("www"): a("192.0.2.66")})
    enactor = rig.enactor()
    for _ in range(5):
        step = await enactor.run_once()
        assert (step.event, step.then) == ("primary.refusing", Then.LATER)
        assert "answered REFUSED to a TXT record at control._dnsguard.example.test." in step.detail
    assert rig.entry(bad).state is PlanState.ACCEPTED


async def test_a_rejection_names_the_record_that_breaks_a_known_rule_and_what_else_is_suspected_if_none_does() -> None:
    for forbidden, others in ((key("sub_host"), 0), (key("www"), 4)):
        rig, _ = on_disk(forbidden={forbidden})
        known = {key("sub_host"): a("192.0.2.1")} if not others else {}
        bad = await rig.submit({key(name): a("192.0.2.1") for name in ("www", "api", "db", "mail")} | known)
        await rig.settle()
        entry = rig.entry(bad)
        assert entry.state is PlanState.REJECTED
        if others:
            assert {suspect.key for suspect in entry.suspects} == {key(name) for name in ("www", "api", "db", "mail")}
        else:
            assert [suspect.key for suspect in entry.suspects] == [key("sub_host")]
            assert "sub_host.example.test. A" in (entry.why or "")
        assert not rig.primary.contents.keys() & {forbidden, key("api"), key("db")}


@dataclass(slots=True)
class Target(PickyPublisher):
    """A primary that, like BIND, refuses an MX whose target has no address."""

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE unless it has such an MX."""
        adds = [update for update in message.updates if isinstance(update, AddRecords)]
        if any(update.key.type == "MX" for update in adds) and key("mail") not in self.primary.contents:
            self.sent.append(message)
            return Refused("REFUSED", "one of five guesses")
        return await PickyPublisher.publish(self, message)


async def test_the_target_of_an_mx_is_looked_up_and_no_part_of_the_plan_is_published_to_find_out() -> None:
    rig = Rig()
    rig.publisher = Target(rig.primary)
    mx = parse_records("MX", 300, ["10 mail.example.test."])
    bad = await rig.submit({key("office", "MX"): mx, **{key(f"h{n}"): a("192.0.2.1") for n in range(6)}})
    await rig.settle()
    (suspect,) = rig.entry(bad).suspects
    assert suspect.key == key("office", "MX")
    assert suspect.reason == "its target mail.example.test. has no A or AAAA record in the zone"
    assert not any(of.name.startswith("h") for of in rig.primary.contents)
    changing = [message for message in rig.publisher.sent if any(u.key.name.startswith("h") for u in message.updates)]
    assert changing
    assert all(key("office", "MX") in {update.key for update in message.updates} for message in changing)


@dataclass(slots=True)
class Late(Disk):
    """A primary to which the record of an experiment comes late, or which does not take it away again."""

    comes_late: bool = False
    late: list[Message] = field(default_factory=list)

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or keep it for later."""
        if message.updates and message.updates[0].key == SCRATCH and self.poison:
            adds = any(isinstance(update, AddRecords) for update in message.updates)
            if adds and self.comes_late:
                self.late.append(message)
                return Unknown("no answer")
            if not adds and not self.comes_late:
                return Refused("SERVFAIL", "no space left")
        return await Disk.publish(self, message)


@pytest.mark.parametrize("comes_late", [True, False])
async def test_what_an_experiment_wrote_goes_again_whenever_it_came(comes_late: bool) -> None:
    rig = Rig()
    rig.publisher = disk = Late(rig.primary, poison=set(a("192.0.2.66").rdatas), comes_late=comes_late)
    plan = await rig.submit({key("www"): a("192.0.2.66")})
    enactor = rig.enactor()
    for _ in range(3):
        assert (await enactor.run_once()).event == "primary.refusing"
    assert (SCRATCH in rig.primary.contents) is not comes_late
    disk.poison = set()
    for message in disk.late[:1]:
        assert disk.take(message) == Applied()
    assert SCRATCH in rig.primary.contents
    await rig.settle(enactor)
    assert rig.entry(plan).state is PlanState.PUBLISHED
    assert SCRATCH not in rig.primary.contents
    assert all(isinstance(disk.take(message), Refused) for message in disk.late[1:])
    sent = len(disk.sent)
    await rig.settle(enactor)
    assert len(disk.sent) == sent  # and once is enough
