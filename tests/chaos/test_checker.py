"""The checker can say no: the history of a run without a fault is let through, and each doctored one is caught."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.history import (
    PRIMARY,
    UNCOVERED,
    Answered,
    Anything,
    Contents,
    Down,
    Ended,
    Fence,
    Handover,
    Listed,
    Look,
    Said,
    Silence,
    Stood,
    Submitted,
    Transferred,
    Writer,
    read,
)
from tests.chaos.story import stories

ZONE, SECONDARY = "chaos.test.", "secondary"
A, B, C, NS = "a.chaos.test. A", "b.chaos.test. A", "c.chaos.test. A", "chaos.test. NS"


def of(plan: int) -> str:
    return f"60 192.0.2.{plan}"


# Generation 1 sets a and b, 2 replaces a, 3 (in parts) replaces a and b and sets c, 4 retires c, 5 rolls a back to 2.
WANTED: dict[int, dict[str, Contents]] = {
    1: {A: of(11), B: of(11)},
    2: {A: of(12)},
    3: {A: of(13), B: of(13), C: of(13)},
    4: {C: None},
    5: {A: of(12)},
}


def fence(generation: int, base: int | None = None, done: int = 1, of: int = 3, digest: int = 0) -> str | None:
    if not generation:
        return None
    text = f"v=1 h=0123456789abcdef g={generation} d={digest or generation:016x}"
    return text if base is None else f"{text} base={base} done={done} of={of}"


@dataclass(frozen=True)
class Seen:
    """A look at an RRset, and the fences before and after it."""

    at: float
    key: str
    contents: Contents
    before: str | None
    after: str | None
    server: str = PRIMARY

    def lines(self, observer: int) -> list[Anything]:
        at, place = self.at, (ZONE, self.server, observer)
        return [
            Fence(*place, at, at + 0.1, self.before),
            Look(*place, at + 0.3, at + 0.4, self.key, self.contents),
            Fence(*place, at + 0.6, at + 0.7, self.after),
        ]


def seen(at: float, key: str, contents: Contents, before: str | None, after: str | None = "", **more: str) -> Seen:
    return Seen(at, key, contents, before, before if after == "" else after, **more)


HONEST = (
    seen(1, A, None, None),
    seen(11, A, of(11), fence(1)),
    seen(12, B, of(11), fence(1)),
    seen(21, A, of(12), fence(2)),
    seen(31, A, of(13), fence(3, 2)),
    seen(32, B, of(11), fence(3, 2)),
    seen(33, B, of(13), fence(3, 2), fence(3)),
    seen(34, C, of(13), fence(3)),
    seen(41, C, None, fence(4)),
    seen(51, A, of(12), fence(5)),
    seen(13, A, None, None, server=SECONDARY),
    seen(35, A, of(12), fence(2), fence(3), server=SECONDARY),
    seen(52, A, of(12), fence(5), server=SECONDARY),
)
ENDED = Ended(ZONE, 5, 55.0, 57.0)
END = {NS: "300 ns1.", A: of(12), B: of(13)}


@dataclass(frozen=True)
class Run:
    """A history before it is written down."""

    looks: Sequence[Seen] = HONEST
    wanted: dict[int, dict[str, Contents]] = field(default_factory=lambda: dict(WANTED))
    states: dict[int, str] = field(default_factory=lambda: dict.fromkeys(WANTED, "published"))
    more: tuple[Anything, ...] = ()
    last: dict[str, Contents] = field(default_factory=lambda: dict(END))
    ended: Ended = ENDED
    why: str | None = None

    def lines(self) -> list[Anything]:
        lines: list[Anything] = [Transferred(ZONE, PRIMARY, {NS: "300 ns1."})]
        for generation, wanted in WANTED.items():
            plan, at = generation + 10, generation * 10.0
            asked = None if generation == 5 else wanted
            lines.append(Submitted(ZONE, plan, at - 1, "some", asked, 2 if generation == 5 else None))
            lines.append(Answered(ZONE, plan, at - 1, at, 202, generation, "accepted"))
        for generation, state in self.states.items():
            lines.append(Listed(ZONE, generation, 55.0, f"plan {generation + 10}", "chaos", state, self.why))
        lines += [Said(ZONE, generation, wanted) for generation, wanted in self.wanted.items()]
        lines += [Submitted(ZONE, 16, 50.0, "some", {A: of(16)}), Answered(ZONE, 16, 50.0, 50.1, 412)]
        for observer, look in enumerate(sorted(self.looks, key=lambda each: each.at)):
            lines += look.lines(observer)
        return [*lines, *self.more, Transferred(ZONE, PRIMARY, self.last, last=True), self.ended]


def numbers(run: Run) -> set[int]:
    return {violation.number for violation in check(stories(run.lines())[ZONE])}


def with_looks(*looks: Seen) -> Run:
    return Run(looks=(*HONEST, *looks))


def without(generation: int) -> Run:
    return Run(
        wanted={each: wanted for each, wanted in WANTED.items() if each != generation},
        states={each: "published" for each in WANTED if each != generation},
    )


def with_lines(*lines: Anything) -> Run:
    return Run(more=lines)


def told_everywhere(plan: int, at: float) -> Answered:
    return Answered(ZONE, plan, at - 1, at, 200, plan - 10, "published", propagated=True)


def test_an_honest_run_is_let_through() -> None:
    assert check(stories(Run().lines())[ZONE]) == []


DOCTORED = {
    "an old RRset under a newer fence": (1, with_looks(seen(25, A, of(11), fence(2)))),
    "an old RRset while the fence moves": (1, with_looks(seen(35, A, of(11), fence(3), fence(4)))),
    "a newer RRset than the fence says": (1, with_looks(seen(25, A, of(13), fence(2)))),
    "an RRset that changes under one fence": (1, with_looks(seen(31.5, A, of(12), fence(3, 2)))),
    "an old RRset at the end": (1, Run(last={**END, B: of(11)})),
    "an RRset missing at the end": (1, Run(last={NS: "300 ns1.", A: of(12)})),
    "an RRset of nobody's at the end": (1, Run(last={**END, "d.chaos.test. A": of(99)})),
    "what no plan named gone at the end": (1, Run(last={A: of(12), B: of(13)})),
    "a secondary that is otherwise at the end": (
        1,
        with_lines(Transferred(ZONE, SECONDARY, {**END, B: of(11)}, last=True)),
    ),
    "an RRset that goes back": (2, with_looks(seen(35, B, of(11), fence(3)))),
    "a fence that goes down": (2, with_looks(seen(35, B, of(13), fence(2)))),
    "a fence that goes back into parts": (2, with_looks(seen(35, B, of(13), fence(3, 2)))),
    "a base that goes down": (2, with_looks(seen(35, B, of(13), fence(4, 2)))),
    "a fence that is gone": (2, with_looks(seen(60, B, of(13), None))),
    "a fence that cannot be read": (2, with_looks(seen(60, B, of(13), "v=2"))),
    "a fence of another history": (
        2,
        with_looks(seen(53, B, of(13), "v=1 h=1123456789abcdef g=5 d=0000000000000005")),
    ),
    "another digest of one generation in one look": (2, with_looks(seen(25, A, of(12), fence(2), fence(2, digest=9)))),
    "an observer that sees another digest throughout": (
        2,
        with_looks(*(seen(at, A, of(12), fence(2, digest=9), server=SECONDARY) for at in (22, 23, 24))),
    ),
    "another digest of one generation in its parts": (2, with_looks(seen(32.5, B, of(11), fence(3, 2, digest=9)))),
    "a publication in parts that goes back": (2, with_looks(seen(30.2, A, of(13), fence(3, 2, done=2)))),
    "a publication in parts that is of another size": (2, with_looks(seen(32.2, B, of(11), fence(3, 2, of=4)))),
    "a publication in parts that has another base": (2, with_looks(seen(31.9, B, of(11), fence(3, 1)))),
    "a secondary that goes back": (2, with_looks(seen(53, B, of(11), fence(2), server=SECONDARY))),
    "a secondary whose RRset goes back": (1, with_looks(seen(53, B, of(11), fence(5), server=SECONDARY))),
    "an empty answer": (3, with_looks(seen(25, A, None, fence(2)))),
    "an empty answer while the fence moves": (3, with_looks(seen(35, A, None, fence(3), fence(4)))),
    "an empty answer before its retirement": (3, with_looks(seen(36, C, None, fence(3)))),
    "an empty answer of a secondary": (3, with_looks(seen(53, A, None, fence(5), server=SECONDARY))),
    "an empty answer when no fence answered": (
        3,
        with_lines(Look(ZONE, PRIMARY, 90, 26.0, 26.1, A, None), Silence(PRIMARY, 90, 27.0)),
    ),
    "a lost plan": (4, without(2)),
    "a plan whose generation is another's now": (
        4,
        with_lines(Listed(ZONE, 4, 56.0, "plan 77", "chaos", "published")),
    ),
    "a doubled plan": (
        4,
        with_lines(
            Listed(ZONE, 6, 56.0, "plan 12", "chaos", "published"),
            Said(ZONE, 6, WANTED[2]),
        ),
    ),
    "a plan answered as two generations": (4, with_lines(Answered(ZONE, 12, 9.0, 60.0, 202, 3, "accepted"))),
    "a plan answered as unchanged that wanted something else": (
        4,
        with_lines(
            Submitted(ZONE, 17, 50.0, "some", {A: of(99)}),
            Answered(ZONE, 17, 50.0, 50.1, 200, 4, "published", unchanged=True),
        ),
    ),
    "a refused plan in the history": (4, with_lines(Listed(ZONE, 6, 56.0, "plan 16", "chaos", "superseded"))),
    "a plan that never settles": (4, Run(states={**dict.fromkeys(WANTED, "published"), 5: "accepted"})),
    "a plan rejected without a reason": (4, Run(states={**dict.fromkeys(WANTED, "published"), 5: "rejected"})),
    "a plan told to be published too early": (4, with_lines(Answered(ZONE, 14, 9.0, 20.0, 200, 4, "published"))),
    "a plan told to have propagated before it had": (
        4,
        Run(looks=(*HONEST, seen(45, A, of(13), fence(3), server=SECONDARY)), more=(told_everywhere(14, 44.0),)),
    ),
    "a newest generation below an acknowledged one": (4, Run(ended=Ended(ZONE, 4, 55.0, 57.0))),
    "a state that clean-up changed": (5, with_lines(Stood(ZONE, 3, {A: of(13), B: of(13)}))),
    "an uncovered RRset that stood": (5, with_lines(Stood(ZONE, 3, {A: of(13), B: of(13), C: UNCOVERED}))),
    "no convergence": (6, Run(ended=Ended(ZONE, 5, 55.0, None))),
    "convergence after too long": (6, Run(ended=Ended(ZONE, 5, 55.0, 65.5))),
    "a fence below the newest at the end": (
        6,
        Run(
            more=(Listed(ZONE, 6, 56.0, "back", "dnsguard", "published", None, 5),),
            ended=Ended(ZONE, 6, 55.0, 57.0),
        ),
    ),
    "an answer from no plan at all": (7, with_looks(seen(25, A, of(99), fence(2)))),
    "an answer from no plan when no fence answered": (
        7,
        with_lines(Look(ZONE, PRIMARY, 90, 26.0, 26.1, A, of(99)), Silence(PRIMARY, 90, 27.0)),
    ),
    "a plan of nobody's in the history": (7, with_lines(Listed(ZONE, 6, 56.0, "plan 77", "chaos", "published"))),
    "a plan of nobody's that puts nothing back": (7, with_lines(Listed(ZONE, 6, 56.0, "why not", "x", "published"))),
    "a plan without an actor": (7, with_lines(Listed(ZONE, 5, 56.0, "plan 15", "", "published"))),
    "a generation on the wire before it was asked for": (7, with_looks(seen(18.0, A, of(12), fence(2)))),
    "a generation on the wire that is in no list": (7, with_looks(seen(60, A, of(12), fence(6)))),
    "a plan that says something else than was asked": (
        7,
        Run(looks=(), wanted={**WANTED, 3: {**WANTED[3], B: of(14)}}),
    ),
    "a rollback to something else than stood": (7, Run(looks=(), wanted={**WANTED, 5: {A: of(11)}})),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_history_is_caught(name: str) -> None:
    number, run = DOCTORED[name]
    assert number in numbers(run)


def test_a_secondary_that_was_killed_may_come_back_with_what_it_had_on_disk() -> None:
    back = seen(54, B, of(13), fence(4), server=SECONDARY)
    assert 2 in numbers(with_looks(back))
    assert numbers(replace(with_looks(back), more=(Down(SECONDARY, 53.0, 53.5),))) == set()


def test_what_has_propagated_stands_in_lives_that_began_before_it_was_asked_for_and_in_later_questions() -> None:
    late = seen(45, A, of(13), fence(3), server=SECONDARY)
    run = Run(looks=(*HONEST, late), more=(told_everywhere(14, 44.0),))
    assert 4 in numbers(run)
    assert numbers(replace(run, more=(told_everywhere(14, 45.7),))) == set()  # asked before it was told
    assert numbers(replace(run, more=(told_everywhere(13, 44.0),))) == set()
    assert numbers(replace(run, more=(*run.more, Down(SECONDARY, 41.0, 42.0)))) == set()
    assert 4 in numbers(replace(run, more=(*run.more, Down(SECONDARY, 37.0, 38.0))))


def test_a_refusal_says_nothing_of_an_attempt_that_is_still_under_way_and_all_of_one_that_was_accepted() -> None:
    first = (Submitted(ZONE, 17, 40.0, "some", {A: of(12)}), Listed(ZONE, 5, 56.0, "plan 17", "chaos", "published"))
    run = Run(states={each: "published" for each in WANTED if each != 5}, looks=HONEST[:9])

    def refused(at: float, *, retried: bool) -> Run:
        answers = (Answered(ZONE, 17, at - 0.1, at, 422, retried=retried),)
        return replace(run, more=(*first, *answers))

    late, early, only = refused(58.0, retried=True), refused(48.0, retried=True), refused(48.0, retried=False)
    said = [
        any("was refused with 422" in each.detail for each in check(stories(each.lines())[ZONE]))
        for each in (late, early, only)
    ]
    assert said == [True, False, True]


def test_a_probe_of_the_fence_is_no_part_of_the_state() -> None:
    assert numbers(Run(last={**END, f"0123-0.probe._dnsguard.{ZONE} TXT": "0 round"})) == set()
    assert 1 in numbers(Run(last={**END, f"probe.{ZONE} TXT": "0 round"}))


PARTS = (
    seen(11, A, of(11), fence(1)),
    seen(21, A, of(12), fence(2)),
    seen(31, A, of(13), fence(3, 2, done=2)),
)
END_OF_PARTS = seen(51, A, of(12), fence(5))


def test_a_publication_that_is_begun_anew_for_a_newer_generation_has_less_done() -> None:
    anew = seen(41, A, of(13), fence(4, 2, done=1, of=4))
    assert numbers(Run(looks=(*PARTS, anew, END_OF_PARTS))) == set()
    assert 2 in numbers(Run(looks=(*PARTS, seen(41, A, of(13), fence(3, 2, done=1)), END_OF_PARTS)))


def test_a_publication_of_which_a_plan_was_rejected_may_be_begun_anew() -> None:
    anew = seen(51, A, of(13), fence(5, 2, done=2)), seen(52, A, of(13), fence(5, 2, done=1, of=2))
    run = Run(looks=(*PARTS, *anew, seen(54, A, of(12), fence(5))))
    assert 2 in numbers(run)
    states = {**dict.fromkeys(WANTED, "published"), 4: "rejected"}
    rejected = replace(run, states=states, why="the primary refuses it", last={**END, C: of(13)})
    assert numbers(rejected) == set()


def test_old_and_new_processes_answer_side_by_side_only_while_a_server_hands_over() -> None:
    flap = (
        seen(53.0, B, of(13), fence(4), fence(5), server=SECONDARY),
        seen(53.8, B, of(13), fence(4), server=SECONDARY),
        seen(54.6, B, of(13), fence(5), server=SECONDARY),
    )
    before = tuple(look for look in HONEST if look.server == PRIMARY or look.at < 52)
    run = Run(looks=(*before, *flap))
    assert 2 in numbers(run)
    assert numbers(replace(run, more=(Handover(SECONDARY, 1.0),))) == set()
    assert 2 in numbers(replace(run, more=(Handover(SECONDARY, 0.05),)))
    back = replace(run, looks=(*run.looks, seen(56.0, B, of(13), fence(4), server=SECONDARY)))
    assert 2 in numbers(replace(back, more=(Handover(SECONDARY, 1.0),)))


def test_the_new_process_may_show_more_than_the_old_ones_fence_while_a_server_hands_over() -> None:
    before = tuple(look for look in HONEST if look.server == PRIMARY)
    ahead = (
        seen(23.0, A, of(12), fence(2), server=SECONDARY),
        seen(30.0, A, of(13), fence(2), server=SECONDARY),
        seen(30.9, A, of(13), fence(3), server=SECONDARY),
    )
    run = Run(looks=(*before, *ahead))
    assert 1 in numbers(run)
    assert numbers(replace(run, more=(Handover(SECONDARY, 1.0),))) == set()
    empty = seen(30.2, B, None, fence(2), server=SECONDARY)
    assert 3 in numbers(replace(run, looks=(*run.looks, empty), more=(Handover(SECONDARY, 1.0),)))


def test_the_primary_may_not_go_back_even_if_it_was_killed() -> None:
    assert 2 in numbers(replace(with_looks(seen(54, B, of(13), fence(4))), more=(Down(PRIMARY, 53.0, 53.5),)))


def test_what_a_rejected_plan_says_may_stand_only_while_a_publication_is_under_way() -> None:
    rejected = (
        Submitted(ZONE, 17, 52.0, "some", {B: of(17)}),
        Listed(ZONE, 6, 57.0, "plan 17", "chaos", "rejected", "the primary refuses it"),
        Listed(ZONE, 7, 57.0, "puts generation 6 back", "dnsguard", "published", None, 6),
        Said(ZONE, 7, {B: of(13)}),
    )
    ended = Ended(ZONE, 7, 55.0, 57.0)
    last = seen(58, B, of(13), fence(7))
    parts = seen(54, B, of(17), fence(6, 5))
    assert numbers(Run(looks=(*HONEST, parts, last), more=rejected, ended=ended)) == set()
    after = seen(59, B, of(17), fence(7))
    assert 1 in numbers(Run(looks=(*HONEST, last, after), more=rejected, ended=ended))


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    writer = Writer(path)
    lines = Run().lines()
    for line in lines:
        writer.write(line)
    writer.close()
    assert list(read([path])) == lines
