"""Clean-up takes only what nothing can need."""

from dnsguard.core.plan import Absence
from dnsguard.core.policy import Policy
from dnsguard.workers.cleanup import Cleanup
from tests.workers.rig import ZONE, Rig, a, key


def cleanup(rig: Rig) -> Cleanup:
    return Cleanup(ZONE, rig.store, rig.publisher, rig.guards, rig.policy)


async def test_history_beyond_the_kept_generations_goes_and_live_changes_stay() -> None:
    rig = Rig(policy=Policy(history_generations_min=3))
    await rig.submit({key("rare"): a("192.0.2.9")})
    for last in range(1, 11):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
        await rig.settle()
    step = await cleanup(rig).run_once()
    assert step.event == "history.pruned"
    assert rig.store.histories[ZONE].zone.kept_from == 8
    changes = rig.store.histories[ZONE].changes
    assert set(changes[key("rare")]) == {1}
    assert set(changes[key("www")]) == {8, 9, 10, 11}


async def test_a_backlog_is_never_pruned() -> None:
    rig = Rig(policy=Policy(history_generations_min=1))
    await rig.submit({key("www"): a("192.0.2.1")})
    await rig.settle()
    for last in range(2, 9):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
    await cleanup(rig).run_once()
    assert set(rig.store.histories[ZONE].changes[key("www")]) == set(range(1, 9))


async def test_nothing_goes_while_the_primary_is_away_or_its_fence_unknown() -> None:
    rig = Rig(policy=Policy(history_generations_min=1))
    for last in range(1, 9):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
    await rig.settle()
    rig.primary.away = True
    assert (await cleanup(rig).run_once()).event == "primary.unreachable"
    rig.primary.away, rig.primary.contents = False, {}
    assert (await cleanup(rig).run_once()).event == "history.kept"


async def test_a_primary_restored_to_a_pruned_generation_is_still_brought_forward() -> None:
    rig = Rig(policy=Policy(history_generations_min=1))
    await rig.submit({key("gone"): a("192.0.2.1"), key("www"): a("192.0.2.1")})
    await rig.settle()
    backup = dict(rig.primary.contents)
    await rig.submit({key("gone"): Absence.RETIRED})
    for last in range(2, 9):
        await rig.submit({key("www"): a(f"192.0.2.{last}")})
        await rig.settle()
    await cleanup(rig).run_once()
    rig.primary.contents = backup
    await rig.settle()
    assert rig.on_wire(key("gone")) is None
    assert rig.on_wire(key("www")) == a("192.0.2.8")
