"""What the stages of the versioned layout write: a node with its marker, and the aliases, alone at their names."""

import pytest

from dnsguard.core.layout import VERSIONED, alias_to, marker_key, node_name, rollback_name, target_of
from dnsguard.core.message import AddRecords, DeleteRRset
from dnsguard.core.plan import Change
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import Seen, Written

ZONE = "example.test."
WWW = Key(f"www.{ZONE}", "A")
ALIAS, BACK = Key(WWW.name, "CNAME"), Key(rollback_name(WWW.name), "CNAME")
ADDRESS = parse_records("A", 60, ["192.0.2.1"])
NODE, BEFORE = node_name(WWW.name, 2), node_name(WWW.name, 1)


def facts(wire: dict[Key, Records]) -> Written:
    return Written(ZONE, Seen((), None), (Change(WWW, ADDRESS, 2),), wire, frozenset({WWW.name}))


def test_a_node_comes_with_a_marker_that_keeps_its_name_in_existence() -> None:
    build = VERSIONED.stages[0].lay(facts({}))
    assert {update.key for update in build if isinstance(update, AddRecords)} == {Key(NODE, "A"), marker_key(NODE)}


def test_an_alias_comes_after_what_stood_at_its_name_itself_is_gone() -> None:
    flip = VERSIONED.stages[1].lay(facts({WWW: ADDRESS}))
    assert flip == (DeleteRRset(WWW), DeleteRRset(ALIAS), AddRecords(ALIAS, alias_to(NODE, 60)))


def test_the_node_that_was_live_before_is_kept_for_a_rollback() -> None:
    flip = VERSIONED.stages[1].lay(facts({ALIAS: alias_to(BEFORE, 60)}))
    assert AddRecords(BACK, alias_to(BEFORE, 0)) in flip


def test_a_flip_that_is_repeated_leaves_the_way_back_as_it_is() -> None:
    flip = VERSIONED.stages[1].lay(facts({ALIAS: alias_to(NODE, 60)}))
    assert BACK not in {update.key for update in flip}


@pytest.mark.parametrize("octets", [b"", b"\x02g1", b"\x3fg1", b"\x02g1\0more"])
def test_an_alias_whose_octets_are_no_name_leads_to_no_node(octets: bytes) -> None:
    assert target_of(Records(60, (octets,))) is None
