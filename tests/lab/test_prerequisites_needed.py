"""Each kind of prerequisite that travels with a write is needed: with exactly this one left out of the messages, a
story breaks an invariant. `test_guards_needed` leaves out whole rules.

What comes in between comes at the last moment: after everything was judged, when the message is under way.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import wraps
from types import CodeType, FunctionType

import pytest

from dnsguard.core import invariants
from dnsguard.core.fence import fence_key
from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.invariants import Violation
from dnsguard.core.layout import alias_to, node_name
from dnsguard.core.message import (
    Message,
    NameInUse,
    NameNotInUse,
    Outcome,
    Prerequisite,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Update,
)
from dnsguard.core.plan import Absence
from dnsguard.core.records import Key, Records
from dnsguard.lab.explore.scenario import drive
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
    prefix,
    prefix_found,
    publish,
    settled,
)
from tests.lab.test_door_guards_needed import DS, NS
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

CUT_NS, CUT_DS = key("child", "NS"), key("child", "DS")

Kind = type[RRsetIs] | type[RRsetExists] | type[RRsetAbsent] | type[NameInUse] | type[NameNotInUse]


def without_kind(guards: Guards, rule: str, kind: Kind) -> Guards:
    """Leave out one rule's prerequisites of one kind."""

    def less(whole: Callable[..., tuple[Prerequisite, ...]]) -> Callable[..., tuple[Prerequisite, ...]]:
        @wraps(whole)
        def some(*facts: object) -> tuple[Prerequisite, ...]:
            return tuple(each for each in whole(*facts) if not isinstance(each, kind))

        return some if whole.__name__ == rule else whole

    return replace(guards, write=tuple(map(less, guards.write)), delete=tuple(map(less, guards.delete)))


class Between(PickyPublisher):
    """Something happens at the primary once, just before it gets a message of some kind."""

    def at(self, about: Callable[[Update], bool], happens: Callable[[], None]) -> "Between":
        """Say before which message, and what."""
        self._about, self._happens = about, happens
        return self

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        if not self.sent and any(map(self._about, message.updates)):
            self.sent.append(message)
            self._happens()
        return self.take(message)

    _about: Callable[[Update], bool]
    _happens: Callable[[], None]


def put(rig: Rig, records: Mapping[Key, Records], *gone: Key) -> Callable[[], None]:
    """Return what puts records there, and takes others away."""

    def happens() -> None:
        left = {of: held for of, held in rig.primary.contents.items() if of not in gone}
        rig.primary.contents = {**left, **records}

    return happens


def about(of: Key) -> Callable[[Update], bool]:
    return lambda update: update.key == of


def claimed(rig: Rig) -> Violation | None:
    """1, if the zone says that a generation is complete: what a stranger broke before is no message's fault."""
    stands = fence(rig)
    return None if stands is None or stands.progress is not None else prefix_found(rig)


async def a_newer_plan_is_published_first(rig: Rig) -> Violation | None:
    """A slow enactor's message comes after a faster enactor's, of a newer plan."""
    faster = Rig(rig.policy, rig.guards, rig.store, rig.primary)

    class Slow(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            if not self.sent:
                self.sent.append(message)
                await publish(faster, 9)
            return self.take(message)

    await rig.submit({WWW: a("192.0.2.8")}, adopt=True)
    rig.publisher = Slow(rig.primary)
    before: dict[Key, int] = {}
    await rig.enactor().run_once()
    shown = invariants.origins(changes(rig), {WWW: a("192.0.2.9")}, before)
    return invariants.forward(None, None, shown, invariants.origins(changes(rig), rig.primary.contents, shown))


async def the_first_publication_is_overtaken(guards: Guards) -> Violation | None:
    return await a_newer_plan_is_published_first(Rig(guards=guards))


async def a_publication_is_overtaken(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await publish(rig, 1)
    return await a_newer_plan_is_published_first(rig)


async def an_alias_comes_before_records(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.publisher = Between(rig.primary).at(about(WWW), put(rig, {ALIAS: ELSEWHERE}))
    await settled(rig)
    return prefix(rig)


async def records_come_before_an_alias(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    await rig.submit({ALIAS: ELSEWHERE})
    rig.publisher = Between(rig.primary).at(about(ALIAS), put(rig, {key("www", "TXT"): NOTE}))
    await settled(rig)
    return prefix(rig)


async def records_come_where_the_first_alias_to_a_node_was_to_be(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.publisher = Between(rig.primary).at(about(ALIAS), put(rig, {key("www", "TXT"): NOTE}))
    await rig.enactor().run_once()
    return claimed(rig)


async def somebody_has_records_instead_of_the_alias_to_a_node(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1)
    await rig.submit({WWW: a("192.0.2.2")})
    rig.publisher = Between(rig.primary).at(about(ALIAS), put(rig, {key("www", "TXT"): NOTE}, ALIAS))
    await rig.enactor().run_once()
    return claimed(rig)


async def the_node_is_gone_before_the_flip(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1)
    await rig.submit({WWW: a("192.0.2.2")})
    rig.publisher = Between(rig.primary).at(about(ALIAS), put(rig, {}, Key(node_name(WWW.name, 2), "A")))
    await rig.enactor().run_once()
    return emptied(rig, a("192.0.2.1"))


async def contents_that_were_as_wanted_change(guards: Guards) -> Violation | None:
    """What stood there was what the plan wants, so that nothing of it has to be written; then somebody changes it."""
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.primary.contents = {WWW: a("192.0.2.1")}
    enactor = rig.enactor()
    await enactor.run_once()
    rig.publisher = enactor.publisher = Between(rig.primary).at(about(fence_key(ZONE)), put(rig, {WWW: THEIRS}))
    await enactor.run_once()
    assert rig.publisher.sent
    return claimed(rig)


async def an_alias_is_set_back_between_listing_and_deletion(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1, 2, 3, 4, 5)
    node = node_name(WWW.name, 2)
    rig.publisher = Between(rig.primary).at(
        lambda update: update.key.name == node_name(WWW.name, 1), put(rig, {ALIAS: alias_to(node, 60)})
    )
    await clean(rig)
    return emptied(rig, a("192.0.2.2"))


async def a_delegation_goes_before_its_ds(guards: Guards) -> Violation | None:
    rig = Rig(guards=guards)
    rig.primary.contents = {CUT_NS: NS}
    await rig.submit({CUT_DS: DS})
    rig.publisher = Between(rig.primary).at(about(CUT_DS), put(rig, {}, CUT_NS))
    await settled(rig)
    return prefix(rig)


STORIES: list[tuple[str, Kind, int, Story]] = [
    ("fence_as_seen", RRsetAbsent, 2, by_hand(the_first_publication_is_overtaken)),
    ("fence_as_seen", RRsetIs, 2, by_hand(a_publication_is_overtaken)),
    ("no_cname_beside", RRsetAbsent, 1, by_hand(an_alias_comes_before_records)),
    ("no_cname_beside", NameNotInUse, 1, by_hand(records_come_before_an_alias)),
    ("no_cname_beside", NameNotInUse, 1, by_hand(records_come_where_the_first_alias_to_a_node_was_to_be)),
    ("no_cname_beside", RRsetExists, 1, by_hand(somebody_has_records_instead_of_the_alias_to_a_node)),
    ("no_ds_orphaned", RRsetExists, 1, by_hand(a_delegation_goes_before_its_ds)),
    ("unmanaged_as_seen", RRsetIs, 1, by_hand(contents_that_were_as_wanted_change)),
    ("target_exists", NameInUse, 3, by_hand(the_node_is_gone_before_the_flip)),
    ("aliases_as_listed", RRsetIs, 3, by_hand(an_alias_is_set_back_between_listing_and_deletion)),
]


@pytest.mark.parametrize(("rule", "kind", "number", "story"), STORIES)
def test_without_a_kind_of_prerequisite_an_invariant_is_broken(
    rule: str, kind: Kind, number: int, story: Story
) -> None:
    assert story(GUARDED) is None
    broken = story(without_kind(GUARDED, rule, kind))
    print(broken)
    assert broken is not None
    assert broken.number == number


# Kinds of which no invariant can speak: what they protect is not dnsguard's, or no plan wants it.


async def somebody_elses_contents_come(guards: Guards) -> bool:
    rig = Rig(guards=guards)
    await rig.submit({WWW: a("192.0.2.1")})
    rig.publisher = Between(rig.primary).at(about(WWW), put(rig, {WWW: THEIRS}))
    await rig.enactor().run_once()
    return rig.on_wire(WWW) == THEIRS


async def a_retired_name_is_brought_back_by_hand_between_listing_and_deletion(guards: Guards) -> bool:
    """3 lets a name be empty that a plan retires; whoever brought it back has it emptied all the same."""
    rig = Rig(guards=guards, policy=VERSIONED)
    await publish(rig, 1, 2, 3)
    await rig.submit({WWW: Absence.RETIRED})
    for last in range(4):
        await rig.submit({key("other"): a(f"192.0.2.{last}")})
        await settled(rig)
    node = node_name(WWW.name, 2)
    rig.publisher = Between(rig.primary).at(
        lambda update: update.key.name == node_name(WWW.name, 1), put(rig, {ALIAS: alias_to(node, 60)})
    )
    await clean(rig)
    assert rig.publisher.sent
    return found(rig).get(WWW) == a("192.0.2.2")


async def somebody_elses_ds_comes_beside_an_ns_that_goes(guards: Guards) -> bool:
    rig = Rig(guards=guards)
    await rig.submit({CUT_NS: NS})
    await settled(rig)
    await rig.submit({CUT_NS: Absence.RETIRED})
    rig.publisher = Between(rig.primary).at(about(CUT_NS), put(rig, {CUT_DS: DS}))
    await settled(rig)
    return rig.on_wire(CUT_DS) == DS


UNSPOKEN: dict[tuple[str, Kind], Callable[[Guards], Coroutine[None, None, bool]]] = {
    ("unmanaged_as_seen", RRsetAbsent): somebody_elses_contents_come,
    ("no_ds_orphaned", RRsetAbsent): somebody_elses_ds_comes_beside_an_ns_that_goes,
    ("aliases_as_listed", RRsetAbsent): a_retired_name_is_brought_back_by_hand_between_listing_and_deletion,
}


@pytest.mark.parametrize(("rule", "kind"), UNSPOKEN)
def test_without_a_kind_of_prerequisite_what_somebody_else_put_there_is_gone(rule: str, kind: Kind) -> None:
    kept = UNSPOKEN[rule, kind]
    assert drive(kept(GUARDED))
    assert not drive(kept(without_kind(GUARDED, rule, kind)))


KINDS = {kind.__name__: kind for kind in (RRsetIs, RRsetExists, RRsetAbsent, NameInUse, NameNotInUse)}


def kinds_of(code: CodeType, module: Mapping[str, object]) -> set[Kind]:
    """Return the kinds of prerequisite that a rule's code names, by itself or in what it calls in its module."""
    names = {KINDS[name] for name in code.co_names if name in KINDS}
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    called = [module[name] for name in code.co_names if name.startswith("_") and name in module]
    inner += [each.__code__ for each in called if isinstance(each, FunctionType)]
    return names.union(*(kinds_of(each, module) for each in inner))


def test_every_kind_that_travels_with_a_write_has_its_story_and_nothing_else_has() -> None:
    travelling: set[tuple[str, Kind]] = set()
    for rule in (*GUARDED.write, *GUARDED.delete):
        assert isinstance(rule, FunctionType)
        travelling |= {(rule.__name__, kind) for kind in kinds_of(rule.__code__, rule.__globals__)}
    assert {(rule, kind) for rule, kind, _, _ in STORIES} | UNSPOKEN.keys() == travelling
