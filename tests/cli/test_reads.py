"""Looking at zones, plans and differences from the command line."""

import http.client
import json
import re
from pathlib import Path

import pytest

from tests.cli.rig import READER_TOKEN, Between, Cli, between


@pytest.fixture
def here(two_zones: Cli) -> int:
    """The zone here.test. with two plans on top of what it had. Returns the generation of the newest."""
    for address in ("192.0.2.1", "192.0.2.2"):
        assert two_zones("set", "www", "A", "60", address, "--zone", "here.test.", "--reason", "moved").exit_code == 0
    return int(json.loads(two_zones("status", "here.test.", "--json").stdout)["newest"])


def test_status_shows_all_zones_in_stable_columns(two_zones: Cli, here: int) -> None:
    done = two_zones("status")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "ZONE"
    assert re.fullmatch(rf"here\.test\. +current +{here} +{here} +{here} +0 +\d{{4}}-\d\d-\d\dT[\d:.]+Z", lines[2])
    assert lines[1].startswith("away.test.")


def test_status_of_one_zone_shows_its_fence(two_zones: Cli, here: int) -> None:
    done = two_zones("status", "here.test.")
    assert re.search(rf"^fence: +v=1 .*g={here} ", done.stdout, re.MULTILINE)
    assert re.search(r"^state: +current$", done.stdout, re.MULTILINE)


def test_plans_are_listed_newest_first_within_bounds(two_zones: Cli, here: int) -> None:
    done = two_zones("plans", "here.test.", "--limit", "1")
    assert re.fullmatch(rf"{here} +published +\S+ +admin +1 +moved", done.stdout.splitlines()[1])
    older = two_zones("plans", "here.test.", "--below", str(here), "--limit", "1")
    assert older.stdout.splitlines()[1].startswith(f"{here - 1} ")


def test_show_tells_all_about_a_plan(two_zones: Cli, here: int) -> None:
    done = two_zones("show", str(here), "--zone", "here.test.")
    assert done.stdout.splitlines()[-1] == "  www.here.test. 60 A 192.0.2.2"
    assert re.search(rf"^based on: +{here - 1}$", done.stdout, re.MULTILINE)
    unknown = two_zones("show", "999999", "--zone", "here.test.")
    assert (unknown.exit_code, unknown.stdout) == (1, "")


def test_rrsets_are_shown_as_they_are_and_as_they_were(two_zones: Cli, here: int) -> None:
    now = two_zones("rrsets", "--zone", "here.test.", "--name", "www", "--type", "a")
    assert re.search(rf"^www\.here\.test\. +60 +A +192\.0\.2\.2 +{here}$", now.stdout, re.MULTILINE)
    then = two_zones("rrsets", "--zone", "here.test.", "--at", str(here - 1))
    assert re.search(rf"^www\.here\.test\. +60 +A +192\.0\.2\.1 +{here - 1}$", then.stdout, re.MULTILINE)


def test_listings_go_on_over_all_pages(two_zones: Cli) -> None:
    rrsets = [{"name": f"n{number}", "type": "A", "ttl": 60, "records": ["192.0.2.1"]} for number in range(1200)]
    plan = json.dumps({"zone": "here.test.", "rrsets": rrsets})
    assert two_zones("submit", "-", stdin=plan, DNSGUARD_URL=two_zones.url).exit_code == 0
    listed = two_zones("rrsets", "--zone", "here.test.").stdout.splitlines()
    assert len({line.split()[0] for line in listed if re.match(r"n\d+\.", line)}) == 1200
    pages = [json.loads(line) for line in two_zones("rrsets", "--zone", "here.test.", "--json").stdout.splitlines()]
    assert len(pages) >= 3
    assert sum(len(page["rrsets"]) for page in pages) == len(listed) - 1
    newest = pages[0]["generation"]
    changed = two_zones("diff", str(newest - 1), str(newest), "--zone", "here.test.").stdout
    assert changed.count("\n+ n") == 1200


def test_diff_shows_only_the_lines_that_differ(two_zones: Cli, here: int) -> None:
    done = two_zones("diff", str(here - 1), str(here), "--zone", "here.test.")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            f"here.test. from generation {here - 1} to {here}",
            "- www.here.test. 60 A 192.0.2.1",
            "+ www.here.test. 60 A 192.0.2.2",
        ],
    )
    assert two_zones("diff", str(here - 1), "--zone", "here.test.").stdout == done.stdout
    assert two_zones("diff", "--zone", "here.test.").stdout.splitlines()[1] == "no difference"


def test_diff_says_what_is_retired(two_zones: Cli) -> None:
    assert two_zones("set", "gone", "A", "60", "192.0.2.1", "--zone", "here.test.").exit_code == 0
    assert two_zones("retire", "gone", "A", "--zone", "here.test.").exit_code == 0
    newest = json.loads(two_zones("status", "here.test.", "--json").stdout)["newest"]
    done = two_zones("diff", str(newest - 1), str(newest), "--zone", "here.test.")
    assert done.stdout.splitlines()[1:] == [
        "- gone.here.test. 60 A 192.0.2.1",
        "; gone.here.test. A retired: removed by name",
    ]
    assert "(retired)" in two_zones("rrsets", "--zone", "here.test.", "--name", "gone").stdout
    assert "gone.here.test. A (retired)" in two_zones("show", str(newest), "--zone", "here.test.").stdout


def test_diff_of_a_file_is_a_dry_run(two_zones: Cli, here: int, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("zone: here.test.\nrrsets:\n- {name: www, type: A, ttl: 60, records: [192.0.2.7]}\n")
    done = two_zones("diff", str(plan))
    assert (done.exit_code, done.stdout.splitlines()[1]) == (0, "+ www.here.test. 60 A 192.0.2.7")
    assert json.loads(two_zones("status", "here.test.", "--json").stdout)["newest"] == here
    plan.write_text("zone: here.test.\nretire:\n- {name: '@', type: NS}\n")
    refused = two_zones("diff", str(plan))
    assert refused.exit_code == 1
    assert "guard:    apex_ns_kept" in refused.stderr


def test_diff_tells_by_its_exit_code_whether_anything_differs(two_zones: Cli, here: int, tmp_path: Path) -> None:
    zone = ("--zone", "here.test.")
    assert two_zones("diff", str(here - 1), str(here), "--exit-code", *zone).exit_code == 1
    assert two_zones("diff", str(here - 1), str(here), "--exit-code", "--json", *zone).exit_code == 1
    assert two_zones("diff", str(here), str(here), "--exit-code", *zone).exit_code == 0
    assert two_zones("diff", "9999", "--exit-code", *zone).exit_code == 1
    plan = tmp_path / "plan.yaml"
    for last, code in ((2, 0), (7, 1)):
        plan.write_text(f"zone: here.test.\nrrsets:\n- {{name: www, type: A, ttl: 60, records: [192.0.2.{last}]}}\n")
        assert two_zones("diff", str(plan)).exit_code == 0
        assert two_zones("diff", str(plan), "--exit-code").exit_code == code
        assert two_zones("diff", str(plan), "--exit-code", "--json").exit_code == code


def test_a_primary_that_is_away_takes_no_daemon_out_of_service(two_zones: Cli) -> None:
    two_zones("set", "www", "A", "60", "192.0.2.1", "--zone", "away.test.", "--wait", "2")
    connection = http.client.HTTPConnection(two_zones.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/v1/health/ready")
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["status"]) == (200, "ready")
    connection.close()
    status = two_zones("status", "away.test.").stdout
    assert "STUCK" in status
    assert "not everything is published at the moment: " in status


def test_where_several_zones_are_served_one_must_be_named(two_zones: Cli) -> None:
    done = two_zones("rrsets")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "name it: away.test., here.test." in done.stderr


def test_an_unknown_zone_is_refused_whatever_is_in_its_name(two_zones: Cli) -> None:
    for zone in ("nowhere.test.", "0/25.2.0.192.in-addr.arpa.", "here.test./plans", "..", "%2F?#"):
        done = two_zones("status", zone)
        assert (done.exit_code, done.stdout) == (1, ""), zone


def test_json_is_the_apis_answer_as_it_came(two_zones: Cli) -> None:
    with between(Between(two_zones.url)) as way:
        for args in (("status",), ("status", "here.test."), ("plans", "here.test."), ("version",)):
            options = () if args == ("version",) else ("--url", way.url)
            answer = json.loads(two_zones(*args, "--json", *options, DNSGUARD_TOKEN=READER_TOKEN).stdout)
            assert set(answer) & {"zones", "zone", "plans", "version"}
