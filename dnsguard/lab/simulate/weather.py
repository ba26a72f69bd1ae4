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
        if swarm.mute and draw.of("mute").random() < swarm.mute:
            name = draw.of("mute").choice(world.keys).name
            _turn_mute(world, name, mute=name not in primary.unreadable)
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
    for name in () if swarm.mute_for_good else tuple(primary.unreadable):
        _turn_mute(world, name, mute=False)
    storm.end()


def _turn_mute(world: World, name: str, *, mute: bool) -> None:
    """Have the primary answer no questions about a name, or answer them again."""
    unreadable = {each: why for each, why in world.primary.unreadable.items() if each != name}
    world.primary.unreadable = unreadable | ({name: "the server answered SERVFAIL"} if mute else {})
    said = "answers no more questions about" if mute else "answers questions again about"
    world.storm.note("the primary", TOLD, f"{said} {name.partition('.')[0]}")


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
