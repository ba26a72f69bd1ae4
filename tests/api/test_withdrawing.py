"""Withdrawing a plan over HTTP: taken back, too late, twice, by whom, and what others hear of it."""

from tests.api.house import OTHERS, PLANS, READER, WRITER, ZONE, Door, Reply, plan, rrset

ONE = f"{PLANS}/1/withdraw"


async def withdraw(door: Door, generation: int = 1, token: str = WRITER, wait: int | None = None, **body: str) -> Reply:
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return await door.ask("POST", f"{PLANS}/{generation}/withdraw", token=token, body=body, headers=headers)


async def test_a_plan_that_is_not_published_is_withdrawn_and_the_answer_waits_for_the_primary(door: Door) -> None:
    door.house.held = True
    await door.submit(plan())
    waiting = await withdraw(door, reason="a typing error")
    assert (waiting.status, waiting.body["state"]) == (202, "withdrawing")
    assert waiting.headers["Location"] == "/v1/zones/example.test./plans/1"
    zone = (await door.get("/v1/zones/example.test")).body
    assert [(each["generation"], each["state"]) for each in zone["unfinished"]] == [(1, "withdrawing")]
    door.house.held = False
    done = await withdraw(door, wait=20)
    assert (done.status, done.body["state"]) == (200, "withdrawn")
    assert done.body["why"] == "withdrawn by will: a typing error"
    again = await withdraw(door, wait=20)
    assert (again.status, again.body) == (200, done.body)
    shown = (await door.get(f"{PLANS}/1")).body
    assert (shown["state"], [each["name"] for each in shown["rrsets"]]) == ("withdrawn", ["www.example.test."])
    barrier = (await door.get(f"{PLANS}/2")).body
    assert (barrier["reverts"], barrier["actor"]) == (1, "will")
    assert (await door.get("/v1/zones/example.test")).body["unfinished"] == []


async def test_a_published_plan_is_not_withdrawn_and_the_answer_names_the_way_out(door: Door) -> None:
    await door.submit(plan(), headers={"Prefer": "wait=20"})
    await door.submit(plan(rrset("www", "192.0.2.2")), headers={"Prefer": "wait=20"})
    reply = await withdraw(door, 2)
    assert (reply.status, reply.body["type"]) == (409, "/problems/not-withdrawable")
    assert "dnsguard rollback 1" in reply.body["detail"]
    assert (reply.body["generation"], reply.body["zone"]) == (2, ZONE)
    assert await door.newest() == 2


async def test_who_waits_for_a_plan_hears_that_it_was_withdrawn(door: Door) -> None:
    door.house.held = True
    await door.submit(plan(), headers={"Idempotency-Key": "k"})
    await withdraw(door)
    door.house.held = False
    await withdraw(door, wait=20)
    reply = await door.submit(plan(), headers={"Idempotency-Key": "k", "Prefer": "wait=5"})
    assert (reply.status, reply.body["type"]) == (409, "/problems/withdrawn")
    assert "withdrawn by will" in reply.body["detail"]


async def test_withdrawing_needs_write_access_to_the_zone(door: Door) -> None:
    door.house.held = True
    await door.submit(plan())
    for token in (READER, OTHERS):
        assert (await withdraw(door, token=token)).status == 403
    assert await door.newest() == 1


async def test_what_is_no_plan_cannot_be_withdrawn(door: Door) -> None:
    for generation, status in ((7, 404), (0, 404)):
        assert (await withdraw(door, generation)).status == status
    assert (await door.ask("POST", f"{PLANS}/x/withdraw", token=WRITER, body={})).status == 400
    assert (await door.ask("POST", ONE, token=WRITER, body={"why": "?"})).status == 422


async def test_a_plan_that_waits_is_named_with_its_reason_and_can_be_withdrawn(door: Door) -> None:
    door.house.held = True
    await door.submit(plan())
    await door.house.store.reject(ZONE, 1, "www.example.test. cannot be read: SERVFAIL", 1.0, waits=True)
    zone = (await door.get("/v1/zones/example.test")).body
    (unfinished,) = zone["unfinished"]
    assert (unfinished["generation"], unfinished["state"], zone["waiting"]) == (1, "waiting", 1)
    assert "www.example.test. cannot be read" in unfinished["why"]
    door.house.held = False
    reply = await withdraw(door, wait=20)
    assert (reply.status, reply.body["state"]) == (200, "withdrawn")
