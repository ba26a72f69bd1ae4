"""The planners of a simulated world: plan after plan, each until there is an answer, and now and then a wrong one.
What they were promised they note, so that it can be held against what becomes of it.
"""

from collections.abc import Mapping
from dataclasses import replace

from dnsguard.core.history import Accepted, StoreUnavailable, Submission, Unchanged
from dnsguard.core.plan import Absence, Plan, Wanted, make_plan, state_at
from dnsguard.core.records import Key, Records
from dnsguard.lab.simulate.slips import ACTS, Slip, Slipping
from dnsguard.lab.simulate.world import ADDRESSES, TRIES_MAX, ZONE, World, mail_of, mail_to
from dnsguard.workers.planner import Planner

JUST_THEN = 0.3
"""How often a planner comes just when somebody, a verifier for instance, has listed the zone."""


async def plan_on(world: World, planner_number: int, plans: int) -> None:
    """Submit plans, each under one idempotency key."""
    draw, swarm = world.draw, world.swarm
    slips = list(swarm.slips) if planner_number == 0 else []
    who = f"P{planner_number}"
    for number in range(plans):
        await world.simulation.pause(draw.uniform(0, swarm.storm_s / plans))
        if swarm.verifiers and draw.random() < JUST_THEN:
            await world.storm.until(world.storm.listed)
        now = number == plans - 1 or draw.random() < 0.5
        if slips and now and await _slip(world, who, number, slips[0]):
            del slips[0]
        newest = world.history.zone.newest
        rrsets = _with_mail(_wanted(world, newest)) if swarm.mail else _wanted(world, newest)
        based_on = newest if draw.random() < 0.3 else None
        adopt = draw.random() < 0.2
        for taken in rrsets if adopt else ():
            world.adopting.add(taken)
            world.theirs.pop(taken, None)
        plan = make_plan(ZONE, rrsets, based_on=based_on, adopt=adopt)
        await _submit(world, who, f"plan {number}", Slip(plan))
        if draw.of("again").random() < swarm.again:
            await _submit(world, who, f"plan {number} again", Slip(replace(plan, based_on=None)))
    world.planners_done += 1


async def _slip(world: World, who: str, number: int, kind: str) -> bool:
    """Submit a plan that should be refused; return whether there is one to submit yet."""
    newest = world.history.zone.newest
    standing = state_at(world.changes(), newest)
    facts = Slipping(ZONE, world.keys, newest, {k: standing[k] for k in world.keys if k in standing}, world.policy)
    slip = ACTS[kind](facts)
    if slip is not None:
        await _submit(world, who, f"slip {number}", slip)
    return slip is not None


async def _submit(world: World, who: str, key: str, slip: Slip) -> None:
    plan = slip.plan
    submission = Submission(plan, who, world.now(), f"{who} {key}", key.encode())
    for _ in range(TRIES_MAX):
        store, publisher = world.ends(who)
        theirs, newest = dict(world.theirs), world.history.zone.newest
        try:
            answer = await Planner(store, publisher, world.guards, world.policy).submit(submission)
        except StoreUnavailable:
            await world.simulation.pause(world.draw.uniform(0, 1))
            continue
        if isinstance(answer, Unchanged):
            world.unchanged_at.add(answer.generation)
            world.unchanged.append((answer.generation, plan))
            if not answer.repeated and newest > answer.generation:
                world.unchanged.append((newest, plan))  # it was so when the request came, not only at some time before
        if isinstance(answer, Accepted):
            world.acknowledged.append(answer.generation)
            unknown = slip.shows_on_the_wire and (answer.repeated or publisher.looked_at is None)
            hopeless = None if unknown else slip.hopeless
            if not answer.repeated and not plan.adopt:
                still = {key: records for key, records in theirs.items() if world.theirs.get(key) == records}
                hopeless = hopeless or _in_the_way(plan, publisher.looked_at or {}, still)
            if hopeless is not None:
                world.hopeless[answer.generation] = hopeless
        break


def _in_the_way(plan: Plan, looked_at: Mapping[Key, Records], theirs: Mapping[Key, Records]) -> str | None:
    """Say what of somebody else's the planner itself saw where its plan wants something else."""
    for key, wanted in plan.rrsets:
        if isinstance(wanted, Records):
            for other in (key, Key(key.name, "CNAME")):
                found = looked_at.get(other)
                if found is not None and found == theirs.get(other) and found != wanted:
                    return f"{other} was somebody else's, as the planner had seen"
    return None


def _with_mail(rrsets: Mapping[Key, Wanted]) -> dict[Key, Wanted]:
    """Add the MX of each address: it comes and goes with it."""
    mail = {mail_of(key): mail_to(key) if isinstance(wanted, Records) else wanted for key, wanted in rrsets.items()}
    return {**rrsets, **mail}


def _wanted(world: World, newest: int) -> dict[Key, Wanted]:
    draw, swarm = world.draw, world.swarm
    if newest and draw.random() < swarm.rollback:
        to = draw.randrange(max(1, world.history.zone.kept_from), newest + 1)
        found = state_at(world.changes(), to)
        old: dict[Key, Wanted] = {key: found[key] for key in world.keys if key in found}
        if old:
            return old
    rrsets: dict[Key, Wanted] = {}
    for key in world.keys:
        if draw.random() < 0.7 or not rrsets:
            world.plans_made += 1
            rrsets[key] = ADDRESSES[world.plans_made % len(ADDRESSES)]
            if draw.random() < swarm.retire and key in world.history.changes:
                rrsets[key] = Absence.RETIRED
    return rrsets
