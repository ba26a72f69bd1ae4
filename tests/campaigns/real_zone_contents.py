"""A generated zone with what real ones have: hosts, mail, services, delegations with DS and glue, aliases, wildcards,
long texts, names of any octets, every type with a format, and records that servers store although dnspython rejects
them.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsguard.core.names import parse_name
from dnsguard.core.records import Key, Records, make_records, parse_records, parse_type
from dnsguard.core.submission import SERVER_OWNED_TYPES
from tests.core.test_records import SAMPLES

ZONE = "real.test."
ODD = (
    ("TLSA", "03010100112233445566778899aabbccddeeff", "SHA-256 of 16 octets"),
    ("TLSA", "0301020011", "SHA-512 of two octets"),
    ("TLSA", "030102" + "00" * 32, "SHA-512 of 32 octets"),
    ("TLSA", "030001" + "ab" * 31, "SHA-256 of 31 octets"),
    ("TLSA", "020001" + "ab" * 33, "SHA-256 of 33 octets"),
    ("SMIMEA", "030101aa", "SHA-256 of one octet"),
    ("SMIMEA", "030102" + "cd" * 63, "SHA-512 of 63 octets"),
    ("SMIMEA", "010101" + "cd" * 20, "SHA-256 of 20 octets"),
    ("HTTPS", "00000000010003026832", "alias form with parameters"),
    ("HTTPS", "000100000500020005", "an ech that is no list"),
    ("HTTPS", "00010000030001aa", "a port of one octet"),
    ("HTTPS", "000100000400020102", "an IPv4 hint of two octets"),
    ("SVCB", "000100000500020005", "an ech that is no list"),
    ("SVCB", "00000000010003026833", "alias form with parameters"),
    ("SVCB", "0001000000000200", "mandatory cut short"),
    ("URI", "00010001", "no target"),
    ("URI", "ffff0000", "no target"),
    ("GPOS", "000000", "empty strings"),
    ("GPOS", "033939390131" + "0130", "a latitude of 999 degrees"),
    ("GPOS", "01780179017a", "letters for numbers"),
    ("AMTRELAY", "0a7f01", "an unknown kind of relay"),
    ("DS", "30390d00ab", "digest type 0"),
    ("DS", "30390d00" + "ab" * 32, "digest type 0"),
    ("DS", "30390d02abcd", "SHA-256 of two octets"),
    ("CDS", "30390d02abcd", "SHA-256 of two octets"),
    ("DLV", "30390d02abcd", "SHA-256 of two octets"),
    ("LOC", "01000000000000000000000000000000", "another version"),
    ("LOC", "02121212000000000000000000000000", "another version"),
    ("LOC", "00ffffff000000000000000000000000", "sizes with digits beyond nine"),
    ("CAA", "0005", "a tag cut short"),
    ("CAA", "00032d2d2d78", "a tag of hyphens"),
    ("APL", "00010802c000", "a last octet of zero"),
    ("APL", "000121040a000001", "a prefix of 33 bits"),
    ("HINFO", "ff", "a string cut short"),
    ("SSHFP", "0101ab", "SHA-1 of one octet"),
    ("ZONEMD", "000000010101", "SHA-384 of no octets"),
    ("ZONEMD", "000000010001aa", "scheme 0"),
    ("EUI48", "0011223344", "five octets"),
    ("EUI64", "00112233445566", "seven octets"),
    ("L32", "000a0a0102", "three octets"),
    ("NID", "000a0014", "two octets"),
    ("IPSECKEY", "0a0502aabb", "an unknown kind of gateway"),
    ("CSYNC", "00000042000300ff00", "a bitmap out of order"),
    ("HIP", "0002000200", "cut short"),
    ("TXT", "", "no string"),
    ("TXT", "05616263", "a string cut short"),
    ("CERT", "0001", "cut short"),
    ("NAPTR", "00640032", "cut short"),
)
"""Rdata that dnspython rejects: type, octets, and what is wrong with it."""
SPECIAL_NAMES = (
    r"caf\195\169._http._tcp",
    r"my\032printer._ipp._tcp",
    r"dot\.ted",
    r"semi\;colon",
    r"quo\"te",
    r"back\\slash",
    r"par\(en\)",
    r"at\@sign",
    r"dol\$lar",
    r"nul\000octet",
    r"high\255\254",
    r"ctrl\001\031",
    r"a.*.inside",
    "star*star",
    "under_score",
    "0/25",
    "-dash",
    "--",
    "xn--mnchen-3ya",
    "a" * 63,
    ".".join(["b" * 60] * 3),
    r"tab\009tab",
    r"blank\032",
)
_EXTRA = (
    dict.fromkeys(("MB", "MD", "MF", "MG", "MR"), r"\# 11 045265616c047465737400")
    | {"MINFO": r"\# 6 016100016200", "NULL": r"\# 2 0102", "NXT": r"\# 4 01610002"}
    | dict.fromkeys(("TYPE65280", "TYPE65534"), r"\# 2 0102")
)
_SAMPLES = {
    rdtype: text
    for rdtype, text in (SAMPLES | _EXTRA).items()
    if rdtype not in SERVER_OWNED_TYPES and rdtype not in {"SOA", "NS", "CNAME", "DS", "DNAME"}
}
_PAUSES = (0, 30, 60, 300, 3600, 86_400)


def is_rejected(rdtype: str, octets: bytes) -> bool:
    """Tell whether dnspython cannot read rdata."""
    try:
        dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.from_text(rdtype), octets, 0, len(octets))
    except Exception:  # noqa: BLE001  dnspython raises many kinds of them
        return True
    return False


@dataclass(slots=True)
class RealZone:
    """What a generated zone is to hold, in the order in which servers take it, and which RRsets are odd."""

    contents: dict[Key, Records] = field(default_factory=dict)
    odd: dict[Key, str] = field(default_factory=dict)
    """RRsets with a record that dnspython rejects, and what is wrong with it."""

    def add(self, label: str, rdtype: str, ttl: int, *texts: str) -> None:
        """Put an RRset in."""
        self.contents[Key(parse_name(label, ZONE), parse_type(rdtype))] = parse_records(rdtype, ttl, texts)

    def in_order(self) -> Iterator[Mapping[Key, Records]]:
        """Yield the contents in portions: addresses, delegations, what stands beside these, the rest, the odd."""
        ranks = {"A": 0, "AAAA": 0, "NS": 1}
        for rank in range(4):
            yield {
                key: records
                for key, records in self.contents.items()
                if (3 if key in self.odd else ranks.get(key.type, 2)) == rank
            }


def generate(rrsets: int, seed: int) -> RealZone:
    """Make a zone of about so many RRsets; a seed makes the same one again."""
    chance = random.Random(f"{seed} real zone")
    zone = RealZone()
    _add_every_type(zone, chance)
    _add_odd(zone)
    _add_delegations(zone, chance, max(3, rrsets // 60))
    _add_names(zone, chance)
    number = 0
    while len(zone.contents) < rrsets:
        _add_site(zone, chance, number)
        number += 1
    return zone


def mixed(chance: random.Random, name: str) -> str:
    """Write a name as people do: with letters of either case, here and there."""
    return "".join(letter.upper() if chance.random() < 0.2 else letter for letter in name)


def _add_every_type(zone: RealZone, chance: random.Random) -> None:
    for rdtype, text in sorted(_SAMPLES.items()):
        for number in range(2):
            zone.add(f"{rdtype}-{number}.types", rdtype, chance.choice(_PAUSES), text)
    zone.add("dname.types", "DNAME", 300, "Elsewhere.Example.")
    zone.add("other-dname.types", "DNAME", 300, f"Types.{ZONE}")
    zone.add("both.types", "A", 300, "192.0.2.9")
    zone.add("both.types", "DNAME", 300, "below.example.")


def _add_odd(zone: RealZone) -> None:
    for number, (rdtype, octets, why) in enumerate(ODD):
        name = parse_name(f"{rdtype}-{number}.odd", ZONE)
        key = Key(name, rdtype)
        zone.contents[key] = make_records(rdtype, 300, [bytes.fromhex(octets)])
        zone.odd[key] = why
        if rdtype == "DS":
            zone.contents[Key(name, "NS")] = parse_records("NS", 300, ["ns.example.net."])


def _add_delegations(zone: RealZone, chance: random.Random, count: int) -> None:
    digest = "2BB183AF5F22588179A53B0A98631FAD1A292118A2BB183AF5F22588179A53B0"
    for number in range(count):
        label = f"team{number}"
        inside = chance.random() < 0.7
        names = [mixed(chance, f"ns{each}.{label}.{ZONE}") for each in (1, 2)] if inside else ["ns.example.net."]
        zone.add(label, "NS", chance.choice((3600, 86_400)), *names, "Ns9.Example.NET.")
        for each in (1, 2) if inside else ():
            zone.add(f"ns{each}.{label}", "A", 3600, f"198.51.100.{chance.randint(1, 254)}")
            zone.add(f"ns{each}.{label}", "AAAA", 3600, f"2001:db8:{each}::{number + 1:x}")
        if chance.random() < 0.6:
            zone.add(label, "DS", 3600, f"{1000 + number} 13 2 {digest}")
    zone.add("forgotten.team0", "A", 60, "192.0.2.66")
    zone.add("forgotten.team1", "TXT", 60, '"below a cut"')


def _add_names(zone: RealZone, chance: random.Random) -> None:
    for number, label in enumerate(SPECIAL_NAMES):
        zone.add(label, "TXT", 300, f'"name {number}"')
        zone.add(label, "A", 300, f"203.0.113.{number + 1}")
    for number, label in enumerate(SPECIAL_NAMES[:8]):
        zone.add(f"points{number}", "PTR", 300, parse_name(label, ZONE))
        zone.add(f"alias{number}", "CNAME", 300, mixed(chance, f"points{number}.{ZONE}"))
    for parent in ("apps", "deep.apps", "mail"):
        zone.add(f"*.{parent}", "A", 60, "192.0.2.80")
        zone.add(f"*.{parent}", "TXT", 60, '"any name"')
    zone.add("*", "MX", 60, "10 Mx.Example.NET.")
    zone.add("*.alias", "CNAME", 60, "Any.Example.NET.")
    zone.add("@", "MX", 300, "10 Mx.Example.NET.", "20 mx2.example.net.")
    zone.add("@", "TXT", 300, '"v=spf1 include:_spf.example.net ~all"', '"verification=abc"')
    zone.add("@", "CAA", 300, '0 issue "ca.example"', '0 iodef "mailto:a@example.net"')
    zone.add("@", "A", 300, "192.0.2.1")
    zone.add("many", "A", 60, *(f"10.0.{each // 250}.{each % 250 + 1}" for each in range(90)))
    zone.add("many", "TXT", 60, *(f'"{each}"' for each in range(90)))
    for number in range(10):
        piece = '"' + "".join(chance.choice(r"abcXYZ019 ;=/+()") for _ in range(255)) + '"'
        zone.add(f"large{number}", "TXT", 300, " ".join([piece] * (4 * number + 2)))
    escaped = [f"\\{octet:03}" for octet in range(256)]
    zone.add("octets", "TXT", 300, *(f'"{"".join(half)}"' for half in (escaped[:128], escaped[128:])))
    zone.add("empty", "TXT", 300, '""')


def _add_site(zone: RealZone, chance: random.Random, number: int) -> None:
    """Add a host with mail, services, aliases and texts that point at it and at each other."""
    site = f"site{number}"
    ttl = chance.choice(_PAUSES)
    zone.add(site, "A", ttl, *{f"192.0.2.{chance.randint(1, 254)}" for _ in range(chance.randint(1, 4))})
    host = mixed(chance, f"{site}.{ZONE}")
    other = mixed(chance, f"site{chance.randint(0, number)}.{ZONE}")
    if chance.random() < 0.7:
        zone.add(site, "AAAA", ttl, f"2001:db8::{number + 1:x}")
    zone.add(f"www.{site}", "CNAME", 300, host)
    zone.add(site, "MX", 3600, f"10 {host}", f"20 {other}")
    zone.add(f"_sip._tcp.{site}", "SRV", 300, f"0 5 5060 {host}", f"10 5 5060 {other}")
    if chance.random() < 0.5:
        zone.add(site, "TXT", 300, f'"v=spf1 a:{site}.{ZONE} -all"')
        zone.add(f"s1._domainkey.{site}", "TXT", 300, f'"v=DKIM1; k=rsa; p={"A" * 200}" "{"B" * 190}"')
    if chance.random() < 0.4:
        zone.add(f"_443._tcp.{site}", "TLSA", 300, f"3 1 1 {chance.randbytes(32).hex()}")
        zone.add(site, "SSHFP", 300, f"4 2 {chance.randbytes(32).hex()}")
    if chance.random() < 0.3:
        zone.add(site, "HTTPS", 300, f"1 {other} alpn=h2,h3")
        zone.add(site, "CAA", 300, '0 issue "ca.example"')
    if chance.random() < 0.2:
        zone.add(site, "NAPTR", 300, f'10 10 "s" "SIP+D2T" "" _sip._tcp.{host}')
        zone.add(site, "LOC", 300, "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m")
