"""Changing a zone from the command line: against a real daemon and its real name server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.rig import Cli


def records(cli: Cli, name: str, rdtype: str, *options: str) -> list[str]:
    found: Any = json.loads(cli("rrsets", "--name", name, "--type", rdtype, "--json", *options).stdout)
    return [record for rrset in found["rrsets"] for record in rrset["records"]]


def newest(cli: Cli, zone: str = "example.test.") -> int:
    found: Any = json.loads(cli("status", zone, "--json").stdout)
    return int(found["newest"])


def test_set_publishes_the_complete_contents_of_an_rrset(cli: Cli) -> None:
    done = cli("set", "set1", "A", "300", "192.0.2.2", "192.0.2.1")
    assert (done.exit_code, done.stdout) == (0, f"published: example.test. generation {newest(cli)}\n")
    assert records(cli, "set1", "A") == ["192.0.2.1", "192.0.2.2"]
    assert cli("set", "set1", "A", "300", "192.0.2.3").exit_code == 0
    assert records(cli, "set1", "A") == ["192.0.2.3"]


def test_what_is_set_again_is_unchanged_and_makes_no_generation_unless_it_is_to_be_republished(cli: Cli) -> None:
    args = ("set", "same", "A", "300", "192.0.2.1")
    assert cli(*args).exit_code == 0
    at = newest(cli)
    said = (
        f"unchanged: these contents are accepted already, as of example.test. generation {at}; no generation was made"
    )
    again = cli(*args)
    assert (again.exit_code, again.stdout) == (0, said + "\n")
    keyed = [cli(*args, "--idempotency-key", "same-key").stdout for _ in range(2)]
    assert keyed == [said + "\n", said + " (answered before, under the same key)\n"]
    assert json.loads(cli(*args, "--json").stdout)["unchanged"] is True
    dry = cli(*args, "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[0]) == (0, "no difference")
    assert dry.stdout.splitlines()[-1].startswith("unchanged: ")
    assert newest(cli) == at
    assert cli(*args, "--republish").stdout == f"published: example.test. generation {at + 1}\n"
    assert (
        cli(
            "submit", "-", stdin=("republish: true\nrrsets:\n- {name: same, type: A, ttl: 300, records: [192.0.2.1]}\n")
        ).stdout
        == f"published: example.test. generation {at + 2}\n"
    )


def test_set_and_retire_say_what_they_replace(cli: Cli) -> None:
    assert cli("set", "was", "A", "300", "192.0.2.1", "192.0.2.2").exit_code == 0
    at = newest(cli)
    assert cli("set", "was", "A", "60", "192.0.2.1").stdout.splitlines() == [
        f"published: example.test. generation {at + 1}",
        f"  - was.example.test. 300 A 192.0.2.1 (generation {at})",
        f"  - was.example.test. 300 A 192.0.2.2 (generation {at})",
        "  + was.example.test. 60 A 192.0.2.1",
    ]
    assert cli("retire", "was", "A").stdout.splitlines() == [
        f"published: example.test. generation {at + 2}",
        f"  - was.example.test. 60 A 192.0.2.1 (generation {at + 1})",
        "  ; was.example.test. A retired: removed by name",
    ]
    assert cli("retire", "was", "A").stdout.startswith("unchanged: ")


def test_set_gives_a_text_the_quotes_that_the_shell_ate(cli: Cli) -> None:
    assert cli("set", "set2", "TXT", "300", "v=spf1 -all", '"a" "b"').exit_code == 0
    assert records(cli, "set2", "TXT") == ['"a" "b"', '"v=spf1 -all"']


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["-Zk3_token"], ["-Zk3_token"]),
        (["-hk3", "-"], ["-", "-hk3"]),
        (["-a", "--reason", "a token", "-b"], ["-a", "-b"]),
        (["--reason=a token", "-a"], ["-a"]),
        (["a", "--no-wait"], ["a"]),
        (["--reason", "--dry-run", "a"], ["a"]),
        (["-x=y", "--", "--dry-run", "-h", "--"], ["--", "--dry-run", "-h", "-x=y"]),
    ],
)
def test_a_record_may_begin_with_a_dash(cli: Cli, args: list[str], found: list[str]) -> None:
    name = f"dash-{'-'.join(args).encode().hex()}"[:60]
    done = cli("set", name, "TXT", "60", *args)
    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(records(cli, name, "TXT", "--at", str(newest(cli)))) == sorted(f'"{text}"' for text in found)


def test_the_arguments_of_set_may_stand_behind_two_dashes(cli: Cli) -> None:
    assert cli("set", "--no-wait", "--", "dashes", "TXT", "60", "-Zk3_token").exit_code == 0
    assert records(cli, "dashes", "TXT", "--at", str(newest(cli))) == ['"-Zk3_token"']


def test_an_option_that_set_does_not_know_is_never_taken_for_a_record(cli: Cli) -> None:
    before = newest(cli)
    done = cli("set", "dashes2", "TXT", "60", "text", "--dryrun")
    assert done.exit_code == 2
    assert "no such option: --dryrun" in done.stderr
    assert "set … -- … --dryrun" in " ".join(done.stderr.split())
    assert newest(cli) == before


@pytest.mark.parametrize("label", ["-dash", "--dashes", "--wait"])
def test_a_name_may_begin_with_a_dash_in_every_command_that_writes(cli: Cli, label: str) -> None:
    behind = ["--"] if label.startswith("--") else []
    assert cli("set", *behind, label, "A", "60", "192.0.2.1").exit_code == 0
    generation = newest(cli)
    assert cli("retire", *behind, label, "A").exit_code == 0
    assert cli("rollback", *behind, str(generation), label, "A").exit_code == 0
    assert records(cli, label, "A", "--at", str(newest(cli))) == ["192.0.2.1"]


def test_the_help_of_set_says_how_to_write_a_record_that_begins_with_a_dash(cli: Cli) -> None:
    assert "TXT 60 -- --" in cli("set", "--help").stdout
    assert cli("set", "www", "A", "60", "192.0.2.1", "-h").stdout == cli("set", "--help").stdout


@pytest.mark.parametrize("name", ["plan.yaml", "plan.json", "-"])
def test_submit_takes_a_file_or_standard_input(cli: Cli, tmp_path: Path, name: str) -> None:
    owner = f"submit-{len(name)}"
    plan = {"rrsets": [{"name": owner, "type": "A", "ttl": 60, "records": ["192.0.2.9"]}], "reason": "from a file"}
    text = json.dumps(plan) if name != "plan.yaml" else f"rrsets: [{json.dumps(plan['rrsets'])[1:-1]}]\n"
    path = tmp_path / name
    if name != "-":
        path.write_text(text)
    done = cli("submit", "-" if name == "-" else str(path), stdin=text)
    assert (done.exit_code, done.stderr) == (0, "")
    assert records(cli, owner, "A") == ["192.0.2.9"]


def test_a_files_contents_are_never_altered(cli: Cli) -> None:
    done = cli("submit", "-", stdin="rrsets:\n- {name: q, type: TXT, ttl: 60, records: [v=spf1 -all]}\n")
    assert done.exit_code == 1
    assert "expected TXT strings in quotes" in done.stderr
    assert "/rrsets/0/records/0" in done.stderr


def test_all_that_is_wrong_with_a_file_is_said_one_a_line_with_its_place(cli: Cli) -> None:
    text = """rrsets:
- {name: spf, type: TXT, ttl: 60, records: [v=spf1 -all]}
- {name: mail, type: MX, ttl: 60, records: [10 mail]}
"""
    for options in ([], ["--dry-run"]):
        done = cli("submit", "-", *options, stdin=text)
        assert done.exit_code == 1
        head, *lines = done.stderr.splitlines()
        assert head == "refused: 2 errors in the request"
        assert [line.split(":")[0] for line in lines] == ["  /rrsets/0/records/0", "  /rrsets/1/records/0"]


def test_a_dry_run_lists_all_that_a_guard_refuses(cli: Cli) -> None:
    text = "rrsets:\n" + "".join(f"- {{name: t{n}, type: A, ttl: 99999999, records: [192.0.2.1]}}\n" for n in range(3))
    done = cli("submit", "-", "--dry-run", stdin=text)
    assert done.exit_code == 1
    assert all(f"  /rrsets/{n}: the TTL of t{n}.example.test. A is outside" in done.stderr for n in range(3))


def test_all_yaml_traps_of_a_file_are_said_at_once(cli: Cli) -> None:
    traps = ("NO", "1.10", "12:30")
    text = "rrsets:\n" + "".join(f"- {{name: {trap}, type: A, ttl: 60, records: [192.0.2.1]}}\n" for trap in traps)
    done = cli("submit", "-", stdin=text)
    assert done.exit_code == 2
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        f"dnsguard: standard input: expected text for 'name', found {trap} in line {number}"
        for number, trap in enumerate(traps, 2)
    ]


def test_a_yaml_trap_is_refused_before_anything_is_sent(cli: Cli) -> None:
    before = newest(cli)
    done = cli("submit", "-", stdin="rrsets:\n- {name: NO, type: A, ttl: 60, records: [192.0.2.1]}\n")
    assert done.exit_code == 2
    assert done.stderr.startswith("dnsguard: standard input: expected text for 'name', found NO in line 2")
    assert newest(cli) == before


def test_a_plan_made_from_an_older_generation_is_refused_with_the_reason(cli: Cli) -> None:
    base = newest(cli)
    assert cli("set", "stale", "A", "60", "192.0.2.1", "--if-match", str(base)).exit_code == 0
    done = cli("set", "stale", "A", "60", "192.0.2.2", "--if-match", str(base))
    assert done.exit_code == 1
    assert f"stale.example.test. A was changed in generation {base + 1} by admin" in done.stderr
    assert "guard:    made_from_what_stands" in done.stderr
    assert f"expected: stale.example.test. A unchanged since generation {base}" in done.stderr
    assert records(cli, "stale", "A") == ["192.0.2.1"]
    assert cli("set", "stale", "A", "60", "192.0.2.2", "--if-match", "any").exit_code == 0
    assert records(cli, "stale", "A") == ["192.0.2.2"]


def test_the_generation_that_a_file_was_made_from_travels_with_it(cli: Cli) -> None:
    base = newest(cli)
    plan = (
        f"if_match: {base}\nzone: Example.Test\nrrsets:\n- {{name: travel, type: A, ttl: 60, records: [192.0.2.1]}}\n"
    )
    assert cli("submit", "-", stdin=plan).exit_code == 0
    assert cli("submit", "-", stdin=plan).exit_code == 1
    contradicting = cli("submit", "-", "--if-match", "any", stdin=plan)
    assert contradicting.exit_code == 2
    assert "leave one of them out" in contradicting.stderr
    assert cli("submit", "-", "--zone", "other.test.", stdin=plan).exit_code == 2
    agreeing = cli("submit", "-", "--zone", "example.test", "--if-match", str(base), stdin=plan)
    assert agreeing.exit_code == 1


@pytest.mark.parametrize("based_on", ["soon", "-1", "[1]", "true"])
def test_an_if_match_in_a_file_that_is_no_generation_is_refused(cli: Cli, based_on: str) -> None:
    assert cli("submit", "-", stdin=f"if_match: {based_on}\n").exit_code == 2


def test_a_dry_run_says_what_would_change_and_changes_nothing(cli: Cli) -> None:
    assert cli("set", "dry", "A", "60", "192.0.2.1", "192.0.2.2").exit_code == 0
    before = newest(cli)
    done = cli("set", "dry", "A", "60", "192.0.2.2", "192.0.2.3", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == ["- dry.example.test. 60 A 192.0.2.1", "+ dry.example.test. 60 A 192.0.2.3"]
    refused = cli("set", "dry", "CNAME", "60", "www.example.test.", "--dry-run")
    assert refused.exit_code == 1
    assert "guard:    cname_alone" in refused.stderr
    assert json.loads(cli("retire", "dry", "A", "--dry-run", "--json").stdout)["acceptable"] is True
    assert newest(cli) == before


def test_retire_removes_by_name_and_rollback_brings_back_as_a_new_generation(cli: Cli) -> None:
    assert cli("set", "back", "A", "60", "192.0.2.1", "--reason", "to come back").exit_code == 0
    to = newest(cli)
    assert cli("retire", "back", "A").exit_code == 0
    assert records(cli, "back", "A") == []
    assert cli("rollback", str(to), "back", "A").exit_code == 0
    assert newest(cli) == to + 2
    assert records(cli, "back", "A") == ["192.0.2.1"]
    refused = cli("rollback", str(to), "neverwas", "A")
    assert refused.exit_code == 1
    assert "retire it by name" in refused.stderr


def test_a_rollback_says_what_it_leaves_as_it_is(cli: Cli) -> None:
    assert cli("set", "left1", "A", "60", "192.0.2.1").exit_code == 0
    to = newest(cli)
    assert cli("set", "left1", "A", "60", "192.0.2.2").exit_code == 0
    assert cli("set", "left2", "A", "60", "192.0.2.2").exit_code == 0
    done = cli("rollback", str(to))
    assert done.exit_code == 0
    assert "left as it is: left2.example.test. A" in done.stdout
    assert records(cli, "left2", "A") == ["192.0.2.2"]


def test_what_dnsguard_does_not_manage_is_taken_over_only_on_demand(cli: Cli) -> None:
    refused = cli("set", "ns1", "A", "300", "192.0.2.53")
    assert refused.exit_code == 1
    assert "--adopt takes it over" in refused.stderr
    assert cli("set", "ns1", "A", "300", "192.0.2.53", "--adopt").exit_code == 0


def test_the_same_key_never_makes_two_plans(cli: Cli) -> None:
    args = ("set", "once", "A", "60", "192.0.2.1", "--idempotency-key", "my-key")
    first, again = cli(*args), cli(*args)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert again.stdout == first.stdout.rstrip("\n") + " (accepted before, under the same key)\n"
    other = cli("set", "once", "A", "60", "192.0.2.2", "--idempotency-key", "my-key")
    assert other.exit_code == 1
    assert "belongs to another request" in other.stderr


def test_an_accepted_plan_that_cannot_be_published_yet_is_no_failure_unless_publication_was_asked_for(
    two_zones: Cli,
) -> None:
    asked = two_zones("set", "late", "A", "60", "192.0.2.1", "--zone", "away.test.", "--wait", "2")
    assert asked.exit_code == 1
    said = re.fullmatch(r"accepted as away\.test\. generation (\d+), not yet published\n", asked.stdout)
    assert said is not None
    first = int(said[1])
    assert asked.stderr.strip()
    at_once = two_zones("set", "late", "A", "60", "192.0.2.2", "--zone", "away.test.", "--no-wait")
    accepted, *replaced = at_once.stdout.splitlines()
    assert (at_once.exit_code, accepted) == (0, f"accepted as away.test. generation {first + 1}, not yet published")
    assert replaced == [
        f"  - late.away.test. 60 A 192.0.2.1 (generation {first})",
        "  + late.away.test. 60 A 192.0.2.2",
    ]
    again = two_zones("set", "late", "A", "60", "192.0.2.2", "--zone", "away.test.", "--no-wait")
    here = f"away.test. generation {first + 1}"
    assert again.stdout.splitlines() == [
        f"unchanged: these contents are accepted already, as of {here}; no generation was made",
        f"accepted as {here}, not yet published",
    ]
    in_json = two_zones("set", "late", "A", "60", "192.0.2.3", "--zone", "away.test.", "--no-wait", "--json")
    assert in_json.exit_code == 0
    assert json.loads(in_json.stdout)["state"] == "accepted"


def test_a_zone_that_needs_no_resync_refuses_one(cli: Cli) -> None:
    done = cli("zone", "resync", "example.test.", "--keep", "wire")
    assert done.exit_code == 1
    assert "nothing to settle" in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("set", "www", "A", "300"),
        ("set", "www", "A", "soon", "192.0.2.1"),
        ("set", "www", "A", "-1", "192.0.2.1"),
        ("set", "www", "A", "60", "192.0.2.1", "--wait", "0"),
        ("set", "www", "A", "60", "192.0.2.1", "--wait", "5", "--no-wait"),
        ("set", "www", "A", "60", "192.0.2.1", "--if-match", "yesterday"),
        ("set", "www", "A", "60", "192.0.2.1", "--idempotency-key", "two words"),
        ("rollback", "0"),
        ("rollback", "1", "www"),
        ("zone", "resync", "example.test."),
        ("zone", "resync", "example.test.", "--keep", "both"),
        ("submit", "no-such-file.yaml"),
        ("diff", "1", "2", "3"),
        ("diff", "1", "plan.yaml"),
        ("status", "--no-such-option"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(cli: Cli, args: tuple[str, ...]) -> None:
    before = newest(cli)
    done = cli(*args)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr
    assert newest(cli) == before


def test_refusals_in_json_are_the_apis_problem_documents(cli: Cli) -> None:
    done = cli("set", "www", "A", "60", "300.1.1.1", "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    problem = json.loads(done.stdout)
    assert (problem["status"], problem["guard"], problem["pointer"]) == (422, "well_formed", "/rrsets/0/records/0")
