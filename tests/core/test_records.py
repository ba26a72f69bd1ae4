"""Rdata: one canonical form, and a refusal for whatever a zone-file reader would drop, join or map silently."""

import time
from contextlib import suppress

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsguard.core.rdata_names import canonical_rdata, expand_rdata
from dnsguard.core.records import (
    RDATA_CHARS_MAX,
    TTL_MAX,
    RecordRefused,
    Records,
    is_opaque,
    make_records,
    parse_rdata,
    parse_records,
    parse_ttl,
    parse_type,
    rdata_text,
    records_text,
)

HASH = "0123456789abcdef" * 4
KEY = "AwEAAcMnWBKLuvG/LwnPVykcmpvnntwxfshHlHRhlY0F3oz8AMcuF8gw"
SAMPLES = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "AFSDB": "1 a.example.",
    "AMTRELAY": "10 0 1 203.0.113.15",
    "APL": "1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8",
    "AVC": '"app-name:x" "y"',
    "BRID": "AAECAwQ=",
    "CAA": '0 issue "ca.example; policy=ev"',
    "CDNSKEY": f"257 3 8 {KEY}",
    "CDS": f"12345 8 2 {HASH}",
    "CERT": "PKIX 1 8 AAECAw==",
    "CNAME": "a.example.",
    "CSYNC": "66 3 A NS AAAA",
    "DHCID": "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "DLV": f"12345 8 2 {HASH}",
    "DNAME": "a.example.",
    "DNSKEY": f"256 3 8 {KEY}",
    "DS": f"12345 8 2 {HASH}",
    "DSYNC": "CDS NOTIFY 5359 a.example.",
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
    "GPOS": "-32.6882 116.8652 10.0",
    "HHIT": "AAECAwQ=",
    "HINFO": '"PC Intel" "Linux"',
    "HIP": "2 200100107b1a74df365639cc39f1d578 AwEAAbdx a.example. b.example.",
    "HTTPS": '1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1 key65280="x"',
    "IPSECKEY": "10 1 2 192.0.2.38 AQNRU3mG",
    "ISDN": '"150862028003217" "004"',
    "KEY": f"256 3 8 {KEY}",
    "KX": "10 a.example.",
    "L32": "10 10.1.2.0",
    "L64": "10 2001:0db8:1140:1000",
    "LOC": "60 9 0.510 N 24 39 0.000 E 10.00m 20.00m 2000.00m 20.00m",
    "LP": "10 a.example.",
    "MX": "10 mail.example.",
    "NAPTR": r'100 50 "s" "z3950+I2L+I2C" "!^.*$!\\1!" _z3950._tcp.example.',
    "NID": "10 0014:4fff:ff20:ee64",
    "NINFO": '"x"',
    "NS": "ns.example.",
    "NSAP": "0x47000580005a0000000001e133ffffff00016100",
    "NSAP-PTR": "a.example.",
    "NSEC": "a.example. A MX RRSIG NSEC TYPE1234",
    "NSEC3": "1 1 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s A RRSIG",
    "NSEC3PARAM": "1 0 12 aabbccdd",
    "OPENPGPKEY": "AAECAw==",
    "PTR": "a.example.",
    "PX": "50 a.example. b.example.",
    "RESINFO": '"qnamemin" "exterr=15-17"',
    "RP": "mbox.example. txt.example.",
    "RRSIG": f"A 8 2 3600 20260101000000 20250101000000 12345 example. {KEY}",
    "RT": "0 a.example.",
    "SIG": f"A 8 2 3600 20260101000000 20250101000000 12345 example. {KEY}",
    "SMIMEA": f"3 1 1 {HASH}",
    "SOA": "ns.example. host.example. 1 2 3 4 5",
    "SPF": '"v=spf1 -all"',
    "SRV": "0 5 5060 sip.example.",
    "SSHFP": "1 1 aa549bfe898489c02d1715d97d79c57ba2fa76ab",
    "SVCB": "16 a.example. mandatory=alpn alpn=h2",
    "TLSA": f"3 1 1 {HASH}",
    "TXT": r'"a \"quoted\" \\ string; (with all)" "\000\255"',
    "URI": '10 1 "https://a.example/"',
    "WALLET": '"EXAMPLE" "x"',
    "WKS": "10.0.0.1 6 0 1 2 21 23",
    "X25": '"311061700956"',
    "ZONEMD": f"2018031500 1 1 {HASH[:32] * 3}",
}
WITH_FORMAT = sorted(
    dns.rdatatype.to_text(rdtype)
    for rdtype in dns.rdatatype.RdataType
    if not dns.rdatatype.is_metatype(rdtype)
    and dns.rdata.get_rdata_class(dns.rdataclass.IN, rdtype, use_generic=False) is not None
)
PLAIN = [rdtype for rdtype in WITH_FORMAT if rdtype not in {"TKEY", "TSIG"}]
WORDS = st.sampled_from(
    [word for text in SAMPLES.values() for word in text.split(" ")]
    + [
        "0",
        "-1",
        "65536",
        "@",
        ".",
        "a",
        "\\#",
        "4",
        "c0000201",
        '""',
        "\\000",
        "ü.",
        "\u0661",
        "²",
        "(",
        ")",
        ";",
        "nan",
    ]
)
TEXTS = st.one_of(st.lists(WORDS, max_size=8).map(" ".join), st.text(max_size=40), st.text('"\\ ;()a0é', max_size=12))


@pytest.mark.parametrize("rdtype", PLAIN)
def test_every_type_that_dnspython_knows_has_a_form_that_stays(rdtype: str) -> None:
    wire = parse_rdata(rdtype, SAMPLES[rdtype])
    assert parse_rdata(rdtype, rdata_text(rdtype, wire)) == wire


@given(st.sampled_from(PLAIN), TEXTS)
def test_any_text_of_any_type_is_refused_or_has_a_form_that_stays(rdtype: str, text: str) -> None:
    try:
        wire = parse_rdata(rdtype, text)
    except RecordRefused:
        return
    assert parse_rdata(rdtype, rdata_text(rdtype, wire)) == wire


@given(st.integers(256, 65_535).map(lambda n: f"TYPE{n}"), st.binary(max_size=60))
def test_an_unknown_type_takes_the_generic_format(name: str, wire: bytes) -> None:
    rdtype = parse_type(name)
    if rdtype.startswith("TYPE"):
        assert parse_rdata(rdtype, rf"\# {len(wire)} {wire.hex()}") == wire
        assert parse_rdata(rdtype, rdata_text(rdtype, wire)) == wire


OPAQUE = {
    "TLSA": "03010100112233445566778899aabbccddeeff",
    "HTTPS": "000003666f6f0000010003026832",
    "SVCB": "00010000050002ffff",
    "URI": "00010001",
    "GPOS": "000000",
    "AMTRELAY": "0a7f01",
    "DS": "30390d00ab",
    "LOC": "01" + "00" * 15,
    "A": "c00002",
    "CNAME": "016100ff",
    "MX": "000a",
    "CAA": "0005",
    "APL": "00010802c000",
    "HINFO": "ff",
}
"""Octets that servers store or serve, and that dnspython does not read, or reads as others."""


@pytest.mark.parametrize("rdtype", OPAQUE)
def test_octets_that_a_type_cannot_show_are_written_generically_and_taken_back(rdtype: str) -> None:
    wire = bytes.fromhex(OPAQUE[rdtype])
    text = rdata_text(rdtype, wire)
    assert text == rf"\# {len(wire)} {wire.hex()}"
    assert is_opaque(rdtype, text)
    assert parse_rdata(rdtype, text) == wire
    assert parse_rdata(rdtype, text.upper()) == wire


@settings(deadline=None, max_examples=400)  # a busy machine is not a fault
@given(st.sampled_from([*PLAIN, "MB", "MINFO", "NULL", "TYPE65280"]), st.data())
def test_whatever_octets_a_type_has_what_is_printed_is_taken_back_as_the_same_octets(
    rdtype: str, data: st.DataObject
) -> None:
    sample = parse_rdata(rdtype, SAMPLES[rdtype]) if rdtype in SAMPLES else b"\x01a\0"
    octets = data.draw(st.binary(max_size=40) | damaged(sample))
    wire = expand_rdata(rdtype, octets, 0, len(octets))
    assert expand_rdata(rdtype, wire, 0, len(wire)) == wire
    text = rdata_text(rdtype, wire)
    assert parse_rdata(rdtype, text) == wire
    assert is_opaque(rdtype, text) == (text.startswith(r"\#") and rdtype in PLAIN)


def damaged(sample: bytes) -> st.SearchStrategy[bytes]:
    """Octets that differ from some in one place, or end early."""
    return st.builds(
        lambda at, octets, rest: sample[:at] + octets + sample[at + rest :],
        st.integers(0, len(sample)),
        st.binary(max_size=3),
        st.integers(0, len(sample)),
    )


def test_the_generic_form_of_octets_that_a_type_can_show_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(RecordRefused, match=r"write it as '192\.0\.2\.1'"):
        parse_rdata("A", r"\# 4 c0000201")
    with pytest.raises(RecordRefused, match=r"write it as '10 MAIL\.EXAMPLE\.'"):
        parse_rdata("MX", r"\# 16 000a 044d41494c 074558414d504c45 00")


def test_names_of_types_without_a_format_of_their_own_are_canonical_too() -> None:
    assert parse_records("MB", 60, [r"\# 5 0141 014200"]) == parse_records("MB", 60, [r"\# 5 0161016200"])
    assert canonical_rdata("MINFO", parse_rdata("MINFO", r"\# 6 014100014200")) == b"\x01a\0\x01b\0"


@pytest.mark.parametrize(
    "text", [r"\#", r"\# 2", r"\# 2 abc", r"\# 1 abcd", r"\# -1", r"\# 1 xy", r"\#1 ab", r"\# 0 \# 0"]
)
def test_a_generic_form_that_says_two_things_is_refused(text: str) -> None:
    with pytest.raises(RecordRefused, match="expected"):
        parse_rdata("TLSA", text)


def test_a_known_type_without_a_format_of_its_own_takes_the_generic_one() -> None:
    assert parse_rdata("NULL", r"\# 2 abcd") == b"\xab\xcd"
    assert rdata_text("NULL", b"\xab\xcd") == r"\# 2 abcd"


@pytest.mark.parametrize(
    ("rdtype", "text"),
    [
        ("A", ""),
        ("A", "   "),
        ("APL", ""),
        ("A", "192.0.2.1\n192.0.2.2"),
        ("A", "192.0.2.1\r192.0.2.2"),
        ("A", "192.0.2.1\x00"),
        ("A", "192.0.2.1\t"),
        ("A", "192.0.2.1 ; comment"),
        ("A", "192.0.2.1;"),
        ("A", r"\# 4 c0000201"),
        ("A", r" \# 4 c0000201"),
        ("A", "192.0.2.1 192.0.2.2"),
        ("A", "( 192.0.2.1 )"),
        ("A", "192.0.2.01"),
        ("A", "192.0.2"),
        ("A", "0x7f.1"),
        ("A", "\u0661\u0669\u0662.0.2.1"),
        ("A", "\uff1192.0.2.1"),
        ("AAAA", "fe80::1%eth0"),
        ("AAAA", "::\u0661"),
        ("AAAA", "192.0.2.1"),
        ("MX", "\u0661 a.example."),
        ("MX", "+1 a.example."),
        ("MX", "1_0 a.example."),
        ("MX", "-1 a.example."),
        ("MX", "65536 a.example."),
        ("APL", "\u0661:1.2.3.4/32"),
        ("WKS", "192.0.2.1 \u0666 25"),
        ("CNAME", "a"),
        ("CNAME", "a.example"),
        ("CNAME", "@"),
        ("CNAME", '"a.example."'),
        ("CNAME", "a..example."),
        ("CNAME", "\uff41.example."),
        ("CNAME", "a。example."),
        ("CNAME", "Ü.example."),
        ("CNAME", "u\u0308.example."),
        ("CNAME", r"\252.ü.example."),
        ("CNAME", r"a\.ü.example."),
        ("CNAME", "a" * 64 + "."),
        ("CNAME", ".".join(["a" * 63] * 4) + "."),
        ("CNAME", "a.example. b.example."),
        ("CNAME", "\ud800.example."),
        ("SRV", "0 0 80 a"),
        ("SOA", "@ @ 1 2 3 4 5"),
        ("SOA", "a. b. 1 -2 3 4 5"),
        ("NS", "(a.example.)"),
        ("TXT", "two words"),
        ("TXT", '"a" b'),
        ("TXT", 'a "b"'),
        ("TXT", '"unfinished'),
        ("TXT", "a;b"),
        ("TXT", "(a)"),
        ("TXT", r'"a\"" ( "b" )'),
        ("TXT", '"' + "a" * 256 + '"'),
        ("TXT", '"\ud800"'),
        ("TXT", "ü"),
        ("TXT", r'"\256"'),
        ("SPF", "v=spf1 -all"),
        ("HTTPS", "1 . port=\u0661"),
        ("SVCB", "1 . port=1 port=2"),
        ("OPENPGPKEY", "AAA"),
        ("TYPE65280", r"\# 3 abcd"),
        ("TYPE65280", "192.0.2.1"),
        ("TYPE65280", r"\# 2 abcd \# 2 abcd"),
    ],
)
def test_rdata_that_says_more_or_less_than_one_record_is_refused(rdtype: str, text: str) -> None:
    with pytest.raises(RecordRefused, match="expected"):
        parse_rdata(rdtype, text)


@pytest.mark.parametrize(
    ("rdtype", "text", "wire"),
    [
        ("TXT", "word", b"\x04word"),
        ("TXT", r"a\ b", b"\x03a b"),
        ("TXT", '"two words"', b"\x09two words"),
        ("TXT", '"a" "b"', b"\x01a\x01b"),
        ("TXT", '""', b"\0"),
        ("TXT", '"a;b (c)"', b"\x07a;b (c)"),
        ("TXT", r'"a\"(b"', b'\x04a"(b'),
        ("TXT", r'"\#"', b"\x01#"),
        ("TXT", r"a\(b", b"\x03a(b"),
        ("TXT", '"é"', b"\x02\xc3\xa9"),
        ("TXT", r'"\233"', b"\x01\xe9"),
        ("NAPTR", r'1 1 "\233" "" "" .', b"\0\1\0\1\1\xe9\0\0\0"),
        ("CNAME", "A.Example.", b"\x01A\x07Example\0"),
        ("CNAME", "ü.example.", b"\x07xn--tda\x07example\0"),
        ("CNAME", "_a.ü.example.", b"\x02_a\x07xn--tda\x07example\0"),
        ("CNAME", r"a\000b.example.", b"\x03a\0b\x07example\0"),
        ("CNAME", ".", b"\0"),
        ("A", r"192.0.2.\049", bytes((192, 0, 2, 1))),
        ("AAAA", "2001:DB8:0:0:0:0:0:1", bytes.fromhex("20010db8000000000000000000000001")),
    ],
)
def test_rdata_is_exactly_what_it_says(rdtype: str, text: str, wire: bytes) -> None:
    assert parse_rdata(rdtype, text) == wire


def test_a_megabyte_of_text_is_refused_at_once_and_not_repeated() -> None:
    begun = time.process_time()
    with pytest.raises(RecordRefused) as caught:
        parse_rdata("TXT", '"' + "a" * 10**6 + '"')
    assert len(str(caught.value)) < 1_000
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize(
    ("rdtype", "start", "piece"),
    [
        ("TXT", "", '"" '),
        ("TXT", "", '"\\000" '),
        ("CNAME", "", "ü."),
        ("CNAME", "", "a."),
        ("HIP", "2 200100107b1a74df365639cc39f1d578 AAAA ", "ü. "),
        ("HIP", "2 200100107b1a74df365639cc39f1d578 AAAA ", "a. "),
        ("NSEC", "a. ", "TYPE65000 "),
        ("SVCB", "1 . ", "key1000=a "),
        ("APL", "", "1:1.2.3.4/32 "),
        ("OPENPGPKEY", "", "AAAA "),
        ("MX", "", "1"),
        ("TXT", "", "("),
        ("TXT", "", "\\"),
    ],
)
def test_a_text_ten_times_longer_never_takes_a_hundred_times_longer(rdtype: str, start: str, piece: str) -> None:
    text = (start + piece * RDATA_CHARS_MAX)[: RDATA_CHARS_MAX - 1]
    begun = time.process_time()
    with suppress(RecordRefused):
        parse_rdata(rdtype, text)
    # A quadratic reader took more than a minute for one of these.
    assert time.process_time() - begun < 10


def test_rdata_beyond_65535_octets_is_refused() -> None:
    string = '"' + "a" * 255 + '" '
    assert len(parse_rdata("TXT", string * 255 + '"' + "a" * 254 + '"')) == 65_535
    with pytest.raises(RecordRefused, match="65535"):
        parse_rdata("TXT", string * 256)


@pytest.mark.parametrize(
    ("text", "rdtype"), [("a", "A"), ("TYPE1", "A"), ("type65280", "TYPE65280"), ("https", "HTTPS")]
)
def test_a_type_has_one_mnemonic(text: str, rdtype: str) -> None:
    assert parse_type(text) == rdtype
    assert parse_type(rdtype) == rdtype


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ANY",
        "*",
        "AXFR",
        "IXFR",
        "MAILB",
        "OPT",
        "TSIG",
        "TKEY",
        "TYPE0",
        "TYPE255",
        "TYPE65536",
        "TYPE-1",
        "TYPE+1",
        "TYPE1_0",
        "TYPE\u0661",
        "TYPE²",
        "\u017frv",
        "A ",
        " A",
        "BOGUS",
        "\ud800",
        "A" * 10**6,
        "TYPE" + "9" * 10_000,
    ],
)
def test_a_meta_type_or_no_type_at_all_is_refused(text: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        parse_type(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("ttl", [-1, TTL_MAX + 1, 2**32, -(2**40)])
def test_a_ttl_outside_what_rfc_2181_allows_is_refused(ttl: int) -> None:
    with pytest.raises(RecordRefused, match="TTL"):
        parse_ttl(ttl)


def test_a_ttl_at_either_end_is_taken() -> None:
    assert (parse_ttl(0), parse_ttl(TTL_MAX)) == (0, TTL_MAX)


def test_an_rrset_without_records_cannot_exist() -> None:
    with pytest.raises(RecordRefused, match="never empty"):
        Records(60, ())
    with pytest.raises(RecordRefused, match="never empty"):
        make_records("A", 60, [])
    with pytest.raises(RecordRefused, match="never empty"):
        parse_records("A", 60, [])


@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1))
def test_records_are_a_sorted_set(rdatas: list[bytes]) -> None:
    records = make_records("A", 1, rdatas)
    assert records == make_records("A", 1, reversed([*rdatas, *rdatas]))
    assert parse_records("A", 1, records_text("A", records)) == records
