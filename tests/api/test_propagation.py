"""Who lists name servers sees how they follow, and may wait until a plan has propagated to all of them."""

import asyncio

from dnsguard.core.propagation import Served, Standing
from tests.api.house import PLANS, T0, ZONE, Door, plan

FOLLOWED = (
    Served("ns1", Standing.CURRENT, since=T0, asked_at=T0 + 9, generation=1, highest=1),
    Served("ns2", Standing.SILENT, T0, T0 + 9, None, 0, 1, behind_since=T0, detail="no answer"),
)
FOR_ALL = {"Prefer": "wait=60, wait-for=propagated"}


async def test_without_name_servers_propagated_means_published(door: Door) -> None:
    reply = await door.submit(plan(), headers=FOR_ALL)
    assert (reply.status, reply.body["state"], reply.body["propagated"]) == (200, "published", True)
    assert reply.headers["Preference-Applied"] == "wait=60, wait-for=propagated"
    assert reply.body["propagated_at"] == reply.body["settled_at"]
    status = (await door.get(f"/v1/zones/{ZONE}")).body
    assert (status["propagated"], status["propagated_at"], status["name_servers"]) == (1, status["published_at"], [])


async def test_a_plan_that_not_all_name_servers_serve_is_published_and_not_propagated(door: Door) -> None:
    door.house.served[ZONE] = FOLLOWED
    reply = await door.submit(plan(), headers={"Prefer": "wait=1; wait-for=propagated"})
    assert (reply.status, reply.body["state"], reply.body["propagated"]) == (202, "published", False)
    assert (await door.get(f"{PLANS}/1")).body["propagated_at"] is None
    published = await door.submit(plan(), headers={"Prefer": "wait=60"})
    assert (published.status, published.body["propagated"]) == (200, False)
    assert published.headers["Preference-Applied"] == "wait=60"


async def test_who_waits_for_propagation_is_answered_when_all_serve_it(door: Door) -> None:
    house = door.house
    house.served[ZONE] = FOLLOWED
    waiting = asyncio.create_task(door.submit(plan(), headers=FOR_ALL))
    async with asyncio.timeout(30):
        while (await house.store.zone(ZONE)).published < 1 or not house.waits:
            await door.get("/v1/health/live")
    assert not waiting.done()
    assert await house.store.propagate(ZONE, 1, ("ns1", "ns2"), T0 + 500)
    house.news.set()
    reply = await waiting
    assert (reply.status, reply.body["propagated"]) == (200, True)
    assert reply.body["propagated_at"] is not None
    assert (await door.get(PLANS)).body["plans"][0]["propagated_at"] == reply.body["propagated_at"]


async def test_status_shows_each_name_server(door: Door) -> None:
    door.house.served[ZONE] = FOLLOWED
    status = (await door.get(f"/v1/zones/{ZONE}")).body
    first, second = status["name_servers"]
    assert (first["server"], first["standing"], first["generation"], first["behind_generations"]) == (
        "ns1",
        "current",
        1,
        0,
    )
    assert (first["behind_s"], first["detail"]) == (None, None)
    assert (second["standing"], second["generation"], second["detail"]) == ("silent", None, "no answer")
    assert second["behind_s"] > 0
    assert second["since"] == first["since"] != first["asked_at"]
