"""Verifying from the command line: a line for each difference, and an exit code for scripts."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.rig import Cli
from tests.cli.site import TRIES_MAX, Site, open_site

FAST = "[workers]\nverifier_interval_s = 0.3\n[policy]\nverify = 'repair'\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site")) as site:
        for name in ("www", "mail", "slow", "old"):
            site.publish(name, "192.0.2.1")
        assert site.cli("retire", "old", "A").exit_code == 0
        yield site


def test_each_difference_is_a_line_and_the_exit_code_says_whether_there_is_one(site: Site) -> None:
    clean = site.cli("verify")
    assert (clean.exit_code, clean.stdout) == (
        0,
        "example.test. at generation 5: 4 RRsets compared, nothing differs; 1 not managed\n",
    )
    site.write("www 0 - A", "www 300 A 192.0.2.66", "www 300 TXT theirs", "mail 0 - A", "old 300 A 192.0.2.1")
    site.write("slow 0 - A", "slow 5 A 192.0.2.1")
    for named in (("example.test",), ("--zone", "example.test."), ("example.test.", "--zone", "Example.test")):
        done = site.cli("verify", *named)
        assert done.exit_code == 1
        assert done.stdout.splitlines() == [
            "missing mail.example.test. A: expected TTL 300 192.0.2.1 by generation 2, found nothing",
            "foreign old.example.test. A: found TTL 300 192.0.2.1, and it was retired by generation 5",
            "ttl slow.example.test. A: expected 300 by generation 3, found 5",
            "changed www.example.test. A: expected TTL 300 192.0.2.1 by generation 1, found TTL 300 192.0.2.66",
            'foreign www.example.test. TXT: found TTL 300 "theirs", which no plan covers',
            "example.test. at generation 5: 4 RRsets compared, 5 differ; 1 not managed",
        ]


def test_json_is_the_apis_answer_with_the_same_exit_code(site: Site) -> None:
    site.write("mail 0 - A")
    done = site.cli("verify", "--json")
    assert done.exit_code == 1
    findings = {(each["kind"], each["name"]) for each in json.loads(done.stdout)["findings"]}
    assert ("missing", "mail.example.test.") in findings


def test_status_shows_what_the_newest_verification_came_to(site: Site) -> None:
    site.write("mail 0 - A")
    site.cli("verify")
    assert "difference" in site.cli("status", "--zone", "example.test.").stdout
    listed = site.cli("status")
    assert listed.exit_code == 0
    assert "see 'dnsguard verify'" in listed.stdout


def test_two_zones_at_once_are_a_wrong_usage(site: Site) -> None:
    done = site.cli("verify", "example.test.", "--zone", "other.test.")
    assert done.exit_code == 2
    assert "expected one zone" in done.stderr


def test_who_cannot_be_reached_is_no_difference(tmp_path: Path, nobody: Cli) -> None:
    assert nobody("verify").exit_code == 2
    with open_site(tmp_path) as site:
        site.publish("www", "192.0.2.1")
        assert site.cli("verify").exit_code == 0
        asyncio.run(site.bind.stop())
        done = site.cli("verify")
        assert done.exit_code == 2
        assert "port" in done.stderr
        for command in (("status",), ("status", "example.test.")):
            said = site.cli(*command).stdout
            assert "could not be compared at 20" in said
            assert "port" in said
            assert "nothing differed at generation 1" in said.partition("(last success: ")[2]


def test_what_differs_is_repaired_by_itself_where_the_policy_says_so_and_accounted_for(tmp_path: Path) -> None:
    with open_site(tmp_path, FAST) as site:
        site.publish("www", "192.0.2.1")
        site.write("www 0 - A", "www 300 A 192.0.2.66", "www 300 TXT theirs")
        assert "is published anew by the daemon" in site.until(1, "verify").stdout
        shown = site.cli("verify")
        for _ in range(TRIES_MAX):
            if "A: expected" not in shown.stdout:
                break
            shown = site.cli("verify")
        assert shown.stdout.splitlines()[0].startswith("foreign www.example.test. TXT")
        listed = json.loads(site.cli("plans", "--json").stdout)["plans"]
        assert [(plan["generation"], plan["actor"], plan["state"]) for plan in listed] == [
            (2, "dnsguard", "published"),
            (1, "admin", "published"),
        ]
        assert listed[0]["reason"].startswith("repair: ")
        site.write("www 0 - A", "www 300 A 192.0.2.66")
        told = site.cli("verify")
        for _ in range(TRIES_MAX):
            told = site.cli("verify")
            if "repairs are suspended" in told.stdout:
                break
        assert "repairs are suspended: www.example.test. A" in told.stdout
        assert "is published anew" not in told.stdout
        assert "repairs of 1 suspended" in site.cli("status", "example.test.").stdout
        assert any("repair.suspended" in line and "error" in line for line in site.log_lines)
        assert any("192.0.2.66" in line for line in site.shown())
