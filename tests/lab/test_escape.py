import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from dnsguard.lab.escape import EscapedSimulation
from dnsguard.lab.simulation import Simulation
from tests.lab.chosen import nothing, run_one

ESCAPES: dict[str, Callable[[], Awaitable[object]]] = {
    "threads": lambda: asyncio.to_thread(time.time),
    "executors": lambda: asyncio.get_running_loop().run_in_executor(None, time.time),
    "connections": lambda: asyncio.open_connection("127.0.0.1", 1),
    "servers": lambda: asyncio.start_server(lambda _, __: None, "127.0.0.1", 0),
    "datagrams": lambda: asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol),
    "getaddrinfo": lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
    "subprocesses": lambda: asyncio.create_subprocess_exec("true"),
    "shells": lambda: asyncio.create_subprocess_shell("true"),
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_asyncio_doors_to_the_outside_are_closed(escape: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(EscapedSimulation, match="put it behind a gate"):
        run_one(lambda _: escape())


CALLS: dict[str, Callable[[], object]] = {
    "threads": lambda: threading.Thread(target=print, name="worker").start(),
    "sockets": socket.socket,
    "getaddrinfo": lambda: socket.getaddrinfo("127.0.0.1", 1),
    "subprocesses": lambda: subprocess.run(["true"], check=True),
    "shells": lambda: os.system("true"),  # noqa: S605  it must not be reached
    "signals": lambda: asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print),
    "callbacks from threads": lambda: asyncio.get_running_loop().call_soon_threadsafe(print),
    "nested loops": lambda: asyncio.get_running_loop().run_forever(),
}


@pytest.mark.parametrize("escape", CALLS.values(), ids=CALLS)
def test_direct_ways_to_the_outside_raise(escape: Callable[[], object]) -> None:
    async def act(_: Simulation) -> None:
        escape()

    with pytest.raises(EscapedSimulation, match=r"by actor"):
        run_one(act)


def test_an_escape_that_is_caught_still_ends_the_run() -> None:
    async def act(_: Simulation) -> None:
        with suppress(RuntimeError):
            socket.socket()

    with pytest.raises(EscapedSimulation, match=r"socket\.__new__"):
        run_one(act)


def test_outside_of_a_run_nothing_is_closed() -> None:
    run_one(lambda _: nothing())
    thread = threading.Thread(target=socket.socket().close)
    thread.start()
    thread.join()
    asyncio.run(asyncio.to_thread(time.time))
