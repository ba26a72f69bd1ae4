"""Each guard is needed: with all of them a story breaks nothing, and with exactly one left out it breaks an invariant.

Where two enactors have to meet, a story is a search; where a stranger, an operator or a restored backup has to come
in between, it is played by hand. `test_door_guards_needed` has the guards at the door, `test_prerequisites_needed` goes
on to each kind of prerequisite.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dnsguard.core import invariants
from dnsguard.core.fence import FENCE_TTL, fence_key
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import PlanState
from dnsguard.core.invariants import Violation
from dnsguard.core.layout import alias_to, node_name
from dnsguard.core.message import Message, Outcome, Unreachable
from dnsguard.core.plan import Absence
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, parse_records
from dnsguard.core.written import Seen
from dnsguard.lab.ends.history import make_history
from dnsguard.lab.ends.store import MemoryStore
from dnsguard.lab.explore.scenario import copied, scenario
from dnsguard.lab.explore.setting import Setting, as_in_october
from dnsguard.lab.explore.variants import guard_names, without
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import search
from dnsguard.lab.search.recognition import Recognised
from dnsguard.workers.cleanup import Cleanup
from tests.lab.stage import (
    ALIAS,
    ELSEWHERE,
    NOTE,
    THEIRS,
    VERSIONED,
    WWW,
    Story,
    by_hand,
    changes,
    clean,
    emptied,
    fence,
    found,
    healed,
    prefix,
    prefix_found,
    publish,
    settled,
)
from tests.lab.test_door_guards_needed import DOOR, DS, NS, UNSPOKEN
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key


async def contents_taken_since_the_plan_was_accepted(guards: Guards) -> tuple[Rig, str]:
    rig = Rig(guards=guards)
    generation = await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {WWW: THEIRS}
    await settled(rig)
    return rig, rig.entry(generation).why or ""


async def test_without_unmanaged_contents_kept_on_the_wire_nobody_knows_why_a_plan_is_rejected() -> None:
    """The prerequisite `unmanaged_as_seen` alone keeps the contents: 4 asks for a reason, and cannot judge it."""
    name = "unmanaged_contents_kept_on_the_wire"
    for guards, known in ((GUARDED, True), (without(GUARDED, name), False)):
        rig, why = await contents_taken_since_the_plan_was_accepted(guards)
        assert rig.on_wire(WWW) == THEIRS
        assert ("not managed by dnsguard" in why) is known
        assert why


async def test_without_unmanaged_as_seen_what_somebody_else_put_there_is_gone() -> None:
    """The invariants speak of what is dnsguard's; this is about what is not.

    The guard on the wire alone does not keep it: it is asked only once something was refused.
    """
    for guards, kept in ((GUARDED, True), (without(GUARDED, "unmanaged_as_seen"), False)):
        rig, _ = await contents_taken_since_the_plan_was_accepted(guards)
        assert (rig.on_wire(WWW) == THEIRS) is kept


async def test_without_targets_first_a_plan_is_rejected_because_of_where_it_is_cut() -> None:
    """The invariants let a plan be rejected with a reason, and cannot know that only its parts are wrong."""
    for guards, state in ((GUARDED, PlanState.PUBLISHED), (without(GUARDED, "targets_first"), PlanState.REJECTED)):
        rig = Rig(guards=guards, policy=Policy(message_rrsets_max=1))
        rig.primary.checks_targets = True
        mail = parse_records("MX", 60, [f"10 {WWW.name}"])
        generation = await rig.submit({key("a", "MX"): mail, WWW: a("192.0.2.1")})
        await settled(rig)
        assert rig.entry(generation).state is state


async def test_without_ds_beside_ns_on_the_wire_nobody_knows_why_a_plan_is_rejected() -> None:
    """The prerequisite `no_ds_orphaned` alone keeps a DS from being lost: 4 asks for a reason, and cannot judge it."""
    for guards, known in ((GUARDED, True), (without(GUARDED, "ds_beside_ns_on_the_wire"), False)):
        rig = Rig(guards=guards)
        rig.primary.contents = {key("child", "NS"): NS}
        generation = await rig.submit({key("child", "DS"): DS})
        rig.primary.contents = {}
        await settled(rig)
        assert rig.on_wire(key("child", "DS")) is None
        assert ("no NS RRset beside it" in (rig.entry(generation).why or "")) is known


ALONE = ("ds_beside_ns_on_the_wire", "unmanaged_contents_kept_on_the_wire", "unmanaged_as_seen", "targets_first")
"""Guards of which no invariant can speak, each with a test of its own above."""


# Guards on a publication, with somebody else at the primary.


async def a_mangled_fence_and_a_restored_database(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await publish(rig, 1)
    backup = copied(rig.store.histories[ZONE])
    await publish(rig, 2, 3)
    all_changes = changes(rig)
    before = invariants.origins(all_changes, rig.primary.contents)
    rig.store = MemoryStore({ZONE: backup})
    mangled = parse_records("TXT", FENCE_TTL, ['"not a fence"'])
    rig.primary.contents = {**rig.primary.contents, fence_key(ZONE): mangled}
    await settled(rig)
    after = invariants.origins(all_changes, rig.primary.contents, before)
    return invariants.forward(None, None, before, after)


async def a_second_database(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await publish(rig, 1, 2, 3)
    before = fence(rig)
    rig.store = MemoryStore({ZONE: make_history(ZONE, "f" * 16)})
    await rig.submit({WWW: a("192.0.2.9")}, adopt=True)
    await settled(rig)
    return invariants.forward(before, fence(rig), {}, {})


async def something_else_at_the_name_of_a_new_alias(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await publish(rig, 1)
    await rig.submit({WWW: Absence.RETIRED, ALIAS: ELSEWHERE})
    rig.primary.contents = {**rig.primary.contents, key("www", "TXT"): NOTE}
    await settled(rig)
    return prefix(rig)


async def something_else_at_the_name_of_an_alias_to_a_node(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    rig.primary.contents = {key("www", "TXT"): NOTE}
    await rig.submit({WWW: a("192.0.2.1")})
    await settled(rig)
    return prefix_found(rig)


async def an_alias_that_came_since(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {ALIAS: ELSEWHERE}
    await settled(rig)
    return prefix(rig)


async def a_delegation_that_somebody_removes_before_its_ds_is_published(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    rig.primary.contents = {key("child", "NS"): NS}
    await rig.submit({key("child", "DS"): DS})
    rig.primary.contents = {}
    await settled(rig)
    return prefix(rig)


class Meddled(PickyPublisher):
    """Deletes the node that was built for generation 2 before the alias is flipped to it."""

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        if ALIAS in {update.key for update in message.updates} and not self.sent:
            self.sent.append(message)
            contents = dict(self.primary.contents)
            contents.pop(Key(node_name(WWW.name, 2), "A"), None)
            self.primary.contents = contents
        return self.take(message)


async def a_node_that_vanishes_before_the_flip(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=replace(VERSIONED, read_back=False))
    await publish(rig, 1)
    await rig.submit({WWW: a("192.0.2.2")})
    rig.publisher = Meddled(rig.primary)
    await settled(rig)
    return emptied(rig, a("192.0.2.1"))


class Interrupted(PickyPublisher):
    """Something happens to the primary once a clean-up has listed the zone."""

    happens: Callable[[], None]

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        if not self.sent:
            self.happens()
        self.sent.append(message)
        return self.take(message)


async def cleaned(rig: Rig, happens: Callable[[], None]) -> None:
    publisher = Interrupted(rig.primary)
    publisher.happens = happens
    rig.publisher = publisher
    await clean(rig)


async def a_primary_restored_while_the_clean_up_is_at_it(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1, 2)
    backup = rig.primary.contents
    await publish(rig, 3, 4, 5)
    await cleaned(rig, lambda: setattr(rig.primary, "contents", backup))
    return emptied(rig, a("192.0.2.2"))


async def an_operator_goes_back_by_hand_while_the_clean_up_is_at_it(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1, 2, 3, 4, 5)
    by_hand = {**rig.primary.contents, ALIAS: alias_to(node_name(WWW.name, 2), 60)}
    await cleaned(rig, lambda: setattr(rig.primary, "contents", by_hand))
    return emptied(rig, a("192.0.2.2"))


async def a_rollback_that_the_policy_promises(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=Policy(history_generations_min=3))
    await publish(rig, 1, 2, 3, 4, 5, 6)
    before = changes(rig)
    await clean(rig)
    return invariants.cleanup_harmless(before, changes(rig), range(3, 7))


async def a_primary_restored_from_a_backup(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=Policy(history_generations_min=1))
    await publish(rig, 1, 2)
    backup = rig.primary.contents
    await publish(rig, 3, 4, 5, 6, 7, 8)
    rig.primary.contents = backup
    before, seen = changes(rig), fence(rig)
    assert seen is not None
    await clean(rig)
    return invariants.cleanup_harmless(before, changes(rig), [seen.base])


BY_HAND: dict[str, tuple[int, Story]] = {
    "fence_readable": (2, by_hand(a_mangled_fence_and_a_restored_database)),
    "fence_of_this_history": (2, by_hand(a_second_database)),
    "cname_alone_on_the_wire": (1, by_hand(something_else_at_the_name_of_a_new_alias)),
    "cname_alone_on_the_wire, versioned": (1, by_hand(something_else_at_the_name_of_an_alias_to_a_node)),
    "no_ds_orphaned": (1, by_hand(a_delegation_that_somebody_removes_before_its_ds_is_published)),
    "no_cname_beside": (1, by_hand(an_alias_that_came_since)),
    "target_exists": (3, by_hand(a_node_that_vanishes_before_the_flip)),
    "aliases_as_listed": (3, by_hand(a_primary_restored_while_the_clean_up_is_at_it)),
    "aliases_as_listed, again": (3, by_hand(an_operator_goes_back_by_hand_while_the_clean_up_is_at_it)),
    "bound_by_age": (5, by_hand(a_rollback_that_the_policy_promises)),
    "bound_by_fence": (5, by_hand(a_primary_restored_from_a_backup)),
}


# Guards of which a search shows the need.


NUMBERS = {"never empty": 3, "forward (contents)": 2, "clean-up is harmless": 5}


def searched(enactors: int, plans: int) -> Story:
    def story(guards: Guards) -> Violation | None:
        setting = Setting(guards, enactors, plans)
        run = Simulator(scenario(setting), ends_at_violation=False, moves_max=1_000).run
        strategy = Recognised(as_in_october(setting), setting.enactor_names)
        findings = search(run, strategy, stop_at_first=True, minimise_runs_max=0)
        assert findings.violations or findings.exhausted
        broken = [name for name in NUMBERS if name in findings.first]
        return Violation(NUMBERS[broken[0]], broken[0], findings.first[broken[0]].violation.detail) if broken else None

    return story


SEARCHED: dict[str, tuple[int, Story]] = {
    "fence_as_seen": (2, searched(2, 3)),
    "spare_live": (3, searched(1, 4)),
    "spare_rollback": (5, searched(1, 4)),
}

STORIES = BY_HAND | SEARCHED


@pytest.mark.parametrize("story", STORIES)
def test_with_all_guards_a_story_breaks_nothing_and_without_this_one_it_breaks_an_invariant(story: str) -> None:
    number, play = STORIES[story]
    assert play(GUARDED) is None
    broken = play(without(GUARDED, story.partition(",")[0]))
    print(broken)
    assert broken is not None
    assert broken.number == number


async def test_a_node_in_flight_again_after_a_restore_is_built_again_if_a_clean_up_deletes_it() -> None:
    """So a deletion need not ask for the fence: `target_exists` has the flip refused."""
    rig = Rig(policy=replace(VERSIONED, message_rrsets_max=1))
    await publish(rig, 1, 2)
    backup = rig.primary.contents
    await publish(rig, 3)
    for number in range(4):
        await rig.submit({key(f"n{number}"): a("192.0.2.9")})
        await settled(rig)
    seen = await rig.publisher.observe(ZONE)

    class SawItBefore(PickyPublisher):
        """A clean-up has read the fence, and then the primary is restored."""

        async def observe(self, zone: str) -> Seen | Unreachable:
            """Return what it had read."""
            return seen if zone == ZONE else Unreachable("another zone")

    cleaning = SawItBefore(rig.primary)

    class JustBefore(PickyPublisher):
        """Just before the first flip that clean-up goes on: it lists the zone, and deletes what nothing names."""

        async def publish(self, message: Message) -> Outcome:
            """Apply one UPDATE, or nothing of it."""
            if ALIAS in {update.key for update in message.updates} and not self.sent:
                self.sent.append(message)
                await Cleanup(ZONE, rig.store, cleaning, rig.guards, rig.policy).run_once()
            return self.take(message)

    rig.primary.contents = backup
    rig.publisher = JustBefore(rig.primary)
    await settled(rig)
    built = Key(node_name(WWW.name, 3), "A")
    assert built in {update.key for message in cleaning.sent for update in message.updates}
    assert healed(rig) is None
    assert found(rig)[WWW] == a("192.0.2.3")


async def test_what_is_not_on_record_as_published_is_not_pruned_even_without_any_bound() -> None:
    """The store sees to that itself, so that it is no guard's business."""
    rig = Rig(guards=replace(GUARDED, prune=(lambda reach: reach.newest,)))
    await publish(rig, 1)
    for last in range(2, 9):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
    await clean(rig)
    assert set(rig.store.histories[ZONE].changes[WWW]) == set(range(1, 9))


def test_every_guard_there_is_has_its_demonstration_and_nothing_else_has() -> None:
    shown = {story.partition(",")[0] for story in STORIES}
    assert sorted([*shown, *DOOR, *UNSPOKEN, *ALONE]) == sorted(guard_names(GUARDED))
