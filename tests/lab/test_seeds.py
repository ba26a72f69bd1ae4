"""Simulated worlds: the real workers keep what they promise, and without its rules a world breaks."""

import json
import os
import subprocess
import sys

import pytest

from dnsguard.cli.simulate import guards_without
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.lab.search import replay
from dnsguard.lab.seeds import campaign, live_through, shortest_story, simulator

SEEDS = int(os.environ.get("DNSGUARD_TESTS_SEEDS", "400"))


def test_guarded_worlds_keep_every_invariant() -> None:
    *_, (tally, _) = campaign(0, SEEDS)
    assert tally.seeds == SEEDS
    assert [(bad.seed, bad.violation) for bad in tally.bad] == []


def first_bad(guards: Guards) -> tuple[int, str]:
    for tally, _ in campaign(0, 1_000, guards, stop=lambda total: bool(total.bad)):
        if tally.bad:
            return tally.bad[0].seed, tally.bad[0].violation.name
    raise AssertionError("no world of 1,000 was violated")


def test_unguarded_worlds_break_soon() -> None:
    first_bad(UNGUARDED)


@pytest.mark.parametrize("name", ["fence_as_seen", "spare_live"])
def test_without_a_guard_some_world_breaks(name: str) -> None:
    first_bad(guards_without((name,), GUARDED))


def test_a_seed_says_everything() -> None:
    script = (
        "import json; from dnsguard.lab.seeds import live_through\n"
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


def test_the_shortest_story_of_a_broken_world_replays() -> None:
    guards = guards_without(("fence_as_seen",), GUARDED)
    seed, name = first_bad(guards)
    found = shortest_story(seed, guards, runs_max=60)
    assert found is not None
    violation, schedule = found
    assert violation.name == name
    assert name in {each.name for each in replay(simulator(seed, guards).run, schedule).violations}
