"""What others do past dnsguard: put records where nobody manages any, overwrite the fence, delete a node, flip an
alias by hand, restore the database from a backup. Afterwards an operator settles what only a person can settle.
Each act is one effect, and leaves a note of what must hold from then on.
"""

from asyncio import Event
from collections.abc import Callable, Sequence
from copy import deepcopy

from dnsguard.core.fence import fence_key
from dnsguard.core.history import Accepted, StoreUnavailable, Submission
from dnsguard.core.layout import alias_to, node_of, target_of
from dnsguard.core.names import fence_name, name_wire
from dnsguard.core.plan import make_plan
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.primary import Contents
from dnsguard.lab.simulate.slips import DIGEST
from dnsguard.lab.simulate.storm import TOLD
from dnsguard.lab.simulate.world import DELEGATION, NEW_ZONE, SIGNED, ZONE, World
from dnsguard.workers.adoption import Adoption, AdoptionRefused, Wish
from dnsguard.workers.planner import Planner
from dnsguard.workers.resync import Keep, ResyncRefused, resync

QUIET_LOOKS = 10
"""After how many looks without anything to settle the operator leaves: longer than any daemon waits to look again."""

HASTY_MAX = 20
"""How many moments somebody waits for who wants to do something just then."""

OPERATOR = "the operator"
THEIRS = parse_records("A", 60, ["203.0.113.7"])
ELSEWHERE = Records(60, (name_wire("elsewhere.test."),))
SHORT_TTL_S = 7
OLD_BACKUP = 0.7
"""How often it is an old backup from which somebody restores."""
DELEGATION_ENDS = 0.7
"""How often a delegation goes before the DS beside it is published."""
PERSISTENCE = 5
RIVAL_MAX, RIVAL_PAUSE_S_MAX = 6, 600.0
PATIENT = frozenset({"overwrite", "erase", "shorter TTL", "bring back", "guest", "hand flip"})
"""What is done when somebody has just listed the zone, in half of the cases: it is then that what was seen is no
longer so."""
AWAY = parse_records("NS", 60, ["ns.elsewhere.test."])
JUNK = parse_records("TXT", 60, ['"somebody was here"'])


async def meddle(world: World) -> None:
    """Do what the swarm says, one thing after the other."""
    backup = deepcopy(world.history)
    for kind in world.swarm.strangers:
        await world.simulation.pause(world.draw.uniform(0, world.swarm.storm_s))
        if kind == "old database":
            await _restore_database(world, deepcopy(backup))
        elif kind == "hasty restore":
            await _after_records(world)
        elif kind == "rival":
            await _rival(world)
        elif kind == "adoption":
            await _adopt(world)
        elif kind == "delegation":
            await _sign_delegation(world)
        elif kind == "hasty flip" or (kind in PATIENT and world.draw.random() < 0.5):
            await _just_after(world, world.storm.listed, kind)
        elif kind == "no node" and world.swarm.layout == "versioned":
            await _just_after(world, world.storm.written, kind)
        else:
            await _persist(world, kind)
        backup = deepcopy(world.history)
    while not world.storm.calm:
        await world.simulation.pause(5.0)
    if world.contested:
        await _act(world, "leave")
    await _settle_halts(world)


async def _act(world: World, kind: str) -> bool:
    await world.simulation.gate.pass_through(f"stranger: {kind}", reads=_all(), writes=_all())
    contents = dict(world.primary.contents)
    done = _ACTS[kind](world, contents)
    if done:
        world.primary.contents = contents
        world.settle_views()
        world.storm.written.set()
        world.storm.note("a stranger", TOLD, SAID[kind])
    return done


async def _just_after(world: World, event: Event, kind: str) -> None:
    """Do it, as soon as that is possible, just when the zone was listed, by a clean-up or a verifier, or changed."""
    for _ in range(HASTY_MAX):
        await world.storm.until(event)
        if world.storm.calm:
            return
        if await _act(world, kind):
            return


async def _persist(world: World, kind: str) -> None:
    """Do it as soon as that is possible, for patient kinds; now or never otherwise."""
    while not await _act(world, kind) and kind in PATIENT and not world.storm.calm:
        await world.simulation.pause(world.draw.uniform(0, world.swarm.storm_s / PERSISTENCE))


async def _adopt(world: World) -> None:
    """Be an operator who takes over the zone as it stands: what was somebody else's is dnsguard's from then on."""
    store, publisher = world.ends(OPERATOR)
    adoption = Adoption(store, publisher, world, world.guards, world.policy)
    world.adopting |= world.theirs.keys()
    world.theirs = {}
    try:
        adopted = await adoption.adopt(Wish(ZONE, None), "operator", dry_run=False)
    except (AdoptionRefused, StoreUnavailable):
        return
    world.acknowledged += adopted.generations


async def _sign_delegation(world: World) -> None:
    """Delegate a name, have an operator's plan sign it, and perhaps take the NS away before the DS is published."""
    if not await _act(world, "delegation"):
        return
    store, publisher = world.ends(OPERATOR)
    plan = make_plan(ZONE, {SIGNED: DIGEST})
    submission = Submission(plan, "operator", world.now())
    try:
        answer = await Planner(store, publisher, world.guards, world.policy).submit(submission)
    except StoreUnavailable:
        return
    if isinstance(answer, Accepted):
        world.acknowledged.append(answer.generation)
    if world.draw.random() < DELEGATION_ENDS:
        await _act(world, "delegation ends")


async def _rival(world: World) -> None:
    """Change the same thing back again and again, as another automation does that means to manage it."""
    for _ in range(RIVAL_MAX):
        await _act(world, "overwrite")
        await world.simulation.pause(world.draw.uniform(0, RIVAL_PAUSE_S_MAX))


async def _after_records(world: World) -> None:
    """Restore the primary from its last backup, just when something newer is on record as published; or from an old
    one, just when clean-up might forget what that has.
    """
    storm, backup = world.storm, world.primary.contents
    reach = world.policy.history_generations_min if (old := world.draw.random() < OLD_BACKUP) else 0
    for _ in range(HASTY_MAX):
        await storm.until(storm.recorded)
        if storm.calm:
            return
        before, now = (seen_in(ZONE, contents).fence for contents in (backup, world.primary.contents))
        if before is not None and now is not None and before.base < now.base - reach and world.junk is None:
            await world.simulation.gate.pass_through("stranger: hasty restore", writes=(f"zone {ZONE}",))
            world.put_back(backup)
            storm.note("a stranger", TOLD, f"restores the primary from {'an old' if old else 'its last'} backup")
            return
        if before is None or not old:
            backup = world.primary.contents


def _all() -> tuple[str, ...]:
    return (f"zone {ZONE}", f"history {ZONE}", f"record {ZONE}")


def _free(world: World, contents: Contents) -> list[Key]:
    """Return the RRsets at names that hold nothing and that dnsguard has never published."""
    used = {key.name for key in contents}
    return [
        key
        for key in world.keys
        if key.name not in used
        and (key not in world.history.heads or world.history.heads[key].live is None)
        and not world.is_under_way(key)
    ]


def _put_address(world: World, contents: Contents) -> bool:
    for key in _free(world, contents)[:1]:
        contents[key] = THEIRS
        world.strange |= {THEIRS}
        world.visited.add(key.name)
        if key not in world.adopting:
            world.theirs[key] = THEIRS
        return True
    return False


def _put_alias(world: World, contents: Contents) -> bool:
    for key in _free(world, contents)[-1:]:
        alias = Key(key.name, "CNAME")
        contents[alias] = ELSEWHERE
        world.theirs[alias] = ELSEWHERE
        world.visited.add(key.name)
        return True
    return False


def _junk_fence(world: World, contents: Contents) -> bool:
    contents[fence_key(ZONE)] = JUNK
    world.junk = JUNK
    return True


def _hide_fence(_: World, contents: Contents) -> bool:
    """Delegate the fence's name away: no ordinary question finds the fence any more."""
    contents[Key(fence_name(ZONE), "NS")] = AWAY
    return True


def _delegate(world: World, contents: Contents) -> bool:
    if any(key.name == DELEGATION.name for key in (*contents, *world.history.changes)):
        return False
    contents[DELEGATION] = world.theirs[DELEGATION] = ELSEWHERE
    world.visited.add(DELEGATION.name)
    return True


def _undelegate(world: World, contents: Contents) -> bool:
    """Take the delegation away again while no DS stands beside it, and nobody has taken it over."""
    if SIGNED in contents or world.theirs.pop(DELEGATION, None) is None or DELEGATION in world.history.changes:
        return False
    return contents.pop(DELEGATION, None) is not None


def _squat(world: World, contents: Contents) -> bool:
    """Restore the primary to what it was before dnsguard came, and take a name that is on record as published."""
    heads = world.history.heads
    for key in world.keys:
        if key in heads and heads[key].live is not None and heads[key].held and not world.theirs:
            contents.clear()
            contents.update(NEW_ZONE | {Key(key.name, "CNAME"): ELSEWHERE})
            world.put_back(contents)
            world.contested.add(key)
            world.visited.add(key.name)
            return True
    return False


def _leave(world: World, contents: Contents) -> bool:
    for key in world.contested:
        alias = Key(key.name, "CNAME")
        if contents.get(alias) == ELSEWHERE:
            del contents[alias]
        if key == SIGNED:
            contents.setdefault(DELEGATION, ELSEWHERE)
    return True


def _no_node(_: World, contents: Contents) -> bool:
    """Delete the records of a node to which no alias points."""
    named = {target_of(records) for key, records in contents.items() if key.type == "CNAME"}
    for key in sorted(contents, reverse=True):
        if node_of(key.name) is not None and key.name not in named:
            del contents[key]
            return True
    return False


def _hasty_flip(world: World, contents: Contents) -> bool:
    """Point an alias back at just such a node as a clean-up takes away: one that no alias names."""
    named = {target_of(records) for key, records in contents.items() if key.type == "CNAME"}
    return _hand_flip(world, contents, [key for key in sorted(contents) if key.name not in named])


def _hand_flip(world: World, contents: Contents, keys: Sequence[Key] | None = None) -> bool:
    """Point an alias back at an older node that is still there, as an operator in a hurry does."""
    for key in sorted(contents) if keys is None else keys:
        place = node_of(key.name)
        alias = None if place is None else Key(place[1], "CNAME")
        if alias is not None and target_of(contents.get(alias)) not in {None, key.name}:
            contents[alias] = alias_to(key.name, 60)
            _touched(world, Key(alias.name, "A"))
            return True
    return False


def _touched(world: World, key: Key) -> None:
    """Note that what stands at an RRset is not what dnsguard put there, until something newer is published."""
    world.by_hand[key] = world.history.zone.newest
    world.visited.add(key.name)


def _published(world: World, contents: Contents, *, held: bool = True) -> list[tuple[Key, Key]]:
    """Return the RRsets that are on record as published, and where the records of each stand."""
    found = []
    for key in world.keys:
        head = world.history.heads.get(key)
        if head is not None and head.live is not None and head.held == held:
            place = Key(target_of(contents.get(Key(key.name, "CNAME"))) or key.name, key.type)
            if (place in contents) == held:
                found.append((key, place))
    return found


def _overwrite(world: World, contents: Contents) -> bool:
    for key, place in _published(world, contents)[:1]:
        if contents[place] == THEIRS:
            continue
        contents[place] = THEIRS
        world.strange |= {THEIRS}
        _touched(world, key)
        return True
    return False


def _erase(world: World, contents: Contents) -> bool:
    """Delete the records of a published RRset, or the alias that leads to them."""
    for key, place in _published(world, contents)[-1:]:
        alias = Key(key.name, "CNAME")
        del contents[alias if place.name != key.name and world.draw.random() < 0.5 else place]
        _touched(world, key)
        return True
    return False


def _shorter_ttl(world: World, contents: Contents) -> bool:
    for key, place in _published(world, contents)[:1]:
        contents[place] = Records(SHORT_TTL_S, contents[place].rdatas)
        _touched(world, key)
        return True
    return False


def _bring_back(world: World, contents: Contents) -> bool:
    """Put an address where dnsguard has published that there is none any more."""
    for key, place in _published(world, contents, held=False):
        if place == key and all(found.name != key.name for found in contents):
            contents[key] = THEIRS
            world.strange |= {THEIRS}
            _touched(world, key)
            return True
    return False


def _guest(world: World, contents: Contents) -> bool:
    """Put a record of another type beside published ones: nobody's business but its owner's."""
    for key, place in _published(world, contents):
        beside = Key(key.name, "TXT")
        if place == key and beside not in contents:
            contents[beside] = world.theirs[beside] = JUNK
            world.visited.add(key.name)
            return True
    return False


_ACTS: dict[str, Callable[[World, Contents], bool]] = {
    "address": _put_address,
    "alias": _put_alias,
    "squatter": _squat,
    "leave": _leave,
    "junk fence": _junk_fence,
    "hidden fence": _hide_fence,
    "no node": _no_node,
    "hand flip": _hand_flip,
    "hasty flip": _hasty_flip,
    "overwrite": _overwrite,
    "erase": _erase,
    "shorter TTL": _shorter_ttl,
    "bring back": _bring_back,
    "guest": _guest,
    "delegation": _delegate,
    "delegation ends": _undelegate,
}
SAID = {
    "address": "puts an address of its own where dnsguard has published nothing",
    "alias": "puts an alias of its own where dnsguard has published nothing",
    "squatter": "restores the primary from before dnsguard, and takes a published name for an alias of its own",
    "leave": "goes out of the way of what dnsguard has published",
    "junk fence": "overwrites the fence",
    "hidden fence": "delegates the fence's name away",
    "no node": "deletes the records of a node to which no alias points",
    "hand flip": "points an alias back at an older node by hand",
    "hasty flip": "points an alias back at an older node by hand, just after a clean-up has listed the zone",
    "overwrite": "writes another address where dnsguard has published one",
    "erase": "deletes what dnsguard has published at a name",
    "shorter TTL": "changes the TTL of what dnsguard has published",
    "bring back": "puts an address where dnsguard has retired one",
    "guest": "puts a text beside what dnsguard has published",
    "delegation": "delegates a name of its own",
    "delegation ends": "takes its delegation away again",
}


async def _restore_database(world: World, backup: MemoryHistory) -> None:
    await world.simulation.gate.pass_through("stranger: old database", reads=_all(), writes=_all())
    world.restore_history(backup)
    world.storm.note("a stranger", TOLD, "restores the database from a backup")


async def _settle_halts(world: World) -> None:
    """Be the operator who looks once the storm is over, and settles what a person must."""
    await world.simulation.pause(world.swarm.pause_s_max)  # whoever is held up comes back within that
    quiet = 0
    while quiet < QUIET_LOOKS:
        store, publisher = world.ends(OPERATOR)
        await world.simulation.pause(world.draw.uniform(150, 300))
        quiet += 1
        if world.history.zone.halted is None:
            continue
        keep: Keep = "wire" if world.draw.random() < 0.5 else "store"
        try:
            generation = await resync(
                ZONE, keep, "operator", "", store=store, publisher=publisher, clock=world, guards=world.guards
            )
        except (ResyncRefused, StoreUnavailable):
            continue
        world.settled_by_operator(generation)
        quiet = 0
    world.operator_done = True
