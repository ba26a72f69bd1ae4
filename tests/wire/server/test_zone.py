"""What a zone answers, by RFC 1034, 2308, 4592 and 6604."""

import dns.name
import dns.rcode
import dns.rdatatype
import pytest

from dnsguard.wire.server.message import Response
from dnsguard.wire.server.zone import LOOKUPS_MAX, resolve
from tests.wire.server.parts import ORIGIN, name, version

ZONE = version(
    "@ 300 MX 10 a",
    "a 60 A 192.0.2.1",
    "a 60 TXT x",
    "alias 60 CNAME a",
    "dangling 60 CNAME nope",
    "leaving 60 CNAME www.example.net.",
    "into 60 CNAME www.sub",
    "loop 60 CNAME pool",
    "pool 60 CNAME loop",
    "below.ent 60 A 192.0.2.2",
    "*.wild 60 TXT anything",
    "there.wild 60 A 192.0.2.3",
    "z.*.hollow 60 A 192.0.2.4",
    "*.alias-of 60 CNAME a",
    "sub 120 NS ns.sub",
    "sub 120 NS ns.example.net.",
    "sub 120 DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000",
    "ns.sub 120 A 192.0.2.53",
)
CHAIN = version(*(f"c{n} 60 CNAME c{n + 1}" for n in range(20)), "c20 60 A 192.0.2.9")


def ask(owner: str, rdtype: str) -> Response:
    return resolve({ORIGIN: ZONE}, name(owner), dns.rdatatype.from_text(rdtype))


def shown(section: tuple[tuple[dns.name.Name, dns.rdataset.Rdataset], ...]) -> list[str]:
    return [
        f"{owner.relativize(ORIGIN)} {rdataset.ttl} {dns.rdatatype.RdataType.to_text(rdataset.rdtype)}"
        for owner, rdataset in section
    ]


def test_an_existing_rrset_is_answered_with_authority() -> None:
    response = ask("a", "A")
    assert (response.rcode, response.authoritative) == (dns.rcode.NOERROR, True)
    assert shown(response.answer) == ["a 60 A"]
    assert not response.authority


@pytest.mark.parametrize(
    ("owner", "rdtype", "rcode"),
    [
        ("a", "MX", dns.rcode.NOERROR),
        ("ent", "A", dns.rcode.NOERROR),
        ("nope", "A", dns.rcode.NXDOMAIN),
        ("nope.a", "A", dns.rcode.NXDOMAIN),
        ("x.below.ent", "A", dns.rcode.NXDOMAIN),
        ("x.wild", "A", dns.rcode.NOERROR),
        ("x.there.wild", "TXT", dns.rcode.NXDOMAIN),
        ("x.hollow", "A", dns.rcode.NOERROR),
        ("ent", "ANY", dns.rcode.NOERROR),
    ],
)
def test_a_negative_answer_has_the_soa_with_the_smaller_ttl(owner: str, rdtype: str, rcode: dns.rcode.Rcode) -> None:
    response = ask(owner, rdtype)
    assert response.rcode == rcode
    assert not response.answer
    assert shown(response.authority) == ["@ 60 SOA"]


def test_a_wildcard_answers_for_a_name_that_does_not_exist() -> None:
    response = ask("x.y.wild", "TXT")
    assert shown(response.answer) == ["x.y.wild 60 TXT"]


def test_a_wildcard_does_not_answer_for_a_name_that_exists() -> None:
    assert shown(ask("there.wild", "TXT").answer) == []


def test_a_wildcard_alias_is_followed() -> None:
    assert shown(ask("x.alias-of", "A").answer) == ["x.alias-of 60 CNAME", "a 60 A"]


def test_an_alias_is_followed_inside_the_zone() -> None:
    assert shown(ask("alias", "A").answer) == ["alias 60 CNAME", "a 60 A"]


def test_an_alias_itself_can_be_asked_for() -> None:
    assert shown(ask("alias", "CNAME").answer) == ["alias 60 CNAME"]
    assert shown(ask("alias", "ANY").answer) == ["alias 60 CNAME"]


def test_an_alias_to_nothing_is_an_nxdomain_with_the_alias() -> None:
    response = ask("dangling", "A")
    assert response.rcode == dns.rcode.NXDOMAIN
    assert shown(response.answer) == ["dangling 60 CNAME"]
    assert shown(response.authority) == ["@ 60 SOA"]


def test_an_alias_that_leaves_the_zones_is_answered_alone() -> None:
    response = ask("leaving", "A")
    assert response.rcode == dns.rcode.NOERROR
    assert shown(response.answer) == ["leaving 60 CNAME"]
    assert not response.authority


def test_an_alias_into_a_delegation_ends_in_a_referral() -> None:
    response = ask("into", "A")
    assert shown(response.answer) == ["into 60 CNAME"]
    assert shown(response.authority) == ["sub 120 NS"]
    assert response.authoritative


def test_a_loop_of_aliases_is_a_server_failure() -> None:
    response = ask("loop", "A")
    assert response.rcode == dns.rcode.SERVFAIL
    assert shown(response.answer) == ["loop 60 CNAME", "pool 60 CNAME"]


def test_a_chain_of_aliases_has_a_bound() -> None:
    zones = {ORIGIN: CHAIN}
    longest = resolve(zones, name(f"c{21 - LOOKUPS_MAX}"), dns.rdatatype.A)
    assert (longest.rcode, len(longest.answer)) == (dns.rcode.NOERROR, LOOKUPS_MAX)
    assert resolve(zones, name(f"c{20 - LOOKUPS_MAX}"), dns.rdatatype.A).rcode == dns.rcode.SERVFAIL


@pytest.mark.parametrize("owner", ["sub", "www.sub", "ns.sub"])
def test_a_delegation_is_referred_to_with_glue(owner: str) -> None:
    response = ask(owner, "A")
    assert (response.rcode, response.authoritative) == (dns.rcode.NOERROR, False)
    assert not response.answer
    assert shown(response.authority) == ["sub 120 NS"]
    assert shown(response.additional) == ["ns.sub 120 A"]


def test_ds_is_answered_by_the_parent() -> None:
    response = ask("sub", "DS")
    assert response.authoritative
    assert shown(response.answer) == ["sub 120 DS"]


def test_a_child_zone_on_the_same_server_answers_for_itself_but_for_its_ds() -> None:
    child = name("sub")
    zones = {ORIGIN: ZONE, child: version(origin=child)}
    assert shown(resolve(zones, child, dns.rdatatype.SOA).answer) == ["sub 300 SOA"]
    assert shown(resolve(zones, child, dns.rdatatype.DS).answer) == ["sub 120 DS"]
    assert shown(resolve(zones, name("into"), dns.rdatatype.A).authority) == ["sub 60 SOA"]


def test_any_shows_every_rrset_of_a_name() -> None:
    assert sorted(shown(ask("a", "ANY").answer)) == ["a 60 A", "a 60 TXT"]


def test_key_is_asked_of_the_alias_itself() -> None:
    response = ask("alias", "KEY")
    assert not response.answer
    assert shown(response.authority) == ["@ 60 SOA"]


@pytest.mark.parametrize("owner", ["example.net.", "test.", "notexample.test.", "."])
def test_names_outside_are_refused(owner: str) -> None:
    assert ask(owner, "A").rcode == dns.rcode.REFUSED
