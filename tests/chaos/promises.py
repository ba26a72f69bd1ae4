"""What clients were promised, and what became of it: nothing acknowledged is lost or doubled, what is told to be
published is, clean-up took nothing that a rollback needs, the zone heals, and each plan says what was asked for.
Part of the checker: it too knows the history only.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from tests.chaos.history import PRIMARY, UNCOVERED, Answered, Contents, Fence
from tests.chaos.place import Place, place
from tests.chaos.story import ON_THE_WIRE, Story, is_probe, standing
from tests.chaos.violation import Violation

CONVERGED_S_MAX = 10.0
_SETTLED = {"published", "superseded", "rejected", "faulted"}


def promises(story: Story, places: Mapping[Fence, Place]) -> Iterator[Violation]:
    """Yield what was promised and not kept; ``places`` are the primary's fences as read."""
    yield from _kept(story)
    yield from _as_asked(story)
    yield from _published_when_said(story, places)
    yield from _propagated_when_said(story)
    yield from _rollbacks_possible(story)
    yield from _asked_before_shown(story, places)
    yield from _healed(story, places)


def _kept(story: Story) -> Iterator[Violation]:
    """4: what was answered 2xx is in the history once and is settled in the end; what was refused is not there."""
    numbers: Counter[int] = Counter()
    for generation, listings in sorted(story.listed.items()):
        if len(reasons := {each.reason for each in listings}) > 1:
            yield Violation(4, f"generation {generation} was listed as several plans: {sorted(reasons)}")
        numbers.update({each.plan for each in listings if each.plan is not None})
        state, last = story.state_of(generation), listings[-1]
        if state not in _SETTLED and story.ended is not None:
            yield Violation(4, f"generation {generation} of {story.zone} is still {state} in the end", last.at)
        if state in {"rejected", "faulted"} and not any(each.why for each in listings):
            yield Violation(4, f"generation {generation} is {state}, and nothing says why", last.at)
    for plan, times in numbers.items():
        if times > 1:
            yield Violation(4, f"plan {plan} is in the history {times} times")
    told: dict[int, set[int]] = defaultdict(set)
    refused: dict[int, Answered] = {}
    unchanged: set[int] = set()
    for answer in story.answered:
        if answer.unchanged and answer.generation is not None:
            unchanged.add(answer.plan)
            yield from _unchanged(story, answer.plan, answer.generation)
        if answer.generation is None:
            refused[answer.plan] = answer
        else:
            told[answer.plan].add(answer.generation)
    for plan, generations in told.items():
        if len(generations) > 1:
            yield Violation(4, f"plan {plan} was answered as generations {sorted(generations)}")
        for generation in generations:
            listings = story.listed.get(generation, [])
            if not listings:
                yield Violation(4, f"plan {plan} was answered as generation {generation}, which is in no list")
            elif plan not in unchanged and all(each.plan != plan for each in listings):
                yield Violation(4, f"generation {generation} was told for plan {plan} and is {listings[0].reason!r}")
    yield from _refused_for_good(story, refused)


def _unchanged(story: Story, plan: int, generation: int) -> Iterator[Violation]:
    """4: the state at the generation with which "unchanged" was answered is what the plan wanted."""
    submitted = story.submitted.get(plan)
    wanted = {} if submitted is None or submitted.wanted is None else submitted.wanted
    found = {key: story.at(key, generation) for key in wanted}
    rejected = story.state_of(generation) == "rejected"
    if not rejected and any(standing(found[key]) != standing(wanted[key]) for key in wanted):
        yield Violation(4, f"plan {plan} was answered as unchanged since {generation}: {_unlike(found, wanted)}")


def _refused_for_good(story: Story, refused: Mapping[int, Answered]) -> Iterator[Violation]:
    """4: what was refused is not in the history.

    Unless it was asked for before, without an answer: a refusal of the second request says nothing of the first, which
    may still be under way. It does if the first was accepted already, as then the second is a repetition.
    """
    for generation, listings in story.listed.items():
        answer = next((refused[plan] for each in listings if (plan := each.plan) is not None and plan in refused), None)
        if answer is not None and (not answer.retried or story.known_by(generation) < answer.sent):
            yield Violation(
                4, f"plan {answer.plan} was refused with {answer.status}, and is in the history as {generation}"
            )


def _as_asked(story: Story) -> Iterator[Violation]:
    """7: each plan in the history was asked for, by somebody, and says what was asked for."""
    for generation, listings in story.listed.items():
        listed = listings[-1]
        if not listed.actor:
            yield Violation(7, f"of generation {generation} nobody knows by whom it is", listed.at)
        if listed.plan is None:
            if listed.reverts is None:
                yield Violation(7, f"generation {generation} ({listed.reason!r}) is nobody's plan", listed.at)
            continue
        submitted = story.submitted.get(listed.plan)
        if submitted is None:
            yield Violation(7, f"plan {listed.plan} is in the history, and nobody asked for it", listed.at)
            continue
        said = story.said.get(generation)
        if said is None or listed.state == "rejected":
            continue
        to = submitted.to
        wanted = submitted.wanted or {} if to is None else {key: story.at(key, to) for key in said}
        if said != wanted:
            yield Violation(
                7, f"generation {generation} is not what plan {listed.plan} asked for: {_unlike(said, wanted)}"
            )


def _published_when_said(story: Story, places: Mapping[Fence, Place]) -> Iterator[Violation]:
    """4: the primary's fence is past every plan of which a client was told that it is published."""
    told = sorted(
        (answer.at, answer.generation)
        for answer in story.answered
        if answer.generation is not None and answer.state in ON_THE_WIRE
    )
    newest = 0
    ahead = [(at, newest := max(newest, generation)) for at, generation in told]
    for look in story.fences.get(PRIMARY, ()):
        index = bisect_left(ahead, look.sent, key=lambda each: each[0])
        if index and places[look].base < ahead[index - 1][1]:
            said = (
                f"generation {ahead[index - 1][1]} was told to be published while {story.zone} stood at '{look.text}'"
            )
            yield Violation(4, said, look.received)


def _propagated_when_said(story: Story) -> Iterator[Violation]:
    """4: every secondary stands at or past a plan of which a client was told that it has propagated.

    Only lives count that began before the plan was asked for: one that began later may have been told of less, and
    which one was asked nobody outside knows.
    """
    asked = story.asked()
    told = sorted(
        (answer.at, answer.generation, asked.get(answer.generation, -1.0))
        for answer in story.answered
        if answer.generation is not None and answer.propagated
    )
    for server in sorted(story.fences.keys() - {PRIMARY}):
        lasts_s = story.handovers.get(server, 0.0)
        for since, until in story.lives(server):
            newest = 0
            ahead = [(at, newest := max(newest, generation)) for at, generation, when in told if when > since]
            for look in story.fences[server]:
                if look.sent < since or look.received > until or (at := place(look.text)) is None:
                    continue
                index = bisect_left(ahead, look.sent - lasts_s, key=lambda each: each[0])
                if index and at.base < ahead[index - 1][1]:
                    said = f"generation {ahead[index - 1][1]} was told to have propagated, and {server} showed {at}"
                    yield Violation(4, f"{said} of {story.zone}", look.received)


def _rollbacks_possible(story: Story) -> Iterator[Violation]:
    """5: what the API says that stood at a generation, after whatever clean-up did, is what stood."""
    for stood in story.stood:
        for key in sorted(set(story.keys) | stood.contents.keys()):
            was = story.at(key, stood.generation)
            now = stood.contents.get(key)
            if standing(was) != standing(now):
                said = f"{key} at generation {stood.generation} was {was} and is told as {now}"
                yield Violation(5, said)


def _asked_before_shown(story: Story, places: Mapping[Fence, Place]) -> Iterator[Violation]:
    """7: no generation is on the wire before its plan was asked for, and none that no list has."""
    begun = story.asked()
    missing: set[int] = set()
    for look in story.fences.get(PRIMARY, ()):
        generation = places[look].generation
        if generation in begun and look.received < begun[generation]:
            yield Violation(7, f"generation {generation} was on the wire before anybody asked for it", look.received)
        if generation and generation not in story.listed and generation not in missing:
            missing.add(generation)
            yield Violation(7, f"generation {generation} is on the wire and in no list", look.received)


def _healed(story: Story, places: Mapping[Fence, Place]) -> Iterator[Violation]:
    """6: after the last fault the zone comes in time to its newest generation; 1: and shows its state, all of it."""
    ended = story.ended
    if ended is None:
        return
    if ended.at is None or ended.at - ended.since > CONVERGED_S_MAX:
        took = "never" if ended.at is None else f"after {ended.at - ended.since:.1f} s"
        yield Violation(6, f"expected {story.zone} to converge within {CONVERGED_S_MAX:g} s, found it {took}")
    told = max((answer.generation or 0 for answer in story.answered), default=0)
    if ended.newest < told:
        yield Violation(4, f"generation {told} was acknowledged, and the newest one of {story.zone} is {ended.newest}")
    last = max(story.fences.get(PRIMARY, ()), key=lambda look: look.received, default=None)
    if last is not None and (places[last].generation, places[last].complete) != (ended.newest, True):
        yield Violation(6, f"the newest generation is {ended.newest}, and {story.zone} stands at '{last.text}'")
    expected = {
        key: contents for key, contents in story.first.items() if contents is not None and not is_probe(key, story.zone)
    }
    for key in story.keys:
        contents = story.at(key, ended.newest)
        if contents == UNCOVERED:
            continue
        expected.pop(key, None)
        if contents is not None:
            expected[key] = contents
    for server, shown in story.last.items():
        found = {key: contents for key, contents in shown.items() if not is_probe(key, story.zone)}
        if found != expected:
            yield Violation(1, f"at the end {server} is not as the newest state: {_unlike(found, expected)}")


def _unlike(found: Mapping[str, Contents], expected: Mapping[str, Contents]) -> str:
    """Name some of what differs."""
    keys = sorted(key for key in found.keys() | expected.keys() if found.get(key, "-") != expected.get(key, "-"))
    return "; ".join(f"{key} is {found.get(key, '-')}, expected {expected.get(key, '-')}" for key in keys[:3])
