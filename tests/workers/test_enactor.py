"""What the enactor promises, over ends in memory."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from dnsguard.core.fence import Fence, fence_key, fence_rdata, parse_fence
from dnsguard.core.history import PlanState
from dnsguard.core.message import Message, NamesRead, Outcome, Unknown, Unreachable
from dnsguard.core.plan import Absence
from dnsguard.core.policy import Policy
from dnsguard.core.records import Records, parse_records
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.workers.step import Then
from tests.workers.rig import HISTORY, ZONE, PickyPublisher, Rig, a, key


def fence_of(rig: Rig) -> Fence:
    return parse_fence(rig.primary.contents[fence_key(ZONE)].rdatas)


async def test_an_accepted_plan_reaches_the_wire_with_its_fence() -> None:
    rig = Rig()
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    assert rig.on_wire(key("www")) == a("192.0.2.1")
    assert fence_of(rig).generation == generation
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_a_zone_without_plans_is_left_alone() -> None:
    rig = Rig()
    assert [step.event for step in await rig.settle()] == ["zone.current"]
    assert rig.primary.contents == {}


async def test_a_backlog_goes_out_in_one_message_and_the_newest_wins() -> None:
    rig = Rig()
    for last in range(1, 6):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
    await rig.submit({key("mail"): a("192.0.2.99")})
    steps = await rig.settle()
    assert steps[0].messages == 1
    assert rig.on_wire(key("www")) == a("192.0.2.5")
    states = [rig.entry(generation).state for generation in range(1, 7)]
    assert states == [PlanState.SUPERSEDED] * 4 + [PlanState.PUBLISHED] * 2


async def test_a_delayed_enactor_cannot_bring_back_an_older_plan() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    held: list[int] = []

    class Slow(PickyPublisher):
        async def publish(self, message):  # type: ignore[no-untyped-def]
            if not held:
                held.append(1)
                await rig.submit({key("www"): a("192.0.2.2")})
                await rig.settle(rig.enactor())
            return await PickyPublisher.publish(self, message)

    slow = rig.enactor(Slow(rig.primary))
    step = await slow.run_once()
    assert step.event == "publication.overtaken"
    assert rig.on_wire(key("www")) == a("192.0.2.2")
    await rig.settle(slow)
    assert rig.on_wire(key("www")) == a("192.0.2.2")


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_lost_answer_is_settled_by_observing(lost: int) -> None:
    rig = Rig()
    rig.publisher.lose_answers = lost
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    steps = await rig.settle()
    assert steps[0].event == "publication.unclear"
    assert rig.entry(generation).state is PlanState.PUBLISHED
    assert len([message for message in rig.publisher.sent if message.updates]) == 1


async def test_a_silent_primary_is_waited_for_and_caught_up_with_in_one_message() -> None:
    rig = Rig()
    rig.primary.away = True
    enactor = rig.enactor()
    for last in range(1, 4):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
    assert (await enactor.run_once()).then is Then.LATER
    rig.primary.away = False
    steps = await rig.settle(enactor)
    assert steps[0].messages == 1
    assert rig.on_wire(key("www")) == a("192.0.2.3")


async def test_a_refused_plan_does_not_block_those_around_it() -> None:
    rig = Rig()
    poison = parse_records("A", 300, ["192.0.2.66"])
    rig.publisher.poison = set(poison.rdatas)
    before = await rig.submit({key("www"): a("192.0.2.1"), key("bad"): a("192.0.2.7")})
    await rig.settle()
    good = [await rig.submit({key(f"n{number}"): a("192.0.2.9")}) for number in range(5)]
    bad = await rig.submit({key("bad"): poison, key("other"): a("192.0.2.8")})
    more = [await rig.submit({key(f"m{number}"): a("192.0.2.9")}) for number in range(5)]
    await rig.settle()
    assert rig.entry(bad).state is PlanState.REJECTED
    assert "SERVFAIL" in (rig.entry(bad).why or "")
    assert rig.on_wire(key("bad")) == a("192.0.2.7")
    assert rig.on_wire(key("other")) is None
    assert {rig.entry(generation).state for generation in (before, *good, *more)} == {PlanState.PUBLISHED}
    assert fence_of(rig).generation == more[-1] + 1
    assert rig.entry(more[-1] + 1).reverts == bad


async def test_several_refused_plans_are_each_found() -> None:
    rig = Rig()
    rig.publisher.poison = set(a("192.0.2.66").rdatas)
    bad = []
    for number in range(12):
        wanted = a("192.0.2.66") if number in {0, 5, 6, 11} else a("192.0.2.1")
        generation = await rig.submit({key(f"n{number}"): wanted})
        if number in {0, 5, 6, 11}:
            bad.append(generation)
    await rig.settle()
    assert [g for g in range(1, 13) if rig.entry(g).state is PlanState.REJECTED] == bad
    assert sum(1 for number in range(12) if rig.on_wire(key(f"n{number}")) == a("192.0.2.1")) == 8


async def test_a_primary_that_refuses_everything_rejects_no_plan() -> None:
    rig = Rig()
    rig.publisher.refuse_all = "REFUSED"
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    enactor = rig.enactor()
    for _ in range(10):
        step = await enactor.run_once()
        assert (step.event, step.then) == ("primary.refusing", Then.LATER)
    assert rig.entry(generation).state is PlanState.ACCEPTED
    rig.publisher.refuse_all = None
    await rig.settle(enactor)
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_a_large_publication_goes_out_in_parts_that_another_enactor_can_finish() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=3))
    generation = await rig.submit({key(f"n{number:02}"): a("192.0.2.1") for number in range(10)})

    class Dying(PickyPublisher):
        async def publish(self, message):  # type: ignore[no-untyped-def]
            if len(self.sent) == 2:
                raise ConnectionResetError("the daemon died")
            return await PickyPublisher.publish(self, message)

    dying = Dying(rig.primary)
    with pytest.raises(ConnectionResetError):
        await rig.enactor(dying).run_once()
    under_way = fence_of(rig)
    assert (under_way.generation, under_way.base) == (generation, 0)
    assert under_way.progress is not None
    assert (under_way.progress.done, under_way.progress.of) == (6, 10)
    await rig.settle()
    assert fence_of(rig).progress is None
    assert all(rig.on_wire(key(f"n{number:02}")) == a("192.0.2.1") for number in range(10))
    assert len([message for message in rig.publisher.sent if message.updates]) == 2


async def test_contents_refused_in_the_middle_of_many_parts_are_overtaken() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=2))
    await rig.submit({key(f"n{number:02}"): a("192.0.2.1") for number in range(8)})
    await rig.settle()
    rig.publisher.poison = set(a("192.0.2.66").rdatas)
    good = await rig.submit({key("n00"): a("192.0.2.5"), key("n05"): a("192.0.2.5")})
    bad = await rig.submit(
        {key(f"n{number:02}"): a("192.0.2.66" if number == 6 else "192.0.2.2") for number in range(1, 5)}
        | {key("n06"): a("192.0.2.66")}
    )
    steps = await rig.settle()
    assert "plan.rejected" in [step.event for step in steps]
    assert rig.entry(bad).state is PlanState.REJECTED
    assert rig.entry(good).state is PlanState.PUBLISHED
    expected = dict.fromkeys(range(8), "192.0.2.1") | {0: "192.0.2.5", 5: "192.0.2.5"}
    assert {number: rig.on_wire(key(f"n{number:02}")) for number in range(8)} == {
        number: a(address) for number, address in expected.items()
    }


async def test_what_a_rejected_plan_had_put_at_free_names_goes_again() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=2))
    rig.publisher.poison = set(a("192.0.2.66").rdatas)
    wanted = {key(f"n{number:02}"): a("192.0.2.66" if number == 7 else "192.0.2.2") for number in range(8)}
    bad = await rig.submit(wanted)
    await rig.settle()
    assert rig.entry(bad).state is PlanState.REJECTED
    assert [number for number in range(8) if rig.on_wire(key(f"n{number:02}")) is not None] == []


async def test_a_retirement_removes_exactly_what_it_names() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1"), key("mail"): a("192.0.2.2")})
    await rig.settle()
    await rig.submit({key("www"): Absence.RETIRED})
    await rig.settle()
    assert rig.on_wire(key("www")) is None
    assert rig.on_wire(key("mail")) == a("192.0.2.2")


async def test_somebody_elses_contents_are_kept_even_if_they_came_after_acceptance() -> None:
    rig = Rig()
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    rig.primary.contents[key("www")] = a("203.0.113.7")
    await rig.settle()
    assert rig.on_wire(key("www")) == a("203.0.113.7")
    assert rig.entry(generation).state is PlanState.REJECTED
    assert "adopt" in (rig.entry(generation).why or "")


async def test_the_same_contents_somebody_put_there_need_no_leave() -> None:
    rig = Rig()
    rig.primary.contents[key("www")] = a("192.0.2.1")
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_adopting_takes_over_what_is_there() -> None:
    rig = Rig()
    rig.primary.contents[key("www")] = a("203.0.113.7")
    generation = await rig.submit({key("www"): a("192.0.2.1")}, adopt=True)
    await rig.settle()
    assert rig.on_wire(key("www")) == a("192.0.2.1")
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_a_cname_and_an_address_change_places_in_one_message() -> None:
    rig = Rig()
    cname = parse_records("CNAME", 300, [f"mail.{ZONE}"])
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    await rig.submit({key("www"): Absence.RETIRED, key("www", "CNAME"): cname})
    steps = await rig.settle()
    assert steps[0].messages == 1
    assert rig.on_wire(key("www", "CNAME")) == cname
    assert rig.on_wire(key("www")) is None
    await rig.submit({key("www", "CNAME"): Absence.RETIRED, key("www"): a("192.0.2.3")})
    await rig.settle()
    assert rig.on_wire(key("www")) == a("192.0.2.3")


async def test_an_address_beside_somebody_elses_cname_rejects_the_plan() -> None:
    rig = Rig()
    generation = await rig.submit({key("www"): a("192.0.2.1")})
    rig.primary.contents[key("www", "CNAME")] = parse_records("CNAME", 300, ["elsewhere.test."])
    await rig.settle()
    assert rig.entry(generation).state is PlanState.REJECTED
    assert "CNAME" in (rig.entry(generation).why or "")


async def test_what_a_server_silently_skips_is_a_fault_of_that_plan() -> None:
    rig = Rig()
    rig.publisher.drops = {key("www")}
    other = await rig.submit({key("mail"): a("192.0.2.2")})
    skipped = await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    assert rig.entry(skipped).state is PlanState.FAULTED
    assert "www" in (rig.entry(skipped).why or "")
    assert rig.entry(other).state is PlanState.PUBLISHED


@pytest.mark.parametrize("how", ["lost answer", "crash"])
async def test_what_is_settled_by_observing_is_read_back_too(how: str) -> None:
    rig = Rig()
    rig.publisher.drops = {key("www")}
    skipped = await rig.submit({key("www"): a("192.0.2.1")})
    if how == "crash":

        class Dying(PickyPublisher):
            async def publish(self, message: Message) -> Outcome:
                if not message.updates:
                    raise ConnectionResetError("the daemon died before it read back")
                return await PickyPublisher.publish(self, message)

        dying = Dying(rig.primary, drops={key("www")})
        with pytest.raises(ConnectionResetError):
            await rig.enactor(dying).run_once()
    else:
        rig.publisher.lose_answers = 1
    await rig.settle()
    assert rig.entry(skipped).state is PlanState.FAULTED


async def test_nothing_is_recorded_as_published_before_it_could_be_read_back() -> None:
    rig = Rig()
    generation = await rig.submit({key("www"): a("192.0.2.1")})

    class Silent(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            return await PickyPublisher.publish(self, message) if message.updates else Unknown("no answer")

    step = await rig.enactor(Silent(rig.primary)).run_once()
    assert step.event == "publication.unread"
    assert rig.entry(generation).state is PlanState.ACCEPTED
    await rig.settle()
    assert rig.entry(generation).state is PlanState.PUBLISHED


async def test_an_apex_ns_rrset_is_never_without_records_while_it_is_replaced() -> None:
    rig = Rig()
    before = parse_records("NS", 300, [f"ns1.{ZONE}"])
    rig.primary.contents[key("@", "NS")] = before
    after = parse_records("NS", 300, [f"ns2.{ZONE}", f"ns3.{ZONE}"])
    await rig.submit({key("@", "NS"): after}, adopt=True)
    await rig.settle()
    assert rig.on_wire(key("@", "NS")) == after


async def test_a_fence_of_another_history_stops_the_zone() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    foreign = Fence("f" * 16, 7, "e" * 16)
    rig.primary.contents[fence_key(ZONE)] = Records(1, (fence_rdata(foreign),))
    step = await rig.enactor().run_once()
    assert step.event == "zone.halted"
    assert rig.on_wire(key("www")) is None
    assert "resync" in (rig.store.histories[ZONE].zone.halted or "")


async def test_a_fence_ahead_of_the_database_stops_the_zone() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    rig.primary.contents[fence_key(ZONE)] = Records(1, (fence_rdata(Fence(HISTORY, 7, "e" * 16)),))
    step = await rig.enactor().run_once()
    assert (step.event, step.then) == ("zone.halted", Then.LATER)


async def test_a_fence_that_is_no_fence_stops_the_zone() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    rig.primary.contents[fence_key(ZONE)] = parse_records("TXT", 1, ['"hello"'])
    assert (await rig.enactor().run_once()).event == "zone.halted"


async def test_a_primary_restored_from_a_backup_is_brought_forward() -> None:
    rig = Rig()
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    backup = dict(rig.primary.contents)
    await rig.submit({key("www"): a("192.0.2.2")})
    await rig.submit({key("mail"): a("192.0.2.3")})
    await rig.settle()
    for contents in (backup, {}):
        rig.primary.contents = dict(contents)
        await rig.settle()
        assert rig.on_wire(key("www")) == a("192.0.2.2")
        assert rig.on_wire(key("mail")) == a("192.0.2.3")


async def test_two_enactors_that_take_turns_publish_everything_once_each() -> None:
    rig = Rig()
    one, two = rig.enactor(MemoryPublisher(rig.primary)), rig.enactor(MemoryPublisher(rig.primary))
    generation = 0
    for number in range(1, 21):
        generation = await rig.submit({key("www"): a(f"192.0.2.{number}")})
        await (one if number % 3 else two).run_once()
    await rig.settle(one)
    await rig.settle(two)
    assert fence_of(rig).generation == generation
    assert rig.on_wire(key("www")) == a("192.0.2.20")


async def test_a_publication_of_which_a_plan_was_rejected_is_not_resumed_with_older_contents() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=1))
    await rig.submit({key("n0"): a("192.0.2.1"), key("n1"): a("192.0.2.1")})
    await rig.submit({key("n0"): a("192.0.2.2"), key("n1"): a("192.0.2.2")})

    class Dying(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            if len(self.sent) == 1:
                raise ConnectionResetError("the daemon died")
            return await PickyPublisher.publish(self, message)

    with pytest.raises(ConnectionResetError):
        await rig.enactor(Dying(rig.primary)).run_once()
    assert rig.on_wire(key("n0")) == a("192.0.2.2")
    appended = await rig.store.reject(ZONE, 2, "no", 1.0)
    steps = await rig.settle()
    assert fence_of(rig).generation == appended
    assert steps[0].generation == appended
    assert rig.on_wire(key("n0")) == a("192.0.2.1")


async def test_what_was_doubted_of_another_fence_is_forgotten() -> None:
    rig = Rig()
    rig.publisher.poison = set(a("192.0.2.66").rdatas)
    enactor = rig.enactor()
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.submit({key("mail"): a("192.0.2.66")})
    assert (await enactor.run_once()).event == "publication.narrowed"
    rig.publisher.poison = set()
    await rig.submit({key("www"): a("192.0.2.3")})
    await rig.settle(rig.enactor())
    published = dict(rig.primary.contents)
    rig.primary.contents = published | {fence_key(ZONE): parse_records("TXT", 1, ['"junk"'])}
    await enactor.run_once()
    rig.store.histories[ZONE].zone = replace(
        rig.store.histories[ZONE].zone, trusted_fence=parse_records("TXT", 1, ['"junk"']).rdatas[0].hex(), halted=None
    )
    steps = await rig.settle(enactor)
    assert [step.generation for step in steps if step.messages] == [3]
    assert fence_of(rig).generation == 3
    assert rig.on_wire(key("www")) == a("192.0.2.3")


async def test_a_name_that_cannot_be_read_is_named_and_nothing_is_written_there() -> None:
    rig = Rig()

    class Unanswered(PickyPublisher):
        async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
            return NamesRead({}, dict.fromkeys(names, f"the server of {zone} answered SERVFAIL"))

    alias = parse_records("CNAME", 60, ["a.example."])
    await rig.submit({key("www", "CNAME"): alias, key("www"): Absence.RETIRED})
    step = await rig.enactor(Unanswered(rig.primary)).run_once()
    assert (step.event, step.then) == ("plan.waiting", Then.AT_ONCE)
    assert step.detail == "www.example.test. cannot be read: the server of example.test. answered SERVFAIL"
    assert rig.primary.contents == {}
    await rig.settle()
    await rig.settle()
    assert rig.on_wire(key("www", "CNAME")) == alias
