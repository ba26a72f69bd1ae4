"""The induction goes through with all guards; without any one that is needed, z3 shows a step that breaks a promise."""

from dataclasses import fields

import pytest
import z3  # type: ignore[import-untyped]  # its authors ship no types

from tests.model.inductive import (
    FENCED,
    GUARDED,
    PAST,
    SMALL,
    STRANGERS,
    Guards,
    Proof,
    World,
    counterexample,
    without,
)


@pytest.mark.parametrize("world", [FENCED, STRANGERS])
def test_never_empty_and_forward_only_hold_for_any_number_of_enactors_generations_and_messages(world: World) -> None:
    proof = Proof(GUARDED, world)
    names = [name for name, _, _ in proof.obligations()]
    assert any(name.startswith("never empty") for name in names)
    assert any(name.startswith("forward") for name in names)
    assert proof.fails() == {}


def test_no_deletion_empties_a_name_or_takes_its_rollback_even_where_aliases_change_past_the_fence() -> None:
    """For any number of clean-ups, however late their messages come, and whatever hands and backups do to aliases."""
    proof = Proof(GUARDED, PAST)
    promised = {name for name, _, _ in proof.obligations() if name.endswith(": clean-up deletes a node")}
    assert promised == {"never empty: clean-up deletes a node", "a rollback exists: clean-up deletes a node"}
    assert proof.fails() == {}


@pytest.mark.parametrize("world", World)
def test_every_step_can_happen_so_that_no_proof_is_empty(world: World) -> None:
    proof = Proof(GUARDED, world, size=SMALL)
    seen = set()
    for name, given, _ in proof.obligations():
        _, _, step = name.partition(": ")
        if step not in seen:
            seen.add(step)
            solver = z3.Solver()
            solver.add(proof.axioms(), given)
            assert solver.check() == z3.sat, step
    assert len(seen) == 8 + {FENCED: 0, STRANGERS: 1, PAST: 3}[world]


NEEDED = {
    "fence": ("forward: a message arrives to flip", FENCED),
    "order_in_fence": ("prefix: a message arrives to flip", FENCED),
    "target_exists": ("never empty: a message arrives to flip", STRANGERS),
    "keyed_on_fence": ("clean-up is harmless: clean-up prunes history", FENCED),
    "spare_live": ("never empty: clean-up deletes a node", FENCED),
    "spare_rollback": ("a rollback exists: clean-up deletes a node", FENCED),
    "aliases_as_listed": ("never empty: clean-up deletes a node", PAST),
}
"""Which obligation fails without which guard, and in which world."""


@pytest.mark.parametrize("guard", NEEDED)
def test_without_a_guard_an_obligation_fails_and_the_counterexample_can_be_read(guard: str) -> None:
    obligation, world = NEEDED[guard]
    found = counterexample(obligation, without(guard), world)
    print(f"without {guard}, {found}")
    assert found is not None
    assert "before: fence" in found
    assert "after: fence" in found
    assert counterexample(obligation, GUARDED, world) is None


def test_each_guard_has_an_obligation_that_fails_without_it() -> None:
    assert NEEDED.keys() == {field.name for field in fields(Guards)}


def test_without_its_prerequisites_a_deletion_may_take_the_rollback_too() -> None:
    found = counterexample("a rollback exists: clean-up deletes a node", without("aliases_as_listed"), PAST)
    print(found)
    assert found is not None


def test_only_what_comes_past_the_fence_makes_a_deletion_need_its_prerequisites() -> None:
    """While all publish behind the fence, what was listed as unreachable stays so: base only grows, and no flip goes
    to a generation at or below it. `test_spec` shows the hand, and the restored primary, that make them needed.
    """
    assert Proof(without("aliases_as_listed")).fails() == {}
