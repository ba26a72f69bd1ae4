"""The judge can say no: testimony of a campaign without a fault is let through, and each doctored one is caught."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.history import Entry, PlanState
from dnsguard.core.plan import Absence, Change, Wanted
from dnsguard.core.records import Key, Records
from tests.campaigns.judge import judge
from tests.campaigns.testimony import FenceLook, Look, Reply, Testimony, Wish, reason_of
from tests.campaigns.wishes import contents

ZONE = "campaign.test."
HISTORY = "0123456789abcdef"
A, B, C = (Key(f"{name}.{ZONE}", "A") for name in "abc")
NS = Key(ZONE, "NS")
BEGUN = {NS: Records(300, (b"\3ns1\0",))}

# Generation 1 sets a and b, 2 replaces a, 3 (in parts) replaces a and b and sets c, 4 retires c, 5 rolls a back to 2.
WANTED: dict[int, dict[Key, Wanted]] = {
    1: {A: contents(11, "A"), B: contents(11, "A")},
    2: {A: contents(12, "A")},
    3: {A: contents(13, "A"), B: contents(13, "A"), C: contents(13, "A")},
    4: {C: Absence.RETIRED},
    5: {A: contents(12, "A")},
}
NUMBERS = {generation: generation + 10 for generation in WANTED}


def fence(generation: int, *, base: int = 0, done: int = 0) -> Fence:
    progress = Progress(base, done, 3) if done else None
    return Fence(HISTORY, generation, f"{generation:016x}", progress)


def fence_look(at: float, shown: Fence | None, observer: int = 0) -> FenceLook:
    return FenceLook(observer, shown, at, at + 0.1)


def look(at: float, key: Key, found: Records | None, before: Fence | None, after: Fence | None = None) -> Look:
    after = before if after is None else after
    return Look(key, found, fence_look(at, before), fence_look(at + 0.6, after), at + 0.3, at + 0.4)


def entry(generation: int, state: PlanState = PlanState.PUBLISHED) -> Entry:
    number = NUMBERS.get(generation, generation + 10)
    return Entry(ZONE, generation, "campaign", reason_of(number), 1.0, None, "", state, 2.0, None, 1)


def made_of(looks: Sequence[Look]) -> Testimony:
    wishes = {
        NUMBERS[generation]: Wish(NUMBERS[generation], "small", WANTED[generation]) for generation in (1, 2, 3, 4)
    }
    return Testimony(
        fences=tuple(each for one in looks for each in (one.before, one.after)),
        looks=tuple(looks),
        wishes=wishes | {15: Wish(15, "rollback", None, to=2), 16: Wish(16, "exact", {A: contents(16, "A")})},
        replies=(
            *(Reply(NUMBERS[generation], 202, generation * 10.0, generation, "accepted") for generation in WANTED),
            Reply(16, 412, 55.0),
        ),
        entries=tuple(entry(generation) for generation in WANTED),
        changes=tuple(Change(key, wanted, g) for g, plan in WANTED.items() for key, wanted in plan.items()),
        zone_at_begin=BEGUN,
        zone_at_end={**BEGUN, A: contents(12, "A"), B: contents(13, "A")},
        fence_at_end=fence(5),
        newest=5,
        converged_s=3.0,
    )


LOOKS = (
    look(1, A, None, None),
    look(11, A, contents(11, "A"), fence(1)),
    look(12, B, contents(11, "A"), fence(1)),
    look(21, A, contents(12, "A"), fence(2)),
    look(31, A, contents(13, "A"), fence(3, base=2, done=1)),
    look(32, B, contents(11, "A"), fence(3, base=2, done=1)),
    look(33, B, contents(13, "A"), fence(3, base=2, done=1), fence(3)),
    look(34, C, contents(13, "A"), fence(3)),
    look(41, C, None, fence(4)),
    look(51, A, contents(12, "A"), fence(5)),
)
HONEST = made_of(LOOKS)


def with_look(one: Look) -> Testimony:
    """Put one more look into the honest testimony."""
    return made_of(sorted((*LOOKS, one), key=lambda each: each.sent))


def without_plan(generation: int) -> Testimony:
    """Take a plan out of the history, all of it."""
    return replace(
        HONEST,
        entries=tuple(each for each in HONEST.entries if each.generation != generation),
        changes=tuple(each for each in HONEST.changes if each.generation != generation),
    )


def with_reply(reply: Reply) -> Testimony:
    return replace(HONEST, replies=(*HONEST.replies, reply))


def at_end(**changed: Records | None) -> Testimony:
    """Show another zone at the end; an RRset that is None is not in it."""
    zone = {**HONEST.zone_at_end, **{Key(f"{name}.{ZONE}", "A"): found for name, found in changed.items()}}
    return replace(HONEST, zone_at_end={key: found for key, found in zone.items() if found is not None})


def rewritten(generation: int, key: Key, wanted: Records) -> Testimony:
    """Let the history say something else of one RRset than the planner asked for, unseen by any observer."""
    changes = tuple(
        replace(each, wanted=wanted) if (each.generation, each.key) == (generation, key) else each
        for each in HONEST.changes
    )
    return replace(HONEST, changes=changes, looks=(), zone_at_end={**HONEST.zone_at_end, key: wanted})


def answered_unchanged(wanted: dict[Key, Wanted]) -> Testimony:
    """Let one more wish be answered with "unchanged", at generation 4."""
    reply = Reply(17, 200, 58.0, 4, "published", unchanged=True)
    return replace(with_reply(reply), wishes={**HONEST.wishes, 17: Wish(17, "small", wanted)})


def test_an_honest_campaign_is_let_through() -> None:
    assert judge(HONEST) == []
    assert judge(answered_unchanged({C: Absence.RETIRED, B: contents(13, "A")})) == []


DOCTORED = {
    "an old RRset under a newer fence": (1, with_look(look(25, A, contents(11, "A"), fence(2)))),
    "an old RRset while the fence moves": (1, with_look(look(35, A, contents(11, "A"), fence(3), fence(4)))),
    "an RRset that goes back": (2, with_look(look(35, B, contents(11, "A"), fence(3)))),
    "a newer RRset than the fence says": (1, with_look(look(25, A, contents(13, "A"), fence(2)))),
    "a part that is not written yet": (1, with_look(look(31.5, A, contents(12, "A"), fence(3, base=2, done=1)))),
    "an empty answer": (3, with_look(look(25, A, None, fence(2)))),
    "an empty answer while the fence moves": (3, with_look(look(35, A, None, fence(3), fence(4)))),
    "an empty answer before its retirement": (3, with_look(look(36, C, None, fence(3)))),
    "an answer from no plan at all": (7, with_look(look(25, A, contents(99, "A"), fence(2)))),
    "a fence that goes down": (2, with_look(look(35, B, contents(11, "A"), fence(2)))),
    "a fence that goes back a part": (2, with_look(look(33.7, B, contents(11, "A"), fence(3, base=2, done=1)))),
    "a fence that is gone": (2, replace(HONEST, fences=(*HONEST.fences, FenceLook(1, None, 60.0, 60.1)))),
    "a fence that cannot be read": (2, replace(HONEST, fences=(*HONEST.fences, FenceLook(1, None, 60.0, 60.1, "v=2")))),
    "a lost plan": (4, without_plan(2)),
    "a lost plan whose generation is another's now": (
        4,
        replace(HONEST, entries=(*HONEST.entries[:3], replace(entry(4), reason="plan 77"), entry(5))),
    ),
    "a doubled plan": (
        4,
        replace(HONEST, entries=(*HONEST.entries, replace(entry(6), reason=reason_of(NUMBERS[2]))), newest=5),
    ),
    "a plan answered as two generations": (4, with_reply(Reply(NUMBERS[2], 202, 60.0, 3, "accepted"))),
    "a change answered as unchanged": (4, answered_unchanged({A: contents(12, "A")})),
    "a refused plan in the history": (4, replace(HONEST, entries=(*HONEST.entries, entry(6)), newest=5)),
    "a plan of nobody's in the history": (
        7,
        replace(HONEST, entries=(*HONEST.entries, replace(entry(6), reason="plan 77")), newest=5),
    ),
    "a plan that never settles": (
        4,
        replace(HONEST, entries=(*HONEST.entries[:4], entry(5, PlanState.ACCEPTED))),
    ),
    "a plan rejected without a reason": (
        4,
        replace(HONEST, entries=(*HONEST.entries[:4], entry(5, PlanState.REJECTED))),
    ),
    "a plan told to be published too early": (4, with_reply(Reply(NUMBERS[4], 200, 20.0, 4, "published"))),
    "a plan that says something else than was asked": (7, rewritten(3, B, contents(14, "A"))),
    "a rollback to something else than stood": (7, rewritten(5, A, contents(11, "A"))),
    "no convergence": (6, replace(HONEST, converged_s=None)),
    "convergence after too long": (6, replace(HONEST, converged_s=10.5)),
    "a fence below the newest at the end": (6, replace(HONEST, fence_at_end=fence(4))),
    "an old RRset at the end": (1, at_end(b=contents(11, "A"))),
    "an RRset missing at the end": (1, at_end(b=None)),
    "an RRset of nobody's at the end": (1, at_end(d=contents(99, "A"))),
    "what no plan named gone at the end": (
        1,
        replace(HONEST, zone_at_end={A: contents(12, "A"), B: contents(13, "A")}),
    ),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_doctored_testimony_is_caught(name: str) -> None:
    number, doctored = DOCTORED[name]
    assert number in {violation.number for violation in judge(doctored)}
