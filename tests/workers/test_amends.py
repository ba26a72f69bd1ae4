"""A name that the primary refuses, and where nothing can be put in its place, waits alone and is made good later."""

import pytest

from dnsguard.core.history import PlanState
from dnsguard.core.layout import LAYOUTS, resolved
from dnsguard.core.message import Message, Outcome, Unknown, Unreachable
from dnsguard.core.policy import Policy
from dnsguard.core.records import parse_records
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.history import make_history
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.readback import read_back
from dnsguard.workers.step import Then
from tests.workers.rig import HISTORY, ZONE, PickyPublisher, Rig, a, key

WWW, API, MAIL = key("www"), key("api"), key("mail")
ALIAS = key("www", "CNAME")
ELSEWHERE = parse_records("CNAME", 60, ["elsewhere.test."])


def generation(rig: Rig) -> int:
    fence = seen_in(ZONE, rig.primary.contents).fence
    assert fence is not None
    assert fence.progress is None
    return fence.generation


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_contents_that_nothing_can_replace_do_not_stop_the_zones_other_names(layout: str) -> None:
    rig = Rig(policy=Policy(layout=layout))
    await rig.submit({WWW: a("192.0.2.1"), API: a("192.0.2.2"), MAIL: a("192.0.2.3")})
    await rig.settle()
    rig.primary.contents = {}
    rig.publisher.poison = set(a("192.0.2.1").rdatas)
    await rig.submit({MAIL: a("192.0.2.4")})
    steps = await rig.settle()
    assert generation(rig) == 2
    assert [resolved(rig.primary.contents, each) for each in (WWW, API, MAIL)] == [None, a("192.0.2.2"), a("192.0.2.4")]
    assert "cannot hold these contents" in (rig.entry(1).why or "")
    assert rig.entry(1).state is PlanState.FAULTED
    assert any(step.event == "name.refused" and WWW.name in step.detail for step in steps)


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_what_stood_in_the_way_goes_and_the_name_comes_back_by_itself(layout: str) -> None:
    rig = Rig(policy=Policy(layout=layout))
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.submit({API: a("192.0.2.2")})
    await rig.settle()
    rig.primary.contents = {ALIAS: ELSEWHERE}
    await rig.settle()
    assert generation(rig) == 2
    assert rig.primary.contents[ALIAS] == ELSEWHERE
    assert resolved(rig.primary.contents, API) == a("192.0.2.2")
    assert rig.entry(1).state is PlanState.FAULTED
    still = await rig.enactor().run_once()
    assert (still.event, still.then) == ("name.refused", Then.WOKEN)
    assert rig.primary.contents[ALIAS] == ELSEWHERE
    rig.primary.contents = {k: records for k, records in rig.primary.contents.items() if k != ALIAS}
    assert (await rig.enactor().run_once()).event == "name.mended"
    assert resolved(rig.primary.contents, WWW) == a("192.0.2.1")
    assert (rig.entry(1).state, rig.entry(1).why) == (PlanState.PUBLISHED, None)
    assert (await rig.enactor().run_once()).event == "zone.current"


async def test_a_name_that_reads_back_otherwise_is_the_fault_of_every_generation_that_stands_there() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1"), API: a("192.0.2.2")})
    await rig.submit({key("www", "TXT"): parse_records("TXT", 60, ['"here"'])})
    await rig.settle()
    seen = seen_in(ZONE, rig.primary.contents)
    changes = (await rig.store.pending(ZONE, None)).changes
    rig.primary.contents = {k: records for k, records in rig.primary.contents.items() if k.name != WWW.name}
    found = await read_back(rig.publisher, LAYOUTS["inline"], ZONE, seen, changes, rig.policy)
    assert not isinstance(found, Unreachable)
    assert [generation for generation, _ in found] == [1, 2]


async def test_a_plan_that_has_the_generation_of_one_that_was_set_aside_is_none_the_less_published() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1"), API: a("192.0.2.1")})
    await rig.settle()
    rig.primary.contents = {}
    rig.publisher.poison = set(a("192.0.2.1").rdatas)
    enactor = rig.enactor()
    while (await enactor.run_once()).event != "name.refused":
        pass
    rig.store.histories = {ZONE: make_history(ZONE, HISTORY)}  # a backup from before the first plan
    await rig.submit({WWW: a("192.0.2.2"), API: a("192.0.2.2")})
    await rig.settle(enactor)
    assert (generation(rig), rig.on_wire(WWW), rig.on_wire(API)) == (1, a("192.0.2.2"), a("192.0.2.2"))


async def test_a_newer_plan_for_a_name_that_waits_is_judged_by_itself() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    rig.primary.contents = {}
    rig.publisher.poison = set(a("192.0.2.1").rdatas)
    await rig.settle()
    await rig.submit({WWW: a("192.0.2.9")})
    await rig.settle()
    assert rig.on_wire(WWW) == a("192.0.2.9")
    assert (await rig.enactor().run_once()).event == "zone.current"


async def test_a_publication_under_way_from_before_the_kept_history_is_not_resumed_with_what_is_left_of_it() -> None:
    rig = Rig(policy=Policy(history_generations_min=1, message_rrsets_max=1))
    await rig.submit({WWW: a("192.0.2.1"), API: a("192.0.2.1")})
    rig.publisher.lose_answers = 1
    await rig.enactor().run_once()
    backup = rig.primary.contents
    under_way = seen_in(ZONE, backup).fence
    assert under_way is not None
    assert under_way.progress is not None
    await rig.settle()
    for last in (2, 3, 4):
        await rig.submit({API: a(f"192.0.2.{last}")})
        await rig.settle()
    await Cleanup(ZONE, rig.store, rig.publisher, rig.guards, rig.policy).run_once()
    assert rig.store.histories[ZONE].zone.kept_from == 3
    rig.primary.contents = backup
    rig.publisher.sent.clear()
    pending = await rig.store.pending(ZONE, under_way)
    assert (pending.target, len(pending.changes)) == (4, 2)
    await rig.settle()
    assert generation(rig) == 4
    assert [rig.on_wire(each) for each in (WWW, API)] == [a("192.0.2.1"), a("192.0.2.4")]


class Forgetful(PickyPublisher):
    """Loses the answer to the second, and only that, of the messages that read back."""

    asked: int = 0

    async def publish(self, message: Message) -> Outcome:
        outcome = await PickyPublisher.publish(self, message)
        self.asked += not message.updates
        return Unknown("no answer") if not message.updates and self.asked == 2 else outcome


@pytest.mark.parametrize("restart", [False, True])
async def test_what_a_restored_primary_got_anew_is_read_back_even_if_that_is_interrupted(restart: bool) -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.submit({API: a("192.0.2.2")})
    await rig.settle()
    rig.primary.contents = {ALIAS: ELSEWHERE}
    rig.publisher = Forgetful(rig.primary)
    enactor = rig.enactor()
    step = await enactor.run_once()
    assert (step.event, step.then) == ("publication.unread", Then.AT_ONCE)
    await rig.settle(rig.enactor() if restart else enactor)
    assert rig.entry(1).state is PlanState.FAULTED
    assert rig.entry(2).state is PlanState.PUBLISHED


async def test_who_looked_before_others_published_looks_again_before_it_takes_the_zone_for_restored() -> None:
    rig = Rig()
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    slow = rig.enactor()
    await rig.submit({WWW: a("192.0.2.2")})

    class Slow(PickyPublisher):
        async def observe(self, zone: str) -> Seen | Unreachable:
            seen = await PickyPublisher.observe(self, zone)
            if not self.sent:
                self.sent.append(Message(zone, (), ()))
                await rig.settle()
                await rig.submit({API: a("192.0.2.3")})
            return seen

    slow.publisher = late = Slow(rig.primary)
    step = await slow.run_once()
    assert (step.event, step.refused) == ("publication.overtaken", 0)
    assert len(late.sent) == 1  # the mark of the look: it sent nothing that could only be refused
    assert rig.store.histories[ZONE].zone.fence == str(seen_in(ZONE, rig.primary.contents).fence)
    await rig.settle(slow)
    assert generation(rig) == 3
