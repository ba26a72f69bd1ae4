"""The one-pass check of a register agrees with trying every order, on thousands of small histories of both kinds."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest

from tests.chaos.as_register import operations_of, why_no_register
from tests.chaos.history import PRIMARY, Answered, Anything, Fence, Listed, Submitted
from tests.chaos.register import EMPTY, NEVER, Operation, why_not_linearizable
from tests.chaos.story import Story, stories

HISTORIES = 6_000


def some_order_exists(operations: list[Operation]) -> bool:
    """Try every order that keeps to real time (Wing and Gong, 1993), with nothing remembered and nothing clever."""

    def from_here(left: frozenset[int], value: int) -> bool:
        if all(operations[each].answered == NEVER for each in left):
            return True
        for each in left:
            operation = operations[each]
            if any(operations[other].answered < operation.asked for other in left - {each}):
                continue
            if operation.writes and operation.value > value and from_here(left - {each}, operation.value):
                return True
            if not operation.writes and operation.value == value and from_here(left - {each}, value):
                return True
        return False

    return from_here(frozenset(range(len(operations))), EMPTY)


def made(seed: int) -> list[Operation]:
    """Make a history of a true register, and then, with some seeds, spoil a value or a time of it."""
    chance = random.Random(seed)
    times = sorted(chance.uniform(0, 20) for _ in range(chance.randint(1, 7)))
    operations, value = [], EMPTY
    written = chance.sample(range(1, 9), 8)
    for at in times:
        rising = sorted(each for each in written if each > value)
        asked, answered = at - chance.expovariate(0.4), at + chance.expovariate(0.4)
        if rising and chance.random() < 0.5:
            value = rising[0] if chance.random() < 0.7 else rising[-1]
            operations.append(Operation(True, value, asked, NEVER if chance.random() < 0.2 else answered))
        else:
            operations.append(Operation(False, value, asked, NEVER if chance.random() < 0.05 else answered))
    if value < 8 and chance.random() < 0.2:
        operations.append(Operation(True, 8, chance.uniform(0, 20), NEVER))  # asked for, and never done
    if chance.random() < 0.6:
        at = chance.randrange(len(operations))
        spoiled = operations[at]
        match chance.randrange(3):
            case 0 if not spoiled.writes:
                operations[at] = replace(spoiled, value=chance.randint(0, 8))
            case 1:
                moved = chance.uniform(-8, 8)
                operations[at] = replace(spoiled, asked=spoiled.asked + moved, answered=spoiled.answered + moved)
            case _:
                operations[at] = replace(spoiled, answered=min(spoiled.answered, spoiled.asked + 0.1))
    chance.shuffle(operations)
    return operations


def test_one_pass_agrees_with_every_order_on_thousands_of_histories() -> None:
    seen: Counter[bool] = Counter()
    for seed in range(HISTORIES):
        operations = made(seed)
        truth = some_order_exists(operations)
        assert (why_not_linearizable(operations) is None) == truth, f"seed {seed}: {operations}"
        seen[truth] += 1
    assert min(seen.values()) > HISTORIES // 10, f"histories of one kind only show nothing: {seen}"


def read(value: int, asked: float, answered: float) -> Operation:
    return Operation(False, value, asked, answered)


def write(value: int, asked: float, answered: float = NEVER) -> Operation:
    return Operation(True, value, asked, answered)


@pytest.mark.parametrize(
    ("said", "operations"),
    [
        ("6 was written by 3", [write(5, 0, 1), write(6, 2, 3), read(5, 7, 8)]),
        ("6 was read by 5", [write(5, 0), write(6, 0), read(6, 4, 5), read(5, 8, 9)]),
        ("5 was read by 1", [write(5, 2), read(5, 0, 1)]),
        ("5 was written by 1", [write(5, 0, 1), read(0, 2, 3)]),
        ("6 was read by 2", [write(5, 4, 5), write(6, 0), read(6, 1, 2), read(6, 6, 7)]),
        ("4 was read, and never written", [read(4, 0, 1)]),
    ],
)
def test_it_says_where_no_order_is_possible(said: str, operations: list[Operation]) -> None:
    assert not some_order_exists(operations)
    assert (why_not_linearizable(operations) or "").startswith(said)


def test_a_long_history_is_checked_in_one_pass() -> None:
    operations = [write(value, value - 0.5, value) for value in range(1, 50_001)]
    operations += [read(value, value + 0.1, value + 0.2) for value in range(1, 50_001)]
    assert why_not_linearizable(operations) is None
    assert why_not_linearizable([*operations, read(40_000, 45_000.1, 45_000.2)]) is not None


def test_a_value_written_twice_is_no_history() -> None:
    with pytest.raises(ValueError, match="distinct"):
        why_not_linearizable([write(1, 0), write(1, 2)])


# A fence is such a register: its value is how far a zone stands, in generations and in parts of one.

ZONE = "register.chaos.test."


@dataclass
class Fenced:
    """What was seen of a fence, when generations were asked for, and when they were told to be published."""

    looks: list[tuple[float, float, str | None]] = field(default_factory=list)
    asked: dict[int, float] = field(default_factory=dict)
    told: list[tuple[int, float]] = field(default_factory=list)

    def story(self) -> Story:
        lines: list[Anything] = [Submitted(ZONE, each, when, "some", {}) for each, when in self.asked.items()]
        lines += [Listed(ZONE, each, 99.0, f"plan {each}", "chaos", "published") for each in self.asked]
        lines += [Answered(ZONE, each, self.asked[each], when, 200, each, "published") for each, when in self.told]
        lines += [Fence(ZONE, PRIMARY, 0, sent, received, text) for sent, received, text in self.looks]
        return stories(lines)[ZONE]


def fence(generation: int, base: int | None = None, done: int = 0) -> str:
    text = f"v=1 h=0123456789abcdef g={generation} d={generation:016x}"
    return text if base is None else f"{text} base={base} done={done} of=55"


def lived(seed: int) -> Fenced:
    """Make what is seen and told of a fence that moves as it should: some generations together, some in parts, and
    some parts left for a newer generation."""
    chance = random.Random(seed)
    found, now, base, generation = Fenced(), 1.0, 0, 0
    stood: list[tuple[float, str | None]] = [(0.0, None)]
    while len(stood) < 5:
        target = generation + chance.randint(1, 2)
        found.asked |= {each: now - chance.uniform(0, 2) for each in range(generation + 1, target + 1)}
        generation = target
        for done in sorted(chance.sample((10, 20, 37), chance.choice((0, 0, 1, 2)))):
            now += chance.uniform(0.1, 2)
            stood.append((now, fence(target, base, done)))
        if chance.random() < 0.2:
            continue
        now += chance.uniform(0.1, 2)
        stood.append((now, fence(target)))
        for each in range(base + 1, target + 1):
            if chance.random() < 0.4:
                found.told.append((each, now + chance.uniform(0, 2)))
        base = target
    for _ in range(chance.randint(1, 4)):
        moment = chance.uniform(0, now + 1)
        text = next(text for since, text in reversed(stood) if since <= moment)
        found.looks.append((moment - chance.uniform(0, 0.7), moment + chance.uniform(0, 0.7), text))
    return found


def test_what_is_seen_and_told_of_a_true_fence_is_let_through_and_of_any_other_judged_as_by_brute_force() -> None:
    refused = 0
    for seed in range(1_500):
        fenced, chance = lived(seed), random.Random(-seed)
        assert why_no_register(fenced.story()) is None, f"seed {seed}: {fenced}"
        index = chance.randrange(len(fenced.looks))
        sent, received, text = fenced.looks[index]
        if chance.random() < 0.5:
            text = chance.choice([None, *(text for _, _, text in lived(seed).looks), fence(1, 0, 10), fence(2)])
        else:
            later = chance.uniform(-5, 5)
            sent, received = sent + later, received + later
        fenced.looks[index] = (sent, received, text)
        operations, _ = operations_of(fenced.story())
        possible = some_order_exists(operations)
        assert (why_no_register(fenced.story()) is None) == possible, f"seed {seed}: {fenced}"
        refused += not possible
    assert refused > 150, "hardly anything was spoiled"


UNDER_WAY: list[tuple[float, float, str | None]] = [(1.0, 1.1, fence(1)), (2.0, 2.1, fence(3, 1, 37))]


@pytest.mark.parametrize(
    ("honest", "doctored"),
    [
        (
            Fenced([*UNDER_WAY, (3.0, 3.1, fence(4, 1, 10))]),  # begun anew, for a newer generation
            Fenced([*UNDER_WAY, (3.0, 3.1, fence(3, 1, 10))]),
        ),
        (
            Fenced([*UNDER_WAY, (4.0, 4.1, fence(3, 1, 37))], {2: 0.0, 3: 0.0}, [(2, 5.0)]),
            Fenced([*UNDER_WAY, (4.0, 4.1, fence(3, 1, 37))], {2: 0.0, 3: 0.0}, [(2, 3.5)]),
        ),
        (
            Fenced([*UNDER_WAY, (4.0, 4.1, fence(1))][::2], {2: 0.0}, [(2, 4.05)]),
            Fenced([*UNDER_WAY, (4.0, 4.1, fence(1))][::2], {2: 0.0}, [(2, 3.5)]),
        ),
        (Fenced(UNDER_WAY, {3: 2.05}), Fenced(UNDER_WAY, {3: 2.15})),
    ],
    ids=["parts that go back", "told while under way", "told before it was there", "there before it was asked for"],
)
def test_a_doctored_fence_is_no_register(honest: Fenced, doctored: Fenced) -> None:
    for fenced, possible in ((honest, True), (doctored, False)):
        assert some_order_exists(operations_of(fenced.story())[0]) == possible
        assert (why_no_register(fenced.story()) is None) == possible
