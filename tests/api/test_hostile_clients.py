"""Clients that are slow, many, silent or rude: nobody else notices, and none stays for long."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack
from functools import partial

import pytest
from structlog.testing import capture_logs

from dnsguard.api.app import make_app
from dnsguard.api.limits import Limits
from dnsguard.api.room import ROOM
from dnsguard.api.serve import serve
from tests.api.house import ADMIN, PLANS, READER, TOKENS, WRITER, Door, House, open_door, plan
from tests.api.sockets import AUTHORIZED, LIVE, PROMISE, connected, crowd, lives, until, until_so


async def test_a_body_that_trickles_in_is_408_at_the_deadline(house: House) -> None:
    async with open_door(house, Limits(deadline_s=0.3)) as door, connected(door) as socket:
        socket.send(PROMISE + b"{")
        status, headers, body = await socket.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["type"] == "/problems/too-slow"
        assert await socket.is_closed()
        assert await door.newest() == 0


async def test_a_head_that_trickles_in_is_cut_off(house: House) -> None:
    async with open_door(house, Limits(head_s_max=0.2)) as door, connected(door) as socket:
        socket.send(b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert await socket.is_closed()


async def test_a_connection_that_says_nothing_is_cut_off(house: House) -> None:
    async with open_door(house, Limits(head_s_max=0.2)) as door, connected(door) as socket:
        assert await socket.is_closed()


async def test_the_second_head_on_a_connection_must_come_in_time_too(house: House) -> None:
    async with open_door(house, Limits(head_s_max=0.2)) as door, connected(door) as socket:
        socket.send(LIVE)
        await socket.answer()
        socket.send(b"GET /v1/hea")
        assert await socket.is_closed()


async def test_a_kept_alive_connection_may_be_silent_for_a_while_only(house: House) -> None:
    async with open_door(house, Limits(head_s_max=0.1, idle_s_max=0.6)) as door, connected(door) as socket:
        loop = asyncio.get_running_loop()
        socket.send(LIVE)
        await socket.answer()
        started = loop.time()
        assert await socket.is_closed()
        assert loop.time() - started > 0.4


async def test_a_client_that_does_not_read_its_answers_is_left(house: House) -> None:
    async with open_door(house, Limits(deadline_s=0.5)) as door, connected(door) as socket:
        assert isinstance(socket.writer.transport, asyncio.Transport)
        socket.writer.transport.pause_reading()
        socket.send(f"GET /openapi.json HTTP/1.1\r\n{AUTHORIZED}\r\n".encode() * 1_000)
        await until(door, lambda: len(door.served.crowd) == 2)
        await until(door, lambda: len(door.served.crowd) == 1)


async def test_a_wrong_sender_is_answered_before_its_body_is_read(door: Door) -> None:
    async with connected(door) as socket:
        socket.send(PROMISE.replace(WRITER.encode(), b"nobody"))
        status, headers, _ = await socket.answer()
        assert (status, headers["connection"]) == (403, "close")


async def test_a_body_is_called_for_only_when_it_is_wanted(door: Door) -> None:
    async with connected(door) as socket:
        socket.send(PROMISE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n").replace(b"1000", b"999999999"))
        assert (await socket.answer())[0] == 413
    async with connected(door) as socket:
        body = json.dumps(plan()).encode()
        promise = PROMISE.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        socket.send(promise.replace(b"1000", str(len(body)).encode()))
        assert (await socket.head())[0] == 100
        socket.send(body)
        assert (await socket.answer())[0] == 202


async def test_another_expectation_is_417(door: Door) -> None:
    async with connected(door) as socket:
        socket.send(PROMISE.replace(b"\r\n\r\n", b"\r\nExpect: miracles\r\n\r\n"))
        status, _, body = await socket.answer()
        assert (status, json.loads(body)["type"]) == (417, "/problems/expectation")


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/zones HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/zones HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    ],
)
async def test_what_is_no_http_is_400_and_the_connection_ends(door: Door, octets: bytes) -> None:
    async with connected(door) as socket:
        socket.send(octets)
        status, headers, body = await socket.answer()
        assert (status, headers.get("connection", "close")) == (400, "close")
        assert json.loads(body)["type"] == "/problems/malformed"
        assert await socket.is_closed()


async def test_a_broken_chunk_is_400(door: Door) -> None:
    async with connected(door) as socket:
        head = f"POST {PLANS} HTTP/1.1\r\n{AUTHORIZED}Transfer-Encoding: chunked\r\n\r\n"
        socket.send(head.encode())
        socket.send(b"zz\r\n{}\r\n")
        assert (await socket.answer())[0] == 400
    assert await door.newest() == 0


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_behind(door: Door) -> None:
    async with connected(door) as socket:
        socket.send(PROMISE + b"{")
        await until(door, lambda: len(door.served.crowd) == 2)
    await until(door, lambda: len(door.served.crowd) == 1)
    assert await door.newest() == 0


async def test_a_client_that_goes_away_while_it_waits_is_not_waited_for(door: Door) -> None:
    door.house.held = True
    body = json.dumps(plan()).encode()
    async with connected(door) as socket:
        wanted = PROMISE.replace(b"If-Match", b"Prefer: wait=200\r\nIf-Match").replace(b"1000", str(len(body)).encode())
        socket.send(wanted + body)
        await until(door, lambda: door.house.waits == 1)
    await until(door, lambda: door.house.waits == 0)
    assert await door.newest() == 1


async def test_the_connection_that_waited_longest_makes_room(house: House) -> None:
    async with open_door(house, Limits(connections_max=5)) as door, AsyncExitStack() as stack:
        sockets = await crowd(door, stack, 5)
        assert await lives(door) < 1
        assert await sockets[0].is_closed()
        sockets[4].send(LIVE)
        assert (await sockets[4].answer())[0] == 200


async def test_when_connections_run_short_the_longest_wait_for_a_body_ends_first(house: House) -> None:
    async with open_door(house, Limits(connections_max=5)) as door, AsyncExitStack() as stack:
        sockets = await crowd(door, stack, 5, PROMISE + b"{")
        async with connected(door) as late:
            late.send(f"GET /v1/zones HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            assert (await late.answer())[0] == 200
        status, headers, body = await sockets[0].answer()
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert "too many connections" in json.loads(body)["detail"]
        sockets[4].send(b" " * 999)
        assert (await sockets[4].answer())[0] == 400


async def test_connections_that_are_crowded_out_leave_no_fault_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logs:
        async with (
            open_door(house, Limits(connections_max=8, connections_reserved=4)) as door,
            AsyncExitStack() as stack,
        ):
            await crowd(door, stack, 40, PROMISE + b"{")
            await until_so(lambda: sum(each["event"] == "connection.closed" for each in logs) >= 20)
    assert not [each for each in logs if each["log_level"] in {"error", "critical"}]
    assert not caplog.records


def _waits(house: House, count: int) -> bool:
    return house.waits == count


async def test_the_token_with_the_most_waits_makes_room_and_its_plan_stays_accepted(house: House) -> None:
    async with open_door(house, Limits(connections_max=4)) as door, AsyncExitStack() as stack:
        house.held = True
        sockets = []
        for number, token in enumerate((ADMIN, WRITER, WRITER, WRITER), 1):
            octets = json.dumps(plan()).encode()
            head = PROMISE.replace(b"If-Match", b"Prefer: wait=200\r\nIf-Match").replace(b"1000", b"%d" % len(octets))
            sockets += await crowd(door, stack, 1, head.replace(WRITER.encode(), token.encode()) + octets)
            await until_so(partial(_waits, house, number))
        assert await lives(door) < 1
        status, headers, body = await sockets[1].answer()
        assert (status, headers["connection"], json.loads(body)["state"]) == (202, "close", "accepted")
        assert house.waits == 3


async def test_health_is_answered_when_every_connection_is_in_work(house: House) -> None:
    async with (
        open_door(house, Limits(connections_max=5, connections_reserved=2)) as door,
        AsyncExitStack() as stack,
    ):
        worked_on = threading.Event()
        stack.callback(worked_on.set)
        pool = door.app[ROOM].pool
        for _ in range(Limits().parse_concurrency):
            pool.submit(worked_on.wait, 20)
        large = PROMISE.replace(b"1000", b"9000") + b" " * 9000
        await crowd(door, stack, 5, large)
        await until_so(lambda: pool._work_queue.qsize() >= 5)
        for _ in range(5):
            assert await lives(door) < 1
        async with connected(door) as late:
            late.send(f"GET /v1/zones HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            status, headers, _ = await late.answer()
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        async with connected(door) as late:
            late.send(f"GET /metrics HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            assert (await late.answer())[0] == 200
        await crowd(door, stack, 10)
        assert len(door.served.crowd) <= 7
        assert await lives(door) < 1


async def test_500_slow_clients_do_not_keep_health_from_answering(door: Door) -> None:
    async with AsyncExitStack() as stack:
        await crowd(door, stack, 250, PROMISE + b"{")
        await crowd(door, stack, 250, b"GET /v1/zones HTTP/1.1\r\nX: ")
        assert await lives(door) < 1
        assert (await door.submit(plan())).status == 202
        loop = asyncio.get_running_loop()
        started = loop.time()
        await door.stop()
        assert loop.time() - started < 1


async def test_a_taken_port_is_an_os_error(door: Door) -> None:
    app = make_app(door.house, TOKENS, Limits())
    with pytest.raises(OSError, match=r"address already in use|\[Errno 98\]"):
        await serve(app, "127.0.0.1", door.served.address[1], Limits())


async def test_a_closed_door_takes_nobody_in(door: Door) -> None:
    await door.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection(*door.served.address)


async def test_one_that_opens_many_connections_takes_none_from_others(house: House) -> None:
    async with open_door(house, Limits(connections_max=8)) as door, AsyncExitStack() as stack:
        zones = "GET /v1/zones HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n"
        (quiet,) = await crowd(door, stack, 1, zones.format(READER).encode())
        (watcher,) = await crowd(door, stack, 1, LIVE)
        assert ((await quiet.answer())[0], (await watcher.answer())[0]) == (200, 200)
        for _ in range(20):
            (noisy,) = await crowd(door, stack, 1, zones.format(WRITER).encode())
            assert (await noisy.answer())[0] == 200
        silent = await crowd(door, stack, 20)
        assert await silent[0].is_closed()
        for socket, octets in ((quiet, zones.format(READER).encode()), (watcher, LIVE)):
            socket.send(octets)
            assert (await socket.answer())[0] == 200
