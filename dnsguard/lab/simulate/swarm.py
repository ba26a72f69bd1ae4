"""What goes wrong in a simulated world, drawn from a seed: which kinds of fault, how often, and how badly.
Not every world has every fault: a world in which all goes wrong at once hides what one fault alone would show.
"""

from dataclasses import dataclass, replace
from random import Random

HOUR_S = 3_600.0

STRANGERS = (
    "address",
    "alias",
    "squatter",
    "junk fence",
    "hidden fence",
    "no node",
    "hand flip",
    "hasty flip",
    "hasty flip",
    "hasty restore",
    "hasty restore",
    "old database",
    "adoption",
    "delegation",
)
MEDDLINGS = ("overwrite", "erase", "shorter TTL", "bring back", "guest", "hand flip", "rival", "hasty restore")
"""What a verifier may find: more of it where there is one."""
SLIPS = (
    "empty",
    "too many",
    "foreign zone",
    "forged fence",
    "own SOA",
    "no NS",
    "retired",
    "long TTL",
    "two aliases",
    "too large",
    "old number",
    "stale",
    "alias beside address",
    "apex DNAME",
    "delegation",
    "orphaned DS",
    "wildcard delegation",
)


@dataclass(frozen=True, slots=True)
class Swarm:
    """The settings of one world. Chances are per effect, times in virtual seconds."""

    layout: str
    enactors: int
    planners: int
    names: int
    plans: int
    keep: int
    message_rrsets_max: int
    storm_s: float
    """How long faults go on; then they stop, and the world must converge."""
    crashes_max: int
    losses_max: int
    crash_weight: float
    loss_weight: float
    pause: float
    pause_s_max: float
    late: float
    """The message is delivered later, and its sender told that nobody knows."""
    doubled: float
    refused: float
    store_before: float
    """The store fails and nothing is written."""
    store_after: float
    """The store fails and all is written."""
    away: float
    """Of the weather's turns: the primary goes away, or comes back."""
    poisoned: float
    """Of the weather's turns: the primary cannot hold some contents, or can again."""
    restored: float
    """Of the weather's turns: the primary is restored from a backup."""
    clock_jump_s_max: float
    clean_first: float
    """A clean-up comes whenever its own loop comes round: so often before what there is to publish."""
    strangers: tuple[str, ...]
    """What others do to the zone or the database past dnsguard, in this order (see `strangers`)."""
    slips: tuple[str, ...]
    """Plans that no planner should ever submit, before its usual ones (see `slips`)."""
    retiring: bool
    """Whether the zone's policy lets RRsets be retired."""
    rollback: float
    """Of the planners' turns: an operator goes back to older contents."""
    retire: float
    verifiers: int
    """How many verifiers compare the zone with the history, each in a daemon of its own."""
    verify: str
    """What they do with differences; the policy's word."""
    again: float
    """Of the planners' plans: the same is submitted once more, as another request."""
    mail: bool
    """Whether each address has an MX that points at it, and the primary refuses one that points at nothing."""
    withdrawals: int
    """How often an operator withdraws a plan."""
    mute: float
    """Of the weather's turns: a name stops answering questions, or answers again."""
    mute_for_good: bool
    """Whether names that do not answer when the storm is over never will; a verifier would repair there for ever."""


def swarm(seed: int) -> Swarm:
    """Draw the settings of a world."""
    draw = Random(f"swarm {seed}")  # noqa: S311  a simulation, no secret

    def sometimes(chance: float, low: float, high: float) -> float:
        return draw.uniform(low, high) if draw.random() < chance else 0.0

    apart = Random(f"swarm {seed}: withdrawals and names that do not answer")  # noqa: S311  a simulation, no secret
    retiring = draw.random() < 0.85
    verifiers = draw.choice((0, 0, 1, 1, 2))
    strangers = [draw.choice(STRANGERS) for _ in range(draw.choice((0, 0, 1, 1, 3)))]
    strangers += [draw.choice(MEDDLINGS) for _ in range(draw.choice((0, 1, 2, 4)))] if verifiers else []
    draw.shuffle(strangers)
    drawn = Swarm(
        layout=draw.choice(("inline", "versioned")),
        enactors=draw.choice((1, 2, 2, 3)),
        planners=draw.choice((1, 1, 2)),
        names=draw.choice((1, 2, 3)),
        plans=draw.randrange(2, 7),
        keep=draw.choice((1, 1, 2, 5)),
        message_rrsets_max=draw.choice((1, 2, 300)),
        storm_s=draw.choice((5.0, 30.0, 120.0)),
        crashes_max=draw.choice((0, 0, 1, 3)),
        losses_max=draw.choice((0, 1, 4)),
        crash_weight=draw.uniform(0.02, 0.2),
        loss_weight=draw.uniform(0.05, 0.5),
        pause=sometimes(0.6, 0.02, 0.3),
        pause_s_max=draw.choice((2.0, 60.0, 6 * HOUR_S)),
        late=sometimes(0.4, 0.02, 0.2),
        doubled=sometimes(0.4, 0.02, 0.3),
        refused=sometimes(0.3, 0.02, 0.15),
        store_before=sometimes(0.3, 0.02, 0.15),
        store_after=sometimes(0.3, 0.02, 0.15),
        away=sometimes(0.3, 0.2, 0.6),
        poisoned=sometimes(0.3, 0.2, 0.6),
        restored=sometimes(0.25, 0.1, 0.5),
        clock_jump_s_max=draw.choice((0.0, 0.0, 5.0, 24 * HOUR_S)),
        clean_first=sometimes(0.5, 0.05, 0.5),
        strangers=tuple(strangers),
        slips=("retired",) * (not retiring) + tuple(draw.choice(SLIPS) for _ in range(draw.choice((0, 0, 1, 2)))),
        retiring=retiring,
        rollback=sometimes(0.4, 0.05, 0.4),
        retire=sometimes(0.5, 0.05, 0.3) if retiring else 0.0,
        verifiers=verifiers,
        verify=draw.choice(("report", "repair", "repair")),
        again=sometimes(0.4, 0.2, 0.7),
        mail=False,
        withdrawals=apart.choice((0, 0, 0, 1, 2, 3)),
        mute=apart.choice((0.0, 0.0, 0.0, 0.4, 0.8)),
        mute_for_good=apart.random() < 0.5 and not verifiers,
    )
    if drawn.layout != "inline" or drawn.strangers or drawn.verifiers:
        return drawn  # nobody but the planners changes a target past its MX
    mail = draw.random() < 0.7
    return replace(drawn, mail=mail, slips=(*drawn.slips, *(("large cycle",) * (mail and draw.random() < 0.5))))
