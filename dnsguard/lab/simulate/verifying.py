"""The verifiers of a simulated world: the real one, now and then while there is a storm, and until all is as it should
be once there is none. What one finds where nobody can have done anything is a false alarm.
"""

from dnsguard.core.comparison import Verification
from dnsguard.core.history import StoreUnavailable
from dnsguard.lab.simulate.storm import TURN
from dnsguard.lab.simulate.world import TRIES_MAX, ZONE, World
from dnsguard.workers.step import Step
from dnsguard.workers.verifier import Verifier

LOOKS = 6
"""About how often a verifier looks while the storm goes on."""
JUST_THEN = 0.7
"""How often it looks just when the zone has changed."""
PAUSE_S_MAX = 400.0
"""How long a verifier waits at most from one look to the next once the storm is over."""
LEFT_ALONE = frozenset({"zone.verified", "difference.found", "repair.refused"})
"""What a verifier says that has nothing more to submit."""


async def verify(world: World, number: int) -> None:
    """Run a daemon's verifier until it leaves all as it is, twice."""
    who = f"V{number}"
    store, publisher = world.ends(who)
    verifier = Verifier(ZONE, store, publisher, world, world.guards, world.policy)
    quiet = tries = 0
    while quiet < 2 and tries < TRIES_MAX:
        await _come_round(world)
        settled, before = world.is_settled(), verifier.last
        tries += settled
        world.storm.note(who, TURN, "verifying")
        try:
            step = await verifier.run_once()
        except StoreUnavailable:
            step = None
        if verifier.last is not None and verifier.last is not before:
            world.false_alarm = world.false_alarm or _false_alarm(world, verifier.last)
        quiet = quiet + 1 if settled and _leaves_all(world, step) else 0
        if settled and verifier.resumes_at is not None:
            await world.simulation.pause(max(0.0, verifier.resumes_at - world.now()))
    world.verifiers_done += 1


async def _come_round(world: World) -> None:
    """Wait some time; while there is a storm, often just until the zone changes: then it may go on changing."""
    storm = world.storm
    pause_s = PAUSE_S_MAX if storm.calm else world.swarm.storm_s / LOOKS
    await world.simulation.pause(world.draw.uniform(0, 2 * pause_s))
    if not storm.calm and world.draw.random() < JUST_THEN:
        await storm.until(storm.written)


def _leaves_all(world: World, step: Step | None) -> bool:
    """Tell whether a verifier has compared the newest generation, and wants nothing changed."""
    return step is not None and step.event in LEFT_ALONE and step.generation in {None, world.history.zone.newest}


def _false_alarm(world: World, found: Verification) -> str | None:
    """Say what a verifier found that nobody did: no stranger, no backup, no primary that refuses contents."""
    swarm, history = world.swarm, world.history
    if world.restored or world.lost_history or world.settled_at != 0 or swarm.poisoned or swarm.refused:
        return None
    excused = {key.name for rrsets in history.turned_down.values() for key in rrsets}
    excused |= world.visited | {key.name for key in world.owed | world.contested}
    for finding in found.findings:
        if finding.key.name not in excused:
            return f"a verifier finds {finding.key} {finding.kind.value}, and nobody has changed anything there"
    return None
