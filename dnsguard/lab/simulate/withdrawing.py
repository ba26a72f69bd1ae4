"""The operator of a simulated world who takes plans back, some of them while a message with them is in flight.
Whether it came in time the history says; `verdicts` holds that against what was shown.
"""

from dnsguard.core.history import GenerationUnknown, StoreUnavailable
from dnsguard.lab.simulate.world import OPERATOR, TRIES_MAX, ZONE, World

WITHDRAWER = "W"
JUST_THEN = 0.6
"""How often it acts just when the zone has changed: then messages are in flight."""


async def withdraw(world: World) -> None:
    """Withdraw one of the newest plans now and then."""
    draw, swarm = world.draw, world.swarm
    store, _ = world.ends(WITHDRAWER)
    for _ in range(swarm.withdrawals):
        await world.simulation.pause(draw.uniform(0, 2 * swarm.storm_s / swarm.withdrawals))
        if draw.random() < JUST_THEN:
            await world.storm.until(world.storm.written)
        newest = world.history.zone.newest
        generation = newest - draw.randrange(3)
        for _ in range(TRIES_MAX if generation > 0 else 0):
            try:
                await store.withdraw(ZONE, generation, "withdrawn by an operator", OPERATOR, world.now())
            except GenerationUnknown:
                break
            except StoreUnavailable:
                await world.simulation.pause(draw.uniform(0, 1))
                continue
            break
    world.withdrawers_done = True
