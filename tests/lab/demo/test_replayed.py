"""A story that the explorer found is played by the demo on real sockets, and comes out as it was found."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsguard.cli.main import program
from dnsguard.lab.explore.exploring import Exploration, Story, explore, gravest
from dnsguard.lab.explore.watch import EMPTY, STALE
from dnsguard.lab.search.minimise import Wishes
from tests.servers import require

UNGUARDED = Exploration(guards="unguarded")
WITHOUT = {
    EMPTY: Exploration(without=("spare_live",)),
    STALE: Exploration(without=("fence_as_seen",), plans=3),
}


@pytest.fixture(scope="module")
def shortest() -> Story:
    return found(UNGUARDED)


def found(exploration: Exploration) -> Story:
    story = gravest(exploration, explore(exploration, stop_at_first=True))
    assert story is not None
    return story


def replayed(story: Story, folder: Path, *options: str) -> tuple[int, str]:
    path = folder / "story.json"
    path.write_text(story.to_json(), encoding="utf-8")
    result = CliRunner().invoke(program, ["demo", "--replay", str(path), *options])
    print(result.output)
    return result.exit_code, result.output


def test_the_shortest_unguarded_story_ends_empty_and_wedged_on_real_sockets(shortest: Story, tmp_path: Path) -> None:
    code, said = replayed(shortest, tmp_path)
    assert code == 0
    for number, sentence in enumerate(shortest.sentences(), 1):
        assert f"{number:>4}. {sentence}\n" in said
    assert "a client asks for regional.example.test.: NOERROR, no address" in said
    assert "and regional.example.test. is: NOERROR, no address" in said


async def test_the_same_story_on_bind(shortest: Story) -> None:
    require("named")
    # Late: a play has an event loop of its own.
    from dnsguard.lab.demo.replayed import play

    played = await play(shortest, "bind")
    assert played.as_recorded
    assert played.empty == ("regional.example.test.",)
    assert played.wedged == ("regional.example.test.",)


@pytest.mark.parametrize("violation", WITHOUT)
def test_without_one_guard_the_story_is_the_same_and_heals(violation: str, tmp_path: Path) -> None:
    story = found(WITHOUT[violation])
    assert story.violation == violation
    code, said = replayed(story, tmp_path, "--json")
    document = json.loads(said)
    assert code == 0
    assert document["as_recorded"]
    answer = document["answers"]["regional.example.test."]
    assert answer["rcode"] == "NOERROR"
    assert (answer["addresses"] == []) is (violation == EMPTY)
    assert document["answers_after_a_new_plan"]["regional.example.test."]["addresses"] == ["192.0.2.99"]


def test_a_crash_and_lost_messages_are_played_too(tmp_path: Path) -> None:
    exploration = Exploration(enactors=1, plans=2, crashes=1, losses=2)
    turns = ("go", "go", "lost answer", "go", "go", "go", "lost request", "go", "crash", "restart", *["go"] * 4)
    wishes = [("P", "go"), ("P", "go"), *(("E0", turn) for turn in turns)]
    schedule = exploration.simulator().run(Wishes(wishes)).schedule()
    assert [step.turn for step in schedule.steps[2:]] == list(turns)
    code, said = replayed(Story(exploration, schedule, "prefix", ""), tmp_path)
    assert code == 0
    assert "builds node 2 of regional; the answer is lost" in said
    assert "the request is lost" in said
    assert "E0 starts again" in said
    assert "regional now answers: plan 2" in said


def test_under_all_guards_the_same_schedule_does_not_fit(shortest: Story, tmp_path: Path) -> None:
    guarded = replace(shortest, exploration=replace(shortest.exploration, guards="guarded"))
    code, said = replayed(guarded, tmp_path)
    assert code == 2
    assert "Traceback" not in said


def test_what_a_recorded_story_has_no_use_for_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    for given in (("--seed", "1"), ("--speed", "2"), ("--report", str(page)), ("--pictures", str(tmp_path))):
        result = CliRunner().invoke(program, ["demo", "--replay", str(tmp_path / "missing.json"), *given])
        assert result.exit_code == 2
        assert given[0] in result.output
        assert "cannot read" not in result.output
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_system_while_playing_is_not_taken_for_one_of_the_file(
    shortest: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    code, said = replayed(shortest, tmp_path)
    assert code == 2
    assert "cannot read" not in said
    assert "expected to play" in said


def test_what_is_no_story_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "nothing.json"
    for text in ("{", "[]"):
        path.write_text(text, encoding="utf-8")
        result = CliRunner().invoke(program, ["demo", "--replay", str(path)])
        assert result.exit_code == 2
        assert "expected" in result.output
    result = CliRunner().invoke(program, ["demo", "--replay", str(tmp_path / "missing.json")])
    assert result.exit_code == 2
    assert "cannot read" in result.output
