"""Taking over a zone from the command line: nothing on the wire changes but the fence, and what is left out is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.site import Site, open_site

FULL = ("Www 300 A 192.0.2.1", "www 300 TXT theirs", "Alias 60 CNAME Www.Example.test.", "*.wild 300 A 192.0.2.2")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        site.write(*FULL)
        yield site


def test_a_zone_is_taken_over_name_by_name_and_then_as_a_whole(site: Site) -> None:
    before = site.shown()
    dry = site.cli("adopt", "--all", "--dry-run")
    assert dry.exit_code == 0
    assert "would take over www.example.test. TXT" in dry.stdout
    assert "left out example.test. SOA: the name server keeps it itself" in dry.stdout
    assert "nothing was changed" in dry.stdout
    some = site.cli("adopt", "example.test.", "--name", "www", "--name", "alias", "--reason", "from the old tool")
    assert (some.exit_code, some.stdout.splitlines()) == (
        0,
        ["3 RRsets of example.test. became one plan", "taken over: example.test. generation 1, 3 RRsets"],
    )
    shown = json.loads(site.cli("show", "1", "--json").stdout)
    assert (shown["state"], shown["actor"], shown["reason"]) == ("published", "admin", "from the old tool")
    rest = site.cli("adopt", "--zone", "example.test.", "--all")
    assert rest.exit_code == 0
    assert "left out www.example.test. A: a plan covers it already" in rest.stdout
    assert site.shown() == before
    verified = site.cli("verify")
    assert (verified.exit_code, verified.stdout.splitlines()[0].partition(", ")[2]) == (
        0,
        "nothing differs; 0 not managed",
    )
    nothing = site.cli("adopt", "--all")
    assert nothing.exit_code == 0
    assert "nothing to take over" in nothing.stdout


def test_a_zone_larger_than_a_plan_becomes_several_and_that_is_said(tmp_path: Path) -> None:
    with open_site(tmp_path, "[policy]\nplan_rrsets_max = 2\n") as site:
        site.write(*FULL)
        before = site.shown()
        done = site.cli("adopt", "--all")
        assert done.exit_code == 0, done.output
        assert "became 3 plans, since one holds only so many" in done.stdout
        assert done.stdout.count("taken over: ") == 3
        assert site.shown() == before


def test_what_was_taken_over_can_be_changed_from_then_on(site: Site) -> None:
    assert site.cli("adopt", "--name", "www").exit_code == 0
    site.publish("www", "192.0.2.9")
    assert any(line.endswith("192.0.2.9") for line in site.shown())
    assert site.cli("verify").exit_code == 0


def test_what_cannot_be_taken_over_is_refused_with_the_reason(site: Site) -> None:
    gone = site.cli("adopt", "--name", "nowhere")
    assert gone.exit_code == 1
    assert "nowhere.example.test." in gone.stderr
    for usage in ((), ("--all", "--name", "www")):
        assert site.cli("adopt", *usage).exit_code == 2
    assert json.loads(site.cli("status", "example.test.", "--json").stdout)["newest"] == 0


def test_json_is_the_apis_answer_and_then_each_plan(site: Site) -> None:
    done = site.cli("adopt", "--name", "www", "--json")
    answer, plan = (json.loads(line) for line in done.stdout.splitlines())
    assert (answer["generations"], answer["rrset_count"]) == ([1], 2)
    assert (plan["generation"], plan["state"]) == (1, "published")
