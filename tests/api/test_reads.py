"""What can be read: zones, plans, RRsets, differences, health and numbers."""

import asyncio
from datetime import datetime

import pytest

from tests.api.house import OTHER_ZONE, PLANS, ZONE, Door, plan, rrset

PUBLISHED = {"Prefer": "wait=20"}


async def test_a_zone_says_where_it_stands(door: Door) -> None:
    await door.submit(plan(), headers=PUBLISHED)
    door.house.held = True
    await door.submit(plan(rrset("b")))
    reply = await door.get("/v1/zones/example.test")
    assert reply.headers["ETag"] == '"2"'
    zone = reply.body
    assert (zone["zone"], zone["mode"], zone["newest"], zone["published"]) == (ZONE, "guarded", 2, 1)
    assert zone["pending"] == 1
    assert zone["published_age_s"] > 0
    assert zone["oldest_pending_age_s"] > 0
    assert zone["published_at"].endswith("Z")
    assert datetime.fromisoformat(zone["oldest_pending_at"]).utcoffset() is not None
    assert zone["kept_from"] == 0
    assert zone["halted"] is None
    assert (await door.get("/v1/zones")).body["zones"][0]["newest"] == 2


async def test_all_zones_are_listed_by_name(door: Door) -> None:
    listed = (await door.get("/v1/zones")).body
    assert [zone["zone"] for zone in listed["zones"]] == [ZONE, OTHER_ZONE]
    assert listed["mode"] == "guarded"
    assert listed["zones"][0]["published_at"] is None


async def test_a_plan_shows_all_that_it_covers_in_one_form(door: Door) -> None:
    body = plan(
        rrset("WWW", "192.0.2.2", "192.0.2.1"),
        {"name": "bücher", "type": "txt", "ttl": 60, "records": ['"a\\"b" "c"']},
        retire=[{"name": "old", "type": "A"}],
        reason="für alle",
    )
    await door.submit(body)
    shown = (await door.get(f"{PLANS}/1")).body
    assert (shown["reason"], shown["actor"], shown["based_on"], shown["rrset_count"]) == ("für alle", "will", None, 3)
    assert [
        (each["name"], each["type"], each["ttl"], each["records"], each["absence"]) for each in shown["rrsets"]
    ] == [
        ("old.example.test.", "A", None, [], "retired"),
        ("www.example.test.", "A", 300, ["192.0.2.1", "192.0.2.2"], None),
        ("xn--bcher-kva.example.test.", "TXT", 60, ['"a\\"b" "c"'], None),
    ]
    assert shown["links"] == {"plan": "/v1/zones/example.test./plans/1", "zone": "/v1/zones/example.test."}


@pytest.mark.parametrize(("generation", "status"), [("1", 404), ("0", 404), ("x", 400), ("-1", 400), ("9" * 30, 400)])
async def test_a_plan_that_is_not_there_is_404(door: Door, generation: str, status: int) -> None:
    assert (await door.get(f"{PLANS}/{generation}")).status == status


async def test_plans_come_in_pages_newest_first(door: Door) -> None:
    for number in range(5):
        await door.submit(plan(rrset(f"h{number}")))
    path: str | None = f"{PLANS}?limit=2"
    pages = []
    while path is not None:
        page = (await door.get(path)).body
        pages.append([entry["generation"] for entry in page["plans"]])
        path = page["next"]
    assert pages == [[5, 4], [3, 2], [1]]
    below = (await door.get(f"{PLANS}?below=3")).body
    assert ([entry["generation"] for entry in below["plans"]], below["next"]) == ([2, 1], None)


async def test_what_a_plan_covers_comes_in_pages(door: Door) -> None:
    await door.submit(plan(*(rrset(f"h{number}") for number in range(5))))
    path: str | None = f"{PLANS}/1?limit=2"
    pages = []
    while path is not None:
        page = (await door.get(path)).body
        assert (page["generation"], page["rrset_count"]) == (1, 5)
        pages.append([each["name"].split(".")[0] for each in page["rrsets"]])
        path = page["next"]
    assert pages == [["h0", "h1"], ["h2", "h3"], ["h4"]]


async def test_rrsets_come_in_pages_at_one_generation(door: Door) -> None:
    await door.submit(plan(*(rrset(f"h{number}") for number in range(5))))
    first = (await door.get("/v1/zones/example.test/rrsets?limit=2")).body
    await door.submit(plan(rrset("h3", "192.0.2.9")))
    second = (await door.get(first["next"])).body
    third = (await door.get(second["next"])).body
    pages = [first, second, third]
    assert [page["generation"] for page in pages] == [1, 1, 1]
    assert third["next"] is None
    seen = [(each["name"], each["records"]) for page in pages for each in page["rrsets"]]
    assert seen == [(f"h{number}.example.test.", ["192.0.2.1"]) for number in range(5)]


async def test_rrsets_can_be_filtered_and_looked_at_in_the_past(door: Door) -> None:
    path = "/v1/zones/example.test/rrsets"
    mx = {"name": "www", "type": "MX", "ttl": 60, "records": ["10 mail.example.test."]}
    await door.submit(plan(rrset("www"), mx, rrset("b")))
    await door.submit(plan(rrset("www", "192.0.2.2")))

    async def found(query: str) -> list[tuple[str, str, int]]:
        body = (await door.get(path + query)).body
        return [(each["name"].split(".")[0], each["type"], each["generation"]) for each in body["rrsets"]]

    assert await found("") == [("b", "A", 1), ("www", "A", 2), ("www", "MX", 1)]
    assert await found("?name=www") == [("www", "A", 2), ("www", "MX", 1)]
    assert await found("?name=WWW.example.test.&type=mx") == [("www", "MX", 1)]
    assert await found("?type=A&at=1") == [("b", "A", 1), ("www", "A", 1)]
    assert await found("?at=0") == []
    assert await found("?after=www.example.test.%20A") == [("www", "MX", 1)]


async def test_what_differs_between_two_generations_comes_in_pages(door: Door) -> None:
    await door.submit(plan(rrset("a"), rrset("b"), rrset("c")))
    await door.submit(plan(rrset("b", "192.0.2.2"), rrset("d"), retire=[{"name": "a", "type": "A"}]))
    first = (await door.get("/v1/zones/example.test/differences?from=1&limit=2")).body
    assert (first["from_generation"], first["to_generation"]) == (1, 2)
    a, b = first["differences"]
    assert (a["name"], a["before"]["records"], a["after"]["absence"]) == ("a.example.test.", ["192.0.2.1"], "retired")
    assert (b["before"]["records"], b["after"]["records"]) == (["192.0.2.1"], ["192.0.2.2"])
    second = (await door.get(first["next"])).body
    assert [each["name"] for each in second["differences"]] == ["d.example.test."]
    assert (second["differences"][0]["before"], second["next"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/plans?limit=0", 400),
        ("/plans?limit=501", 400),
        ("/plans?limit=x", 400),
        ("/plans?limit=1&limit=2", 400),
        ("/plans?below=-1", 400),
        ("/plans?page=2", 400),
        ("/rrsets?name=a%20b", 400),
        ("/rrsets?name=%EF%BC%B7", 400),
        ("/rrsets?type=ANY", 400),
        ("/rrsets?after=www.example.test.", 400),
        ("/rrsets?at=1.5", 400),
        ("/rrsets?at=7", 404),
        ("/differences", 400),
        ("/differences?from=0&to=7", 404),
        ("?verbose=1", 400),
    ],
)
async def test_a_query_that_cannot_be_answered_says_why(door: Door, path: str, status: int) -> None:
    reply = await door.get(f"/v1/zones/example.test{path}")
    assert (reply.status, bool(reply.body["detail"])) == (status, True)


async def test_the_daemon_says_that_it_lives_and_is_ready(door: Door) -> None:
    assert (await door.get("/v1/health/live", token=None)).body == {"status": "alive", "mode": "guarded"}
    assert (await door.get("/v1/health/ready", token=None)).body == {"status": "ready", "mode": "guarded"}


async def test_the_daemon_says_what_is_missing(door: Door) -> None:
    door.house.trouble = {"store": "the database does not answer"}
    reply = await door.get("/v1/health/ready", token=None)
    assert (reply.status, reply.body["type"]) == (503, "/problems/not-ready")
    assert reply.body["missing"] == {"store": "the database does not answer"}


async def test_however_many_ask_whether_it_is_ready_the_house_looks_seldom(door: Door) -> None:
    replies = await asyncio.gather(*(door.get("/v1/health/ready", token=None) for _ in range(50)))
    assert {reply.status for reply in replies} == {200}
    assert door.house.looks < 10


async def test_the_numbers_are_shown_as_prometheus_wants_them(door: Door) -> None:
    reply = await door.get("/metrics")
    assert reply.status == 200
    assert "dnsguard_test 42.0" in reply.body
    assert reply.headers["Content-Type"].startswith("text/plain; version=")
