"""The versioned layout: a new node first, then the flip; and what becomes of it with the October system's rules."""

from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.history import PlanState
from dnsguard.core.layout import alias_to, marker_key, node_name, resolved, rollback_name
from dnsguard.core.message import Message, Outcome
from dnsguard.core.plan import Absence
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.step import Step
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

WWW = key("www")
ALIAS, ROLLBACK = key("www", "CNAME"), Key(rollback_name(WWW.name), "CNAME")


def versioned(guards: Guards = GUARDED, keep: int = 2) -> Rig:
    return Rig(policy=Policy(layout="versioned", history_generations_min=keep), guards=guards)


def seen_by_a_client(rig: Rig, of: Key = WWW) -> Records | None:
    return resolved(rig.primary.contents, of)


async def clean(rig: Rig, publisher: MemoryPublisher | None = None) -> Step:
    return await Cleanup(ZONE, rig.store, publisher or rig.publisher, rig.guards, rig.policy).run_once()


async def publish(rig: Rig, address: str) -> int:
    generation = await rig.submit({WWW: a(address)})
    await rig.settle()
    return generation


async def test_records_stand_at_the_node_of_their_generation_and_the_name_is_an_alias_to_it() -> None:
    rig = versioned()
    first = await publish(rig, "192.0.2.1")
    second = await publish(rig, "192.0.2.2")
    assert rig.primary.contents[ALIAS] == alias_to(node_name(WWW.name, second), 300)
    assert rig.primary.contents[ROLLBACK] == alias_to(node_name(WWW.name, first), 0)
    assert rig.on_wire(Key(node_name(WWW.name, first), "A")) == a("192.0.2.1")
    assert seen_by_a_client(rig) == a("192.0.2.2")


async def test_the_node_is_complete_before_anything_names_it() -> None:
    rig = versioned()
    await publish(rig, "192.0.2.1")
    rig.publisher.sent.clear()
    await publish(rig, "192.0.2.2")
    build, flip = [message for message in rig.publisher.sent if message.updates]
    assert {update.key.name for update in build.updates if update.key.type == "A"} == {node_name(WWW.name, 2)}
    assert ALIAS in {update.key for update in flip.updates}


async def test_what_stands_unchanged_at_a_name_comes_along_to_its_new_node() -> None:
    rig = versioned()
    aaaa = parse_records("AAAA", 300, ["2001:db8::1"])
    await rig.submit({WWW: a("192.0.2.1"), key("www", "AAAA"): aaaa})
    await rig.settle()
    await publish(rig, "192.0.2.2")
    assert seen_by_a_client(rig, key("www", "AAAA")) == aaaa
    assert seen_by_a_client(rig) == a("192.0.2.2")


async def test_a_retired_name_is_gone_and_can_be_brought_back() -> None:
    rig = versioned()
    await publish(rig, "192.0.2.1")
    await rig.submit({WWW: Absence.RETIRED})
    await rig.settle()
    assert rig.on_wire(ALIAS) is None
    assert seen_by_a_client(rig) is None
    await publish(rig, "192.0.2.3")
    assert seen_by_a_client(rig) == a("192.0.2.3")


async def test_what_cannot_be_an_alias_stands_at_its_name() -> None:
    rig = versioned()
    text, cname = parse_records("TXT", 60, ['"hello"']), parse_records("CNAME", 60, ["elsewhere.test."])
    await rig.submit({key("@", "TXT"): text, key("ftp", "CNAME"): cname})
    await rig.settle()
    assert (rig.on_wire(key("@", "TXT")), rig.on_wire(key("ftp", "CNAME"))) == (text, cname)


async def test_a_name_changes_between_alias_and_plain_in_one_flip() -> None:
    rig = versioned()
    cname = parse_records("CNAME", 60, ["elsewhere.test."])
    await publish(rig, "192.0.2.1")
    await rig.submit({WWW: Absence.RETIRED, ALIAS: cname})
    await rig.settle()
    assert rig.on_wire(ALIAS) == cname
    await rig.submit({WWW: a("192.0.2.2"), ALIAS: Absence.RETIRED})
    await rig.settle()
    assert seen_by_a_client(rig) == a("192.0.2.2")


async def test_clean_up_keeps_the_live_node_and_the_one_to_go_back_to() -> None:
    rig = versioned(keep=1)
    for last in range(1, 7):
        await publish(rig, f"192.0.2.{last}")
    await rig.submit({key("other"): a("192.0.2.99")})
    await rig.settle()
    for _ in range(3):
        await clean(rig)
    held = {key.name for key in rig.primary.contents if key.type == "A" and key.name.endswith(WWW.name)}
    assert held == {node_name(WWW.name, 5), node_name(WWW.name, 6)}
    assert seen_by_a_client(rig) == a("192.0.2.6")
    assert marker_key(node_name(WWW.name, 1)) not in rig.primary.contents


async def test_by_age_alone_even_one_enactor_loses_what_it_could_go_back_to() -> None:
    rig = versioned(UNGUARDED, keep=2)
    for last in range(1, 3):
        await publish(rig, f"192.0.2.{last}")
    for number in range(3):
        await rig.submit({key(f"n{number}"): a("192.0.2.9")})
    await rig.settle()
    await clean(rig)
    assert rig.primary.contents[ROLLBACK] == alias_to(node_name(WWW.name, 1), 0)
    assert rig.on_wire(Key(node_name(WWW.name, 1), "A")) is None


async def october(rig: Rig) -> None:
    """Play the incident: a slow enactor flips to its old plan, and the fast one's clean-up deletes it."""
    await publish(rig, "192.0.2.1")
    await rig.submit({WWW: a("192.0.2.2")})
    fast = rig.enactor(MemoryPublisher(rig.primary))

    class Slow(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            if ALIAS in {update.key for update in message.updates}:
                await rig.submit({WWW: a("192.0.2.3")})
                await rig.submit({WWW: a("192.0.2.4")})
                await rig.settle(fast)
            return await PickyPublisher.publish(self, message)

    await rig.enactor(Slow(rig.primary)).run_once()
    await clean(rig)


async def test_unguarded_the_incident_happens_the_name_goes_empty_and_nothing_repairs_it() -> None:
    rig = versioned(UNGUARDED)
    await october(rig)
    assert rig.primary.contents[ALIAS] == alias_to(node_name(WWW.name, 2), 300)
    assert seen_by_a_client(rig) is None
    assert marker_key(node_name(WWW.name, 2)) in rig.primary.contents
    enactor = rig.enactor()
    for last in range(5, 9):
        await rig.submit({WWW: a(f"192.0.2.{last}")})
        for _ in range(20):
            await enactor.run_once()
        assert seen_by_a_client(rig) is None


async def test_guarded_the_same_interleaving_is_refused_at_the_fence() -> None:
    rig = versioned(GUARDED)
    await october(rig)
    assert seen_by_a_client(rig) == a("192.0.2.4")
    await rig.settle()
    assert seen_by_a_client(rig) == a("192.0.2.4")


async def test_guarded_a_zone_left_wedged_by_the_incident_heals_by_itself() -> None:
    rig = versioned(UNGUARDED)
    await october(rig)
    rig.guards = GUARDED
    await rig.submit({WWW: a("192.0.2.5")})
    await rig.settle()
    assert seen_by_a_client(rig) == a("192.0.2.5")


async def test_a_node_that_somebody_deletes_between_build_and_flip_is_built_again() -> None:
    rig = versioned()
    await publish(rig, "192.0.2.1")
    generation = await rig.submit({WWW: a("192.0.2.2")})

    class Meddled(PickyPublisher):
        async def publish(self, message: Message) -> Outcome:
            if ALIAS in {update.key for update in message.updates} and not self.sent:
                self.sent.append(message)
                contents = dict(self.primary.contents)
                del contents[Key(node_name(WWW.name, 2), "A")]
                self.primary.contents = contents
            return self.take(message)

    await rig.settle(rig.enactor(Meddled(rig.primary)))
    assert seen_by_a_client(rig) == a("192.0.2.2")
    assert rig.entry(generation).state is PlanState.PUBLISHED
