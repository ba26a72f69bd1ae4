"""Simulated worlds: the real workers keep what they promise, and without any one of its rules a world breaks."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection

import pytest
from click.testing import CliRunner

from dnsguard.cli.simulate import Lines, guards_without, simulate
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.message import NamesRead, Unreachable
from dnsguard.lab.ends.primary import MemoryPublisher
from dnsguard.lab.explore.variants import guard_names, without
from dnsguard.lab.scheduler.actor import ACTOR, Actor
from dnsguard.lab.scheduler.simulation import Violation
from dnsguard.lab.search.findings import replay
from dnsguard.lab.simulate.chronicle import AGAIN
from dnsguard.lab.simulate.draws import Draws
from dnsguard.lab.simulate.seeds import Bad, Tally, campaign, each_guard, live_through, simulator
from dnsguard.lab.simulate.shortening import in_short, shortest_story
from dnsguard.lab.simulate.swarm import swarm

SEEDS = int(os.environ.get("DNSGUARD_TESTS_SEEDS", "300"))

FIRST: dict[str, tuple[int, str]] = {
    "plan_covers_something": (317, "the door's word"),
    "plan_is_bounded": (30, "self-healing"),
    "plan_in_zone": (19, "the door's word"),
    "reserved_names_untouched": (49, "prefix"),
    "server_records_untouched": (20, "prefix"),
    "apex_ns_kept": (8, "prefix"),
    "apex_not_redirected": (51, "the door's word"),
    "retirement_allowed": (58, "never empty"),
    "ttl_in_bounds": (18, "the door's word"),
    "rrset_is_bounded": (15, "prefix"),
    "rrset_fits_a_message": (127, "the door's word"),
    "cycle_fits_a_message": (3, "the door's word"),
    "generation_forward": (15, "nothing lost"),
    "made_from_what_stands": (13, "the door's word"),
    "cname_alone": (8, "the door's word"),
    "names_not_occluded": (45, "the door's word"),
    "ds_beside_ns": (56, "the door's word"),
    "contents_are_stored": (55, "prefix"),
    "unmanaged_contents_kept": (243, "the door's word"),
    "fence_readable": (2, "strangers"),
    "fence_of_this_history": (172, "forward"),
    "cname_alone_on_the_wire": (58, "strangers"),
    "ds_beside_ns_on_the_wire": (124, "nothing lost"),
    "unmanaged_contents_kept_on_the_wire": (71, "nothing lost"),
    "targets_first": (3, "nothing lost"),
    "fence_as_seen": (7, "forward"),
    "unmanaged_as_seen": (71, "strangers"),
    "no_cname_beside": (172, "prefix"),
    "no_ds_orphaned": (169, "prefix"),
    "target_exists": (0, "prefix"),
    "spare_live": (0, "never empty"),
    "spare_rollback": (0, "clean-up is harmless"),
    "aliases_as_listed": (46, "never empty"),
    "bound_by_age": (0, "clean-up is harmless"),
    "bound_by_fence": (16, "clean-up is harmless"),
}
"""By guard: a seed whose world breaks without it, and what. `dnsguard simulate --each-guard` finds them anew."""
HELD_UP = 35
"""A seed in whose world a name stops answering for good."""
REPAIRED = 10
"""A seed in whose world a stranger overwrites what a verifier then repairs."""


def test_guarded_worlds_keep_every_invariant() -> None:
    *_, (tally, _) = campaign(0, SEEDS)
    assert tally.seeds == SEEDS
    assert [(bad.seed, bad.violation) for bad in tally.bad] == []


@pytest.mark.parametrize("seed", sorted({seed for seed, _ in FIRST.values()}))
def test_with_all_guards_the_worlds_hold_that_break_without_one(seed: int) -> None:
    assert live_through(seed).violations == ()


@pytest.mark.parametrize("guard", guard_names(GUARDED))
def test_without_a_guard_some_world_breaks_an_invariant(guard: str) -> None:
    seed, invariant = FIRST[guard]
    again = f"the worlds have changed: look for new seeds with 'dnsguard simulate --each-guard', {guard}"
    assert [found.name for found in live_through(seed, without(GUARDED, guard)).violations] == [invariant], again


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--each-guard", "--without", "fence_as_seen"), "with all guards but one at a time, found --without"),
        (("--each-guard", "--unguarded"), "with all guards but one at a time, found --unguarded"),
        (("--each-guard", "--story"), "expected --each-guard, which tells no story"),
        (("--without", "fence_as_seen", "--without", "fence_as_seen"), "found fence_as_seen more than once"),
    ],
)
def test_what_cannot_be_answered_together_is_not_asked(options: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(simulate, [*options, "--seeds", "1"])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_with_names_that_hold_up_a_whole_zone_a_world_is_not_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, a name that could not be read made the whole read fail, and the enactor tried again for ever."""
    read = MemoryPublisher.read

    async def all_or_nothing(self: MemoryPublisher, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        found = await read(self, zone, names)
        if isinstance(found, NamesRead) and found.unread:
            return Unreachable("a name cannot be read")
        return found

    seed = HELD_UP
    assert live_through(seed).violations == ()
    monkeypatch.setattr(MemoryPublisher, "read", all_or_nothing)
    assert [found.name for found in live_through(seed).violations] == ["contained"]


def test_an_empty_answer_is_called_so_though_it_is_no_prefix_either() -> None:
    assert FIRST["spare_live"][1] == FIRST["aliases_as_listed"][1] == "never empty"


def test_a_clean_up_without_any_bound_breaks_a_world_and_not_the_program() -> None:
    broken = first_bad(without(UNGUARDED, "bound_by_age_published"))
    assert broken[1] != "fault"


def test_each_guard_is_left_out_in_turn_until_a_world_breaks() -> None:
    seed = FIRST["fence_as_seen"][0]
    found = {needed.guard: needed for needed in each_guard(seed, 1, cores=1)}
    assert tuple(found) == guard_names(GUARDED)
    assert found["fence_as_seen"].bad is not None
    assert found["fence_as_seen"].bad.seed == seed
    assert any(needed.bad is None and needed.seeds == 1 for needed in found.values())


def first_bad(guards: Guards) -> tuple[int, str]:
    for tally, _ in campaign(0, 1_000, guards, stop=lambda total: bool(total.bad)):
        if tally.bad:
            return tally.bad[0].seed, tally.bad[0].violation.name
    raise AssertionError("no world of 1,000 was violated")


def test_unguarded_worlds_break_soon() -> None:
    first_bad(UNGUARDED)


def test_a_seed_says_everything() -> None:
    script = (
        "import json; from dnsguard.lab.simulate.seeds import live_through\n"
        "print(json.dumps([str(move) for seed in range(8) for move in live_through(seed).moves]))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert json.loads(told[0]) == [str(move) for seed in range(8) for move in live_through(seed).moves]


def test_the_shortest_story_of_a_broken_world_replays_and_is_told_in_words() -> None:
    seed, name = FIRST["spare_live"]
    guards = without(GUARDED, "spare_live")
    told = shortest_story(seed, guards, runs_max=60)
    assert told is not None
    assert told.violation.name == name
    assert told.steps == len(told.sentences) < 30 < len(live_through(seed, guards).moves)
    assert told.settings != swarm(seed)
    again = replay(simulator(seed, guards, told.settings, timed=told.timed).run, told.schedule)
    assert name in {each.name for each in again.violations}
    story = "\n".join(told.sentences)
    for said in (
        r"P\d submits a plan for n\d.*: accepted as generation \d",
        r"observes the fence: none",
        r"clean-up of D\d lists the zone",
    ):
        assert re.search(said, story)
    assert re.fullmatch(r"clean-up of D\d deletes node \d of (n\d); \1 now answers: EMPTY", told.sentences[-1])
    assert "store." not in story


def test_nobody_in_a_short_story_looks_round_until_it_is_somebody_elses_time() -> None:
    seed, name = FIRST["target_exists"]
    told = shortest_story(seed, without(GUARDED, "target_exists"))
    assert told is not None
    assert not told.timed
    assert told.violation.name == name
    assert "finds nothing to publish" not in "\n".join(told.sentences)
    under_one_clock = live_through(seed, without(GUARDED, "target_exists"), told.settings)
    assert told.steps < len(under_one_clock.moves)


def test_steps_that_say_nothing_new_are_counted() -> None:
    told = ["D0 looks", AGAIN, AGAIN, "P0 submits", AGAIN]
    assert in_short(told) == (
        (1, "D0 looks"),
        (2, "(2 more, in which nothing changes)"),
        (4, "P0 submits"),
        (5, "(once more)"),
    )
    assert in_short([]) == ()


def test_what_one_actor_draws_changes_nothing_of_what_another_does() -> None:
    drawn = {}
    for busy in (0, 5):
        draws = Draws("seed")
        actors = {name: Actor(name) for name in ("D0", "D1")}
        for name, times in (("D0", busy), ("D1", 3)):
            token = ACTOR.set(actors[name])
            try:
                drawn[name, busy] = [(draws.random(), draws.uniform(1, 2)) for _ in range(times)]
            finally:
                ACTOR.reset(token)
    assert drawn["D1", 0] == drawn["D1", 5]
    assert drawn["D0", 5][:3] != drawn["D1", 5]


def test_a_verifier_repairs_what_strangers_changed_and_its_story_says_so() -> None:
    tell: list[str] = []
    replay(simulator(REPAIRED, tell=tell).run, live_through(REPAIRED).schedule())
    acts = [
        next(number for number, sentence in enumerate(tell) if said in sentence)
        for said in (
            "a stranger writes another address where dnsguard has published one; n0 now answers: plan ?",
            "V0 submits a plan for n0",
            "n0 now answers: plan 4",
        )
    ]
    assert acts == sorted(acts)
    assert any("V0 lists the zone, to compare it with the history" in sentence for sentence in tell)


def test_a_long_campaign_says_how_far_it_is_and_names_each_violated_seed_at_once() -> None:
    lines = Lines(1_000)
    assert lines.due(Tally(seeds=50), 1.0) is None
    bad = Bad(77, Violation("prefix", "something"), 9)
    assert lines.due(Tally(seeds=100, bad=[bad]), 2.0) == "seed 77: prefix: something"
    assert lines.due(Tally(seeds=250, bad=[bad]), 40.0) == "250 of 1000 worlds in 40 s, 1 violated; about 120 s left"
    assert lines.due(Tally(seeds=300, bad=[bad]), 50.0) is None


def test_a_campaign_that_keeps_going_lists_every_bad_seed_with_what_breaks() -> None:
    seed, name = FIRST["server_records_untouched"]
    asked = ["--start", str(seed), "--seeds", "1", "--cores", "1", "--keep-going"]
    asked += ["--without", "server_records_untouched"]
    plain = CliRunner().invoke(simulate, asked)
    assert plain.exit_code != 0
    assert f"seed {seed}: {name}: " in plain.output
    assert f"replay: dnsguard simulate --seeds 1 --start {seed} --without server_records_untouched" in plain.output
    found = json.loads(CliRunner().invoke(simulate, [*asked, "--json"]).stdout)
    assert [(bad["seed"], bad["name"]) for bad in found["bad"]] == [(seed, name)]
    assert found["story"]


def test_a_guard_that_is_none_is_refused_with_those_there_are() -> None:
    refused = CliRunner().invoke(simulate, ["--without", "luck"])
    assert refused.exit_code == 2
    assert "fence_as_seen" in refused.output
    assert guards_without(("fence_as_seen",), GUARDED) == without(GUARDED, "fence_as_seen")
