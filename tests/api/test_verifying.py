"""Verifications and adoptions through the door: what differs is shown, and what stands is taken over."""

from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Update
from dnsguard.core.plan import Absence
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records
from tests.api.house import ADMIN, OTHERS, VERIFIER_INTERVAL_S, WRITER, ZONE, Door, clear, plan, rrset

VERIFICATIONS = "/v1/zones/example.test/verifications"
ADOPTIONS = "/v1/zones/example.test/adoptions"
TEXT = parse_records("TXT", 300, ["theirs"])
PUBLISHED = {"Prefer": "wait=20"}


def key(name: str, rdtype: str = "A") -> Key:
    return Key(f"{name}.{ZONE}", rdtype)


def a(last: int) -> Records:
    return parse_records("A", 300, [f"192.0.2.{last}"])


async def write(door: Door, contents: dict[Key, Records | Absence]) -> None:
    """Change the zone past dnsguard, as somebody else with the key would."""
    updates: list[Update] = []
    for each, wanted in contents.items():
        updates += [DeleteRRset(each), *([AddRecords(each, wanted)] if isinstance(wanted, Records) else [])]
    assert await door.house.publisher.publish(Message(ZONE, (), tuple(updates))) == Applied()


async def test_a_verification_names_each_difference(door: Door) -> None:
    await door.submit(plan(rrset("www"), rrset("mail", "192.0.2.9"), rrset("slow")), headers=PUBLISHED)
    clean = await door.ask("POST", VERIFICATIONS, token=WRITER)
    assert (clean.status, clean.body["finding_count"], clean.body["findings"], clean.body["compared"]) == (
        200,
        0,
        [],
        3,
    )
    assert clean.headers["ETag"] == '"1"'
    await write(door, {key("mail"): Absence.RETIRED, key("www"): a(66), key("www", "TXT"): TEXT})
    await write(door, {key("slow"): Records(5, a(1).rdatas)})
    found = (await door.ask("POST", VERIFICATIONS, token=WRITER)).body
    assert [(each["kind"], each["name"], each["type"]) for each in found["findings"]] == [
        ("missing", "mail.example.test.", "A"),
        ("ttl", "slow.example.test.", "A"),
        ("changed", "www.example.test.", "A"),
        ("foreign", "www.example.test.", "TXT"),
    ]
    missing, ttl, changed, foreign = found["findings"]
    assert (missing["expected"]["records"], missing["found"], missing["generation"]) == (["192.0.2.9"], None, 1)
    assert (ttl["expected"]["ttl"], ttl["found"]["ttl"]) == (300, 5)
    assert (changed["expected"]["records"], changed["found"]["records"]) == (["192.0.2.1"], ["192.0.2.66"])
    assert (foreign["expected"], foreign["generation"]) == (None, None)
    assert (found["finding_count"], found["policy"], found["suspended"]) == (4, "report", [])


async def test_a_zones_status_has_its_newest_verification(door: Door) -> None:
    await door.submit(plan(), headers=PUBLISHED)
    none_yet = (await door.get("/v1/zones/example.test")).body["verification"]
    assert none_yet == {
        "current": False,
        "overdue": False,
        "attempted_at": None,
        "failure": None,
        "at": None,
        "age_s": None,
        "generation": None,
        "findings": None,
        "suspended": 0,
    }
    await write(door, {key("www"): Absence.RETIRED})
    await door.ask("POST", VERIFICATIONS)
    newest = (await door.get("/v1/zones/example.test")).body["verification"]
    assert (newest["findings"], newest["generation"], newest["suspended"]) == (1, 1, 0)
    assert newest["age_s"] > 0
    assert (newest["current"], newest["failure"]) == (True, None)
    assert (await door.get("/v1/zones")).body["zones"][0]["verification"]["findings"] == 1


async def test_the_last_good_result_is_not_shown_as_current_once_a_verification_fails(door: Door) -> None:
    await door.submit(plan(), headers=PUBLISHED)
    await door.ask("POST", VERIFICATIONS)
    at = (await door.get("/v1/zones/example.test")).body["verification"]["at"]
    await door.house.server.stop()
    clear(await door.ask("POST", VERIFICATIONS), 503)
    status = (await door.get("/v1/zones/example.test")).body["verification"]
    assert (status["current"], status["at"], status["findings"]) == (False, at, 0)
    assert "port" in status["failure"]
    assert status["attempted_at"] > at


async def test_a_verification_older_than_twice_its_interval_is_overdue(door: Door) -> None:
    await door.submit(plan(), headers=PUBLISHED)
    await door.ask("POST", VERIFICATIONS)
    door.house.clock.at += 2 * VERIFIER_INTERVAL_S + 1
    status = (await door.get("/v1/zones/example.test")).body["verification"]
    assert (status["current"], status["overdue"], status["failure"]) == (False, True, None)


async def test_what_a_verification_found_to_differ_is_published_anew_by_the_same_plan(door: Door) -> None:
    published = await door.submit(plan(), headers=PUBLISHED)
    await write(door, {key("www"): Absence.RETIRED})
    await door.ask("POST", VERIFICATIONS)
    repaired = await door.submit(plan(), headers=PUBLISHED)
    assert (repaired.body["unchanged"], repaired.body["generation"]) == (False, published.body["generation"] + 1)
    assert (await door.ask("POST", VERIFICATIONS)).body["finding_count"] == 0
    again = await door.submit(plan(), headers=PUBLISHED)
    assert (again.body["unchanged"], again.body["generation"]) == (True, repaired.body["generation"])


async def test_what_cannot_be_compared_is_a_clear_no(door: Door) -> None:
    await door.submit(plan(), headers=PUBLISHED)
    await write(door, {Key(f"_dnsguard.{ZONE}", "TXT"): Absence.RETIRED})
    clear(gone := await door.ask("POST", VERIFICATIONS), 409)
    assert gone.body["type"] == "/problems/not-comparable"
    clear(await door.ask("POST", "/v1/zones/nowhere.test/verifications"), 404)
    clear(await door.ask("POST", VERIFICATIONS, token=OTHERS), 403)


async def test_a_primary_that_does_not_answer_is_not_a_finding(door: Door) -> None:
    await door.submit(plan(rrset("www")), headers=PUBLISHED)
    await door.house.server.stop()
    clear(away := await door.ask("POST", VERIFICATIONS, token=WRITER), 503)
    assert away.body["type"] == "/problems/unreachable"
    clear(refused := await door.ask("POST", ADOPTIONS, token=ADMIN, body={"names": None}), 409)
    assert refused.body["type"] == "/problems/adoption-refused"


async def test_names_are_taken_over_as_they_stand(door: Door) -> None:
    await write(door, {key("www"): a(1), key("mail"): a(2), key("mail", "TXT"): TEXT})
    body = {"names": ["mail", "www.example.test."], "reason": "from the old system"}
    dry = await door.ask("POST", ADOPTIONS + "?dry_run=true", token=ADMIN, body=body)
    assert (dry.status, dry.body["generations"], dry.body["rrset_count"], dry.body["plan_count"]) == (200, [], 3, 1)
    assert await door.newest() == 0
    done = await door.ask("POST", ADOPTIONS, token=ADMIN, body=body)
    assert (done.status, done.body["generations"], done.headers["ETag"]) == (202, [1], '"1"')
    await door.house.enact()
    shown = (await door.get("/v1/zones/example.test/plans/1")).body
    assert (shown["state"], shown["actor"], shown["reason"]) == ("published", "ada", "from the old system")
    assert (await door.ask("POST", VERIFICATIONS)).body["finding_count"] == 0
    again = await door.ask("POST", ADOPTIONS, token=ADMIN, body=body)
    assert (again.status, again.body["generations"], again.body["rrset_count"]) == (200, [], 0)
    assert {each["why"] for each in again.body["left_out"]} == {"a plan covers it already"}


async def test_a_whole_zone_is_taken_over_in_plans_within_the_policy(door: Door) -> None:
    door.house.policy = Policy(plan_rrsets_max=3)
    await write(door, {key(f"n{number}"): a(number) for number in range(8)})
    done = await door.ask("POST", ADOPTIONS, token=ADMIN, body={"names": None})
    assert done.body["generations"] == list(range(1, done.body["plan_count"] + 1))
    assert done.body["plan_count"] >= 3
    await door.house.enact()
    found = (await door.ask("POST", VERIFICATIONS)).body
    assert (found["finding_count"], found["unmanaged"]) == (0, 0)
    assert found["compared"] == done.body["rrset_count"]


async def test_what_cannot_be_taken_over_is_a_clear_no_and_nothing_is_stored(door: Door) -> None:
    await write(door, {key("www"): a(1)})
    for policy, said in (
        (Policy(ttl_s_min=600), "ttl_in_bounds"),
        (Policy(layout="versioned"), "inline"),
    ):
        door.house.policy = policy
        clear(refused := await door.ask("POST", ADOPTIONS, token=ADMIN, body={"names": ["www"]}), 409)
        assert said in refused.body["detail"]
    door.house.policy = Policy()
    clear(nothing := await door.ask("POST", ADOPTIONS, token=ADMIN, body={"names": ["gone"]}), 409)
    assert "gone.example.test." in nothing.body["detail"]
    clear(await door.ask("POST", ADOPTIONS, token=ADMIN, body={"names": ["a..b"]}), 422)
    clear(await door.ask("POST", ADOPTIONS, token=ADMIN, body={}), 422)
    clear(await door.ask("POST", ADOPTIONS, token=WRITER, body={"names": None}), 403)
    assert await door.newest() == 0
