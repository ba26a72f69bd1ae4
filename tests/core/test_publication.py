"""Publications: cut where they may be, fenced, and always small enough for one message over TCP."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.fence import FENCE_TTL, Fence, Progress, fence_key, fence_rdata
from dnsguard.core.guards import GUARDED
from dnsguard.core.layout import INLINE
from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameNotInUse,
    RRsetAbsent,
    RRsetIs,
    octets_of,
)
from dnsguard.core.names import is_within, name_wire
from dnsguard.core.plan import Absence, Before, Change, Wanted, sort_key
from dnsguard.core.policy import MESSAGE_OCTETS_MAX, RRSET_OCTETS_MAX
from dnsguard.core.publication import (
    Part,
    compose,
    control,
    next_fence,
    parts,
    ranges,
    scratch_key,
    scratch_removed,
    verification,
    write_fence,
    writing_control,
)
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen, Written, fence_as_seen, no_cname_beside, unmanaged_as_seen

ZONE = "example.test."
WRITING = INLINE.stages[0]
FENCE = Fence("0" * 16, 41, "1" * 16)
SEEN = Seen((fence_rdata(FENCE),), FENCE)
NOTHING = Seen((), None)
A, TXT, CNAME = (Key("a.example.test.", rdtype) for rdtype in ("A", "TXT", "CNAME"))
ONE, TWO, ALIAS = Records(60, (b"\xc0\0\2\1",)), Records(60, (b"\xc0\0\2\2",)), Records(60, (b"\1b\0",))


def change(key: Key, wanted: Wanted, before: Before = Before.GONE, *, adopt: bool = False) -> Change:
    return Change(key, wanted, 42, before, adopt)


def written(*changes: Change, wire: Mapping[Key, Records] | None = None, seen: Seen = SEEN) -> Written:
    return Written(ZONE, seen, changes, wire or {}, frozenset(key.name for key in wire or ()))


def octets(message: Message) -> int:
    """Encode with dnspython, compression included, and count."""
    encoded = dns.update.UpdateMessage(ZONE)
    sections = (
        (encoded.prerequisite, [(p.key, p.rdatas) for p in message.prerequisites if isinstance(p, RRsetIs)]),
        (encoded.prerequisite, [(p.key, (None,)) for p in message.prerequisites if isinstance(p, RRsetAbsent)]),
        (
            encoded.prerequisite,
            [(Key(p.name, "TYPE65280"), (None,)) for p in message.prerequisites if isinstance(p, NameNotInUse)],
        ),
        (encoded.update, [(u.key, (None,)) for u in message.updates if isinstance(u, DeleteRRset)]),
        (encoded.update, [(u.key, u.records.rdatas) for u in message.updates if isinstance(u, AddRecords)]),
        (encoded.update, [(u.key, u.rdatas) for u in message.updates if isinstance(u, DeleteRecords)]),
    )
    for section, entries in sections:
        for key, rdatas in entries:
            rrset = dns.rrset.RRset(dns.name.from_text(key.name), dns.rdataclass.IN, dns.rdatatype.from_text(key.type))
            if rdatas == (None,):
                rrset = dns.rrset.RRset(rrset.name, dns.rdataclass.IN, rrset.rdtype, deleting=dns.rdataclass.ANY)
            else:
                for rdata in rdatas:
                    assert rdata is not None
                    rrset.add(dns.rdata.from_wire(dns.rdataclass.IN, rrset.rdtype, rdata, 0, len(rdata)))
            section.append(rrset)
    return len(encoded.to_wire(max_size=1_000_000))


def test_a_message_names_the_fence_that_it_believes_in() -> None:
    assert fence_as_seen(written()) == (RRsetIs(fence_key(ZONE), (fence_rdata(FENCE),)),)


def test_the_first_publication_believes_that_there_is_no_fence() -> None:
    assert fence_as_seen(written(seen=NOTHING)) == (RRsetAbsent(fence_key(ZONE)),)


def test_an_unreadable_fence_is_believed_in_as_it_was_seen() -> None:
    assert fence_as_seen(written(seen=Seen((b"\1x",), None))) == (RRsetIs(fence_key(ZONE), (b"\1x",)),)


def test_an_unmanaged_rrset_is_believed_absent() -> None:
    for wanted in (ONE, Absence.RETIRED):
        assert unmanaged_as_seen(written(change(A, wanted, Before.UNMANAGED))) == (RRsetAbsent(A),)


def test_an_unmanaged_rrset_that_holds_what_is_wanted_is_believed_to_hold_it_still() -> None:
    facts = written(change(A, ONE, Before.UNMANAGED), wire={A: ONE})
    assert unmanaged_as_seen(facts) == (RRsetIs(A, ONE.rdatas),)


def test_an_unmanaged_rrset_that_holds_what_is_wanted_is_taken_over_without_being_written() -> None:
    same, other = change(A, ONE, Before.UNMANAGED), change(TXT, TWO, Before.UNMANAGED)
    assert WRITING.lay(written(same, other, wire={A: ONE})) == (DeleteRRset(TXT), AddRecords(TXT, TWO))


def test_what_is_taken_over_as_it_was_found_is_read_believed_to_stand_and_never_written() -> None:
    found = replace(change(A, ONE, Before.UNMANAGED), as_found=True)
    assert WRITING.names_to_read(ZONE, (found,), False) == (A.name,)
    for wire in ({}, {A: TWO}, {A: ONE}):
        assert unmanaged_as_seen(written(found, wire=wire)) == (RRsetIs(A, ONE.rdatas),)
        assert WRITING.lay(written(found, wire=wire)) == ()
    managed = replace(found, before=Before.HELD)
    assert unmanaged_as_seen(written(managed)) == ()
    assert WRITING.lay(written(managed)) == (DeleteRRset(A), AddRecords(A, ONE))


def test_what_no_prerequisite_protects_is_written_even_if_it_was_seen_to_stand() -> None:
    for unprotected in (change(A, ONE, Before.UNMANAGED, adopt=True), change(A, ONE, Before.HELD)):
        assert unmanaged_as_seen(written(unprotected, wire={A: ONE})) == ()
        assert WRITING.lay(written(unprotected, wire={A: ONE})) == (DeleteRRset(A), AddRecords(A, ONE))


def test_what_an_overtaken_publication_left_is_believed_to_be_there_still() -> None:
    for wanted in (TWO, Absence.RETIRED):
        left = replace(change(A, wanted, Before.UNMANAGED), earlier=(ONE,))
        assert unmanaged_as_seen(written(left, wire={A: ONE})) == (RRsetIs(A, ONE.rdatas),)
        assert unmanaged_as_seen(written(left, wire={A: ALIAS})) == (RRsetAbsent(A),)


def test_nothing_is_believed_of_what_is_managed_adopted_or_withdrawn() -> None:
    for each in (
        change(A, ONE, Before.HELD),
        change(A, ONE, Before.GONE),
        change(A, ONE, Before.UNMANAGED, adopt=True),
        change(A, Absence.UNCOVERED, Before.UNMANAGED),
    ):
        assert unmanaged_as_seen(written(each)) == ()


def test_where_records_appear_no_cname_stands() -> None:
    assert no_cname_beside(written(change(A, ONE))) == (RRsetAbsent(CNAME),)
    assert no_cname_beside(written(change(A, ONE), change(TXT, ONE))) == (RRsetAbsent(CNAME),)


def test_where_a_cname_appears_alone_nothing_stands() -> None:
    assert no_cname_beside(written(change(CNAME, ALIAS))) == (NameNotInUse(A.name),)
    assert no_cname_beside(written(change(CNAME, ALIAS), wire={CNAME: ALIAS})) == ()


def test_a_cname_may_make_room_in_the_same_message() -> None:
    assert no_cname_beside(written(change(A, ONE), change(CNAME, Absence.RETIRED, Before.HELD))) == ()


def test_a_withdrawn_cname_makes_no_room() -> None:
    facts = written(change(A, ONE), change(CNAME, Absence.UNCOVERED, Before.UNMANAGED))
    assert no_cname_beside(facts) == (RRsetAbsent(CNAME),)


def test_where_records_stood_already_no_cname_can_stand() -> None:
    assert no_cname_beside(written(change(A, TWO, Before.HELD))) == ()
    assert no_cname_beside(written(change(A, Absence.RETIRED, Before.HELD))) == ()


def test_deletions_come_before_additions_at_a_name() -> None:
    facts = written(change(A, Absence.RETIRED, Before.HELD), change(CNAME, ALIAS))
    assert WRITING.lay(facts) == (DeleteRRset(A), DeleteRRset(CNAME), AddRecords(CNAME, ALIAS))
    facts = written(change(A, ONE), change(CNAME, Absence.RETIRED, Before.HELD))
    assert WRITING.lay(facts) == (DeleteRRset(A), DeleteRRset(CNAME), AddRecords(A, ONE))


def test_what_is_withdrawn_stays_as_it_is() -> None:
    assert WRITING.lay(written(change(A, Absence.UNCOVERED, Before.HELD))) == ()


def test_the_apex_ns_rrset_grows_before_it_shrinks_and_is_never_deleted_as_a_whole() -> None:
    ns = Key(ZONE, "NS")
    facts = written(change(ns, TWO, Before.HELD), wire={ns: Records(60, (*ONE.rdatas, *TWO.rdatas))})
    assert WRITING.lay(facts) == (AddRecords(ns, TWO), DeleteRecords(ns, ONE.rdatas))


def test_the_apex_is_always_read_when_its_ns_rrset_changes() -> None:
    assert WRITING.names_to_read(ZONE, (change(Key(ZONE, "NS"), ONE, Before.HELD),), False) == (ZONE,)


def test_names_are_read_where_a_cname_replaces_others_and_where_something_is_not_held() -> None:
    swap = (change(A, Absence.RETIRED, Before.HELD), change(CNAME, ALIAS))
    assert WRITING.names_to_read(ZONE, swap, False) == (A.name,)
    assert WRITING.names_to_read(ZONE, (change(A, ONE),), False) == ()
    assert WRITING.names_to_read(ZONE, (change(A, ONE),), True) == (A.name,)
    assert WRITING.names_to_read(ZONE, (change(A, ONE, Before.HELD),), True) == ()


def test_the_next_fence_travels_with_the_data() -> None:
    target = replace(FENCE, generation=42)
    message = compose(WRITING, written(change(A, ONE)), target, GUARDED.write)
    assert message.updates[-2:] == write_fence(ZONE, target)
    assert message.updates[-1] == AddRecords(fence_key(ZONE), Records(FENCE_TTL, (fence_rdata(target),)))
    assert message.prerequisites == (*fence_as_seen(written()), RRsetAbsent(CNAME))


def test_the_fence_counts_what_is_on_the_wire_until_all_of_it_is() -> None:
    target = replace(FENCE, generation=42)
    assert next_fence(target, 41, 1, 2) == replace(target, progress=Progress(41, 1, 2))
    assert next_fence(target, 41, 2, 2) == target
    assert next_fence(target, 41, 0, 0) == target


def test_a_control_message_changes_nothing_whatever_was_seen() -> None:
    key = fence_key(ZONE)
    for seen in (SEEN, Seen((b"\1x",), None)):
        message = control(ZONE, seen, GUARDED.write)
        assert message.prerequisites == (RRsetIs(key, seen.rdatas),)
        assert message.updates == (DeleteRRset(key), AddRecords(key, Records(FENCE_TTL, seen.rdatas)))
    message = control(ZONE, NOTHING, GUARDED.write)
    assert (message.prerequisites, message.updates) == ((RRsetAbsent(key),), (DeleteRRset(key),))


def test_a_writing_control_writes_as_much_as_the_refused_message_and_differs_each_time() -> None:
    key = scratch_key(ZONE)
    assert is_within(key.name, fence_key(ZONE).name)
    for size in (1, 40, 400):
        like = compose(WRITING, written(*(change(Key(f"{n}.{ZONE}", "A"), ONE) for n in range(size))), FENCE, ())
        message = writing_control(ZONE, SEEN, GUARDED.write, like, "0123456789abcdef")
        assert message.prerequisites == (RRsetIs(fence_key(ZONE), SEEN.rdatas),)
        assert [update.key for update in message.updates] == [key, key]
        count = sum(map(octets_of, message.updates))
        assert min(2 * sum(map(octets_of, like.updates)), MESSAGE_OCTETS_MAX - 8_192) <= count <= MESSAGE_OCTETS_MAX
        assert count > 4_096
        assert octets(message) < 65_535
        add = message.updates[1]
        assert isinstance(add, AddRecords)
        assert len(add.records.rdatas) <= 15
        again = writing_control(ZONE, SEEN, GUARDED.write, like, "fedcba9876543210").updates[1]
        assert isinstance(again, AddRecords)
        assert not set(add.records.rdatas) & set(again.records.rdatas)
    assert scratch_removed(ZONE) == Message(ZONE, (), (DeleteRRset(key),))


def test_reading_back_asks_for_exactly_what_was_published_and_changes_nothing() -> None:
    message = verification(
        WRITING, written(change(A, ONE), change(TXT, Absence.RETIRED), change(CNAME, Absence.UNCOVERED))
    )
    assert message == Message(ZONE, (*fence_as_seen(written()), RRsetIs(A, ONE.rdatas), RRsetAbsent(TXT)), ())


@st.composite
def publications(draw: st.DrawFn) -> tuple[Change, ...]:
    keys = draw(
        st.sets(
            st.builds(
                Key,
                st.integers(0, 12).map(lambda n: f"{'n' * 60}.{'m' * 63}.{'k' * 63}.{n:03}.{ZONE}"),
                st.integers(65_280, 65_300).map(lambda n: f"TYPE{n}"),
            ),
            max_size=40,
        )
    )
    changes = []
    for key in sorted(keys, key=sort_key):
        count, size = draw(st.integers(0, 100)), draw(st.integers(1, 29_000))
        count = min(count, RRSET_OCTETS_MAX // (size + len(name_wire(key.name)) + 10))
        rdatas = tuple(n.to_bytes(2, "big") + bytes(size) for n in range(count))
        wanted: Wanted = Records(60, rdatas) if rdatas else Absence.RETIRED
        while isinstance(wanted, Records) and octets_of(AddRecords(key, wanted)) > RRSET_OCTETS_MAX:
            wanted = Records(60, wanted.rdatas[1:]) if len(wanted.rdatas) > 1 else Records(60, (b"x",))
        changes.append(change(key, wanted, draw(st.sampled_from(list(Before)))))
    return tuple(changes)


@given(publications(), st.integers(1, 20), st.integers(0, 45))
def test_parts_cover_what_is_left_without_gap_or_overlap_and_fit(
    changes: tuple[Change, ...], most: int, start: int
) -> None:
    start = min(start, len(changes))
    cut = list(ranges(changes, start, most))
    if start == len(changes):
        assert cut == []
        return
    assert cut[0][0] == start
    assert cut[-1][1] == len(changes)
    assert all(one[1] == other[0] for one, other in pairwise(cut))
    for first, last in cut:
        part = changes[first:last]
        assert part
        names = [each.key.name for each in part]
        assert len(part) <= most or len(set(names)) == 1
        if last < len(changes) and changes[last].key.name == names[-1]:
            same = [each for each in changes[start:] if each.key.name == names[-1]]
            whole = sum(4 * octets_of(DeleteRRset(each.key)) for each in same) + sum(
                2 * octets_of(AddRecords(each.key, each.wanted)) for each in same if isinstance(each.wanted, Records)
            )
            assert whole > MESSAGE_OCTETS_MAX, "a name was cut in two without need"
        wire = {each.key: each.wanted for each in part if isinstance(each.wanted, Records)}
        fence = next_fence(replace(FENCE, generation=42), 41, last, len(changes))
        assert (
            octets(compose(WRITING, Written(ZONE, SEEN, part, wire, frozenset(names)), fence, GUARDED.write))
            < 65_535 - 1_000
        )
        assert octets(verification(WRITING, Written(ZONE, SEEN, part, {}, frozenset()))) < 65_535 - 1_000


def test_one_rrset_as_large_as_allowed_fits_even_when_compared_with_what_is_there() -> None:
    key = Key("big.example.test.", "TYPE65280")
    room = RRSET_OCTETS_MAX - octets_of(AddRecords(key, Records(60, (b"",))))
    big = Records(60, (bytes(room),))
    each = change(key, big, Before.UNMANAGED)
    assert list(ranges((each,), 0, 300)) == [(0, 1)]
    assert octets(compose(WRITING, written(each, wire={key: big}), FENCE, GUARDED.write)) < 65_535 - 1_000


def test_an_empty_publication_still_moves_the_fence() -> None:
    assert list(ranges((), 0, 300)) == []
    assert list(parts(INLINE, (), 0, 300)) == [Part(WRITING, 0, 0, 0)]
