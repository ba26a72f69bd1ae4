"""Every known trap of a plan's body: each has its clear answer, and nothing is stored."""

import json
from typing import Any

import pytest

from dnsguard.api.app import reconfigure
from dnsguard.api.limits import Limits
from dnsguard.core.policy import Policy
from tests.api.house import PLANS, Door, Reply, clear, nothing_stored, plan, rrset


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"rrsets": [}',
        b'{"rrsets": [], "rrsets": []}',
        b'{"reason": NaN}',
        b'{"generation": Infinity}',
        b'{"generation": ' + b"9" * 5_000 + b"}",
        b'{"reason": "\\ud800"}',
        b'{"reason": "\xff"}',
        b"[" * 100_000,
        b'{"rrsets":' * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_no_json_is_400(door: Door, raw: bytes) -> None:
    reply = await door.ask("POST", PLANS, raw=raw, headers={"If-Match": "*"})
    clear(reply, 400)
    assert reply.body["type"] == "/problems/malformed"
    await nothing_stored(door)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ("plan", ""),
        (None, ""),
        ({"rrset": []}, "/rrset"),
        (plan(surprise=1), "/surprise"),
        (plan(rrset() | {"extra": 1}), "/rrsets/0/extra"),
        (plan({"name": "www", "type": "A", "ttl": 300}), "/rrsets/0"),
        (plan(rrset() | {"ttl": "300"}), "/rrsets/0/ttl"),
        (plan(rrset() | {"ttl": 300.0}), "/rrsets/0/ttl"),
        (plan(rrset() | {"ttl": True}), "/rrsets/0/ttl"),
        (plan(rrset() | {"ttl": None}), "/rrsets/0/ttl"),
        (plan(rrset() | {"records": "192.0.2.1"}), "/rrsets/0/records"),
        (plan(rrset() | {"records": [{}]}), "/rrsets/0/records/0"),
        (plan(rrset(), rrset("b") | {"name": 7}), "/rrsets/1/name"),
        (plan(generation=0), "/generation"),
        (plan(generation=-1), "/generation"),
        (plan(generation=2**63), "/generation"),
        (plan(generation=1.0), "/generation"),
        (plan(generation=True), "/generation"),
        (plan(generation="41"), "/generation"),
        (plan(adopt="yes"), "/adopt"),
        (plan(adopt=1), "/adopt"),
        (plan(reason="x" * 1_001), "/reason"),
        (plan(reason=None), "/reason"),
        (plan(retire=[{"name": "a"}]), "/retire/0"),
        (plan(retire=["www A"]), "/retire/0"),
    ],
)
async def test_what_does_not_fit_the_schema_is_422_and_says_where(door: Door, body: Any, pointer: str) -> None:
    reply = await door.ask("POST", PLANS, raw=json.dumps(body).encode(), headers={"If-Match": "*"})
    clear(reply, 422)
    assert (reply.body["type"], reply.body["pointer"]) == ("/problems/not-valid", pointer)
    await nothing_stored(door)


LONG = ".".join(["a" * 63] * 4)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("", "empty"),
        ("a..b", "a label is empty"),
        (".", "outside"),
        ("a" * 64, "63 octets"),
        (LONG, "255 octets"),
        ("a" * 1_000_000, "255 octets"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\\", "backslash"),
        (r"a\25", "backslash"),
        (r"a\999", "found"),
        ("a b", "blank"),
        ("\uff37\uff37\uff37", "IDNA 2008"),
        ("www。example", "another dot"),
        ("Bücher", "IDNA 2008"),
        ("b\u200dc", "IDNA 2008"),
        ("\u202eabc", "IDNA 2008"),
        ("😀", "IDNA 2008"),
        ("ü" * 100_000, "found"),
        ("www.example.test", "ends in a dot"),
        ("www.example.org.", "outside"),
        ("example.test.example.org.", "outside"),
        ("_dnsguard", "reserved"),
        ("x._DNSGUARD", "reserved"),
    ],
)
async def test_a_name_that_is_not_plain_is_422(door: Door, name: str, found: str) -> None:
    reply = await door.submit(plan(rrset("ok"), rrset(name)))
    clear(reply, 422)
    assert found in reply.body["detail"]
    assert len(reply.body["detail"]) < 600
    assert reply.guard in {"well_formed", "plan_in_zone", "reserved_names_untouched"}
    if reply.guard == "well_formed":
        assert reply.body["pointer"] == "/rrsets/1/name"
    await nothing_stored(door)


@pytest.mark.parametrize("name", ["bücher", "www.", "*", "WWW", r"a\.b", "_sip._tcp", "xn--bcher-kva.example.test."])
async def test_a_name_that_is_plain_is_taken(door: Door, name: str) -> None:
    door.house.held = True
    in_zone = name if name != "www." else "www.example.test."
    assert (await door.submit(plan(rrset(in_zone)))).status == 202


@pytest.mark.parametrize(
    ("rdtype", "record"),
    [
        ("A", ""),
        ("A", " "),
        ("A", "192.0.2.1\n192.0.2.2"),
        ("A", "192.0.2.1\r\n"),
        ("A", "192.0.2.1 192.0.2.2"),
        ("A", "192.0.2.1 ; mine"),
        ("A", r"\# 4 c0000201"),
        ("A", "192.0.2.256"),
        ("A", "192.0.2.1\0"),
        ("A", "(192.0.2.1)"),
        ("A", "١٩٢.0.2.1"),
        ("AAAA", "192.0.2.1"),
        ("CNAME", "target"),
        ("CNAME", "@"),
        ("MX", "10 mail"),
        ("MX", "70000 mail.example.test."),
        ("MX", "mail.example.test."),
        ("TXT", "two words"),
        ("TXT", '"a" b'),
        ("TXT", '"never closed'),
        ("TXT", '"' + "x" * 256 + '"'),
        ("TXT", '"' + "x" * 400_000 + '"'),
        ("SRV", "0 0 80"),
        ("CAA", "0 issue"),
        ("TYPE65280", "no hash"),
        ("TYPE65280", r"\# 4 00"),
        ("NAPTR", "x" * 1_000),
    ],
)
async def test_rdata_that_is_not_plain_is_422_and_says_where(door: Door, rdtype: str, record: str) -> None:
    body = plan(rrset("ok"), {"name": "x", "type": rdtype, "ttl": 60, "records": [record]})
    reply = await door.submit(body)
    clear(reply, 422)
    assert (reply.guard, reply.body["pointer"]) == ("well_formed", "/rrsets/1/records/0")
    assert len(json.dumps(reply.body)) < 1_500
    await nothing_stored(door)


@pytest.mark.parametrize(
    "rdtype", ["", "ANY", "AXFR", "OPT", "TSIG", "TKEY", "NOPE", "TYPE0", "TYPE99999", "A A", "a\0"]
)
async def test_a_type_that_is_no_data_type_is_422(door: Door, rdtype: str) -> None:
    reply = await door.submit(plan(rrset() | {"type": rdtype}))
    clear(reply, 422)
    assert (reply.guard, reply.body["pointer"]) == ("well_formed", "/rrsets/0/type")
    await nothing_stored(door)


@pytest.mark.parametrize("rdtype", ["SOA", "RRSIG", "NSEC", "NSEC3"])
async def test_the_servers_own_types_are_422(door: Door, rdtype: str) -> None:
    reply = await door.submit({"retire": [{"name": "@", "type": rdtype}]})
    clear(reply, 422)
    assert reply.guard == "server_records_untouched"
    await nothing_stored(door)


@pytest.mark.parametrize(
    ("ttl", "guard"), [(-1, "well_formed"), (2**31, "well_formed"), (10**19, "well_formed"), (604_801, "ttl_in_bounds")]
)
async def test_a_ttl_out_of_bounds_is_422(door: Door, ttl: int, guard: str) -> None:
    reply = await door.submit(plan(rrset(ttl=ttl)))
    clear(reply, 422)
    assert reply.guard == guard
    await nothing_stored(door)


@pytest.mark.parametrize(
    ("body", "guard", "pointer"),
    [
        ({}, "plan_covers_something", None),
        (plan(rrset() | {"records": []}), "never_empty", "/rrsets/0/records"),
        (plan(rrset(), rrset()), "well_formed", "/rrsets/1"),
        (plan(rrset("www"), rrset("WWW.EXAMPLE.TEST.", "192.0.2.2")), "well_formed", "/rrsets/1"),
        (plan(rrset("bücher"), rrset("xn--bcher-kva")), "well_formed", "/rrsets/1"),
        (plan(rrset(), retire=[{"name": "www", "type": "a"}]), "well_formed", "/retire/0"),
        ({"retire": [{"name": "a", "type": "A"}, {"name": "A", "type": "TYPE1"}]}, "well_formed", "/retire/1"),
        (plan(rrset("www", "192.0.2.1", "192.0.2.2", "192.0.2.1")), "well_formed", "/rrsets/0/records/2"),
        (plan(rrset("www", "2001:db8::1", "2001:DB8:0::1", rdtype="AAAA")), "well_formed", "/rrsets/0/records/1"),
        (plan(rrset("www", *(f"192.0.2.{n}" for n in range(101)))), "rrset_is_bounded", "/rrsets/0/records"),
        (plan(rrset("www", "a.test.", rdtype="CNAME"), rrset("www")), "cname_alone", "/rrsets/0"),
        (plan(reason="two\nlines"), "well_formed", "/reason"),
        (plan(reason="esc\x1b[31m"), "well_formed", "/reason"),
        (plan(reason="\u202egnorw"), "well_formed", "/reason"),
        (plan(reason="\u0085"), "well_formed", "/reason"),
    ],
)
async def test_a_plan_that_a_guard_refuses_is_422(door: Door, body: Any, guard: str, pointer: str | None) -> None:
    reply = await door.submit(body)
    clear(reply, 422)
    assert (reply.guard, reply.body.get("pointer")) == (guard, pointer)
    assert reply.body["expected"]
    assert reply.body["found"]
    await nothing_stored(door)


async def test_the_apex_ns_cannot_be_retired(door: Door) -> None:
    reply = await door.submit({"retire": [{"name": "@", "type": "NS"}]})
    clear(reply, 422)
    assert reply.guard == "apex_ns_kept"


async def test_a_dry_run_refuses_what_is_not_well_formed_all_the_same(door: Door) -> None:
    clear(await door.submit(plan(rrset("a b")), query="?dry_run=true"), 422)


async def test_a_plan_of_80_000_rrsets_is_refused_before_its_records_are_read(door: Door) -> None:
    # Were a record read, the answer would be about this one.
    body = {"rrsets": [rrset(f"h{n}", "no address") for n in range(80_000)]}
    reply = await door.submit(body)
    clear(reply, 422)
    assert (reply.guard, reply.body["found"]) == ("plan_is_bounded", "80000")
    await nothing_stored(door)


async def test_a_plan_as_large_as_the_policy_allows_is_taken(door: Door) -> None:
    door.house.held = True
    door.house.policy = Policy(plan_rrsets_max=2_000)
    many = [rrset(f"h{n}") for n in range(2_001)]
    assert (await door.submit(plan(*many))).guard == "plan_is_bounded"
    reply = await door.submit(plan(*many[:-1]))
    assert (reply.status, reply.body["rrset_count"]) == (202, 2_000)


async def test_a_body_of_64_mib_is_413(door: Door) -> None:
    reply = await door.ask("POST", PLANS, raw=b" " * (64 * 2**20), headers={"If-Match": "*"})
    clear(reply, 413)
    assert reply.headers["Connection"] == "close"
    await nothing_stored(door)


async def test_a_body_without_a_length_is_413_once_it_is_too_large(door: Door) -> None:
    reconfigure(door.app, limits=Limits(body_octets_max=100_000))

    async def pieces() -> Any:
        for _ in range(50):
            yield b" " * 10_000

    reply = await door.ask("POST", PLANS, raw=pieces(), headers={"If-Match": "*"})
    clear(reply, 413)
    await nothing_stored(door)


async def test_a_body_as_large_as_allowed_is_read(door: Door) -> None:
    door.house.held = True
    body = json.dumps(plan()).encode()
    reconfigure(door.app, limits=Limits(body_octets_max=len(body)))
    assert (await door.ask("POST", PLANS, raw=body, headers={"If-Match": "*"})).status == 202
    clear(await door.ask("POST", PLANS, raw=body + b" ", headers={"If-Match": "*"}), 413)


async def test_a_body_on_a_get_is_not_read(door: Door) -> None:
    assert (await door.get("/v1/zones", raw=b"[" * 1_000)).status == 200


def pointers(reply: Reply) -> list[str]:
    return [error["pointer"] for error in reply.body["errors"]]


async def test_all_that_is_wrong_with_a_plan_is_said_at_once_each_with_its_place(door: Door) -> None:
    long = '"' + 300 * "k" + '"'
    body = plan(
        rrset("@", "v=spf1 -all", rdtype="TXT"),
        rrset("_dmarc", "v=DMARC1; p=none", rdtype="TXT"),
        rrset("m", "10 mail", "20 mail.test.", "30 mail", rdtype="MX"),
        rrset("k", long, rdtype="TXT"),
        rrset("a b", "192.0.2.300", ttl=-1),
        rrset("x", "1", rdtype="NOTYPE"),
        rrset("ok"),
        rrset("ok"),
        rrset("empty") | {"records": []},
        retire=[{"name": "a..b", "type": "A"}, {"name": "ok", "type": "A"}],
        reason="two\nlines",
    )
    reply = await door.submit(body)
    assert reply.status == 422
    assert pointers(reply) == [
        "/reason",
        "/retire/0/name",
        "/retire/1",
        "/rrsets/0/records/0",
        "/rrsets/1/records/0",
        "/rrsets/2/records/0",
        "/rrsets/2/records/2",
        "/rrsets/3/records/0",
        "/rrsets/4/name",
        "/rrsets/4/records/0",
        "/rrsets/4/ttl",
        "/rrsets/5/type",
        "/rrsets/7",
        "/rrsets/8/records",
    ]
    assert (reply.body["type"], reply.body["pointer"]) == ("/problems/refused", "/reason")
    assert reply.body["detail"].endswith("(and 13 more; see errors)")
    details = {error["pointer"]: error["detail"] for error in reply.body["errors"]}
    assert "at most 255 octets" in details["/rrsets/3/records/0"]
    assert details["/rrsets/3/records/0"].endswith('"…" "…"')
    await nothing_stored(door)


async def test_what_does_not_fit_the_schema_is_said_together_with_what_is_not_well_formed(door: Door) -> None:
    body = {
        "rrsets": [
            rrset("a") | {"ttl": "300", "extra": 1},
            {"name": "b", "type": "A"},
            rrset("c", "192.0.2.300"),
            7,
            rrset("d", "x") | {"records": ["192.0.2.1", 2, None]},
        ],
        "retire": [{"name": "e"}, {"name": "f..g", "type": "A"}],
        "sur/prise": 1,
        "adopt": "yes",
    }
    reply = await door.submit(body)
    assert (reply.status, reply.body["type"]) == (422, "/problems/not-valid")
    assert pointers(reply) == [
        "/adopt",
        "/retire/0",
        "/retire/1/name",
        "/rrsets/0/extra",
        "/rrsets/0/ttl",
        "/rrsets/1",
        "/rrsets/1",
        "/rrsets/2/records/0",
        "/rrsets/3",
        "/rrsets/4/records/1",
        "/rrsets/4/records/2",
        "/sur~1prise",
    ]
    await nothing_stored(door)


async def test_no_more_than_a_hundred_errors_are_listed_or_looked_for(door: Door) -> None:
    for wrong in (rrset("x", "192.0.2.300"), 7, rrset("x" * 64), rrset("x", ttl=604_801) | {"name": "o.org."}):
        many = [wrong | {"name": f"{wrong['name']}{n}"} if isinstance(wrong, dict) else wrong for n in range(3_000)]
        reply = await door.submit({"rrsets": many})
        assert reply.status == 422
        assert len(reply.body["errors"]) == 100
        assert "at least 99 more" in reply.body["detail"]


async def test_all_that_the_guards_refuse_is_said_at_once(door: Door) -> None:
    body = plan(
        rrset("one", ttl=604_801),
        rrset("two"),
        rrset("o.org."),
        rrset("_dnsguard"),
        rrset("three", ttl=604_802),
        retire=[{"name": "@", "type": "SOA"}, {"name": "@", "type": "NS"}],
    )
    expected = [
        ("/rrsets/2", "plan_in_zone"),
        ("/rrsets/3", "reserved_names_untouched"),
        ("/retire/0", "server_records_untouched"),
        ("/retire/1", "apex_ns_kept"),
        ("/rrsets/0", "ttl_in_bounds"),
        ("/rrsets/4", "ttl_in_bounds"),
    ]
    reply = await door.submit(body)
    assert (reply.status, reply.guard) == (422, "plan_in_zone")
    assert [(error["pointer"], error["guard"]) for error in reply.body["errors"]] == expected
    await nothing_stored(door)
    dry = await door.submit(body, query="?dry_run=true")
    found = [(error["pointer"], error["guard"]) for verdict in dry.body["verdicts"] for error in verdict["errors"]]
    assert (dry.status, found) == (200, expected)


async def test_all_names_that_a_rollback_cannot_read_are_said(door: Door) -> None:
    named = [{"name": "a..b", "type": "A"}, {"name": "b", "type": "A"}, {"name": "c", "type": "NOTYPE"}]
    path, body = "/v1/zones/example.test/rollback", {"to": 1, "rrsets": named}
    reply = await door.ask("POST", path, body=body, headers={"If-Match": "*"})
    assert (reply.status, pointers(reply)) == (422, ["/rrsets/0/name", "/rrsets/2/type"])
