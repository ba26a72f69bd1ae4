"""A proof by induction with z3: never empty and forward only, for any number of enactors, clean-ups, RRsets,
generations, crashes, and for messages lost, doubled and delayed for ever. Nothing is bounded; nothing is searched.

Shown: each promise holds at the start, and every step from any state in which all promises hold leads to one in which
they hold. An enactor is not even modelled: *any* message may arrive at any time that anybody could ever have computed
from *any* belief about the fence and from the accepted plans. So what an enactor saw, forgot or repeats is no matter.
A clean-up is one reading of the zone, and any deletion that could be computed from it may arrive at any later time.

Twice over: where all publish behind the fence, and (`PAST`) where aliases are also set by hand and the primary is
restored from backups. Then nothing can be forward only; that no deletion empties a name, or takes what is kept for a
rollback, is shown all the same, and rests on the prerequisites of the deletion alone.

Assumed: an UPDATE with prerequisites is atomic; a store's transaction is; accepted plans never change, and none is
rejected (`spec` has rejections); clean-up's reading is genuine, and is one reading of fence and aliases (an AXFR);
the changes from a base to a target are in one order, the same for everybody. The layout is the versioned one, in
which a name can be emptied at all; where records stand at the name itself, forward and prefix are the same proof.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import z3  # type: ignore[import-untyped]  # its authors ship no types

from tests.model.terms import (
    AFTER,
    BEFORE,
    BY_CLEANER,
    BY_RRSET,
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
    order_in_fence: bool = True
    """The fence names the order in which its position counts, and who has another one begins from the base."""
    target_exists: bool = True
    """A flip has the existence of its target as prerequisite."""
    keyed_on_fence: bool = True
    """Clean-up goes up to the base of the fence that the primary showed; without, up to any accepted generation."""
    spare_live: bool = True
    spare_rollback: bool = True
    aliases_as_listed: bool = True
    """A deletion has the aliases, as listed, as prerequisites."""


class World(enum.Enum):
    """What happens besides publishing and cleaning up."""

    FENCED = "all publish behind the fence"
    STRANGERS = "somebody deletes nodes that are not live"
    PAST = "aliases are set by hand, and the primary is restored from backups"


FENCED, STRANGERS, PAST = World
GUARDED = Guards()
UNBOUNDED = Size()


class Proof:
    """The obligations of the induction, for some guards and in a world."""

    def __init__(self, guards: Guards = GUARDED, world: World = FENCED, *, size: Size = UNBOUNDED) -> None:
        self.guards, self.world, self.size = guards, world, size

    def every(self, said: Callable[..., Fact], *, cleaners: int = 0, rrsets: int = 1, generations: int = 0) -> Fact:
        """Say something of all clean-ups, RRsets and generations; in a small world, of each by itself."""
        size = self.size
        bounds = [size.cleaners] * cleaners + [size.rrsets] * rrsets + [size.generations] * generations
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
                    lambda r, g, h, o: z3.Implies(
                        last(h, r) > g, z3.And(position(o, g, h, r) >= 0, position(o, g, h, r) < count(g, h))
                    ),
                    generations=3,  # orders are numbers, too
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
        cleaners = [int_of(z3.IntVal(c)) for c in range(self.size.cleaners or 0)]
        for s in (BEFORE, AFTER):
            numbers += [getattr(s, name)(r) for name in BY_RRSET for r in rrsets]
            numbers += [getattr(s, name)(c, r) for name in BY_CLEANER for c in cleaners for r in rrsets]
            numbers += [s.listed_base(c) for c in cleaners]
        return numbers

    def promises(self, s: State) -> dict[str, Fact]:
        """What always holds: the promises to people first, then what their induction rests on."""
        if self.world is PAST:
            return {
                "never empty": self.every(lambda r: z3.Implies(s.wire(r) > 0, s.node(r, s.wire(r)))),
                "a rollback exists": self.every(lambda r: z3.Implies(s.back(r) > 0, s.node(r, s.back(r)))),
            }
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
                    z3.And(
                        last(s.generation, r) > s.base, position(s.order, s.base, s.generation, r) + all_count < s.done
                    ),
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
            "clean-up reads the past": self.every(
                lambda c: fact(z3.And(s.listed_base(c) <= s.base, s.listed_base(c) >= 0)), cleaners=1, rrsets=0
            ),
            "aliases are as listed, or newer": self.every(
                lambda c, r: z3.And(
                    z3.Or(s.wire(r) == s.listed_wire(c, r), s.wire(r) > s.listed_base(c)),
                    z3.Or(
                        s.back(r) == s.listed_back(c, r),
                        s.back(r) == s.listed_wire(c, r),
                        s.back(r) > s.listed_base(c),
                    ),
                ),
                cleaners=1,
            ),
        }
        if self.world is not STRANGERS:
            held["a rollback exists"] = self.every(lambda r: z3.Implies(s.back(r) > 0, s.node(r, s.back(r))))
            held["built before flipped"] = self.every(
                lambda r: z3.Implies(
                    z3.And(last(s.generation, r) > s.base, position(s.order, s.base, s.generation, r) < s.done),
                    s.node(r, last(s.generation, r)),
                )
            )
        return held

    def start(self) -> Fact:
        """An empty zone."""
        s = AFTER
        nothing = z3.And([getattr(s, name) == 0 for name in NUMBERS])
        return fact(
            z3.And(
                nothing,
                self.every(lambda r: fact(z3.And([getattr(s, name)(r) == 0 for name in BY_RRSET]))),
                self.every(lambda c: fact(s.listed_base(c) == 0), cleaners=1, rrsets=0),
                self.every(lambda c, r: fact(z3.And([getattr(s, name)(c, r) == 0 for name in BY_CLEANER])), cleaners=1),
            )
        )

    def same(self, *but: str) -> Fact:
        """Say that nothing else changes."""
        facts = [getattr(BEFORE, name) == getattr(AFTER, name) for name in NUMBERS if name not in but]
        facts += [self._equal(name) for name in BY_RRSET if name not in but]
        if "listed" not in but:
            facts.append(self._listing(None))
        if "node" not in but:
            facts.append(self.every(lambda r, g: fact(BEFORE.node(r, g) == AFTER.node(r, g)), generations=1))
        return fact(z3.And(facts))

    def _equal(self, name: str) -> Fact:
        return self.every(lambda r: fact(getattr(BEFORE, name)(r) == getattr(AFTER, name)(r)))

    def _listing(self, reader: Int | None) -> Fact:
        """Say that one clean-up, if any, has read the zone as it is, and that the others know what they knew."""
        a, b = BEFORE, AFTER

        def now(c: Int, new: Int, old: Int) -> Int:
            return old if reader is None else int_of(z3.If(c == reader, new, old))

        return fact(
            z3.And(
                self.every(lambda c: fact(b.listed_base(c) == now(c, a.base, a.listed_base(c))), cleaners=1, rrsets=0),
                self.every(
                    lambda c, r: fact(
                        z3.And(
                            b.listed_wire(c, r) == now(c, a.wire(r), a.listed_wire(c, r)),
                            b.listed_back(c, r) == now(c, a.back(r), a.listed_back(c, r)),
                        )
                    ),
                    cleaners=1,
                ),
            )
        )

    def steps(self) -> Iterator[tuple[str, Fact]]:
        """Everything that can happen, each as a relation of the state before and the state after."""
        a, b = BEFORE, AFTER
        x, r, g, c = z3.Ints("x r g c")
        yield "a plan is accepted", fact(z3.And(b.newest == a.newest + 1, self.same("newest")))
        yield "a message arrives to build", self._message(flip=False)
        yield "a message arrives to flip", self._message(flip=True)
        # Whoever records has seen a fence, at some time: its base was at most today's.
        yield (
            "the store records",
            fact(z3.And(x >= a.published, x <= a.base, b.published == x, self.same("published"))),
        )
        whose = [c >= 0, c < self.size.cleaners] if self.size.cleaners else []
        yield "clean-up reads", fact(z3.And(*whose, self._listing(c), self.same("listed")))
        reach = a.listed_base(c) if self.guards.keyed_on_fence else a.newest
        yield (
            "clean-up prunes history",
            fact(z3.And(*whose, x >= a.kept, x <= reach, b.kept == x, self.same("kept"))),
        )
        gone = self.every(
            lambda n, h: fact(b.node(n, h) == z3.And(a.node(n, h), z3.Not(z3.And(n == r, h == g)))), generations=1
        )
        here = [r >= 0, r < self.size.rrsets, g < self.size.generations] if self.size.rrsets else []
        asked = [g > 0, g <= reach, *here, *whose]
        if self.guards.spare_live:
            asked.append(g != a.listed_wire(c, r))
        if self.guards.spare_rollback:
            asked.append(g != a.listed_back(c, r))
        if self.guards.aliases_as_listed:
            asked += [a.wire(r) == a.listed_wire(c, r), a.back(r) == a.listed_back(c, r)]
        yield "clean-up deletes a node", fact(z3.And(*asked, gone, self.same("node")))
        if self.world is STRANGERS:
            yield (
                "a stranger deletes a node that is not live",
                fact(z3.And(g > 0, g != a.wire(r), *here, gone, self.same("node"))),
            )
        if self.world is PAST:
            yield from self._past_the_fence(r, g, here)

    def _past_the_fence(self, r: Int, g: Int, here: list[Fact]) -> Iterator[tuple[str, Fact]]:
        a, b = BEFORE, AFTER
        for name in BY_RRSET:
            by_hand = self.every(
                lambda n, name=name: fact(getattr(b, name)(n) == z3.If(n == r, g, getattr(a, name)(n)))
            )
            exists = z3.And(g > 0, *here, a.node(r, g))
            yield f"somebody sets an alias ({name}) by hand", fact(z3.And(exists, by_hand, self.same(name)))
        # What stood at some earlier time kept the promises.
        before = z3.And(*self.promises(b).values())
        yield "the primary is restored from a backup", fact(z3.And(before, self.same(*PLACE, *BY_RRSET, "node")))

    def _message(self, *, flip: bool) -> Fact:
        """Any message that anybody could have computed: from a belief (the fence) to a target, in any order."""
        a, b = BEFORE, AFTER
        generation, base, done, target, first, then = z3.Ints("believed believed_base believed_done target first then")
        order, mine = z3.Ints("believed_order order")
        changes = count(base, target)
        resumes = [order == mine] if self.guards.order_in_fence else []
        computed = [
            base >= 0, base <= generation, generation <= target, target <= a.newest, done >= 0,
            z3.Implies(done == 0, base == generation),
            # It resumes what is under way in its own order, or begins from the base.
            z3.Or(z3.And(target == generation, done > 0, first == done, *resumes), z3.And(first == 0, target > base)),
            z3.Or(first < then, z3.And(changes == 0, first == then)),
            first >= changes if flip else first < changes,
            then <= (2 * changes if flip else changes),
        ]  # fmt: skip
        if self.size.generations:
            computed += [base >= 0, generation < self.size.generations, target < self.size.generations]
            computed += [mine >= 0, mine < self.size.generations]
        if self.guards.fence:
            computed += [a.generation == generation, a.base == base, a.done == done, a.order == order]
        offset = changes if flip else 0

        def carried(r: Int) -> Fact:
            place = position(mine, base, target, r) + offset
            return fact(z3.And(last(target, r) > base, first <= place, place < then))

        if flip and self.guards.target_exists:
            computed.append(self.every(lambda r: z3.Implies(carried(r), a.node(r, last(target, r)))))
        complete = then == 2 * changes
        fence = [
            b.generation == target,
            b.base == z3.If(complete, target, base),
            b.done == z3.If(complete, 0, then),
            b.order == z3.If(complete, 0, mine),
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
            if self.world is not PAST:
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


SMALL = Size(generations=5, rrsets=2, cleaners=1)


def counterexample(obligation: str, guards: Guards, world: World = FENCED) -> str | None:
    """Tell how an obligation fails in a small world, for guards that don't suffice; None if it holds there."""
    model = Proof(guards, world, size=SMALL).fails(only=obligation).get(obligation)
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

    names = (
        "believed",
        "believed_base",
        "believed_done",
        "believed_order",
        "order",
        "target",
        "first",
        "then",
        "r",
        "g",
        "x",
    )
    used = {str(each) for each in model.decls()}
    facts = ", ".join(f"{name} {value(z3.Int(name))}" for name in names if name in used)
    return f"  before: {zone(BEFORE)}\n  what happens: {facts}\n  after: {zone(AFTER)}"


def without(guard: str) -> Guards:
    """Return all guards but one."""
    return replace(GUARDED, **{guard: False})
