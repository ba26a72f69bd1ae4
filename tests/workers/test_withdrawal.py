"""Withdrawing a plan: the fence decides whether it was published before that, whoever is slow."""

import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import PlanState
from dnsguard.core.message import Message, Outcome, Unknown
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key
from dnsguard.core.refusal import Refusal
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.primary import MemoryPublisher
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

WWW, API, MAIL = key("www"), key("api"), key("mail")


async def withdraw(rig: Rig, generation: int) -> Refusal | None:
    return await rig.store.withdraw(ZONE, generation, "withdrawn by ops: wrong", "ops", 5000.0)


async def withdrawn(rig: Rig, generation: int) -> None:
    assert await withdraw(rig, generation) is None


async def test_a_withdrawn_plan_is_never_published_and_the_zone_goes_on() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    wrong = await rig.submit({WWW: a("192.0.2.2"), API: a("192.0.2.2")})
    await withdrawn(rig, wrong)
    assert rig.entry(wrong).state is PlanState.WITHDRAWING
    later = await rig.submit({MAIL: a("192.0.2.3")})
    await rig.settle()
    assert [rig.on_wire(each) for each in (WWW, API, MAIL)] == [a("192.0.2.1"), None, a("192.0.2.3")]
    assert (rig.entry(wrong).state, rig.entry(wrong).why) == (PlanState.WITHDRAWN, "withdrawn by ops: wrong")
    assert rig.entry(later).state is PlanState.PUBLISHED


async def test_where_nothing_stood_nothing_is_written() -> None:
    """What stands there belongs to somebody else."""
    rig = Rig()
    wrong = await rig.submit({API: a("192.0.2.2")})
    await withdrawn(rig, wrong)
    rig.primary.contents = {API: a("192.0.2.66")}
    await rig.settle()
    assert API not in {update.key for message in rig.publisher.sent for update in message.updates}
    assert rig.on_wire(API) == a("192.0.2.66")


async def test_what_an_older_waiting_plan_wants_is_published_all_the_same() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")})
    await withdrawn(rig, await rig.submit({WWW: a("192.0.2.2")}))
    await rig.settle()
    assert rig.on_wire(WWW) == a("192.0.2.1")


class Held(PickyPublisher):
    """Holds the first message with contents until somebody lets it go."""

    async def publish(self, message: Message) -> Outcome:
        if message.updates and not self.sent:
            self.sent.append(message)
            return Unknown("no answer within 5 s")
        return await PickyPublisher.publish(self, message)


BEFORE: list[dict[Key, Wanted]] = [{WWW: a("192.0.2.1")}, {MAIL: a("192.0.2.9")}, {WWW: Absence.RETIRED}]


@pytest.mark.parametrize("stood", BEFORE, ids=["the same name", "another name", "a retired name"])
@pytest.mark.parametrize("landed", [True, False], ids=["it lands first", "it is too late"])
async def test_a_message_in_flight_and_a_withdrawal_never_both_win(stood: dict[Key, Wanted], landed: bool) -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")} if stood.get(WWW) is Absence.RETIRED else stood)
    await rig.settle()
    if stood.get(WWW) is Absence.RETIRED:
        await rig.submit(stood)
        await rig.settle()
    before = rig.on_wire(WWW)
    slow = Held(rig.primary)
    generation = await rig.submit({WWW: a("192.0.2.2")})
    await rig.enactor(slow).run_once()
    await withdrawn(rig, generation)
    if landed:
        slow.take(slow.sent[0])
    await rig.settle()
    slow.take(slow.sent[0])  # it arrives, once more or at last
    await rig.settle()
    assert rig.entry(generation).state is (PlanState.PUBLISHED if landed else PlanState.WITHDRAWN)
    assert rig.on_wire(WWW) == (a("192.0.2.2") if landed else before)
    again = await withdraw(rig, generation)
    assert (again is None) is not landed
    if again is not None:
        assert f"dnsguard rollback {generation - 1}" in again.detail


async def test_a_publication_in_parts_that_includes_the_plan_is_finished() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=1))
    await rig.submit({MAIL: a("192.0.2.9")})
    await rig.settle()
    generation = await rig.submit({WWW: a("192.0.2.2"), API: a("192.0.2.2")})

    class Dies(MemoryPublisher):
        sent = 0

        async def publish(self, message: Message) -> Outcome:
            self.sent += bool(message.updates)
            return Unknown("it is gone") if self.sent > 1 else await MemoryPublisher.publish(self, message)

    await rig.enactor(Dies(rig.primary)).run_once()
    fence = seen_in(ZONE, rig.primary.contents).fence
    assert fence is not None
    assert fence.progress is not None
    assert (fence.progress.base, fence.progress.done, fence.progress.of) == (1, 1, 2)
    await withdrawn(rig, generation)
    await rig.settle()
    assert rig.entry(generation).state is PlanState.PUBLISHED
    assert [rig.on_wire(each) for each in (WWW, API)] == [a("192.0.2.2")] * 2
    assert rig.entry(generation + 1).state is PlanState.REJECTED


async def test_a_publication_that_is_recorded_as_under_way_is_not_withdrawn() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=1))
    generation = await rig.submit({WWW: a("192.0.2.2"), API: a("192.0.2.2")})
    about = (await rig.store.pending(ZONE, None)).zone
    digest = (await rig.store.pending(ZONE, None, generation)).target_digest
    await rig.store.record(ZONE, Fence(about.history, generation, digest, Progress(0, 1, 2)), 1.0)
    refusal = await withdraw(rig, generation)
    assert refusal is not None
    assert "is being published" in refusal.detail


async def test_withdrawing_twice_answers_the_same_and_appends_nothing() -> None:
    rig = Rig()
    generation = await rig.submit({WWW: a("192.0.2.1")})
    await withdrawn(rig, generation)
    newest = (await rig.store.zone(ZONE)).newest
    await withdrawn(rig, generation)
    await rig.settle()
    await withdrawn(rig, generation)
    assert (await rig.store.zone(ZONE)).newest == newest


async def test_a_plan_that_the_primary_refuses_can_be_withdrawn_before_it_is_rejected() -> None:
    rig = Rig()
    rig.publisher.poison = set(a("192.0.2.1").rdatas)
    generation = await rig.submit({WWW: a("192.0.2.1")})
    await rig.enactor().run_once()
    await withdrawn(rig, generation)
    await rig.settle()
    assert rig.entry(generation).state is PlanState.WITHDRAWN
    assert rig.on_wire(WWW) is None


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_what_puts_back_cannot_be_withdrawn(layout: str) -> None:
    rig = Rig(policy=Policy(layout=layout))
    rig.publisher.poison = set(a("192.0.2.1").rdatas)
    generation = await rig.submit({WWW: a("192.0.2.1")})
    appended = await rig.store.reject(ZONE, generation, "no", 1.0)
    assert appended is not None
    refusal = await withdraw(rig, appended)
    assert refusal is not None
    assert "puts back what stood" in refusal.detail
    refusal = await withdraw(rig, generation)
    assert refusal is not None
    assert "nothing to withdraw" in refusal.detail
