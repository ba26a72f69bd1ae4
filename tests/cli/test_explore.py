"""`dnsguard explore`: what it prints, saves and plays again, and how it ends."""

import json
from pathlib import Path

import pytest

from dnsguard.lab.explore.exploring import Exploration, explore, gravest
from tests.cli.rig import Cli, interrupted

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
    assert (found["ended"], found["exhausted"]) == ("found", False)
    assert found["first"]["never empty"] <= 20
    assert found["story"]["violation"] == "never empty"
    assert len(found["story"]["sentences"]) == 25
    calm = json.loads(nobody("explore", *SMALL, "--json").stdout)
    assert (calm["ended"], calm["violations"], calm["story"]) == ("exhausted", {}, None)
    assert calm["exhausted"]


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
    done = nobody("explore", *SMALL, "--strategy", strategy, "--schedules-max", "20", "--json")
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
    story = done.stdout[done.stdout.index(" has 14 steps:\n") :]
    assert again.stdout.endswith("the story" + story)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--without", "nothing"), "expected one of plan_covers_something"),
        (("--faults", "crashes=x"), "expected crashes=N,losses=N"),
        (("--faults", "floods=1"), "found 'floods=1'"),
        (("--faults", "crashes=1,crashes=2"), "expected crashes=N once"),
        (("--faults", "crashes=1", "--faults", "crashes=1"), "expected crashes=N once"),
        (("--without", "bound_by_fence", "--without", "bound_by_fence"), "or left out already"),
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
        (("--table", "--guards", "unguarded"), "--read-back, --faults, --seconds-max with --table, found --guards"),
        (("--table", "--without", "spare_live"), "with --table, found --without"),
        (("--table", "--store", "sqlite"), "with --table, found --store"),
        (("--table", "--all"), "with --table, found --all"),
        (("--all", "--plans", "2"), "expected nothing but --json, --seconds-max with --all, found --plans"),
        (("--all", "--keep-going"), "with --all, found --keep-going"),
        (("--replay", "x", "--enactors", "3"), "--store, --database with --replay, found --enactors"),
        (("--replay", "x", "--save", "y"), "with --replay, found --save"),
        (("--strategy", "random", "--order", "october"), "the strategies states, dpor, found random"),
        (("--strategy", "plain", "--order", "neutral"), "the strategies states, dpor, found plain"),
        (("--strategy", "dpor", "--seeds", "5"), "the strategies random, pct, delays, found dpor"),
        (("--faults", "crashes=100"), "with N from 0 to 99, found 'crashes=100'"),
    ],
)
def test_what_would_be_passed_over_is_refused_with_a_sentence(nobody: Cli, args: tuple[str, ...], said: str) -> None:
    done = nobody("explore", *args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "ended at the first schedule that breaks something"),
        (
            ("--strategy", "random", "--seeds", "200", "--keep-going"),
            "ended when as many schedules were tried as --seed",
        ),
        (("--strategy", "pct", "--seeds", "200", "--keep-going"), "ended when as many schedules were tried as --seeds"),
        (("--schedules-max", "7", "--keep-going"), "ended after as many schedules as --schedules-max says"),
    ],
)
def test_it_is_said_why_a_search_ended_whatever_it_has_found(nobody: Cli, args: tuple[str, ...], said: str) -> None:
    done = nobody("explore", "--guards", "unguarded", *args)
    assert f"\nnot exhausted: {said}" in done.stdout
    assert "\nbroken: " in done.stdout


LONG = ("--enactors", "4", "--plans", "6", "--endpoints", "2", "--seconds-max", "60")


@pytest.mark.parametrize("strategy", ["states", "dpor"])
def test_interrupted_it_prints_what_it_has_counted(nobody: Cli, strategy: str) -> None:
    with interrupted():
        done = nobody("explore", *LONG, "--strategy", strategy)
    assert done.exit_code == 130
    assert "not exhausted: interrupted, this is the tally so far\n0 violations\n" in done.stdout
    assert " moves" in done.stdout


def test_interrupted_it_prints_the_rows_that_there_are(nobody: Cli) -> None:
    with interrupted():
        done = nobody("explore", "--table", *LONG, "--json")
    assert done.exit_code == 130
    assert len(json.loads(done.stdout)["table"]) <= 1
    with interrupted():
        done = nobody("explore", "--all", "--json")
    assert done.exit_code == 130
    assert len(json.loads(done.stdout)["scenarios"]) < 16


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--store", "postgresql"), "expected --database postgresql://USER@HOST/NAME"),
        (("--database", "postgresql://localhost/x"), "expected --store postgresql with --database, found memory"),
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
    assert again.stdout.endswith("the story" + done.stdout[done.stdout.index(" has 25 steps:\n") :])


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


@pytest.fixture(scope="module")
def saved() -> dict[str, object]:
    exploration = Exploration(guards="unguarded")
    story = gravest(exploration, explore(exploration, stop_at_first=True))
    assert story is not None
    return dict(json.loads(story.to_json()))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("plans", "x", "expected plans to be a number from 1 to 9, found 'x'"),
        ("plans", True, "expected plans to be a number from 1 to 9, found True"),
        ("plans", 2.0, "expected plans to be a number from 1 to 9, found 2.0"),
        ("keep", -4, "expected keep to be a number from 1 to 9, found -4"),
        ("enactors", 99999, "expected enactors to be a number from 1 to 5, found 99999"),
        ("rrsets", [1], "expected rrsets to be a number from 1 to 4"),
        ("crashes", 10**9, "expected crashes to be a number from 0 to 99"),
        ("layout", "zz", "expected layout to be one of inline, versioned, found 'zz'"),
        ("store", "oracle", "expected store to be one of memory, sqlite, postgresql, found 'oracle'"),
        ("guards", ["guarded"], "expected guards to be one of guarded, unguarded"),
        ("read_back", "no", "expected read_back to be true or false, found 'no'"),
        ("cleanup", None, "expected cleanup to be true or false, found None"),
        ("without", "spare_live", "without is no list of names"),
        ("without", [7], "without is no list of names"),
        ("without", ["nothing"], "found 'nothing'"),
        ("weather", "rain", "weather"),
    ],
)
@pytest.mark.parametrize("command", ["explore", "demo"])
def test_a_story_with_a_value_that_cannot_be_is_a_sentence_and_exit_code_2(
    nobody: Cli, tmp_path: Path, saved: dict[str, object], command: str, field: str, value: object, said: str
) -> None:
    about = saved["exploration"]
    assert isinstance(about, dict)
    path = tmp_path / "story.json"
    path.write_text(json.dumps(saved | {"exploration": about | {field: value}}))
    done = nobody(command, "--replay", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected a story that 'dnsguard explore --save' wrote" in done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_story_that_breaks_what_nobody_checks_is_refused(
    nobody: Cli, tmp_path: Path, saved: dict[str, object]
) -> None:
    path = tmp_path / "story.json"
    path.write_text(json.dumps(saved | {"violation": "never blue"}))
    done = nobody("explore", "--replay", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected as violation one of never empty" in done.stderr


def test_a_story_that_is_no_text_is_refused_and_it_is_said_what_to_do(nobody: Cli, tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_bytes(b"\xff\xfe\x00")
    done = nobody("explore", "--replay", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "found no text (UTF-8): save it anew" in done.stderr


def test_where_nothing_is_broken_it_is_said_that_nothing_was_saved(nobody: Cli, tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    done = nobody("explore", "--plans", "2", "--save", str(path))
    assert done.exit_code == 0
    assert "story.json was not written" in " ".join(done.stderr.split())
    assert not path.exists()


@pytest.mark.parametrize("field", ["violation", "detail"])
def test_a_story_whose_end_is_no_text_is_refused(
    nobody: Cli, tmp_path: Path, saved: dict[str, object], field: str
) -> None:
    path = tmp_path / "story.json"
    path.write_text(json.dumps(saved | {field: 7}))
    done = nobody("explore", "--replay", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected as violation one of never empty, forward (contents)," in done.stderr


def test_a_story_nested_without_end_is_refused(nobody: Cli, tmp_path: Path) -> None:
    path = tmp_path / "story.json"
    path.write_text("[" * 100_000)
    done = nobody("explore", "--replay", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected a story" in done.stderr
