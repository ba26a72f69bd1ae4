"""A fault that had no effect is not taken for one that had: each look at an effect says yes and no."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import aiohttp
import pytest
from aiohttp import web

from tests.chaos.effects import clock_is_elsewhere, is_closed, is_gone, stood_still_at
from tests.chaos.way import Way
from tests.servers.process import free_port
from tests.servers.running import HERE, Address

FRAME = b"\x00\x0c" + b"\x12\x34\x80\x00" + bytes(8)
"""A message of twelve octets with its length."""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_stands_still_while_it_is_stopped(process: subprocess.Popen[bytes]) -> None:
    assert stood_still_at(process.pid) is None
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)
    assert stood_still_at(process.pid) is not None
    process.send_signal(signal.SIGCONT)
    os.waitpid(process.pid, os.WCONTINUED)
    assert stood_still_at(process.pid) is None


def test_a_process_is_gone_once_it_has_ended(process: subprocess.Popen[bytes]) -> None:
    assert not is_gone(process.pid)
    process.kill()
    process.wait()
    assert is_gone(process.pid)
    assert not is_gone(None)


async def test_an_address_is_closed_unless_somebody_listens() -> None:
    async with echoing() as address:
        assert not await is_closed(address)
    assert await is_closed(("127.0.0.1", free_port()))


@pytest.mark.parametrize(("ahead_s", "elsewhere"), [(0, False), (-3600, True), (30, True)])
async def test_a_clock_is_elsewhere_if_its_answers_say_so(ahead_s: int, elsewhere: bool) -> None:
    async def live(_: web.Request) -> web.Response:
        return web.Response(headers={"Date": formatdate(time.time() + ahead_s, usegmt=True)})

    app = web.Application()
    app.router.add_get("/v1/health/live", live)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        async with aiohttp.ClientSession() as session:
            assert await clock_is_elsewhere(session, f"http://{host}:{port}") == elsewhere
            assert not await clock_is_elsewhere(session, None)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def echoing() -> AsyncIterator[Address]:
    """Answer each message with itself."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(len(FRAME)):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Way, asyncio.StreamReader, asyncio.StreamWriter]]:
    async with echoing() as address, Way(HERE, address) as way:
        reader, writer = await asyncio.open_connection(*way.address)
        try:
            yield way, reader, writer
        finally:
            writer.close()


async def test_a_way_lets_messages_pass_and_counts_those_that_it_keeps() -> None:
    async with connected() as (way, reader, writer):
        way.delay_s = lambda: 0
        writer.write(FRAME)
        assert await reader.readexactly(len(FRAME)) == FRAME
        assert way.met == {"delayed": 2}  # there, and back


@pytest.mark.parametrize("on_the_way_back", [False, True])
async def test_a_way_resets_the_connection_of_a_message(on_the_way_back: bool) -> None:
    async with connected() as (way, reader, writer):
        passed = iter([False, True] if on_the_way_back else [True])
        way.resets = lambda: next(passed)
        writer.write(FRAME)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(len(FRAME))
        assert way.met == {"reset": 1}
