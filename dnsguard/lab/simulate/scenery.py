"""Sets the scene of a simulated world: who acts in it, the real workers among them, and who looks.
Nothing is drawn or judged here but when a daemon runs again.
"""

from collections.abc import Callable
from functools import partial

from dnsguard.core.guards import Guards
from dnsguard.core.history import StoreUnavailable
from dnsguard.lab.ends.gated import Note
from dnsguard.lab.scheduler.simulation import Simulation
from dnsguard.lab.simulate.chronicle import Chronicle
from dnsguard.lab.simulate.draws import Draws
from dnsguard.lab.simulate.planning import plan_on
from dnsguard.lab.simulate.storm import TURN
from dnsguard.lab.simulate.strangers import meddle
from dnsguard.lab.simulate.swarm import Swarm
from dnsguard.lab.simulate.verdicts import look, look_at_the_end
from dnsguard.lab.simulate.verifying import verify
from dnsguard.lab.simulate.weather import blow, carry
from dnsguard.lab.simulate.withdrawing import withdraw
from dnsguard.lab.simulate.world import TRIES_MAX, ZONE, World
from dnsguard.workers.cleanup import Cleanup
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.step import Then

IDLE_MAX = 8
"""How often a daemon that finds nothing to do doubles its pause: worlds with pauses of hours stay short."""


async def serve(world: World, number: int) -> None:
    """Run a daemon's enactor and clean-up until all is quiet."""
    who = f"D{number}"
    store, publisher = world.ends(who)
    await world.simulation.pause(world.draw.uniform(0, 0.5))
    enactor = Enactor(ZONE, store, publisher, world, world.guards, world.policy)
    cleanup = Cleanup(ZONE, store, publisher, world.guards, world.policy)
    quiet = tries = idle = 0
    while quiet < 2 and tries < TRIES_MAX:
        over = world.is_settled() and world.verifiers_done == world.swarm.verifiers
        tries += over
        try:
            if world.draw.random() < world.swarm.clean_first:
                await _clean(world, who, cleanup)
            world.storm.note(who, TURN, "publishing")
            step = await enactor.run_once()
            if step.then is Then.WOKEN:
                await _clean(world, who, cleanup)
        except StoreUnavailable:
            step = None
        quiet = quiet + 1 if over and step is not None and step.then is Then.WOKEN else 0
        hurried = (step is None and not world.storm.calm) or (step is not None and step.then is Then.AT_ONCE)
        idle = 0 if over or hurried else min(idle + 1, IDLE_MAX)
        if step is None or step.then is not Then.AT_ONCE:
            await world.simulation.pause(world.draw.uniform(0.1, 1.0) * (1 + number) * 2**idle)


async def _clean(world: World, who: str, cleanup: Cleanup) -> None:
    world.storm.note(who, TURN, "clean-up")
    world.cleaning_since[who] = world.restored
    await cleanup.run_once()


def scene(swarm: Swarm, guards: Guards, tell: list[str] | None = None) -> Callable[[Simulation, int], None]:
    """Return what sets up a world of these settings from a seed; into ``tell`` it writes each run's story anew."""

    def set_up(simulation: Simulation, seed: int) -> None:
        notes: list[Note] | None = None if tell is None else []
        world = World(simulation, swarm, guards, Draws(f"world {seed}"), notes=notes)
        share, more = divmod(swarm.plans, swarm.planners)
        for number in range(swarm.planners):
            simulation.spawn(f"P{number}", partial(plan_on, world, number, share + (number < more)), may_crash=False)
        for number in range(swarm.enactors):
            start = partial(serve, world, number)
            simulation.spawn(f"D{number}", start, restart=start)
        for number in range(swarm.verifiers):
            start = partial(verify, world, number)
            simulation.spawn(f"V{number}", start, restart=start)
        simulation.spawn("weather", partial(blow, world), may_crash=False)
        simulation.spawn("network", partial(carry, world), may_crash=False)
        simulation.spawn("operator", partial(withdraw, world), may_crash=False)
        simulation.spawn("stranger", partial(meddle, world), may_crash=False)
        simulation.after_effect(partial(look, world), reads=(f"zone {ZONE}", f"history {ZONE}"))
        simulation.at_end(partial(look_at_the_end, world))
        if tell is not None and notes is not None:
            tell.clear()
            chronicle = Chronicle(notes, world.keys, {}, world.primary.contents, tell)
            simulation.after_effect(lambda move: chronicle.hear(move, world.primary.contents), reads=())

    return set_up
