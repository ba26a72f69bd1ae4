"""RFC 2136, sections 3.1 to 3.4, on a zone in memory."""

import struct

import dns.name
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from dnsguard.wire.server.update import Verdict, judge, zone_of
from dnsguard.wire.server.zone import Version
from tests.wire.server import streams
from tests.wire.server.parts import ORIGIN, name, request, update, version
from tests.wire.server.streams import ANY_CLASS, CH, IN, NONE, Raw, Update

ZONE = version(
    "a 60 A 192.0.2.1",
    "a 60 A 192.0.2.2",
    "a 60 TXT x",
    "alias 60 CNAME a",
    "sub 60 NS ns.example.net.",
    "sub 60 DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000",
)


def verdict(message: dns.update.UpdateMessage | Update, zone: Version = ZONE) -> Verdict:
    wire = message.to_wire(1) if isinstance(message, Update) else message.to_wire()
    return judge(zone, request(wire))


def changed(message: dns.update.UpdateMessage | Update, zone: Version = ZONE) -> dict[str, str | None]:
    """What an accepted update changes, but for the SOA: "name type" to "ttl data, data"."""
    result = verdict(message, zone)
    assert result.rcode == dns.rcode.NOERROR
    return {
        f"{change.name.relativize(ORIGIN)} {dns.rdatatype.RdataType.to_text(change.rdtype)}": None
        if change.rdataset is None
        else f"{change.rdataset.ttl} " + ", ".join(sorted(one.to_text() for one in change.rdataset))
        for change in result.changes
        if change.rdtype != dns.rdatatype.SOA
    }


def serial(message: dns.update.UpdateMessage | Update, zone: Version = ZONE) -> int | None:
    """The serial that an update leaves; None when it leaves the zone alone."""
    soas = [change.rdataset for change in verdict(message, zone).changes if change.rdtype == dns.rdatatype.SOA]
    if not soas or soas[0] is None:
        return None
    return int(soas[0][0].serial)


def raw(owner: str, rdtype: str, rdclass: int, ttl: int = 0, text: str | None = None) -> Raw:
    data = b"" if text is None else streams.rdata(rdtype, text)
    return Raw(name(owner), dns.rdatatype.from_text(rdtype), rdclass, ttl, data)


# Prerequisites.


@pytest.mark.parametrize(
    ("prerequisite", "rcode"),
    [
        (raw("a", "ANY", ANY_CLASS), dns.rcode.NOERROR),
        (raw("nope", "ANY", ANY_CLASS), dns.rcode.NXDOMAIN),
        (raw("a", "TXT", ANY_CLASS), dns.rcode.NOERROR),
        (raw("a", "MX", ANY_CLASS), dns.rcode.NXRRSET),
        (raw("nope", "ANY", NONE), dns.rcode.NOERROR),
        (raw("a", "ANY", NONE), dns.rcode.YXDOMAIN),
        (raw("a", "MX", NONE), dns.rcode.NOERROR),
        (raw("a", "TXT", NONE), dns.rcode.YXRRSET),
        (raw("a", "TXT", IN, 0, "x"), dns.rcode.NOERROR),
        (raw("a", "TXT", IN, 0, "X"), dns.rcode.NXRRSET),
        (raw("a", "A", IN, 0, "192.0.2.1"), dns.rcode.NXRRSET),
        (raw("a", "TXT", IN, 1, "x"), dns.rcode.FORMERR),
        (raw("a", "TXT", ANY_CLASS, 1), dns.rcode.FORMERR),
        (raw("a", "TXT", CH, 0, "x"), dns.rcode.FORMERR),
        (raw("www.example.net.", "A", ANY_CLASS), dns.rcode.NOTZONE),
    ],
    ids=repr,
)
def test_each_kind_of_prerequisite_has_its_refusal(prerequisite: Raw, rcode: dns.rcode.Rcode) -> None:
    message = Update((prerequisite,), (raw("new", "A", IN, 60, "192.0.2.9"),))
    assert verdict(message).rcode == rcode
    assert bool(verdict(message).changes) == (rcode == dns.rcode.NOERROR)


def test_value_dependent_prerequisites_are_compared_as_whole_sets_wherever_they_stand() -> None:
    scattered = (
        raw("a", "A", IN, 0, "192.0.2.2"),
        raw("a", "TXT", IN, 0, "x"),
        raw("A", "A", IN, 0, "192.0.2.1"),
        raw("a", "A", IN, 0, "192.0.2.2"),
    )
    assert verdict(Update(scattered, ())).rcode == dns.rcode.NOERROR
    assert verdict(Update((*scattered, raw("a", "A", IN, 0, "192.0.2.3")), ())).rcode == dns.rcode.NXRRSET


def test_the_first_failing_prerequisite_is_the_one_answered() -> None:
    absent, malformed = raw("nope", "ANY", ANY_CLASS), raw("a", "A", CH, 0, "192.0.2.1")
    assert verdict(Update((absent, malformed), ())).rcode == dns.rcode.NXDOMAIN
    assert verdict(Update((malformed, absent), ())).rcode == dns.rcode.FORMERR


def test_prerequisites_come_before_the_scan_of_the_updates() -> None:
    outside = raw("www.example.net.", "A", ANY_CLASS)
    assert verdict(Update((raw("nope", "ANY", ANY_CLASS),), (outside,))).rcode == dns.rcode.NXDOMAIN
    assert verdict(Update((raw("a", "ANY", ANY_CLASS),), (outside,))).rcode == dns.rcode.NOTZONE


def test_a_glue_name_in_the_zone_is_a_name_like_any_other() -> None:
    message = update()
    message.present("sub", "NS")
    message.add("ns.sub", 60, "A", "192.0.2.53")
    assert changed(message) == {"ns.sub A": "60 192.0.2.53"}


# The scan of the update section.


@pytest.mark.parametrize(
    ("bad", "rcode"),
    [
        (raw("a", "ANY", IN, 60), dns.rcode.FORMERR),
        (raw("a", "AXFR", IN, 60), dns.rcode.FORMERR),
        (raw("a", "MAILB", ANY_CLASS), dns.rcode.FORMERR),
        (raw("a", "A", ANY_CLASS, 1), dns.rcode.FORMERR),
        (raw("a", "ANY", NONE), dns.rcode.FORMERR),
        (raw("a", "A", NONE, 1, "192.0.2.1"), dns.rcode.FORMERR),
        (raw("a", "A", CH, 60, "192.0.2.1"), dns.rcode.FORMERR),
        (raw("a", "TYPE0", IN, 60), dns.rcode.FORMERR),
        (raw("www.example.net.", "A", IN, 60, "192.0.2.1"), dns.rcode.NOTZONE),
        (raw("test.", "A", ANY_CLASS), dns.rcode.NOTZONE),
        (raw("a", "NSEC", ANY_CLASS), dns.rcode.REFUSED),
    ],
    ids=repr,
)
def test_one_bad_update_refuses_all_of_the_message(bad: Raw, rcode: dns.rcode.Rcode) -> None:
    good = raw("new", "A", IN, 60, "192.0.2.9")
    assert verdict(Update((), (good, bad, good))) == Verdict(rcode)


def test_data_where_there_must_be_none_is_malformed() -> None:
    for section in ((raw("a", "A", ANY_CLASS, 0, "192.0.2.1"),), ()), ((), (raw("a", "A", ANY_CLASS, 0, "192.0.2.1"),)):
        with pytest.raises(dns.exception.FormError):
            verdict(Update(*section))


# The updates.


def test_an_addition_joins_the_rrset_and_its_ttl_counts_for_all() -> None:
    message = update()
    message.add("a", 300, "A", "192.0.2.3")
    assert changed(message) == {"a A": "300 192.0.2.1, 192.0.2.2, 192.0.2.3"}


def test_a_duplicate_with_another_ttl_changes_the_ttl_of_all() -> None:
    message = update()
    message.add("a", 300, "A", "192.0.2.1")
    assert changed(message) == {"a A": "300 192.0.2.1, 192.0.2.2"}


def test_replacing_deletes_and_adds_in_order() -> None:
    message = update()
    message.replace("a", 60, "A", "192.0.2.7")
    assert changed(message) == {"a A": "60 192.0.2.7"}


def test_deleting_one_record_leaves_the_others() -> None:
    message = update()
    message.delete("a", "A", "192.0.2.1")
    message.delete("a", "TXT", "y")
    assert changed(message) == {"a A": "60 192.0.2.2"}


def test_deleting_the_last_record_deletes_the_rrset() -> None:
    message = update()
    message.delete("a", "A", "192.0.2.1")
    message.delete("a", "A", "192.0.2.2")
    assert changed(message) == {"a A": None}


def test_deleting_a_name_deletes_its_rrsets() -> None:
    message = update()
    message.delete("a")
    assert changed(message) == {"a A": None, "a TXT": None}


def test_an_emptied_name_can_be_filled_again_in_the_same_message() -> None:
    message = update()
    message.delete("a")
    message.absent("nope")
    message.add("a", 60, "CNAME", "b")
    assert changed(message) == {"a A": None, "a TXT": None, "a CNAME": "60 b.example.test."}


@pytest.mark.parametrize(
    ("owner", "rdtype", "text"),
    [
        ("a", "CNAME", "b"),
        ("alias", "A", "192.0.2.1"),
        ("@", "DS", "1 8 2 " + "00" * 32),
        ("*", "NS", "ns1"),
        ("a", "SOA", "ns1 hostmaster 9 1 1 1 1"),
    ],
)
def test_what_cannot_be_is_passed_over_and_the_rest_is_made(owner: str, rdtype: str, text: str) -> None:
    ignored = raw(owner, rdtype, IN, 60, text)
    message = Update((), (ignored, raw("new", "A", IN, 60, "192.0.2.9")))
    assert changed(message) == {"new A": "60 192.0.2.9"}
    assert verdict(Update((), (ignored,))) == Verdict(dns.rcode.NOERROR)


def test_a_second_cname_takes_the_place_of_the_first() -> None:
    message = update()
    message.add("alias", 60, "CNAME", "b")
    assert changed(message) == {"alias CNAME": "60 b.example.test."}


def test_a_key_may_stand_beside_a_cname() -> None:
    message = update()
    message.add("alias", 60, "KEY", "512 255 255 AAAA")
    assert list(changed(message)) == ["alias KEY"]


def test_the_apex_keeps_its_soa_and_its_last_ns() -> None:
    for message in (
        Update((), (raw("@", "ANY", ANY_CLASS), raw("@", "NS", ANY_CLASS), raw("@", "SOA", ANY_CLASS))),
        Update((), (raw("@", "NS", NONE, 0, "ns1"), Raw(ORIGIN, dns.rdatatype.SOA, NONE, 0, b"", 0))),
    ):
        assert verdict(message) == Verdict(dns.rcode.NOERROR)


def test_one_of_two_apex_ns_can_be_deleted_and_then_no_more() -> None:
    zone = version("@ 300 NS ns.example.net.")
    both = (raw("@", "NS", NONE, 0, "ns.example.net."), raw("@", "NS", NONE, 0, "ns1"))
    assert changed(Update((), both), zone) == {"@ NS": "300 ns1.example.test."}


def test_an_apex_ns_without_an_address_is_refused() -> None:
    assert verdict(Update((), (raw("ns1", "A", ANY_CLASS),))) == Verdict(dns.rcode.REFUSED)
    assert verdict(Update((), (raw("@", "NS", IN, 60, "nope"),))) == Verdict(dns.rcode.REFUSED)
    wildcard = (raw("*", "A", IN, 60, "192.0.2.1"), raw("@", "NS", IN, 60, "nope"))
    assert "@ NS" in changed(Update((), wildcard))


def test_ds_goes_with_its_delegation() -> None:
    assert changed(Update((), (raw("sub", "NS", ANY_CLASS),))) == {"sub NS": None, "sub DS": None}
    assert changed(Update((), (raw("a", "DS", IN, 60, "1 8 2 " + "00" * 32),))) == {}


# The serial.


def test_the_serial_rises_by_one_when_something_changed() -> None:
    message = update()
    message.add("new", 60, "A", "192.0.2.1")
    assert serial(message) == 2


def test_the_serial_stays_when_nothing_changed_in_the_end() -> None:
    message = update()
    message.add("a", 60, "A", "192.0.2.1")
    message.add("new", 60, "A", "192.0.2.1")
    message.delete("new", "A")
    message.delete("nope")
    assert verdict(message) == Verdict(dns.rcode.NOERROR)


def soa(to: int) -> Raw:
    return Raw(ORIGIN, dns.rdatatype.SOA, IN, 60, streams.soa(to))


@pytest.mark.parametrize(("to", "after"), [(7, 7), (2**31, 2**31), (1, 2), (0, 2), (2**31 + 1, 2), (2**31 + 2, 2)])
def test_an_update_may_raise_the_serial_itself_but_not_lower_it(to: int, after: int) -> None:
    assert serial(Update((), (soa(to), raw("new", "A", IN, 60, "192.0.2.1")))) == after


def test_the_serial_wraps_past_zero() -> None:
    half = version("@ 60 SOA ns1 hostmaster 2147483648 1 1 1 1")
    assert serial(Update((), (soa(2**32 - 1),)), half) == 2**32 - 1
    last = version("@ 60 SOA ns1 hostmaster 4294967295 1 1 1 1")
    assert serial(Update((), (raw("new", "A", IN, 60, "192.0.2.1"),)), last) == 1


# The zone section, and size.


def test_the_zone_section_names_one_zone_by_its_soa() -> None:
    zone, wrong = (ORIGIN, dns.rdatatype.SOA, IN), (ORIGIN, dns.rdatatype.A, IN)
    assert zone_of(request(Update((), ()).to_wire(1))) is not None
    for section in ((zone, zone), (wrong,), ()):
        assert zone_of(request(Update((), (), section).to_wire(1))) is None


def test_a_large_rrset_and_a_large_message_are_worked_out_whole() -> None:
    many = tuple(Raw(name("big"), dns.rdatatype.A, IN, 60, struct.pack("!I", number)) for number in range(2000))
    (big,) = [change for change in verdict(Update((), many)).changes if change.name == name("big")]
    assert big.rdataset is not None
    assert len(big.rdataset) == 2000
