"""What all requests share: threads, places and room for bodies. What one client takes is given back."""

import asyncio
import json

from dnsguard.api.limits import Limits
from dnsguard.api.room import ROOM
from tests.api.house import PLANS, Door, House, open_door, plan, rrset
from tests.api.sockets import PROMISE, connected, lives, until


async def test_health_is_answered_while_16_mib_are_read(door: Door) -> None:
    record = '"' + "x" * 200 + '"'
    one = {"name": "n", "type": "TXT", "ttl": 60, "records": [record] * 50}
    body = json.dumps({"rrsets": [one | {"name": f"n{n}"} for n in range(1_400)]}).encode()
    body = body.ljust(16 * 2**20)
    reading = asyncio.create_task(door.ask("POST", PLANS, raw=body, headers={"If-Match": "*"}))
    times = []
    while not reading.done():
        times.append(await lives(door))
    # Fifty times the same record: refused, but only once every record has been looked at.
    assert (await reading).status == 422
    assert len(times) > 3
    assert max(times) < 1


async def test_reading_a_large_body_ends_with_its_deadline_and_frees_its_thread(house: House) -> None:
    async with open_door(house, Limits(deadline_s=1.0, parse_concurrency=1)) as door:
        many = [
            {"name": f"n{n}", "type": "A", "ttl": 60, "records": [f"192.0.{n % 250}.{i}" for i in range(90)]}
            for n in range(5_000)
        ]
        reply = await door.submit({"rrsets": many})
        assert (reply.status, reply.body["type"]) == (503, "/problems/deadline")
        assert await door.newest() == 0
        reply = await door.submit({"rrsets": many[:30]})
        assert (reply.status, reply.body["rrset_count"]) == (202, 30)


async def test_bodies_that_together_take_too_much_are_503_until_there_is_room(house: House) -> None:
    async with open_door(house, Limits(bodies_octets_max=100_000)) as door:
        large = b" " * 150_000
        async with connected(door) as first:
            first.send(PROMISE.replace(b"1000", b"900000") + large)
            await until(door, lambda: door.app[ROOM].bodies_octets > 0)
            reply = await door.ask("POST", PLANS, raw=large, headers={"If-Match": "*"})
            assert (reply.status, reply.body["type"]) == (503, "/problems/busy")
            small = await door.submit(plan())
            assert small.status == 202
        await until(door, lambda: door.app[ROOM].bodies_octets == 0)
        assert (await door.ask("POST", PLANS, raw=large, headers={"If-Match": "*"})).status == 400
        assert door.app[ROOM].bodies_octets == 0


async def test_large_bodies_wait_for_memory_and_small_ones_do_not(house: House) -> None:
    large = json.dumps(plan(rrset("other"))).encode().ljust(150_000)
    async with open_door(house, Limits(decoding_octets_max=200_000)) as door:
        memory = door.app[ROOM].decoding
        held = await memory.acquire("someone", 100_000)
        waiting = asyncio.create_task(door.ask("POST", PLANS, raw=large, headers={"If-Match": "*"}))
        await until(door, lambda: bool(memory._waiting))
        assert (await door.submit(plan(rrset("small")))).status == 202
        assert not waiting.done()
        memory.release(held)
        assert (await waiting).status == 202
        assert memory.free == 200_000


async def test_a_body_for_which_no_memory_becomes_free_is_told_to_try_again(house: House) -> None:
    large = json.dumps(plan()).encode().ljust(150_000)
    async with open_door(house, Limits(decoding_octets_max=200_000, deadline_s=0.2)) as door:
        memory = door.app[ROOM].decoding
        held = await memory.acquire("someone", 200_000)
        reply = await door.ask("POST", PLANS, raw=large, headers={"If-Match": "*"})
        assert (reply.status, reply.body["type"], reply.headers["Retry-After"]) == (503, "/problems/busy", "1")
        memory.release(held)
        assert memory.free == 200_000


async def test_a_body_larger_than_the_memory_for_all_takes_all_of_it(house: House) -> None:
    large = json.dumps(plan()).encode().ljust(150_000)
    async with open_door(house, Limits(decoding_octets_max=100_000)) as door:
        assert (await door.ask("POST", PLANS, raw=large, headers={"If-Match": "*"})).status == 202
        assert door.app[ROOM].decoding.free == 100_000


async def test_a_plan_that_waits_for_publication_gives_its_memory_back(house: House) -> None:
    large = json.dumps(plan()).encode().ljust(150_000)
    async with open_door(house, Limits(decoding_octets_max=200_000)) as door:
        house.held = True
        headers = {"If-Match": "*", "Prefer": "wait=200"}
        waiting = asyncio.create_task(door.ask("POST", PLANS, raw=large, headers=headers))
        await until(door, lambda: house.waits == 1)
        assert (door.app[ROOM].decoding.free, door.app[ROOM].bodies_octets) == (200_000, 0)
        await house.enact()
        assert (await waiting).status == 200


async def test_requests_beyond_the_limit_wait_for_a_place_and_health_and_metrics_need_none(house: House) -> None:
    async with open_door(house, Limits(reads_max=1)) as door:
        lane = door.app[ROOM].reads
        await lane.acquire("someone")
        waiting = asyncio.create_task(door.get("/v1/zones"))
        await until(door, lambda: bool(lane._waiting))
        assert (await door.get("/v1/health/ready")).status == 200
        assert (await door.get("/metrics")).status == 200
        assert (await door.submit(plan())).status == 202
        assert not waiting.done()
        lane.release()
        assert (await waiting).status == 200


async def test_a_request_that_gets_no_place_in_time_is_told_so(house: House) -> None:
    async with open_door(house, Limits(reads_max=1, deadline_s=0.1)) as door:
        lane = door.app[ROOM].reads
        await lane.acquire("someone")
        reply = await door.get("/v1/zones")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        lane.release()
        assert (await door.get("/v1/zones")).status == 200
        assert lane.free == 1


async def test_those_who_wait_for_publication_take_no_place(house: House) -> None:
    async with open_door(house, Limits(changes_max=1, reads_max=1)) as door:
        house.held = True
        waiting = asyncio.create_task(door.submit(plan(), headers={"Prefer": "wait=200"}))
        await until(door, lambda: house.waits == 1)
        assert (await door.get("/v1/zones")).status == 200
        await house.enact()
        assert (await waiting).status == 200
        assert (await door.get("/v1/zones")).status == 200
