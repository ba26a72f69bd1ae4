"""A name that cannot be read delays only the plans that need it to be read, and only as long as that is so."""

import pytest

from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.layout import resolved
from dnsguard.core.message import Message, Outcome, Refused
from dnsguard.core.plan import make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, parse_records
from dnsguard.workers.step import Then
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key, retired

WWW, API, MUTE = key("www"), key("api"), key("mute")
NOTE = parse_records("TXT", 60, ['"a note"'])
WHY = "the server answered SERVFAIL when asked what it holds"
APEX_NS = Key(ZONE, "NS")


def mute(rig: Rig, *names: str) -> None:
    rig.primary.unreadable = dict.fromkeys(names or (MUTE.name,), WHY)


async def test_a_plan_for_a_name_that_cannot_be_read_is_published_if_nothing_stands_there() -> None:
    """Prerequisites say so, and no reading is needed: not even after something was refused."""
    rig = Rig()
    mute(rig)
    rig.primary.contents = {API: a("192.0.2.66")}
    plan = Submission(make_plan(ZONE, {API: a("192.0.2.2")}), "tests", 999.0)
    taken = await rig.store.accept(plan, rig.guards, rig.policy, None)
    assert isinstance(taken, Accepted)
    free = await rig.submit({MUTE: a("192.0.2.1")})
    await rig.settle()
    assert rig.on_wire(MUTE) == a("192.0.2.1")
    assert rig.entry(free).state is PlanState.PUBLISHED
    assert rig.entry(taken.generation).state is PlanState.REJECTED


async def test_what_stands_at_a_name_that_cannot_be_read_is_kept_and_the_plan_says_so() -> None:
    rig = Rig()
    mute(rig)
    rig.primary.contents = {MUTE: a("192.0.2.66")}
    taken = await rig.submit({MUTE: a("192.0.2.1")})
    other = await rig.submit({WWW: a("192.0.2.2")})
    await rig.settle()
    assert rig.on_wire(MUTE) == a("192.0.2.66")
    entry = rig.entry(taken)
    assert entry.state is PlanState.REJECTED
    assert entry.why is not None
    assert all(word in entry.why for word in ("something stands at mute.example.test.", WHY, "--adopt"))
    assert rig.entry(other).state is PlanState.PUBLISHED
    adopted = await rig.submit({MUTE: a("192.0.2.1")}, adopt=True)
    await rig.settle()
    assert (rig.on_wire(MUTE), rig.entry(adopted).state) == (a("192.0.2.1"), PlanState.PUBLISHED)


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_a_plan_that_needs_reading_waits_alone_and_is_accepted_again_once_it_can_be_read(layout: str) -> None:
    rig = Rig(policy=Policy(layout=layout))
    await rig.submit({MUTE: a("192.0.2.1")})
    await rig.settle()
    mute(rig)
    alias = parse_records("CNAME", 60, ["elsewhere.test."])
    waiting = await rig.submit({MUTE: retired(), key("mute", "CNAME"): alias, API: a("192.0.2.3")})
    other = await rig.submit({WWW: a("192.0.2.2")})
    steps = await rig.settle()
    assert (steps[-1].event, steps[-1].then) == ("plan.waiting", Then.WOKEN)
    assert str(waiting) in steps[-1].detail
    entry = rig.entry(waiting)
    assert entry.state is PlanState.WAITING
    assert MUTE.name in (entry.why or "")
    assert WHY in (entry.why or "")
    assert rig.entry(other).state is PlanState.PUBLISHED
    found = [resolved(rig.primary.contents, each) for each in (MUTE, API, WWW)]
    assert found == [a("192.0.2.1"), None, a("192.0.2.2")]
    rig.primary.unreadable = {}
    await rig.settle()
    assert resolved(rig.primary.contents, API) == a("192.0.2.3")
    entry = rig.entry(waiting)
    assert entry.state is PlanState.SUPERSEDED
    assert entry.why is not None
    assert "accepted again as generation" in entry.why
    again = int(entry.why.rpartition(" ")[2])
    assert (rig.entry(again).state, rig.entry(again).actor) == (PlanState.PUBLISHED, "tests")


async def test_a_waiting_plan_can_be_withdrawn_although_the_fence_has_passed_it() -> None:
    rig = Rig()
    rig.primary.contents = {APEX_NS: parse_records("NS", 60, ["ns.elsewhere.test."])}
    mute(rig, ZONE)
    waiting = await rig.submit({APEX_NS: parse_records("NS", 60, ["ns1.elsewhere.test."])}, adopt=True)
    await rig.submit({WWW: a("192.0.2.2")})
    await rig.settle()
    assert rig.entry(waiting).state is PlanState.WAITING
    assert (await rig.store.zone(ZONE)).published > waiting
    assert await rig.store.withdraw(ZONE, waiting, "withdrawn by ops", "ops", 1.0) is None
    rig.primary.unreadable = {}
    await rig.settle()
    assert (rig.entry(waiting).state, rig.entry(waiting).why) == (PlanState.WITHDRAWN, "withdrawn by ops")
    assert rig.on_wire(APEX_NS) == parse_records("NS", 60, ["ns.elsewhere.test."])


async def test_what_a_newer_plan_covers_meanwhile_is_left_as_that_one_says() -> None:
    rig = Rig(policy=Policy(layout="versioned"))
    mute(rig)
    waiting = await rig.submit({MUTE: a("192.0.2.1"), API: a("192.0.2.1")})
    await rig.settle()
    assert rig.entry(waiting).state is PlanState.WAITING
    await rig.submit({API: a("192.0.2.2")})
    await rig.settle()
    rig.primary.unreadable = {}
    await rig.settle()
    assert resolved(rig.primary.contents, API) == a("192.0.2.2")
    assert resolved(rig.primary.contents, MUTE) == a("192.0.2.1")


async def test_a_name_at_which_not_even_prerequisites_work_makes_its_plan_wait() -> None:
    class Deaf(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            names = {getattr(each, "key", WWW).name for each in (*message.prerequisites, *message.updates)}
            if MUTE.name in names:
                return Refused("SERVFAIL") if not message.updates else Refused("YXRRSET")
            return await PickyPublisher.publish(self, message)

    rig = Rig()
    rig.publisher = Deaf(rig.primary)
    mute(rig)
    waiting = await rig.submit({MUTE: a("192.0.2.1")})
    other = await rig.submit({WWW: a("192.0.2.2")})
    await rig.settle()
    assert (rig.entry(waiting).state, rig.entry(other).state) == (PlanState.WAITING, PlanState.PUBLISHED)
    assert "does not compare it either" in (rig.entry(waiting).why or "")


@pytest.mark.parametrize("layout", ["inline", "versioned"])
async def test_a_name_that_becomes_unreadable_half_way_holds_nobody_up(layout: str) -> None:
    rig = Rig(policy=Policy(layout=layout, message_rrsets_max=1))
    await rig.submit({API: a("192.0.2.1"), MUTE: a("192.0.2.1")})
    await rig.settle()

    class Turns(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            outcome = await PickyPublisher.publish(self, message)
            if message.updates:
                mute(rig)
            return outcome

    rig.publisher = Turns(rig.primary)
    cname = parse_records("CNAME", 60, ["elsewhere.test."])
    half = await rig.submit({API: a("192.0.2.2"), MUTE: retired(), key("mute", "CNAME"): cname})
    other = await rig.submit({WWW: a("192.0.2.3")})
    await rig.settle()
    assert rig.entry(half).state is PlanState.WAITING
    assert rig.entry(other).state is PlanState.PUBLISHED
    found = [resolved(rig.primary.contents, each) for each in (API, MUTE, WWW)]
    assert found == [a("192.0.2.1"), a("192.0.2.1"), a("192.0.2.3")]
    rig.publisher = PickyPublisher(rig.primary)
    rig.primary.unreadable = {}
    await rig.settle()
    assert resolved(rig.primary.contents, API) == a("192.0.2.2")
