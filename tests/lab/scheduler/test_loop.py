import asyncio
from functools import partial

import pytest

from dnsguard.lab.scheduler.moves import Kind
from dnsguard.lab.scheduler.simulation import Ending, Simulation
from dnsguard.lab.scheduler.simulator import Simulator
from dnsguard.lab.search.findings import search
from dnsguard.lab.search.strategies import Exhaustive
from tests.lab.scheduler.chosen import Chosen, nothing, run_one


def test_a_run_inside_a_running_loop_is_refused() -> None:
    async def nested() -> None:
        run_one(lambda _: nothing())

    with pytest.raises(RuntimeError, match="expected no running event loop"):
        asyncio.run(nested())


def test_callbacks_of_one_actor_run_first_come_first_served() -> None:
    seen: list[int] = []

    async def act(simulation: Simulation) -> None:
        loop = asyncio.get_running_loop()
        for number in range(5):
            loop.call_soon(seen.append, number)
        cancelled = loop.call_soon(seen.append, 99)
        cancelled.cancel()
        await asyncio.gather(*(note(simulation, number) for number in range(5, 10)))

    async def note(simulation: Simulation, number: int) -> None:
        await simulation.pause(0)
        seen.append(number)

    run_one(act)
    assert seen == list(range(10))


def test_effects_of_one_actor_happen_in_their_order() -> None:
    async def act(simulation: Simulation) -> None:
        await asyncio.gather(*(simulation.gate.pass_through(f"effect {number}") for number in range(4)))

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: act(simulation))

    simulator = Simulator(scenario)
    labels: list[list[str]] = []
    search(simulator.run, Exhaustive(), each=lambda outcome: labels.append([move.label for move in outcome.moves]))
    assert labels == [["effect 0", "effect 1", "effect 2", "effect 3"]]


def test_an_actor_runs_to_its_next_effect_before_anybody_else_does() -> None:
    seen: list[str] = []

    async def act(simulation: Simulation, name: str) -> None:
        for _ in range(2):
            await simulation.gate.pass_through("effect")
            seen.append(f"{name} begins")
            await simulation.pause(0)
            await asyncio.create_task(nothing())
            seen.append(f"{name} ends")

    def scenario(simulation: Simulation) -> None:
        for name in "ab":
            simulation.spawn(name, partial(act, simulation, name))

    Simulator(scenario).run(Chosen(("a", Kind.GO), ("b", Kind.GO), ("b", Kind.GO), ("a", Kind.GO)))
    order = ["a", "b", "b", "a"]
    assert seen == [f"{name} {what}" for name in order for what in ("begins", "ends")]


def test_time_is_virtual_and_passes_when_nothing_else_can_happen() -> None:
    seen: list[tuple[str, float]] = []

    async def act(simulation: Simulation, name: str, pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        await simulation.pause(pause_s)
        seen.append((name, loop.time()))
        await simulation.gate.pass_through("effect")
        await simulation.pause(pause_s)
        seen.append((name, simulation.now))

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("slow", lambda: act(simulation, "slow", 7200))
        simulation.spawn("fast", lambda: act(simulation, "fast", 3600))

    outcome = Simulator(scenario, timed=True).run(Chosen())
    assert outcome.ending is Ending.DONE
    # At 7200 both have a timer: they fire in one moment.
    assert seen == [("fast", 3600), ("slow", 7200), ("fast", 7200), ("slow", 14400)]


def test_a_time_out_passes_over_an_effect_that_waits_for_its_turn_only_untimed() -> None:
    async def act(simulation: Simulation) -> None:
        try:
            async with asyncio.timeout(5):
                await simulation.gate.pass_through("effect")
            seen.add("in time")
        except TimeoutError:
            seen.add("late")

    def scenario(simulation: Simulation) -> None:
        simulation.spawn("a", lambda: act(simulation))

    seen: set[str] = set()
    search(Simulator(scenario, timed=True).run, Exhaustive())
    assert seen == {"in time"}
    search(Simulator(scenario).run, Exhaustive())
    assert seen == {"in time", "late"}


def test_untimed_any_sleeper_may_wake_first() -> None:
    orders: set[str] = set()

    def scenario(simulation: Simulation) -> None:
        woken: list[str] = []

        async def act(name: str, pause_s: float) -> None:
            await simulation.pause(pause_s)
            woken.append(name)

        for number, name in enumerate("abc", 1):
            simulation.spawn(name, partial(act, name, number))
        simulation.at_end(lambda: orders.add("".join(woken)))

    search(Simulator(scenario).run, Exhaustive())
    assert orders == {"abc", "acb", "bac", "bca", "cab", "cba"}
