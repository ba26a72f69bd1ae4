"""Each guard is needed: with all of them nothing bad comes of a story, and with exactly one left out something does.

A story is a function from guards to the harm that came of it, or None. Where two enactors have to meet, it is a
search; where a stranger, an operator or a restored backup has to come in between, it is played by hand.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace

import pytest

from dnsguard.core import invariants
from dnsguard.core.enactment import bound_by_age
from dnsguard.core.fence import FENCE_TTL, Fence, fence_key
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.layout import alias_to, node_name, resolved
from dnsguard.core.message import Message, Outcome, octets_of
from dnsguard.core.plan import Absence, Change, Plan, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.sweep import DeleteRule, aliases_as_listed, fence_as_listed, spare_live
from dnsguard.core.written import seen_in
from dnsguard.lab.minimise import Wishes
from dnsguard.lab.primary import MemoryPublisher
from dnsguard.lab.recognition import Recognised
from dnsguard.lab.scenario import drive, scenario
from dnsguard.lab.search import search
from dnsguard.lab.setting import Setting, as_in_october
from dnsguard.lab.simulator import Simulator
from dnsguard.lab.store import MemoryStore, make_history
from dnsguard.lab.variants import guard_names, without
from dnsguard.lab.watch import EMPTY
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.planner import Planner
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

Harm = str | None
Story = Callable[[Guards], Harm]
Played = Callable[[Guards], Coroutine[None, None, Harm]]
WWW = key("www")
ALIAS = key("www", "CNAME")
ELSEWHERE = parse_records("CNAME", 60, ["elsewhere.test."])
VERSIONED = Policy(layout="versioned", history_generations_min=2)


async def taken(rig: Rig, plan: Plan) -> bool:
    planner = Planner(rig.store, MemoryPublisher(rig.primary), rig.guards, rig.policy)
    return isinstance(await planner.submit(Submission(plan, "tests", 999.0)), Accepted)


def changes(rig: Rig) -> tuple[Change, ...]:
    history = rig.store.histories[ZONE]
    return tuple(Change(k, wanted, g) for k, found in history.changes.items() for g, wanted in found.items())


def fence(rig: Rig) -> Fence | None:
    return seen_in(ZONE, rig.primary.contents).fence


def broken(violation: invariants.Violation | None) -> Harm:
    return None if violation is None else f"{violation.number}, {violation.invariant}: {violation.detail}"


def prefix(rig: Rig) -> Harm:
    return broken(invariants.prefix(changes(rig), fence(rig), rig.primary.contents))


async def settled(rig: Rig) -> None:
    """Run an enactor until it has nothing more to do, or is stopped."""
    enactor = rig.enactor()
    for _ in range(20):
        await enactor.run_once()


async def clean(rig: Rig) -> None:
    await Cleanup(ZONE, rig.store, rig.publisher, rig.guards, rig.policy).run_once()


def by_hand(played: Played) -> Story:
    return lambda guards: drive(played(guards))


# Guards at the door: what is let in, and what comes of it.


def door(
    rrsets: Mapping[Key, Wanted],
    harm: Callable[[Rig], Harm],
    policy: Policy | None = None,
    before: Mapping[Key, Wanted] | None = None,
    stranger: Mapping[Key, Records] | None = None,
    based_on: int | None = None,
    stated: int | None = None,
) -> Story:
    """Publish what is there before, submit a plan, publish that, and look."""

    async def story(guards: Guards) -> Harm:
        rig = Rig(policy=policy or Policy(read_back=False), guards=guards)
        for number in range(2 if before else 0):
            assert await taken(rig, make_plan(ZONE, dict(before or {}), reason=f"{number}"))
            await settled(rig)
        rig.primary.contents = {**rig.primary.contents, **(stranger or {})}
        if not await taken(rig, make_plan(ZONE, dict(rrsets), based_on=based_on, stated=stated)):
            return None
        await settled(rig)
        return harm(rig)

    return by_hand(story)


def stands(of: Key, why: str) -> Callable[[Rig], Harm]:
    return lambda rig: why if of in rig.primary.contents else None


def always(why: str) -> Callable[[Rig], Harm]:
    return lambda _: why


def promised_in_vain(rig: Rig) -> Harm:
    newest = max(rig.store.histories[ZONE].entries)
    states = [rig.entry(generation).state for generation in range(1, newest + 1)]
    return "a plan that was answered with yes could never be published" if PlanState.REJECTED in states else None


def too_long(rig: Rig) -> Harm:
    octets = max(sum(octets_of(update) for update in message.updates) for message in rig.publisher.sent)
    return f"an UPDATE of {octets} octets" if octets > 65_535 else None


def went_back(rig: Rig) -> Harm:
    return "the history went back" if rig.store.histories[ZONE].zone.newest < 2 else None


def emptied(rig: Rig) -> Harm:
    return broken(
        invariants.never_empty(changes(rig), fence(rig), {WWW: a("192.0.2.1")}, rig.primary.contents, retire=False)
    )


OUTSIDE = Key("www.elsewhere.test.", "A")
FORGED = Key(f"_dnsguard.{ZONE}", "TXT")
SOA = parse_records("SOA", 60, [f"ns.{ZONE} hostmaster.{ZONE} 1 1 1 1 1"])
NS = parse_records("NS", 60, [f"ns.{ZONE}"])
LONG = parse_records("TXT", 60, [" ".join(f'"{n:03}{"x" * 240}"' for _ in range(3)) for n in range(99)])

DOOR: dict[str, Story] = {
    "plan_covers_something": door({}, always("a generation that says nothing")),
    "plan_is_bounded": door(
        {WWW: a("192.0.2.1"), key("b"): a("192.0.2.1")}, always("more than the zone allows"), Policy(plan_rrsets_max=1)
    ),
    "plan_in_zone": door({OUTSIDE: a("192.0.2.1")}, stands(OUTSIDE, "a record of another zone")),
    "reserved_names_untouched": door({FORGED: parse_records("TXT", 60, ['"forged"'])}, prefix),
    "server_records_untouched": door({key("@", "SOA"): SOA}, stands(key("@", "SOA"), "another SOA")),
    "apex_ns_kept": door({key("@", "NS"): Absence.RETIRED}, prefix, before={key("@", "NS"): NS}),
    "retirement_allowed": door(
        {WWW: Absence.RETIRED}, emptied, Policy(retire=False, read_back=False), before={WWW: a("192.0.2.1")}
    ),
    "ttl_in_bounds": door({WWW: a("192.0.2.1", ttl=301)}, stands(WWW, "a TTL beyond bounds"), Policy(ttl_s_max=300)),
    "rrset_is_bounded": door({WWW: a("192.0.2.1", "192.0.2.2")}, stands(WWW, "two records"), Policy(records_max=1)),
    "rrset_fits_a_message": door({key("www", "TXT"): LONG}, too_long),
    "generation_forward": door({WWW: a("192.0.2.2")}, went_back, before={WWW: a("192.0.2.1")}, stated=1),
    "made_from_what_stands": door(
        {WWW: a("192.0.2.2")}, always("work of another planner lost unseen"), before={WWW: a("192.0.2.1")}, based_on=1
    ),
    "cname_alone": door({WWW: a("192.0.2.1"), ALIAS: ELSEWHERE}, promised_in_vain),
    "unmanaged_contents_kept": door({WWW: a("192.0.2.1")}, promised_in_vain, stranger={WWW: a("192.0.2.66")}),
}


# Guards on a publication, with somebody else at the primary.


async def somebody_elses_record_at_the_fences_name(guards: Guards) -> Harm:
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    theirs = parse_records("TXT", FENCE_TTL, ['"not a fence"'])
    rig.primary.contents = {fence_key(ZONE): theirs}
    await settled(rig)
    return None if rig.primary.contents[fence_key(ZONE)] == theirs else "somebody else's record is gone"


async def a_second_database(guards: Guards) -> Harm:
    rig = Rig(guards=guards)
    for last in (1, 2, 3):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
    await rig.settle()
    before = fence(rig)
    rig.store = MemoryStore({ZONE: make_history(ZONE, "f" * 16)})
    await rig.submit({WWW: a("192.0.2.9")}, adopt=True)
    await settled(rig)
    return broken(invariants.forward(before, fence(rig), {}, {}))


async def something_else_at_the_name_of_a_new_alias(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=Policy(read_back=False))
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    await rig.submit({WWW: Absence.RETIRED, ALIAS: ELSEWHERE})
    rig.primary.contents = {**rig.primary.contents, key("www", "TXT"): parse_records("TXT", 60, ['"theirs"'])}
    await settled(rig)
    return prefix(rig)


async def somebody_elses_contents_since_the_plan_was_accepted(guards: Guards) -> Harm:
    rig = Rig(guards=guards)
    generation = await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {WWW: a("192.0.2.66")}
    await settled(rig)
    assert rig.on_wire(WWW) == a("192.0.2.66")
    why = rig.entry(generation).why or ""
    # The prerequisite alone protects the contents; only the guard can say what stands there (4, nothing lost: why).
    return None if "not managed by dnsguard" in why else f"rejected, and nobody knows why: {why}"


async def somebody_elses_contents_at_the_last_moment(guards: Guards) -> Harm:
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {WWW: a("192.0.2.66")}
    await settled(rig)
    return None if rig.on_wire(WWW) == a("192.0.2.66") else "what somebody else put there is gone"


async def an_alias_that_came_since(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=Policy(read_back=False))
    await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {ALIAS: ELSEWHERE}
    await settled(rig)
    return prefix(rig)


class Meddled(PickyPublisher):
    """Deletes the node that was built for generation 2 before the alias is flipped to it."""

    async def publish(self, message: Message) -> Outcome:
        if ALIAS in {update.key for update in message.updates} and not self.sent:
            self.sent.append(message)
            contents = dict(self.primary.contents)
            contents.pop(Key(node_name(WWW.name, 2), "A"), None)
            contents.pop(Key(f"_node.{node_name(WWW.name, 2)}", "TXT"), None)
            self.primary.contents = contents
        return self.take(message)


async def a_node_that_vanishes_before_the_flip(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=replace(VERSIONED, read_back=False))
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    await rig.submit({WWW: a("192.0.2.2")})
    rig.publisher = Meddled(rig.primary)
    await settled(rig)
    now = resolved(rig.primary.contents, WWW)
    found = {} if now is None else {WWW: now}
    return broken(invariants.never_empty(changes(rig), fence(rig), {WWW: a("192.0.2.1")}, found))


class FlippedByHand(PickyPublisher):
    """An operator puts the name back to the node of generation 2 by hand, after the clean-up has listed the zone."""

    async def publish(self, message: Message) -> Outcome:
        if not self.sent:
            self.primary.contents = {**self.primary.contents, ALIAS: alias_to(node_name(WWW.name, 2), 60)}
        self.sent.append(message)
        return self.take(message)


async def an_operator_goes_back_by_hand_while_the_clean_up_is_at_it(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=VERSIONED)
    for last in range(1, 6):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
        await rig.settle()
    rig.publisher = FlippedByHand(rig.primary)
    await clean(rig)
    now = resolved(rig.primary.contents, WWW)
    found = {} if now is None else {WWW: now}
    return broken(invariants.never_empty(changes(rig), fence(rig), {WWW: a("192.0.2.2")}, found))


async def a_rollback_that_the_policy_promises(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=Policy(history_generations_min=3))
    for last in range(1, 7):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
        await rig.settle()
    before = changes(rig)
    await clean(rig)
    return broken(invariants.cleanup_harmless(before, changes(rig), range(3, 7)))


async def a_primary_restored_from_a_backup(guards: Guards) -> Harm:
    rig = Rig(guards=guards, policy=Policy(history_generations_min=1))
    for last in (1, 2):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
    await rig.settle()
    backup = rig.primary.contents
    for last in range(3, 9):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
        await rig.settle()
    rig.primary.contents = backup
    before, seen = changes(rig), fence(rig)
    assert seen is not None
    await clean(rig)
    return broken(invariants.cleanup_harmless(before, changes(rig), [seen.base]))


BY_HAND: dict[str, Story] = {
    "fence_readable": by_hand(somebody_elses_record_at_the_fences_name),
    "fence_of_this_history": by_hand(a_second_database),
    "cname_alone_on_the_wire": by_hand(something_else_at_the_name_of_a_new_alias),
    "unmanaged_contents_kept_on_the_wire": by_hand(somebody_elses_contents_since_the_plan_was_accepted),
    "unmanaged_as_seen": by_hand(somebody_elses_contents_at_the_last_moment),
    "no_cname_beside": by_hand(an_alias_that_came_since),
    "target_exists": by_hand(a_node_that_vanishes_before_the_flip),
    "aliases_as_listed": by_hand(an_operator_goes_back_by_hand_while_the_clean_up_is_at_it),
    "bound_by_age": by_hand(a_rollback_that_the_policy_promises),
    "bound_by_fence": by_hand(a_primary_restored_from_a_backup),
}


# Guards of which a search shows the need.


def searched(enactors: int, plans: int) -> Story:
    def story(guards: Guards) -> Harm:
        setting = Setting(guards, enactors, plans)
        run = Simulator(scenario(setting), ends_at_violation=False, moves_max=1_000).run
        strategy = Recognised(as_in_october(setting), setting.enactor_names)
        findings = search(run, strategy, stop_at_first=True, minimise_runs_max=0)
        assert findings.violations or findings.exhausted
        return ", ".join(findings.violations) or None

    return story


SEARCHED: dict[str, Story] = {
    "fence_as_seen": searched(2, 2),
    "spare_live": searched(1, 4),
    "spare_rollback": searched(1, 4),
}

STORIES = DOOR | BY_HAND | SEARCHED


@pytest.mark.parametrize("name", STORIES)
def test_with_all_guards_no_harm_comes_and_without_this_one_it_does(name: str) -> None:
    assert STORIES[name](GUARDED) is None
    assert STORIES[name](without(GUARDED, name)) is not None


# Guards without which the others still hold: second lines, of which the search shows that they are no more than that.

SECOND_LINES = {
    "fence_as_listed": "with fenced writes only, no alias comes to name a node that was not in use when listed; it "
    "stops what blind writers do between listing and deletion, as aliases_as_listed does",
    "bound_by_record": "the store itself prunes nothing that is not on record as published, and the fence is never "
    "behind that record unless the primary was restored, which bound_by_fence sees",
}


@pytest.mark.parametrize("name", SECOND_LINES)
def test_without_a_second_line_all_schedules_still_come_to_no_harm(name: str) -> None:
    assert searched(1, 4)(without(GUARDED, name)) is None
    assert searched(2, 2)(without(GUARDED, name)) is None


@pytest.mark.parametrize("rule", [fence_as_listed, aliases_as_listed])
def test_what_blind_writers_do_between_listing_and_deletion_is_stopped_by_either_rule(rule: DeleteRule) -> None:
    listing = replace(UNGUARDED, spare=(spare_live,))
    setting = Setting(listing, enactors=2, plans=3, keep=1)
    run = Simulator(scenario(setting), ends_at_violation=False, moves_max=1_000).run
    strategy = Recognised(as_in_october(setting), setting.enactor_names)
    schedule = None
    while schedule is None:
        findings = search(run, strategy, schedules_max=50, minimise_runs_max=0)
        assert not findings.exhausted
        if EMPTY in findings.first:
            schedule = findings.first[EMPTY].schedule
    wishes = [(step.actor, step.turn) for step in schedule.steps]

    def broken_with(guards: Guards) -> set[str]:
        again = Simulator(scenario(replace(setting, guards=guards)), ends_at_violation=False).run(Wishes(wishes))
        return {violation.name for violation in again.violations}

    assert EMPTY in broken_with(listing)
    assert EMPTY not in broken_with(replace(listing, delete=(rule,)))


async def test_a_backlog_is_not_pruned_even_without_any_bound_but_age() -> None:
    rig = Rig(guards=replace(GUARDED, prune=(bound_by_age,)), policy=Policy(history_generations_min=1))
    await rig.submit({WWW: a("192.0.2.1")})
    await rig.settle()
    for last in range(2, 9):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
    await clean(rig)
    assert set(rig.store.histories[ZONE].changes[WWW]) == set(range(1, 9))


def test_every_guard_there_is_has_its_demonstration_and_nothing_else_has() -> None:
    assert sorted([*STORIES, *SECOND_LINES]) == sorted(guard_names(GUARDED))
