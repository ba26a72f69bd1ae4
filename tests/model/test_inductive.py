"""The induction goes through with all guards; without any one that is needed, z3 shows a step that breaks a promise."""

from dataclasses import fields

import pytest
import z3  # type: ignore[import-untyped]  # its authors ship no types

from tests.model.inductive import GUARDED, SMALL, Guards, Proof, counterexample, without


@pytest.mark.parametrize("strangers", [False, True])
def test_never_empty_and_forward_only_hold_for_any_number_of_enactors_generations_and_messages(strangers: bool) -> None:
    proof = Proof(GUARDED, strangers=strangers)
    names = [name for name, _, _ in proof.obligations()]
    assert any(name.startswith("never empty") for name in names)
    assert any(name.startswith("forward") for name in names)
    assert proof.fails() == {}


@pytest.mark.parametrize("strangers", [False, True])
def test_every_step_can_happen_so_that_no_proof_is_empty(strangers: bool) -> None:
    proof = Proof(GUARDED, strangers=strangers, size=SMALL)
    seen = set()
    for name, given, _ in proof.obligations():
        _, _, step = name.partition(": ")
        if step not in seen:
            seen.add(step)
            solver = z3.Solver()
            solver.add(proof.axioms(), given)
            assert solver.check() == z3.sat, step
    assert len(seen) == 8 + strangers


NEEDED = {
    "fence": ("forward: a message arrives to flip", False),
    "target_exists": ("never empty: a message arrives to flip", True),
    "keyed_on_fence": ("clean-up is harmless: clean-up prunes history", False),
    "spare_live": ("never empty: clean-up deletes a node", False),
    "spare_rollback": ("a rollback exists: clean-up deletes a node", False),
}
"""Which obligation fails without which guard, and whether strangers must delete nodes for that."""


@pytest.mark.parametrize("guard", NEEDED)
def test_without_a_guard_an_obligation_fails_and_the_counterexample_can_be_read(guard: str) -> None:
    obligation, strangers = NEEDED[guard]
    found = counterexample(obligation, without(guard), strangers=strangers)
    print(f"without {guard}, {found}")
    assert found is not None
    assert "before: fence" in found
    assert "after: fence" in found
    assert counterexample(obligation, GUARDED, strangers=strangers) is None


def test_only_what_comes_past_the_fence_makes_a_deletion_need_its_prerequisites() -> None:
    """While all publish behind the fence, what was listed as unreachable stays so: base only grows, and no flip goes
    to a generation at or below it. `test_spec` shows the hand that makes them needed.
    """
    assert {field.name for field in fields(Guards)} - NEEDED.keys() == {"as_listed"}
    assert Proof(without("as_listed")).fails() == {}
