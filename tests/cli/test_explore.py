"""`dnsguard explore`: what it prints, saves and plays again, and how it ends."""

import json
from pathlib import Path

import pytest

from tests.cli.rig import Cli

SMALL = ("--plans", "2", "--layout", "inline")


def test_unguarded_the_incident_is_told_and_the_exit_code_says_so(nobody: Cli) -> None:
    done = nobody("explore", "--guards", "unguarded")
    assert done.exit_code == 1
    assert "tried first: October's order" in done.stdout
    assert "broken: never empty" in done.stdout
    assert "E0 flips regional from 4 to 2" in done.stdout
    assert "regional now answers: EMPTY" in done.stdout


def test_guarded_a_small_scenario_is_exhausted_and_the_exit_code_says_so(nobody: Cli) -> None:
    done = nobody("explore", *SMALL)
    assert done.exit_code == 0
    assert "exhausted: nothing else can happen\n0 violations\n" in done.stdout


def test_json_has_the_figures_and_the_story(nobody: Cli) -> None:
    found = json.loads(nobody("explore", "--guards", "unguarded", "--json").stdout)
    assert found["first"]["never empty"] <= 20
    assert found["story"]["violation"] == "never empty"
    assert len(found["story"]["sentences"]) == 25
    calm = json.loads(nobody("explore", *SMALL, "--json").stdout)
    assert (calm["exhausted"], calm["violations"], calm["story"]) == (True, {}, None)


def test_from_a_neutral_order_it_is_said_so(nobody: Cli) -> None:
    done = nobody("explore", *SMALL, "--order", "neutral")
    assert "tried first: whoever was there first" in done.stdout


def test_what_is_run_in_truth_every_time_comes_to_the_same(nobody: Cli) -> None:
    counts = ("exhausted", "violations")
    found = [json.loads(nobody("explore", *SMALL, "--json", *more).stdout) for more in ((), ("--rerun",))]
    assert [found[0][name] for name in counts] == [found[1][name] for name in counts]


def test_the_table_is_filled_at_the_size_that_was_asked_for(nobody: Cli) -> None:
    size = ("--enactors", "1", "--plans", "2", "--keep", "1")
    done = nobody("explore", "--table", *size, "--json")
    rows = json.loads(done.stdout)["table"]
    assert len(rows) == 7
    assert {(row["enactors"], row["plans"], row["keep"]) for row in rows} == {(1, 2, 1)}
    assert all(row["exhausted"] for row in rows)
    assert done.exit_code == 1  # one enactor alone does not show what is lost
    assert "1 enactors, 2 plans, 1 endpoints, the last 1 kept" in done.stderr


@pytest.mark.parametrize("strategy", ["dpor", "random", "pct", "delays"])
def test_other_strategies_and_bounds(nobody: Cli, strategy: str) -> None:
    done = nobody("explore", *SMALL, "--strategy", strategy, "--seeds", "20", "--schedules-max", "20", "--json")
    found = json.loads(done.stdout)
    assert found["schedules"] <= 20
    assert done.exit_code == 0


def test_a_guard_that_is_left_out_is_missed_and_the_story_is_saved_and_played(nobody: Cli) -> None:
    saved = nobody.folder / "story.json"
    done = nobody("explore", "--without", "fence_as_seen", "--plans", "3", "--save", str(saved))
    assert done.exit_code == 1
    assert "without fence_as_seen" in done.stdout
    again = nobody("explore", "--replay", str(saved))
    assert again.exit_code == 1
    story = done.stdout[done.stdout.index("the shortest story") :]
    assert again.stdout.endswith(story)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--without", "nothing"), "expected one of plan_covers_something"),
        (("--faults", "crashes=x"), "expected crashes=N,losses=N"),
        (("--faults", "floods=1"), "found 'floods=1'"),
        (("--enactors", "0"), "--enactors"),
        (("--strategy", "luck"), "--strategy"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(nobody: Cli, args: tuple[str, ...], said: str) -> None:
    done = nobody.process("explore", *args)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--store", "postgresql"), "expected --database postgresql://USER@HOST/NAME"),
        (("--database", "postgresql://localhost/x"), "expected --store postgresql with --database, found memory"),
        (("--table", "--store", "sqlite"), "expected --table and --all with --store memory, found sqlite"),
        (
            ("--store", "postgresql", "--database", "postgresql://me:secret@127.0.0.1:1/x"),
            "dnsguard: expected to reach database x at 127.0.0.1:1",
        ),
    ],
)
def test_a_store_without_its_database_is_a_sentence_and_exit_code_2(
    nobody: Cli, args: tuple[str, ...], said: str
) -> None:
    done = nobody("explore", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())
    assert "secret" not in done.stderr


def test_a_story_from_memory_is_told_the_same_over_postgresql(nobody: Cli, postgresql_url_empty: str) -> None:
    saved = nobody.folder / "story.json"
    done = nobody("explore", "--guards", "unguarded", "--save", str(saved))
    again = nobody("explore", "--replay", str(saved), "--store", "postgresql", "--database", postgresql_url_empty)
    assert again.exit_code == done.exit_code == 1
    assert ", postgresql" in again.stdout
    assert again.stdout.endswith(done.stdout[done.stdout.index("the shortest story") :])


def test_over_postgresql_a_story_is_found_and_saved_without_the_database(
    nobody: Cli, postgresql_url_empty: str
) -> None:
    saved = nobody.folder / "story.json"
    where = ("--store", "postgresql", "--database", postgresql_url_empty)
    done = nobody("explore", "--without", "fence_as_seen", "--plans", "3", "--save", str(saved), *where)
    assert done.exit_code == 1
    assert "database" not in saved.read_text()
    without = nobody("explore", "--replay", str(saved))
    assert without.exit_code == 2
    assert "expected --database" in without.stderr


def test_a_database_of_a_daemon_is_refused_with_a_sentence(nobody: Cli, postgresql_url: str) -> None:
    done = nobody("explore", *SMALL, "--store", "postgresql", "--database", postgresql_url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected a database in which no daemon keeps its history" in done.stderr


def test_a_story_that_cannot_be_read_is_a_sentence_and_exit_code_2(nobody: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    for path, said in ((bad, "expected a story"), (tmp_path / "none.json", "No such file")):
        done = nobody.process("explore", "--replay", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr


def test_a_story_of_another_scenario_is_refused(nobody: Cli, tmp_path: Path) -> None:
    saved = tmp_path / "story.json"
    nobody("explore", "--without", "fence_as_seen", "--plans", "3", "--save", str(saved))
    changed = saved.read_text().replace('"endpoints": 1', '"endpoints": 2')
    saved.write_text(changed.replace('"rrsets": 1', '"rrsets": 2').replace('"plans": 3', '"plans": 1'))
    done = nobody.process("explore", "--replay", str(saved))
    assert done.returncode == 2
    assert "replay it on the scenario and the options" in done.stderr
