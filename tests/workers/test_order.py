"""A plan that is right as a whole is published wherever it is cut, in whatever order an enactor publishes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dnsguard.core import invariants
from dnsguard.core.fence import Fence
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import PlanState
from dnsguard.core.message import Message, Outcome
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.policy import Policy
from dnsguard.core.publication_order import by_name
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then
from tests.workers.rig import ZONE, PickyPublisher, Rig, RunningClock, a, key

BY_NAME = replace(GUARDED, order=(by_name,))
APEX_NS = key("@", "NS")
APEX = {
    key("@", "SOA"): parse_records("SOA", 60, [f"ns.elsewhere.test. hostmaster.{ZONE} 1 1 1 1 1"]),
    APEX_NS: parse_records("NS", 60, ["ns.elsewhere.test."]),
}


def mx(*targets: str, ttl: int = 300) -> Records:
    return parse_records("MX", ttl, [f"10 {target}.{ZONE}" for target in targets])


def ns(*targets: str) -> Records:
    return parse_records("NS", 300, [f"{target}.{ZONE}" for target in targets])


def srv(target: str) -> Records:
    return parse_records("SRV", 300, [f"0 0 5060 {target}.{ZONE}"])


def alias(target: str) -> Records:
    return parse_records("CNAME", 300, [f"{target}.{ZONE}"])


def text(octets: int) -> Records:
    return parse_records("TXT", 300, [" ".join(['"' + "x" * 200 + '"'] * (octets // 200))])


def strict(rrsets_max: int, **how: object) -> Rig:
    """Return a zone whose primary refuses an MX or apex NS that points at nothing."""
    rig = Rig(policy=Policy(message_rrsets_max=rrsets_max), **how)  # type: ignore[arg-type]  # the caller's keywords
    rig.primary.contents, rig.primary.checks_targets = dict(APEX), True
    return rig


GONE = Absence.RETIRED
ADDRESS = a("192.0.2.1")
STEPS: dict[str, list[dict[Key, Wanted]]] = {
    "an MX before its target's address": [
        {key("a", "MX"): mx("zmail"), key("h"): ADDRESS, key("i"): ADDRESS, key("zmail"): a("192.0.2.25")}
    ],
    "an MX whose target was an alias": [
        {key("z", "CNAME"): alias("y"), key("y"): ADDRESS},
        {key("z", "CNAME"): GONE, key("z"): ADDRESS, key("a", "MX"): mx("z")},
    ],
    "the zone's own name servers": [
        {APEX_NS: ns("ns1"), key("ns1"): ADDRESS},
        {APEX_NS: ns("ns2"), key("ns1"): GONE, key("ns2"): ADDRESS},
        {APEX_NS: ns("xns"), key("ns2"): GONE, key("xns"): ADDRESS, key("ns2", "CNAME"): alias("xns")},
    ],
    "mail that moves and comes back": [
        {key("a", "MX"): mx("m", "z"), key("m"): ADDRESS, key("z"): ADDRESS},
        {key("a", "MX"): mx("b"), key("b"): ADDRESS, key("m"): GONE, key("z"): GONE},
        {key("a", "MX"): mx("m", "z"), key("b"): GONE, key("m"): ADDRESS, key("z"): ADDRESS},
    ],
    "names that point at each other": [
        {**{key(one): ADDRESS for one in "abc"}, **{key(one, "MX"): mx(other) for one, other in ("ab", "bc", "ca")}}
    ],
    "a chain of mail": [
        {**{key(one): ADDRESS for one in "abcd"}, **{key(one, "MX"): mx(other) for one, other in ("ab", "bc", "cd")}}
    ],
    "a wildcard's address": [{key("a", "MX"): mx("x.w"), key("*.w"): ADDRESS}],
    "a target in a new child zone": [{key("a", "MX"): mx("x.d"), key("d", "NS"): ns("ns.d"), key("ns.d"): ADDRESS}],
}


@pytest.mark.parametrize("rrsets_max", [1, 2, 300])
@pytest.mark.parametrize("plans", STEPS.values(), ids=STEPS)
async def test_a_plan_that_is_right_as_a_whole_is_published_wherever_it_is_cut(
    plans: list[dict[Key, Wanted]], rrsets_max: int
) -> None:
    rig = strict(rrsets_max)
    for plan in plans:
        generation = await rig.submit(plan, adopt=True)
        await rig.settle()
        assert rig.entry(generation).state is PlanState.PUBLISHED, rig.entry(generation).why
        assert {of: rig.on_wire(of) for of in plan} == {
            of: wanted if isinstance(wanted, Records) else None for of, wanted in plan.items()
        }


async def test_in_the_order_of_names_it_is_rejected_because_of_the_cut() -> None:
    rig = strict(1, guards=BY_NAME)
    generation = await rig.submit(STEPS["an MX before its target's address"][0])
    await rig.settle()
    assert rig.entry(generation).state is PlanState.REJECTED
    assert "REFUSED" in (rig.entry(generation).why or "")


def large_ring() -> tuple[dict[Key, Wanted], dict[Key, Wanted]]:
    """Return two plans that fit messages, and together make a cycle that fits none."""
    names = "abcd"
    hosts: dict[Key, Wanted] = {key(name): ADDRESS for name in names}
    hosts |= {key(name, "TXT"): text(16_000) for name in names}
    return hosts, {key(one, "MX"): mx(other) for one, other in zip(names, "bcda", strict=True)}


async def test_plans_that_make_too_large_a_cycle_together_are_published_one_by_one() -> None:
    hosts, mail = large_ring()
    rig = strict(300)
    accepted = [await rig.submit(plan) for plan in (hosts, mail, {key("z"): ADDRESS})]
    steps = await rig.settle()
    assert [rig.entry(generation).state for generation in accepted] == [PlanState.PUBLISHED] * 3
    assert "publication.narrowed" in [step.event for step in steps]
    assert all(rig.on_wire(of) == wanted for of, wanted in {**hosts, **mail}.items())


async def test_a_zone_whose_fence_is_gone_gets_such_a_history_back() -> None:
    hosts, mail = large_ring()
    rig = strict(300)
    for plan in (hosts, mail):
        await rig.submit(plan)
        await rig.settle()
    rig.primary.contents = dict(APEX)
    await rig.settle()
    assert all(rig.on_wire(of) == wanted for of, wanted in {**hosts, **mail}.items())


async def test_a_cycle_of_which_something_is_refused_is_rejected_and_the_rest_goes_on() -> None:
    """A cycle is never cut, so that a part cannot be narrowed down to one name: it must come to an end all the same."""
    rig = strict(2)
    await rig.submit({key("a"): ADDRESS, key("b"): ADDRESS})
    await rig.settle()
    rig.publisher.poison = set(a("192.0.2.66").rdatas)
    old = await rig.submit({key(f"0{number}"): ADDRESS for number in range(4)})
    one = await rig.submit({key("a"): a("192.0.2.66"), key("a", "MX"): mx("b")})
    other = await rig.submit({key("b"): a("192.0.2.2"), key("b", "MX"): mx("a")})
    await rig.settle()
    assert rig.entry(old).state is PlanState.PUBLISHED
    assert PlanState.REJECTED in {rig.entry(one).state, rig.entry(other).state}
    assert rig.on_wire(key("a")) == ADDRESS


# Enactors with different orders on one zone.


class Dying(PickyPublisher):
    """A primary whose enactor dies after so many messages."""

    left: int

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        if message.updates:
            if self.left == 0:
                raise ConnectionResetError("the daemon died")
            self.left -= 1
        return await PickyPublisher.publish(self, message)


def dying(primary: MemoryPrimary, left: int) -> Dying:
    publisher = Dying(primary)
    publisher.left = left
    return publisher


def fence(rig: Rig) -> Fence | None:
    return seen_in(ZONE, rig.primary.contents).fence


def prefix(rig: Rig) -> invariants.Violation | None:
    history = rig.store.histories[ZONE].changes
    changes = [Change(of, wanted, g) for of, found in history.items() for g, wanted in found.items()]
    return invariants.prefix(changes, fence(rig), rig.primary.contents)


def web(last: int) -> Mapping[Key, Wanted]:
    hosts: dict[Key, Wanted] = {key(f"z{number}"): a(f"192.0.2.{last}") for number in range(4)}
    return hosts | {key(f"a{number}", "MX"): mx(f"z{number}", ttl=last) for number in range(4)}


def enactor(rig: Rig, publisher: PickyPublisher, *, knows_order: bool) -> Enactor:
    guards = GUARDED if knows_order else BY_NAME
    return Enactor(ZONE, rig.store, publisher, RunningClock(), guards, rig.policy)


@pytest.mark.parametrize("left", range(8))
@pytest.mark.parametrize("knows_order", [True, False])
async def test_who_takes_over_a_publication_in_another_order_begins_at_its_base(left: int, knows_order: bool) -> None:
    rig = Rig(policy=Policy(message_rrsets_max=1))
    await rig.submit(web(1))
    await rig.settle()
    generation = await rig.submit(web(2))
    with pytest.raises(ConnectionResetError):
        await enactor(rig, dying(rig.primary, left), knows_order=knows_order).run_once()
    assert prefix(rig) is None
    rig.publisher.sent.clear()
    await rig.settle(enactor(rig, rig.publisher, knows_order=not knows_order))
    assert prefix(rig) is None
    assert rig.entry(generation).state is PlanState.PUBLISHED
    assert all(rig.on_wire(of) == wanted for of, wanted in web(2).items())
    assert len([message for message in rig.publisher.sent if message.updates]) == 8


async def test_each_order_goes_on_where_its_own_publication_was_left() -> None:
    for knows_order in (True, False):
        rig = Rig(policy=Policy(message_rrsets_max=1))
        await rig.submit(web(2))
        with pytest.raises(ConnectionResetError):
            await enactor(rig, dying(rig.primary, 5), knows_order=knows_order).run_once()
        await rig.settle(enactor(rig, rig.publisher, knows_order=knows_order))
        assert len([message for message in rig.publisher.sent if message.updates]) == 3
        assert prefix(rig) is None


async def test_a_publication_in_another_order_that_goes_on_is_left_alone_and_one_that_stands_is_not() -> None:
    rig = Rig(policy=Policy(message_rrsets_max=1))
    await rig.submit(web(1))
    await rig.settle()
    rig.publisher.sent.clear()
    await rig.submit(web(2))
    newer = enactor(rig, rig.publisher, knows_order=True)
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            await enactor(rig, dying(rig.primary, 1), knows_order=False).run_once()
        step = await newer.run_once()
        assert (step.event, step.then) == ("publication.yielded", Then.LATER)
    assert rig.publisher.sent == []
    assert (await newer.run_once()).event == "publication.completed"
