"""The case of names in records: what each name server makes of it, and that publishing keeps it where a server can."""

import pytest

from dnsguard.core.layout import INLINE
from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, RRsetIs, Unreachable
from dnsguard.core.plan import Before, Change
from dnsguard.core.publication import verification
from dnsguard.core.records import Key, Records, identical, parse_records
from dnsguard.core.written import Seen, Written
from dnsguard.wire.publisher import DnsPublisher
from tests.wire.primaries import ZONE, OwnWay, changes, fence_at, guarded, key, publish, records, seen_at

CASES = {
    "PTR": (r"Front\032Desk.Else.Invalid.", r"front\032desk.else.invalid.", r"FRONT\032desk.Else.Invalid."),
    "CNAME": ("Foo.Else.Invalid.", "foo.else.invalid.", "FOO.else.invalid."),
    "SRV": ("1 2 3 Host.Else.Invalid.", "1 2 3 host.else.invalid.", "1 2 3 HOST.Else.Invalid."),
    "NAPTR": ('1 2 "S" "SIP" "" Rep.Invalid.', '1 2 "S" "SIP" "" rep.invalid.', '1 2 "S" "SIP" "" REP.Invalid.'),
    "NS": ("Ns1.Else.Invalid.", "ns1.else.invalid.", "NS1.Else.Invalid."),
    "RP": ("A.B. C.D.", "a.b. c.d.", "A.b. c.D."),
}


async def stands(publisher: DnsPublisher, at: Key) -> Records:
    found = await publisher.read(ZONE, [at.name])
    assert not isinstance(found, Unreachable)
    return found.rrsets[at]


@pytest.mark.parametrize("rdtype", CASES)
async def test_a_prerequisite_compares_names_without_their_case(publisher: DnsPublisher, rdtype: str) -> None:
    mixed, lower, other = (records(rdtype, text) for text in CASES[rdtype])
    at = key("case", rdtype)
    await publish(publisher, 1, {at: mixed})
    for contents in (mixed, lower, other):
        assert await publisher.publish(Message(ZONE, (RRsetIs(at, contents.rdatas),), ())) == Applied()
    assert await stands(publisher, at) == lower


@pytest.mark.parametrize("rdtype", CASES)
async def test_a_plan_that_changes_only_the_case_of_a_name_is_published(
    publisher: DnsPublisher, kind: str, own_way: OwnWay, rdtype: str
) -> None:
    at = key("case", rdtype)
    versions = [records(rdtype, text) for text in CASES[rdtype]]
    fence = await publish(publisher, 1, {at: versions[-1]})
    for generation, wanted in enumerate(versions, 2):
        held, fence = seen_at(fence), fence_at(generation)
        assert await publisher.publish(guarded(held, changes({at: wanted}, Before.HELD), fence)) == Applied()
        found = await stands(publisher, at)
        assert found == wanted
        if kind == "knot":
            assert identical(found, versions[1])
        else:
            # PowerDNS writes the final label as it stands in the zone's own name, to which it compresses it.
            assert identical(found, wanted) or kind == "powerdns"
            assert found.rdatas[0][:4] == wanted.rdatas[0][:4]
        written = Written(ZONE, seen_at(fence), changes({at: wanted}), {}, frozenset())
        assert await publisher.publish(verification(INLINE.stages[0], written)) == Applied()
    if kind == "knot":
        own_way("it keeps names in records in lower case")


async def test_an_addition_that_differs_in_case_only_is_ignored_so_what_stands_goes_first(
    publisher: DnsPublisher, kind: str
) -> None:
    at = key("case", "PTR")
    mixed, lower, _ = (records("PTR", text) for text in CASES["PTR"])
    await publish(publisher, 1, {at: mixed})
    before = await stands(publisher, at)
    assert await publisher.publish(Message(ZONE, (), (AddRecords(at, lower),))) == Applied()
    if kind != "powerdns":
        assert identical(await stands(publisher, at), before)
    assert await publisher.publish(Message(ZONE, (), (DeleteRRset(at), AddRecords(at, lower)))) == Applied()
    assert identical(await stands(publisher, at), lower)


@pytest.mark.parametrize("count", [2, 3])
async def test_the_case_of_the_names_of_the_zones_own_servers_can_change(
    publisher: DnsPublisher, kind: str, count: int
) -> None:
    at = Key(ZONE, "NS")
    lower = parse_records("NS", 60, [f"ns{n}.else.invalid." for n in range(count)])
    mixed = parse_records("NS", 60, [f"Ns{n}.Else.Invalid." for n in range(count)])
    seen: Seen = seen_at(None)
    for generation, wanted in enumerate((lower, mixed, lower), 1):
        found = await stands(publisher, at)
        some = (Change(at, wanted, generation, Before.HELD),)
        fence = fence_at(generation)
        assert await publisher.publish(guarded(seen, some, fence, {at: found})) == Applied()
        seen = seen_at(fence)
        found = await stands(publisher, at)
        assert found == wanted
        if kind != "knot":
            assert [rdata[:4] for rdata in found.rdatas] == [rdata[:4] for rdata in wanted.rdatas]
