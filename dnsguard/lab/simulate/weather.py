"""The weather and the network of a simulated world: what changes by itself, and messages that come late.
Both end: then everything must converge.
"""

from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.simulate.storm import TOLD
from dnsguard.lab.simulate.world import ADDRESSES, ZONE, World


async def blow(world: World) -> None:
    """Be the weather: change it now and then, and end it."""
    draw, swarm, primary, storm = world.draw, world.swarm, world.primary, world.storm
    backup = primary.contents
    turns = 6
    for _ in range(turns):
        await world.simulation.pause(draw.uniform(0, 2 * swarm.storm_s / turns))
        if draw.random() < swarm.away:
            primary.away = not primary.away
            storm.note("the primary", TOLD, "is away" if primary.away else "is back")
        if draw.random() < swarm.poisoned:
            last = world.plans_made % len(ADDRESSES)
            ahead = {ADDRESSES[(last + each) % len(ADDRESSES)].rdatas[0] for each in range(1, 4)}
            storm.poison = frozenset() if storm.poison else frozenset(ahead)
            storm.note(
                "the primary", TOLD, "cannot hold some contents" if storm.poison else "can hold all contents again"
            )
        if draw.random() < swarm.restored:
            await world.simulation.gate.pass_through("restore", writes=(f"zone {ZONE}",))
            world.put_back(backup)
            storm.note("the primary", TOLD, "is restored from a backup")
        elif draw.random() < 0.3:
            backup = primary.contents
        world.clock_jump_s += draw.uniform(-1, 1) * swarm.clock_jump_s_max
    if primary.away:
        storm.note("the primary", TOLD, "is back")
    primary.away, storm.poison = False, frozenset()
    storm.end()


async def carry(world: World) -> None:
    """Be the network: deliver what is late, in any order, until nothing more can come."""
    primary = MemoryPublisher(world.primary, world.simulation.gate)
    storm = world.storm
    while not (storm.calm and not storm.late):
        await world.simulation.pause(world.draw.uniform(0.05, 4.0))
        if storm.late:
            message = storm.late.pop(world.draw.randrange(len(storm.late)))
            outcome = await primary.publish(message)
            storm.note("a message that comes late", "publish", message, outcome)
