"""What servers do beside what an update says: which RRsets stand or fall together, and which are never stored."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.message import AddRecords, DeleteRRset
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records
from dnsguard.core.server_effects import companions, companions_in_question, never_stored, orphaned_ds
from dnsguard.lab.ends.primary import apply_update, drop_orphaned_ds

ZONE = "example.test."
NS, DS, TXT = (Key(f"child.{ZONE}", rdtype) for rdtype in ("NS", "DS", "TXT"))
SOME, OTHER = Records(60, (b"\0",)), Records(60, (b"\1",))
RETIRED, UNCOVERED = Absence.RETIRED, Absence.UNCOVERED


def test_the_ns_and_the_ds_of_a_name_stand_and_fall_together() -> None:
    assert companions([NS, TXT]) == {DS}
    assert companions([DS]) == {NS}
    assert companions([NS, DS]) == companions([TXT]) == frozenset()


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({NS: RETIRED}, {DS}),
        ({DS: SOME}, {NS}),
        ({DS: SOME, NS: UNCOVERED}, {NS}),
        ({NS: RETIRED, DS: RETIRED}, set()),
        ({NS: SOME, DS: SOME}, set()),
        ({NS: SOME}, set()),
        ({DS: RETIRED}, set()),
        ({TXT: SOME}, set()),
    ],
)
def test_what_changes_do_not_say_of_a_delegation_is_asked(changes: Mapping[Key, Wanted], asked: set[Key]) -> None:
    assert companions_in_question(changes) == asked


@pytest.mark.parametrize(
    ("changes", "beside", "orphaned"),
    [
        ({NS: RETIRED}, [DS], True),
        ({NS: RETIRED, DS: UNCOVERED}, [DS], True),
        ({NS: RETIRED, DS: RETIRED}, [DS], False),
        ({NS: RETIRED}, [TXT], False),
        ({NS: RETIRED, DS: SOME}, [], True),
        ({DS: SOME}, [], True),
        ({DS: SOME}, [NS], False),
        ({DS: SOME, NS: SOME}, [], False),
        ({DS: SOME, NS: UNCOVERED}, [NS], False),
        ({NS: SOME}, [DS], False),
        ({TXT: SOME}, [DS], False),
    ],
)
def test_a_ds_is_orphaned_by_the_changes_that_leave_no_ns_beside_it(
    changes: Mapping[Key, Wanted], beside: list[Key], orphaned: bool
) -> None:
    assert orphaned_ds(changes, beside) == ((DS,) if orphaned else ())


WANTED = st.sampled_from([SOME, OTHER, RETIRED])
STANDING = st.dictionaries(st.sampled_from([NS, DS, TXT]), st.just(SOME))


@given(STANDING, st.dictionaries(st.sampled_from([NS, DS, TXT]), WANTED, min_size=1))
def test_what_is_not_found_orphaned_a_server_like_bind_stores_as_it_is_said(
    standing: dict[Key, Records], changes: dict[Key, Wanted]
) -> None:
    if DS in standing:
        standing = {NS: SOME} | standing  # such a server never has another
    contents = dict(standing)
    for key, wanted in changes.items():
        apply_update(ZONE, contents, DeleteRRset(key))
        if isinstance(wanted, Records):
            apply_update(ZONE, contents, AddRecords(key, wanted))
    drop_orphaned_ds(contents, {NS.name})
    said = {key: wanted for key, wanted in (standing | changes).items() if isinstance(wanted, Records)}
    assert (contents == said) == (orphaned_ds(changes, standing) == ())


@pytest.mark.parametrize(
    ("name", "rdtype", "ignored"),
    [
        (f"*.{ZONE}", "NS", True),
        (f"*.{ZONE}", "DS", True),
        (f"*.{ZONE}", "DNAME", True),
        (f"*.{ZONE}", "CNAME", False),
        (f"a.*.{ZONE}", "NS", False),
        (ZONE, "DS", True),
        (ZONE, "NS", False),
        (f"child.{ZONE}", "DS", False),
        (ZONE, "TYPE65534", True),
        (f"a.{ZONE}", "MD", True),
        (f"a.{ZONE}", "TYPE65280", False),
    ],
)
def test_what_servers_never_store_is_known_with_the_reason(name: str, rdtype: str, ignored: bool) -> None:
    assert bool(never_stored(ZONE, Key(name, rdtype))) is ignored
