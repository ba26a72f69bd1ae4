"""The one-pass check of a register agrees with trying every order, on thousands of small histories of both kinds."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos.register import EMPTY, NEVER, Operation, why_not_linearizable

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
