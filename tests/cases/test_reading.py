"""One odd record, name or zone never stops the rest: what a zone holds is adopted, verified, shown and set again."""

import json
from pathlib import Path

import pytest

from dnsguard.core.message import Applied
from dnsguard.core.records import Key, Records, make_records, parse_records
from tests.cases.scene import Case, open_case

every_server = pytest.mark.parametrize("kind", ["bind", "knot", "powerdns"])
MAIL = "mx A 192.0.2.25\n_25._tcp.mx TLSA 3 1 1 00112233445566778899aabbccddeeff\nwww A 192.0.2.1\n"
ODD = r"\# 19 03010100112233445566778899aabbccddeeff"
GOOD = "3 1 1 " + "00112233445566778899aabbccddeeff" * 2
OPAQUE = {
    "TLSA": "03010100112233445566778899aabbccddeeff",
    "HTTPS": "0000000001000302683" + "2",
    "SVCB": "000100000500020005",
    "URI": "00010001",
    "GPOS": "000000",
    "AMTRELAY": "0a7f01",
    "DS": "30390d00ab",
    "LOC": "01000000000000000000000000000000",
    "CAA": "0005",
    "APL": "00010802c000",
    "HINFO": "ff",
    "SSHFP": "0101ab",
    "ZONEMD": "000000010101",
}


@every_server
def test_a_zone_with_an_unreadable_record_is_adopted_verified_and_the_record_mended(tmp_path: Path, kind: str) -> None:
    with open_case(tmp_path, kind, {"mail.test.": MAIL}) as case:
        said = case.run("adopt", "mail.test.", "--all")
        assert "4 RRsets of mail.test. became one plan" in said
        assert "taking over _25._tcp.mx.mail.test. TLSA (opaque: not valid for its type)" in said
        said = case.run("verify", "mail.test.")
        assert "4 RRsets compared, nothing differs" in said
        assert "compared by octets: _25._tcp.mx.mail.test. TLSA" in said
        settings = tmp_path / "dnsguard.toml"
        checked = case.run("doctor", "--config", str(settings))
        assert "1 of them opaque: _25._tcp.mx.mail.test. TLSA" in checked
        assert ODD in case.run("rrsets", "mail.test.")
        case.run("set", "_25._tcp.mx", "TLSA", "300", GOOD)
        assert case.transferred("mail.test.")[Key("_25._tcp.mx.mail.test.", "TLSA")] == parse_records(
            "TLSA", 300, [GOOD]
        )


@every_server
def test_an_unmanaged_unreadable_record_is_replaced_with_adopt_only_and_nothing_waits_for_it(
    tmp_path: Path, kind: str
) -> None:
    with open_case(tmp_path, kind, {"mail.test.": MAIL}) as case:
        said = case.run("set", "_25._tcp.mx", "TLSA", "300", GOOD, code=1)
        assert "_25._tcp.mx.mail.test. TLSA is not managed by dnsguard" in said
        assert "--adopt takes it over" in said
        case.run("set", "api", "A", "300", "192.0.2.7")
        case.run("set", "_25._tcp.mx", "TLSA", "300", GOOD, "--adopt")
        assert case.run("verify", "mail.test.").count("nothing differs") == 1


@every_server
def test_opaque_records_that_a_server_takes_are_adopted_verified_shown_and_set_again(tmp_path: Path, kind: str) -> None:
    zone = "odd.test."
    with open_case(tmp_path, kind, {zone: "www A 192.0.2.1\n"}) as case:
        taken: dict[Key, Records] = {}
        for rdtype, octets in OPAQUE.items():
            contents = {Key(f"{rdtype.lower()}.{zone}", rdtype): make_records(rdtype, 60, [bytes.fromhex(octets)])}
            if rdtype == "DS":
                contents[Key(f"ds.{zone}", "NS")] = parse_records("NS", 60, ["ns1.example.net."])
            if case.put(zone, contents) == Applied():
                taken |= contents
        before = case.transferred(zone)
        taken = {key: records for key, records in taken.items() if before.get(key) == records}  # some are written anew
        assert Key(f"tlsa.{zone}", "TLSA") in taken
        adopted = json.loads(case.run("adopt", zone, "--all", "--json").splitlines()[0])
        opaque = {(each["name"], each["type"]) for each in adopted["rrsets"] if each["opaque"]}
        left_out = {(each["name"], each["type"]): each["why"] for each in adopted["left_out"]}
        assert {key for key in taken if key.type != "NS"} <= opaque | left_out.keys()
        case.run("verify", zone)
        printed = json.loads(case.run("rrsets", zone, "--json"))["rrsets"]
        assert {(each["name"], each["type"]) for each in printed if each["opaque"]} == opaque
        before = case.transferred(zone)
        for each in printed:
            case.run("set", each["name"], each["type"], str(each["ttl"] + 1 * (each["name"] != zone)), *each["records"])
        after = case.transferred(zone)
        for each in printed:
            key = Key(each["name"], each["type"])
            assert (after[key].rdatas, after[key].ttl) == (before[key].rdatas, before[key].ttl + 1 * (key.name != zone))
        case.run("verify", zone)


@every_server
def test_a_verifier_is_not_blinded_by_an_unreadable_record(tmp_path: Path, kind: str) -> None:
    zone = "blind.test."
    with open_case(tmp_path, kind, {zone: "www A 192.0.2.1\n"}) as case:
        case.run("adopt", zone, "--all")
        case.put(zone, {Key(f"www.{zone}", "A"): parse_records("A", 60, ["192.0.2.66"])})
        odd = {Key(f"x.{zone}", "TLSA"): make_records("TLSA", 60, [bytes.fromhex(OPAQUE["TLSA"])])}
        assert case.put(zone, odd) == Applied()
        said = case.run("verify", zone, code=1)
        assert "changed www.blind.test. A" in said
        assert "1 differ; 1 not managed" in said


@pytest.mark.parametrize("kind", ["bind", "knot"])  # PowerDNS stores no MB and the like
def test_compressed_names_of_old_types_are_adopted_and_compared(tmp_path: Path, kind: str) -> None:
    with open_case(tmp_path, kind, {"old.test.": "www A 192.0.2.1\n"}) as case:
        name, other = b"\3joe\3old\4test\0", b"\1a\3old\4test\0"
        old = {"MG": name, "MB": name, "MR": name, "MD": name, "MF": name, "MINFO": name + other}
        contents = {Key(f"{each.lower()}.old.test.", each): make_records(each, 60, [old[each]]) for each in old}
        assert case.put("old.test.", contents) == Applied()
        stored = case.transferred("old.test.").items() & contents.items()  # BIND drops MD and MF
        types = {key.type for key, _ in stored}
        assert types >= {"MG", "MB", "MR", "MINFO"}
        said = case.run("adopt", "old.test.", "--all")
        assert "6 RRsets" in said
        assert {
            each for each in types if f"left out {each.lower()}.old.test. {each}: servers do not store" in said
        } == (types & {"MD", "MF"})
        case.run("set", "other", "MG", "300", r"\# 14 036a6f65036f6c64047465737400")
        assert "7 RRsets compared, nothing differs" in case.run("verify", "old.test.")


PARENT = {
    "parent.test.": "child NS ns1.child.parent.test.\nchild NS ns2.example.net.\nns1.child A 192.0.2.61\n"
    "same 86400 NS ns1.example.net.\nwww A 192.0.2.1\nglue.child 77 A 192.0.2.62\n",
    "child.parent.test.": "www A 192.0.2.2\nglue A 192.0.2.62\n",
    "same.parent.test.": "",
}


@every_server
def test_a_parent_zone_is_read_as_it_is_beside_its_child_on_one_server(tmp_path: Path, kind: str) -> None:
    with open_case(tmp_path, kind, PARENT) as case:
        said = case.run("adopt", "parent.test.", "--all")
        assert "5 RRsets of parent.test." in said
        assert "left out glue.child.parent.test. A: child.parent.test. NS hides it" in said
        assert "nothing differs" in case.run("verify", "parent.test.")


@every_server
def test_what_stands_in_the_parent_decides_whether_a_plan_must_adopt(tmp_path: Path, kind: str) -> None:
    with open_case(tmp_path, kind, PARENT) as case:
        zone = ("--zone", "parent.test.")
        said = case.run("set", *zone, "child", "NS", "3600", "ns1.example.net.", code=1)
        assert "child.parent.test. NS is not managed by dnsguard" in said
        assert "--adopt takes it over" in said
        case.run("set", *zone, "child", "NS", "3600", "ns1.child.parent.test.", "ns2.example.net.")
        for name in ("new.child", "www.child"):
            said = case.run("set", *zone, name, "A", "60", "192.0.2.3", code=1)
            assert f"child.parent.test. NS (generation 1) would hide {name}.parent.test. A" in said


def alias_case(case: Case) -> dict[tuple[str, str], str]:
    adopted = json.loads(case.run("adopt", "pdns.test.", "--all", "--json").splitlines()[0])
    return {(each["name"], each["type"]): each["why"] for each in adopted["left_out"]}


PDNS = "@ ALIAS www.example.net.\ndyn LUA A \"pickrandom({'192.0.2.1','192.0.2.2'})\"\nwww A 192.0.2.1\n"


def test_what_powerdns_does_not_confirm_is_left_out_and_named_and_the_rest_is_adopted(tmp_path: Path) -> None:
    with open_case(tmp_path, "powerdns", {"pdns.test.": PDNS}) as case:
        left_out = alias_case(case)
        assert "answers NXRRSET when asked to confirm" in left_out["pdns.test.", "TYPE65401"]
        shown = json.loads(case.run("rrsets", "pdns.test.", "--json"))["rrsets"]
        assert {("pdns.test.", "NS"), ("www.pdns.test.", "A")} <= {(each["name"], each["type"]) for each in shown}
        said = case.run("verify", "pdns.test.", code=1)
        assert "foreign pdns.test. TYPE65401" in said
        assert "1 differ" in said
        said = case.run("set", "al", "ALIAS", "300", "www.example.net.", code=1)
        assert "write TYPE65401" in said
        case.run("set", "al", "TYPE65401", "300", r"\# 17 03777777076578616d706c65036e657400")


def test_names_and_types_are_left_out_when_asked_and_a_slip_in_them_is_refused(tmp_path: Path) -> None:
    zone = "www A 192.0.2.1\nwww TXT text\nold A 192.0.2.2\n0/25 NS ns1.example.net.\n"
    with open_case(tmp_path, "bind", {"some.test.": zone}) as case:
        refused = case.run("adopt", "--all", "--except", "ww/TXT", code=1)
        assert "nothing to leave out at ww.some.test. TXT" in refused
        excepted = ("--except", "www/txt", "--except", "old", "--except", "0/25")
        said = case.run("adopt", "--all", *excepted)
        for left in ("www.some.test. TXT", "old.some.test. A", "0/25.some.test. NS"):
            assert f"left out {left}: excepted by the request" in said
        assert "2 RRsets of some.test. became one plan" in said


def test_what_a_guard_refuses_is_left_out_and_named_and_the_rest_is_adopted(tmp_path: Path) -> None:
    zone = "www 5 A 192.0.2.1\nmail A 192.0.2.2\n"
    with open_case(tmp_path, "bind", {"some.test.": zone}, "[policy]\nttl_s_min = 60\n") as case:
        said = case.run("adopt", "--all")
        assert "left out www.some.test. A: the TTL of www.some.test. A is outside what the zone allows" in said
        assert "2 RRsets of some.test. became one plan" in said


def test_a_dname_above_a_covered_name_is_found_and_left_out_of_an_adoption(tmp_path: Path) -> None:
    with open_case(tmp_path, "bind", {"hid.test.": "www A 192.0.2.1\n"}) as case:
        case.run("set", "w.deep", "A", "60", "192.0.2.3")
        dname = Key("deep.hid.test.", "DNAME")
        assert case.put("hid.test.", {dname: make_records("DNAME", 60, [b"\5other\4test\0"])}) == Applied()
        assert f"foreign {dname.name} DNAME" in case.run("verify", "hid.test.", code=1)
        said = case.run("adopt", "hid.test.", "--all")
        assert "2 RRsets of hid.test." in said  # NS and www
        assert f"left out {dname.name} DNAME: {dname} (this plan) would hide w.deep.hid.test. A" in said
