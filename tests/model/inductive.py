"""A proof by induction with z3: never empty and forward only, for any number of enactors, RRsets, generations, crashes,
and for messages lost, doubled and delayed for ever. Nothing is bounded; nothing is searched.

Shown: each promise holds at the start, and every step from any state in which all promises hold leads to one in which
they hold. An enactor is not even modelled: *any* message may arrive at any time that anybody could ever have computed
from *any* belief about the fence and from the accepted plans. So what an enactor saw, forgot or repeats is no matter.

Assumed: an UPDATE with prerequisites is atomic; a store's transaction is; accepted plans never change, and none is
rejected (`spec` has rejections); clean-up's reading is genuine, and is one reading of fence and aliases (an AXFR);
the changes from a base to a target are in one order, the same for everybody. The layout is the versioned one, in
which a name can be emptied at all; where records stand at the name itself, forward and prefix are the same proof.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import z3  # type: ignore[import-untyped]  # its authors ship no types

from tests.model.terms import (
    AFTER,
    BEFORE,
    BY_RRSET,
    LISTED,
    NUMBERS,
    PLACE,
    Fact,
    Int,
    Size,
    State,
    count,
    fact,
    int_of,
    last,
    position,
)


@dataclass(frozen=True, slots=True)
class Guards:
    """What travels with a message, and what clean-up asks; as they stand here, all of them are on."""

    fence: bool = True
    """Each message has the fence as prerequisite."""
    target_exists: bool = True
    """A flip has the existence of its target as prerequisite."""
    keyed_on_fence: bool = True
    """Clean-up goes up to the base of the fence that the primary showed; without, up to any accepted generation."""
    spare_live: bool = True
    spare_rollback: bool = True
    as_listed: bool = True
    """A deletion has fence and aliases, as listed, as prerequisites."""


GUARDED = Guards()
UNBOUNDED = Size()


class Proof:
    """The obligations of the induction, for some guards and with or without strangers who delete nodes."""

    def __init__(self, guards: Guards = GUARDED, *, strangers: bool = False, size: Size = UNBOUNDED) -> None:
        self.guards, self.strangers, self.size = guards, strangers, size

    def every(self, said: Callable[..., Fact], *, rrsets: int = 1, generations: int = 0) -> Fact:
        """Say something of all RRsets and generations; in a small world, of each by itself."""
        bounds = [self.size.rrsets] * rrsets + [self.size.generations] * generations
        if None in bounds:
            names = [z3.Int(f"every {number}") for number in range(len(bounds))]
            return fact(z3.ForAll(names, said(*names)))
        chosen: list[tuple[Int, ...]] = [()]
        for bound in bounds:
            chosen = [(*each, int_of(z3.IntVal(value))) for each in chosen for value in range(bound or 0)]
        return fact(z3.And([said(*each) for each in chosen]))

    def axioms(self) -> Fact:
        """What plans are: the newest cover is one, and grows with the generation; changes have places in order."""
        return fact(
            z3.And(
                self.every(
                    lambda r, g: z3.And(
                        last(g, r) >= 0, z3.Implies(g >= 0, last(g, r) <= g), last(last(g, r), r) == last(g, r)
                    ),
                    generations=1,
                ),
                self.every(lambda r, g, h: z3.Implies(g <= h, last(g, r) <= last(h, r)), generations=2),
                self.every(lambda g, h: count(g, h) >= 0, rrsets=0, generations=2),
                self.every(
                    lambda r, g, h: z3.Implies(
                        last(h, r) > g, z3.And(position(g, h, r) >= 0, position(g, h, r) < count(g, h))
                    ),
                    generations=2,
                ),
                *(z3.And(n >= 0, n < (self.size.generations or 0)) for n in self._bounded()),
            )
        )

    def _bounded(self) -> list[Int]:
        """The numbers that a small world bounds."""
        if self.size.generations is None:
            return []
        numbers = [getattr(state, name) for state in (BEFORE, AFTER) for name in NUMBERS]
        rrsets = [int_of(z3.IntVal(r)) for r in range(self.size.rrsets or 0)]
        return numbers + [getattr(s, name)(r) for s in (BEFORE, AFTER) for name in BY_RRSET for r in rrsets]

    def promises(self, s: State) -> dict[str, Fact]:
        """What always holds: the promises to people first, then what their induction rests on."""
        under_way = s.done > 0
        all_count = count(s.base, s.generation)
        held: dict[str, Fact] = {
            "never empty": self.every(lambda r: z3.Implies(s.wire(r) > 0, s.node(r, s.wire(r)))),
            "prefix": self.every(
                lambda r: z3.And(
                    last(s.base, r) <= s.wire(r), s.wire(r) <= s.generation, last(s.wire(r), r) == s.wire(r)
                )
            ),
            "prefix, in parts": self.every(
                lambda r: z3.Implies(
                    z3.And(last(s.generation, r) > s.base, position(s.base, s.generation, r) + all_count < s.done),
                    s.wire(r) == last(s.generation, r),
                )
            ),
            "clean-up is harmless": fact(z3.And(s.kept <= s.base)),
            "the record never leads": fact(z3.And(s.published <= s.base)),
            "the fence is in order": fact(
                z3.And(
                    s.base >= 0,
                    s.base <= s.generation,
                    s.generation <= s.newest,
                    s.done >= 0,
                    z3.Implies(z3.Not(under_way), s.base == s.generation),
                    z3.Implies(under_way, z3.And(s.base < s.generation, s.done < 2 * all_count)),
                )
            ),
            "clean-up reads the past": fact(z3.And(s.listed_base <= s.base, s.listed_base >= 0)),
            "aliases are as listed, or newer": self.every(
                lambda r: z3.And(
                    z3.Or(s.wire(r) == s.listed_wire(r), s.wire(r) > s.listed_base),
                    z3.Or(s.back(r) == s.listed_back(r), s.back(r) == s.listed_wire(r), s.back(r) > s.listed_base),
                )
            ),
        }
        if not self.strangers:
            held["a rollback exists"] = self.every(lambda r: z3.Implies(s.back(r) > 0, s.node(r, s.back(r))))
            held["built before flipped"] = self.every(
                lambda r: z3.Implies(
                    z3.And(last(s.generation, r) > s.base, position(s.base, s.generation, r) < s.done),
                    s.node(r, last(s.generation, r)),
                )
            )
        return held

    def start(self) -> Fact:
        """An empty zone."""
        s = AFTER
        nothing = z3.And([getattr(s, name) == 0 for name in NUMBERS])
        return fact(
            z3.And(nothing, self.every(lambda r: fact(z3.And([getattr(s, name)(r) == 0 for name in BY_RRSET]))))
        )

    def same(self, *but: str) -> Fact:
        """Say that nothing else changes."""
        facts = [getattr(BEFORE, name) == getattr(AFTER, name) for name in NUMBERS if name not in but]
        facts += [self._equal(name) for name in BY_RRSET if name not in but]
        if "node" not in but:
            facts.append(self.every(lambda r, g: fact(BEFORE.node(r, g) == AFTER.node(r, g)), generations=1))
        return fact(z3.And(facts))

    def _equal(self, name: str) -> Fact:
        return self.every(lambda r: fact(getattr(BEFORE, name)(r) == getattr(AFTER, name)(r)))

    def steps(self) -> Iterator[tuple[str, Fact]]:
        """Everything that can happen, each as a relation of the state before and the state after."""
        a, b = BEFORE, AFTER
        x, r, g = z3.Ints("x r g")
        yield "a plan is accepted", fact(z3.And(b.newest == a.newest + 1, self.same("newest")))
        yield "a message arrives to build", self._message(flip=False)
        yield "a message arrives to flip", self._message(flip=True)
        # Whoever records has seen a fence, at some time: its base was at most today's.
        yield (
            "the store records",
            fact(z3.And(x >= a.published, x <= a.base, b.published == x, self.same("published"))),
        )
        listing = z3.And(
            b.listed_generation == a.generation,
            b.listed_base == a.base,
            b.listed_done == a.done,
            self.every(lambda n: fact(z3.And(b.listed_wire(n) == a.wire(n), b.listed_back(n) == a.back(n)))),
        )
        yield "clean-up reads", fact(z3.And(listing, self.same(*LISTED, "listed_wire", "listed_back")))
        reach = a.listed_base if self.guards.keyed_on_fence else a.newest
        yield (
            "clean-up prunes history",
            fact(z3.And(x >= a.kept, x <= reach, b.kept == x, self.same("kept"))),
        )
        gone = self.every(
            lambda n, h: fact(b.node(n, h) == z3.And(a.node(n, h), z3.Not(z3.And(n == r, h == g)))), generations=1
        )
        here = [r >= 0, r < self.size.rrsets, g < self.size.generations] if self.size.rrsets else []
        asked = [g > 0, g <= reach, *here]
        if self.guards.spare_live:
            asked.append(g != a.listed_wire(r))
        if self.guards.spare_rollback:
            asked.append(g != a.listed_back(r))
        if self.guards.as_listed:
            asked += [
                a.generation == a.listed_generation,
                a.base == a.listed_base,
                a.done == a.listed_done,
                a.wire(r) == a.listed_wire(r),
                a.back(r) == a.listed_back(r),
            ]
        yield "clean-up deletes a node", fact(z3.And(*asked, gone, self.same("node")))
        if self.strangers:
            yield (
                "a stranger deletes a node that is not live",
                fact(z3.And(g > 0, g != a.wire(r), *here, gone, self.same("node"))),
            )

    def _message(self, *, flip: bool) -> Fact:
        """Any message that anybody could have computed: from a belief (generation, base, done) to a target."""
        a, b = BEFORE, AFTER
        generation, base, done, target, first, then = z3.Ints("believed believed_base believed_done target first then")
        changes = count(base, target)
        computed = [
            base >= 0, base <= generation, generation <= target, target <= a.newest, done >= 0,
            z3.Implies(done == 0, base == generation),
            # It resumes what is under way, or begins from the base.
            z3.Or(z3.And(target == generation, done > 0, first == done), z3.And(first == 0, target > base)),
            z3.Or(first < then, z3.And(changes == 0, first == then)),
            first >= changes if flip else first < changes,
            then <= (2 * changes if flip else changes),
        ]  # fmt: skip
        if self.size.generations:
            computed += [base >= 0, generation < self.size.generations, target < self.size.generations]
        if self.guards.fence:
            computed += [a.generation == generation, a.base == base, a.done == done]
        offset = changes if flip else 0

        def carried(r: Int) -> Fact:
            place = position(base, target, r) + offset
            return fact(z3.And(last(target, r) > base, first <= place, place < then))

        if flip and self.guards.target_exists:
            computed.append(self.every(lambda r: z3.Implies(carried(r), a.node(r, last(target, r)))))
        complete = then == 2 * changes
        fence = [
            b.generation == target,
            b.base == z3.If(complete, target, base),
            b.done == z3.If(complete, 0, then),
        ]
        if not flip:
            built = self.every(
                lambda r, g: fact(b.node(r, g) == z3.Or(a.node(r, g), z3.And(carried(r), g == last(target, r)))),
                generations=1,
            )
            return fact(z3.And(*computed, *fence, built, self.same(*PLACE, "node")))
        flipped = self.every(lambda r: fact(b.wire(r) == z3.If(carried(r), last(target, r), a.wire(r))))

        def moved(r: Int) -> Fact:
            return fact(z3.And(carried(r), a.wire(r) > 0, a.wire(r) != last(target, r)))

        # The node before is kept for a rollback if it still has records.
        before = self.every(
            lambda r: fact(b.back(r) == z3.If(moved(r), z3.If(a.node(r, a.wire(r)), a.wire(r), 0), a.back(r)))
        )
        return fact(z3.And(*computed, *fence, flipped, before, self.same(*PLACE, "wire", "back")))

    def forward(self) -> Fact:
        """The fence's generation and base, and what each RRset shows, never go back."""
        return fact(
            z3.And(
                AFTER.generation >= BEFORE.generation,
                AFTER.base >= BEFORE.base,
                self.every(lambda r: fact(AFTER.wire(r) >= BEFORE.wire(r))),
            )
        )

    def obligations(self) -> Iterator[tuple[str, Fact, Fact]]:
        """Yield what is to be shown: its name, what is given, what must follow."""
        for name, promise in self.promises(AFTER).items():
            no_node = self.every(lambda r, g: fact(z3.Not(AFTER.node(r, g))), generations=1)
            yield f"{name}: at the start", fact(z3.And(self.start(), no_node)), promise
        given = z3.And(*self.promises(BEFORE).values())
        for step, relation in self.steps():
            for name, promise in self.promises(AFTER).items():
                yield f"{name}: {step}", fact(z3.And(given, relation)), promise
            yield f"forward: {step}", fact(z3.And(given, relation)), self.forward()

    def fails(self, *, only: str | None = None, timeout_ms: int = 20_000) -> dict[str, z3.ModelRef | None]:
        """Return the obligations that don't hold, each with z3's counterexample, None where it could not decide."""
        failed: dict[str, z3.ModelRef | None] = {}
        for name, given, promise in self.obligations():
            if only not in {None, name}:
                continue
            solver = z3.Solver()
            solver.set("timeout", timeout_ms)
            solver.add(self.axioms(), given, z3.Not(promise))
            answer = solver.check()
            if answer == z3.sat:
                failed[name] = solver.model()
            elif answer == z3.unknown:
                failed[name] = None
        return failed


SMALL = Size(generations=5, rrsets=2)


def counterexample(obligation: str, guards: Guards, *, strangers: bool = False) -> str | None:
    """Tell how an obligation fails in a small world, for guards that don't suffice; None if it holds there."""
    model = Proof(guards, strangers=strangers, size=SMALL).fails(only=obligation).get(obligation)
    return None if model is None else f"{obligation}\n{told(model)}"


def told(model: z3.ModelRef) -> str:
    """Tell a counterexample: the zone before, what happens, the zone after."""

    def value(term: z3.ExprRef) -> str:
        return str(model.eval(term, model_completion=True))

    def zone(s: State) -> str:
        lines = [f"fence {value(s.generation)} (base {value(s.base)}, done {value(s.done)}), newest {value(s.newest)}"]
        for number in range(SMALL.rrsets or 0):
            rrset = int_of(z3.IntVal(number))
            generations = range(1, SMALL.generations or 0)
            nodes = [g for g in generations if value(s.node(rrset, int_of(z3.IntVal(g)))) == "True"]
            lines.append(f"RRset {number} shows {value(s.wire(rrset))}, rollback {value(s.back(rrset))}, nodes {nodes}")
        return "; ".join(lines)

    names = ("believed", "believed_base", "believed_done", "target", "first", "then", "r", "g", "x")
    used = {str(each) for each in model.decls()}
    facts = ", ".join(f"{name} {value(z3.Int(name))}" for name in names if name in used)
    return f"  before: {zone(BEFORE)}\n  what happens: {facts}\n  after: {zone(AFTER)}"


def without(guard: str) -> Guards:
    """Return all guards but one."""
    return replace(GUARDED, **{guard: False})
