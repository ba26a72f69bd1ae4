"""The way of a plan through the door: accepted, published, waited for, refused, repeated."""

import asyncio

from dnsguard.api.app import reconfigure
from dnsguard.api.limits import Limits
from dnsguard.core.fence import Fence
from dnsguard.core.message import Applied, Message
from dnsguard.core.publication import write_fence
from tests.api.house import ADMIN, OTHER_ZONE, PLANS, ZONE, Door, open_door, plan, rrset


async def test_a_plan_without_a_preference_is_answered_202_at_once_and_is_durable(door: Door) -> None:
    door.house.held = True
    reply = await door.submit(plan(reason="first"))
    assert reply.status == 202
    assert reply.headers["Location"] == "/v1/zones/example.test./plans/1"
    assert reply.headers["ETag"] == '"1"'
    assert "Preference-Applied" not in reply.headers
    assert reply.body["state"] == "accepted"
    assert reply.body["actor"] == "will"
    assert reply.body["reason"] == "first"
    assert reply.body["mode"] == "guarded"
    assert await door.newest() == 1
    assert door.house.woken == [ZONE]
    shown = (await door.get(f"{PLANS}/1")).body
    of_request = {"repeated", "unchanged", "replaced_count", "replaced"}
    assert {name: shown[name] for name in reply.body.keys() - of_request} == {
        name: value for name, value in reply.body.items() if name not in of_request
    }


async def test_a_plan_is_answered_200_once_it_is_published(door: Door) -> None:
    reply = await door.submit(plan(), headers={"Prefer": "wait=20"})
    assert reply.status == 200
    assert reply.body["state"] == "published"
    assert reply.headers["Preference-Applied"] == "wait=20"
    zone = (await door.get("/v1/zones/example.test")).body
    assert (zone["newest"], zone["published"], zone["pending"]) == (1, 1, 0)
    assert zone["fence"].startswith("v=1 h=0000000000000000 g=1 ")


async def test_a_wait_that_is_over_is_answered_202(door: Door) -> None:
    door.house.held = True
    reply = await door.submit(plan(), headers={"Prefer": "wait=1"})
    assert (reply.status, reply.body["state"]) == (202, "accepted")


async def test_a_wait_of_0_says_how_it_stands(door: Door) -> None:
    door.house.held = True
    assert (await door.submit(plan(), headers={"Prefer": "wait=0"})).status == 202


async def test_a_wait_is_never_longer_than_the_limit(door: Door) -> None:
    door.house.held = True
    reconfigure(door.app, limits=Limits(wait_s_max=1))
    reply = await door.submit(plan(), headers={"Prefer": "respond-async, wait=100000"})
    assert (reply.status, reply.headers["Preference-Applied"]) == (202, "wait=1")


async def test_preferences_that_are_not_understood_are_ignored(door: Door) -> None:
    door.house.held = True
    reply = await door.submit(plan(), headers={"Prefer": "wait=soon, handling=lenient"})
    assert reply.status == 202
    assert "Preference-Applied" not in reply.headers


async def test_a_wait_outlasts_the_deadline(door: Door) -> None:
    door.house.held = True
    reconfigure(door.app, limits=Limits(deadline_s=0.3))
    reply = await door.submit(plan(), headers={"Prefer": "wait=1"})
    assert reply.status == 202


async def test_a_plan_that_the_name_server_rejects_is_told_to_who_waits(door: Door) -> None:
    door.house.held = True
    await door.submit(plan())
    await door.house.store.reject(ZONE, 1, "the server said SERVFAIL", 1.0)
    shown = await door.get(f"{PLANS}/1")
    assert (shown.body["state"], shown.body["why"]) == ("rejected", "the server said SERVFAIL")
    headers = {"Idempotency-Key": "k1", "Prefer": "wait=5"}
    await door.submit(plan(), headers={"Idempotency-Key": "k1"})
    generation = await door.newest()
    await door.house.store.reject(ZONE, generation, "the server said SERVFAIL", 1.0)
    reply = await door.submit(plan(), headers=headers)
    assert reply.status == 422
    assert reply.body["type"] == "/problems/rejected"
    assert reply.body["generation"] == generation
    assert "SERVFAIL" in reply.body["detail"]


async def test_a_stale_plan_is_412_and_names_the_rrset_the_generation_and_the_actor(door: Door) -> None:
    await door.submit(plan(), token=ADMIN)
    await door.submit(plan(rrset("www", "192.0.2.7")), if_match='"1"', token=ADMIN)
    reply = await door.submit(plan(rrset("www", "192.0.2.9")), if_match='"1"')
    assert reply.status == 412
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.body["type"] == "/problems/stale"
    assert reply.body["guard"] == "made_from_what_stands"
    assert reply.body["rrset"] == "www.example.test. A"
    assert (reply.body["generation"], reply.body["actor"], reply.body["newest"]) == (2, "ada", 2)
    assert await door.newest() == 2


async def test_planners_of_different_names_do_not_get_in_each_others_way(door: Door) -> None:
    await door.submit(plan(rrset("a")), if_match='"0"')
    assert (await door.submit(plan(rrset("b")), if_match='"0"')).status == 202


async def test_a_plan_from_a_generation_that_is_not_there_yet_is_412(door: Door) -> None:
    reply = await door.submit(plan(), if_match='"7"')
    assert (reply.status, reply.body["newest"]) == (412, 0)
    assert await door.newest() == 0


async def test_a_stated_generation_may_leave_gaps_but_never_goes_back(door: Door) -> None:
    assert (await door.submit(plan(generation=40))).body["generation"] == 40
    for stated in (40, 7):
        reply = await door.submit(plan(rrset("b"), generation=stated))
        assert reply.status == 409
        assert reply.body["guard"] == "generation_forward"
        assert reply.body["newest"] == 40
    assert await door.newest() == 40


async def test_the_same_key_and_body_give_the_first_answer_again(door: Door) -> None:
    door.house.held = True
    headers = {"Idempotency-Key": "order-66"}
    first = await door.submit(plan(reason="once"), headers=headers)
    again = await door.submit(plan(reason="once"), headers=headers)
    assert (first.status, again.status) == (202, 202)
    assert (first.body["repeated"], again.body["repeated"]) == (False, True)
    assert {**first.body, "repeated": True, "replaced_count": None} == again.body
    assert await door.newest() == 1
    assert door.house.woken == [ZONE]


async def test_the_same_key_with_another_body_is_422_and_names_the_first(door: Door) -> None:
    headers = {"Idempotency-Key": "order-66"}
    await door.submit(plan(), headers=headers)
    reply = await door.submit(plan(rrset("www", "192.0.2.9")), headers=headers)
    assert (reply.status, reply.body["type"], reply.body["generation"]) == (422, "/problems/key-reused", 1)
    assert await door.newest() == 1


async def test_the_order_of_a_bodys_fields_makes_no_other_request(door: Door) -> None:
    headers = {"Idempotency-Key": "k"}
    await door.submit({"rrsets": [rrset()], "reason": "r"}, headers=headers)
    again = await door.submit({"reason": "r", "rrsets": [dict(reversed(rrset().items()))]}, headers=headers)
    assert (again.status, again.body["repeated"]) == (202, True)


async def test_a_dry_run_says_what_would_change_and_what_each_guard_says_and_stores_nothing(door: Door) -> None:
    await door.submit(plan(), headers={"Prefer": "wait=20"})
    reply = await door.submit(plan(rrset("www", "192.0.2.2")), if_match='"0"', query="?dry_run=true")
    assert reply.status == 200
    assert reply.body["acceptable"] is False
    verdicts = {verdict["guard"]: verdict for verdict in reply.body["verdicts"]}
    assert verdicts["made_from_what_stands"]["passed"] is False
    assert verdicts["ttl_in_bounds"] == {
        "guard": "ttl_in_bounds",
        "passed": True,
        "detail": None,
        "expected": None,
        "found": None,
        "errors": [],
    }
    (difference,) = reply.body["differences"]
    assert difference["name"] == "www.example.test."
    assert difference["before"]["records"] == ["192.0.2.1"]
    assert difference["after"]["records"] == ["192.0.2.2"]
    assert await door.newest() == 1


async def test_a_retirement_goes_through(door: Door) -> None:
    await door.submit(plan())
    reply = await door.submit({"retire": [{"name": "www", "type": "A"}]}, headers={"Prefer": "wait=20"})
    assert (reply.status, reply.body["state"]) == (200, "published")
    (gone,) = (await door.get("/v1/zones/example.test/rrsets")).body["rrsets"]
    assert (gone["absence"], gone["records"], gone["ttl"]) == ("retired", [], None)


async def test_what_dnsguard_does_not_manage_is_taken_over_only_with_adopt(door: Door) -> None:
    apex_ns = {"name": "@", "type": "NS", "ttl": 60, "records": ["ns.example.org."]}
    reply = await door.submit(plan(apex_ns))
    assert (reply.status, reply.guard) == (422, "unmanaged_contents_kept")
    adopted = await door.submit(plan(apex_ns, adopt=True), headers={"Prefer": "wait=20"})
    assert (adopted.status, adopted.body["state"]) == (200, "published")


async def test_a_rollback_is_a_new_generation_with_old_contents(door: Door) -> None:
    await door.submit(plan(rrset("a"), rrset("b")))
    await door.submit(plan(rrset("a", "192.0.2.2"), rrset("c")))
    reply = await door.ask(
        "POST",
        "/v1/zones/example.test/rollback",
        body={"to": 1, "reason": "back"},
        headers={"If-Match": '"2"', "Prefer": "wait=20"},
    )
    assert reply.status == 200
    assert (reply.body["generation"], reply.body["to"], reply.body["reason"]) == (3, 1, "back")
    assert reply.body["untouched"] == [{"name": "c.example.test.", "type": "A"}]
    shown = (await door.get(f"{PLANS}/3")).body
    assert [(each["name"], each["records"]) for each in shown["rrsets"]] == [("a.example.test.", ["192.0.2.1"])]


async def test_a_rollback_may_be_limited_to_some_rrsets(door: Door) -> None:
    await door.submit(plan(rrset("a"), rrset("b")))
    await door.submit(plan(rrset("a", "192.0.2.2"), rrset("b", "192.0.2.2")))
    body = {"to": 1, "rrsets": [{"name": "b", "type": "A"}]}
    path = "/v1/zones/example.test/rollback"
    reply = await door.ask("POST", path, body=body, headers={"If-Match": "*"})
    assert reply.status == 202
    shown = (await door.get(f"{PLANS}/3")).body
    assert [each["name"] for each in shown["rrsets"]] == ["b.example.test."]


async def test_a_rollback_that_cannot_be_says_why(door: Door) -> None:
    path = "/v1/zones/example.test/rollback"
    await door.submit(plan(rrset("a")))
    missing = await door.ask("POST", path, body={"to": 1})
    assert missing.status == 428
    gone = await door.ask("POST", path, body={"to": 9}, headers={"If-Match": "*"})
    assert (gone.status, gone.guard) == (422, "rollback_reaches")
    nothing = await door.ask("POST", path, body={"to": 1}, headers={"If-Match": "*"})
    assert (nothing.status, nothing.guard) == (422, "plan_covers_something")
    assert "nothing differs" in nothing.body["detail"]
    body = {"to": 1, "rrsets": [{"name": "z", "type": "A"}]}
    foreign = await door.ask("POST", path, body=body, headers={"If-Match": "*"})
    assert (foreign.status, foreign.guard) == (422, "rollback_reaches")
    await door.submit(plan(rrset("a", "192.0.2.2")))
    stale = await door.ask("POST", path, body={"to": 1}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.guard) == (412, "made_from_what_stands")
    assert await door.newest() == 2


async def test_a_rollback_can_be_repeated_under_its_key(door: Door) -> None:
    path = "/v1/zones/example.test/rollback"
    await door.submit(plan(rrset("a")))
    await door.submit(plan(rrset("a", "192.0.2.2")))
    headers = {"If-Match": '"2"', "Idempotency-Key": "back"}
    first = await door.ask("POST", path, body={"to": 1}, headers=headers)
    again = await door.ask("POST", path, body={"to": 1}, headers=headers)
    assert (first.status, again.status) == (202, 202)
    assert first.body["generation"] == again.body["generation"] == 3
    assert again.body["repeated"] is True


async def test_a_resync_that_is_not_needed_is_409(door: Door) -> None:
    path = "/v1/zones/example.test/resync"
    await door.submit(plan(), headers={"Prefer": "wait=20"})
    body = {"keep": "wire", "reason": "why not"}
    reply = await door.ask("POST", path, body=body, token=ADMIN)
    assert (reply.status, reply.body["type"]) == (409, "/problems/resync-refused")
    assert (await door.ask("POST", path, body=body)).status == 403
    assert (await door.ask("POST", path, body={"keep": "both"}, token=ADMIN)).status == 422
    assert await door.newest() == 1


async def test_a_foreign_fence_halts_the_zone_until_it_is_settled(door: Door) -> None:
    path = "/v1/zones/example.test/resync"
    foreign = Fence("f" * 16, 5, "0" * 16)
    assert isinstance(await door.house.publisher.publish(Message(ZONE, (), write_fence(ZONE, foreign))), Applied)
    reply = await door.submit(plan(), headers={"Prefer": "wait=1"})
    assert reply.status == 202
    assert "resync" in (await door.get("/v1/zones/example.test")).body["halted"]
    reply = await door.ask("POST", path, body={"keep": "store", "reason": "we know"}, token=ADMIN)
    assert (reply.status, reply.body["keep"], reply.body["mode"]) == (200, "store", "guarded")
    assert reply.body["generation"] > 5
    await door.house.enact()
    zone = (await door.get("/v1/zones/example.test")).body
    assert (zone["halted"], zone["published"]) == (None, reply.body["generation"])


async def test_waits_are_answered_early_when_the_door_closes(door: Door) -> None:
    door.house.held = True
    waiting = asyncio.create_task(door.submit(plan(), headers={"Prefer": "wait=200"}))
    async with asyncio.timeout(20):
        while not door.house.waits:
            await door.get("/v1/health/live")
    loop = asyncio.get_running_loop()
    started = loop.time()
    await door.stop()
    assert loop.time() - started < 1
    reply = await waiting
    assert (reply.status, reply.body["state"]) == (202, "accepted")


async def test_two_doors_of_one_house_agree(door: Door) -> None:
    await door.submit(plan(rrset("a")))
    async with open_door(door.house) as second:
        reply = await second.submit(plan(rrset("a", "192.0.2.2")), if_match='"0"')
        assert reply.status == 412
        reply = await second.ask("POST", f"/v1/zones/{OTHER_ZONE}/plans", body=plan(), headers={"If-Match": "*"})
        assert reply.body["generation"] == 1
