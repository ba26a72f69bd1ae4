"""A plan that changes nothing over HTTP: 200, the generation that it rests on, and no new one."""

from tests.api.house import PLANS, ZONE, Door, plan, rrset

WAIT = {"Prefer": "wait=20"}


async def test_a_plan_that_changes_nothing_is_answered_200_with_the_generation_that_it_rests_on(door: Door) -> None:
    await door.submit(plan(rrset("www")), headers=WAIT)
    await door.submit(plan(rrset("mail")), headers=WAIT)
    door.house.woken.clear()
    reply = await door.submit(plan(rrset("www")))
    assert (reply.status, reply.body["unchanged"], reply.body["repeated"]) == (200, True, False)
    assert (reply.body["generation"], reply.body["state"]) == (1, "published")
    assert (reply.headers["ETag"], reply.headers["Location"]) == ('"1"', f"/v1/zones/{ZONE}/plans/1")
    assert (reply.body["replaced_count"], reply.body["replaced"]) == (0, [])
    assert (await door.newest(), door.house.woken) == (2, [])


async def test_one_that_waits_is_answered_once_what_it_rests_on_is_published(door: Door) -> None:
    door.house.held = True
    await door.submit(plan())
    at_once = await door.submit(plan())
    assert (at_once.status, at_once.body["unchanged"], at_once.body["state"]) == (200, True, "accepted")
    waited = await door.submit(plan(), headers={"Prefer": "wait=0"})
    assert (waited.status, waited.body["unchanged"], waited.body["state"]) == (202, True, "accepted")
    await door.house.enact()
    waited = await door.submit(plan(), headers=WAIT)
    assert (waited.status, waited.body["unchanged"], waited.body["state"]) == (200, True, "published")


async def test_a_stale_if_match_is_refused_even_if_nothing_would_change(door: Door) -> None:
    await door.submit(plan(rrset("www", "192.0.2.1")))
    await door.submit(plan(rrset("www", "192.0.2.2")))
    assert (await door.submit(plan(rrset("www", "192.0.2.2")), if_match='"1"')).status == 412
    assert (await door.submit(plan(rrset("www", "192.0.2.2")), if_match='"2"')).body["unchanged"] is True


async def test_republish_makes_a_generation_and_a_dry_run_says_which_of_both_it_would_be(door: Door) -> None:
    await door.submit(plan())
    dry = await door.ask("POST", f"{PLANS}?dry_run=true", body=plan(), headers={"If-Match": "*"})
    assert (dry.body["acceptable"], dry.body["unchanged"], dry.body["differences"]) == (True, True, [])
    forced = plan(republish=True)
    dry = await door.ask("POST", f"{PLANS}?dry_run=true", body=forced, headers={"If-Match": "*"})
    assert (dry.body["acceptable"], dry.body["unchanged"]) == (True, False)
    reply = await door.submit(forced)
    assert (reply.status, reply.body["unchanged"], reply.body["generation"]) == (202, False, 2)


async def test_a_key_answers_unchanged_with_the_same_generation_again(door: Door) -> None:
    key = {"Idempotency-Key": "nightly"}
    await door.submit(plan(rrset("www", "192.0.2.1")))
    first = await door.submit(plan(rrset("www", "192.0.2.1")), headers=key)
    await door.submit(plan(rrset("www", "192.0.2.2")))
    again = await door.submit(plan(rrset("www", "192.0.2.1")), headers=key)
    for reply, repeated in ((first, False), (again, True)):
        assert (reply.status, reply.body["unchanged"], reply.body["generation"]) == (200, True, 1)
        assert reply.body["repeated"] is repeated
    assert (await door.newest()) == 2
    other = await door.submit(plan(rrset("www", "192.0.2.9")), headers=key)
    assert (other.status, other.body["type"]) == (422, "/problems/key-reused")


async def test_an_answer_says_what_was_replaced_with_the_generation_that_it_had(door: Door) -> None:
    await door.submit(plan(rrset("www", "192.0.2.1", ttl=300)))
    reply = await door.submit(plan(rrset("www", "192.0.2.2", ttl=60), rrset("new", "192.0.2.3")))
    assert reply.body["replaced_count"] == 1
    assert reply.body["replaced"] == [
        {
            "name": f"www.{ZONE}",
            "type": "A",
            "before": {"ttl": 300, "records": ["192.0.2.1"], "absence": None, "opaque": False},
            "after": {"ttl": 60, "records": ["192.0.2.2"], "absence": None, "opaque": False},
            "generation": 1,
        }
    ]
