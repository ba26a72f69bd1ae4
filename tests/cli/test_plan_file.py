"""What plan files are read as, and the traps of YAML and JSON that they do not fall into."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.cli.plan_file import FILE_OCTETS_MAX, DocumentRefused, parse_document, read_plan_file


def yaml_of(text: str) -> object:
    return parse_document(text.encode())


def test_a_plan_in_yaml_is_the_same_document_as_in_json() -> None:
    text = """
reason: the new web server
adopt: true
generation: 7
rrsets:
  - {name: www, type: A, ttl: 300, records: [192.0.2.1, 192.0.2.2]}
  - name: "@"
    type: TXT
    ttl: 0
    records:
      - '"v=spf1 -all"'
      - "\\"two\\" \\"strings\\""
  - name: six
    type: AAAA
    ttl: 60
    records:
    - "2001:db8::1"
    - ::1
    - 2001:db8::a
retire:
  - {name: old, type: CNAME}
"""
    document = {
        "reason": "the new web server",
        "adopt": True,
        "generation": 7,
        "rrsets": [
            {"name": "www", "type": "A", "ttl": 300, "records": ["192.0.2.1", "192.0.2.2"]},
            {"name": "@", "type": "TXT", "ttl": 0, "records": ['"v=spf1 -all"', '"two" "strings"']},
            {"name": "six", "type": "AAAA", "ttl": 60, "records": ["2001:db8::1", "::1", "2001:db8::a"]},
        ],
        "retire": [{"name": "old", "type": "CNAME"}],
    }
    assert yaml_of(text) == document
    assert parse_document(json.dumps(document).encode()) == document


WORDS = (
    "NO no No yes on off y N true FALSE null NULL ~ 1.10 10 010 0x1f 0o17 0b1 1_000 1e3 1.5e+3 .5 .inf -.INF .nan "
    "12:30 1:20:30 190:20:30.15 2026-01-02 2026-1-2T3:04:05Z = << +1 -0"
)


@pytest.mark.parametrize("scalar", WORDS.split())
def test_a_word_that_yaml_readers_take_for_something_else_must_be_quoted(scalar: str) -> None:
    with pytest.raises(DocumentRefused, match=r"found .* in line 3.*in quotes"):
        yaml_of(f"rrsets:\n- type: TXT\n  name: {scalar}\n")
    with pytest.raises(DocumentRefused, match=r"line 2.*in quotes"):
        yaml_of(f"records:\n- {scalar}\n")
    assert yaml_of(f"name: '{scalar}'\n") == {"name": scalar}
    assert yaml_of(f'name: "{scalar}"\n') == {"name": scalar}


@given(st.text(alphabet="0123456789.:-+_eExoTZ~=<naNyYofFsltru", min_size=1, max_size=8))
def test_no_unquoted_text_becomes_another_one(text: str) -> None:
    """Whatever PyYAML's own rules turn into something else than text is refused here."""
    try:
        loaded = yaml.safe_load(f"name: {text}\n")
    except (yaml.YAMLError, ValueError):
        return
    try:
        document = yaml_of(f"name: {text}\n")
    except DocumentRefused:
        return
    assert document == {"name": text}
    assert loaded == {"name": text}


@pytest.mark.parametrize("ttl", ["1.5", "0300", "3_00", "0x12c", "5:00", "1e3", "99999999999999999999", "true", "~"])
def test_a_ttl_that_is_not_a_plain_whole_number_is_refused(ttl: str) -> None:
    with pytest.raises(DocumentRefused, match="expected a whole number for 'ttl'"):
        yaml_of(f"ttl: {ttl}\n")


@pytest.mark.parametrize("ttl", ["300s", "'300'", '"0x1"'])
def test_a_ttl_that_is_text_stays_text_for_the_api_to_refuse(ttl: str) -> None:
    assert yaml_of(f"ttl: {ttl}\n") == {"ttl": ttl.strip("'\"")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: 1\na: 2\n", "number|quotes"),
        ("name: x\nname: y2\n", "'name' again in line 2"),
        ("rrsets:\n- {name: a, name: b}\n", "'name' again in line 2"),
        ("rrsets: &x [a]\nretire: *x\n", "anchors.*&x in line 1"),
        ("rrsets: *x\n", "aliases.*line 1"),
        ("name: !!str 10\n", "tags"),
        ("name: !!python/object/apply:os.system [id]\n", "tags"),
        ("name: !!binary aGk=\n", "tags"),
        ("<<: {name: a}\n", "quotes"),
        ("? [a]\n: b\n", "keys that are text"),
        ("name:\n", "for 'name', found none in line 1"),
        ("records:\n- 192.0.2.1\n  192.0.2.2\n", "one line.*line 2.*dash"),
        ("name: 'a\n  b'\n", "one line.*line 1"),
        ("name: |\n  a\n", "block in line 1"),
        ("name: >-\n  a\n  b\n", "block in line 1"),
        ("name: a\n---\nname: b\n", "another in line 2"),
        ("", "found nothing"),
        ("# only a comment\n", "found nothing"),
        ("- name: a\n", "mapping"),
        ("just text\n", "mapping"),
        ("name: [a\n", "fault in line"),
        ("name: @\n", "fault in line 1"),
        ("a: " + "[" * 50 + "]" * 50, "nested"),
        ("a: " + "[" * 100_000, "nested|fault"),
        ("name: \x00", "found"),
        ("ttl: true\n", "whole number"),
        ("adopt: yes\n", "true or false"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_its_line(text: str, found: str) -> None:
    with pytest.raises(DocumentRefused, match=rf"(?s){found}"):
        yaml_of(text)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"ttl": NaN}', '{"ttl": 1', '{"a": ' + "[" * 100_000, '{"a": "\\ud800"}', '{"a": 1e999}'],
)
def test_json_is_read_as_strictly_as_the_api_reads_it(text: str) -> None:
    with pytest.raises(DocumentRefused, match="expected"):
        parse_document(text.encode())


def test_octets_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(DocumentRefused, match="UTF-8"):
        parse_document(b"name: \xff\n")


def test_a_name_ending_in_json_is_json_even_if_it_could_be_yaml(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("name: a\n")
    with pytest.raises(DocumentRefused, match=r"plan\.json.*expected JSON"):
        read_plan_file(str(path))


def test_a_file_that_is_missing_a_folder_or_endless_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DocumentRefused, match="No such file"):
        read_plan_file(str(tmp_path / "none.yaml"))
    with pytest.raises(DocumentRefused, match="Is a directory"):
        read_plan_file(str(tmp_path))
    with pytest.raises(DocumentRefused, match=f"at most {FILE_OCTETS_MAX} octets"):
        read_plan_file("/dev/zero")
