"""The terms in which the induction speaks: a state before a step and one after it, and what plans cover.
Everything is a number or a function of numbers that z3 may choose; nothing is claimed here.
"""

from dataclasses import dataclass
from typing import TypeAlias

import z3  # type: ignore[import-untyped]  # its authors ship no types

Int: TypeAlias = z3.ArithRef
Fact: TypeAlias = z3.BoolRef


@dataclass(frozen=True, slots=True)
class Size:
    """The world: unbounded for a proof, or small, so that z3 can find a counterexample and show it."""

    generations: int | None = None
    rrsets: int | None = None
    cleaners: int | None = None


@dataclass(frozen=True)
class State:
    """The fence (generation, base, done, order), the store, by RRset: what its aliases name and which nodes exist, and
    by clean-up: what it read.
    """

    when: str

    def __getattr__(self, name: str) -> Int:
        return z3.Int(f"{name} {self.when}")

    def wire(self, rrset: Int) -> Int:
        """The generation to whose node the name is an alias; 0 for none."""
        return self._by_rrset("wire", rrset)

    def back(self, rrset: Int) -> Int:
        """The generation to whose node the rollback is an alias; 0 for none."""
        return self._by_rrset("rollback", rrset)

    def listed_base(self, cleaner: Int) -> Int:
        """The base of the fence that a clean-up read; a deletion on its way is one that never reads again."""
        return self._by_rrset("listed base", cleaner)

    def listed_wire(self, cleaner: Int, rrset: Int) -> Int:
        """What a clean-up read as the name's alias."""
        return self._by_cleaner("listed wire", cleaner, rrset)

    def listed_back(self, cleaner: Int, rrset: Int) -> Int:
        """What a clean-up read as the rollback's alias."""
        return self._by_cleaner("listed rollback", cleaner, rrset)

    def node(self, rrset: Int, generation: Int) -> Fact:
        """Whether a node has records."""
        made = z3.Function(f"node {self.when}", z3.IntSort(), z3.IntSort(), z3.BoolSort())
        return fact(made(rrset, generation))

    def _by_rrset(self, name: str, rrset: Int) -> Int:
        return int_of(z3.Function(f"{name} {self.when}", z3.IntSort(), z3.IntSort())(rrset))

    def _by_cleaner(self, name: str, cleaner: Int, rrset: Int) -> Int:
        return int_of(z3.Function(f"{name} {self.when}", *[z3.IntSort()] * 3)(cleaner, rrset))


BEFORE, AFTER = State("before"), State("after")
PLACE = ("generation", "base", "done", "order")
NUMBERS = (*PLACE, "newest", "published", "kept")
BY_RRSET = ("wire", "back")
BY_CLEANER = ("listed_wire", "listed_back")


def int_of(term: z3.ExprRef) -> Int:
    assert isinstance(term, z3.ArithRef)
    return term


def fact(term: object) -> Fact:
    assert isinstance(term, z3.BoolRef)
    return term


def last(upto: Int, rrset: Int) -> Int:
    """The newest generation up to one whose plan covers an RRset; 0 for none. Plans are arbitrary, and never change."""
    return int_of(z3.Function("newest cover", z3.IntSort(), z3.IntSort(), z3.IntSort())(upto, rrset))


def position(order: Int, base: Int, target: Int, rrset: Int) -> Int:
    """Where an RRset stands among the changes from base to target, in one of any number of orders."""
    return int_of(z3.Function("position", *[z3.IntSort()] * 5)(order, base, target, rrset))


def count(base: Int, target: Int) -> Int:
    """How many RRsets change from base to target."""
    return int_of(z3.Function("count", *[z3.IntSort()] * 3)(base, target))
