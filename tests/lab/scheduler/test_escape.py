import _thread
import asyncio
import linecache
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dnsguard.lab.scheduler.escape import EscapedSimulation
from dnsguard.lab.scheduler.simulation import Simulation
from tests.lab.scheduler.chosen import nothing, run_one

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
    "bare threads": lambda: _thread.start_new_thread(print, ()),
    "signal handlers": lambda: signal.signal(signal.SIGUSR1, signal.SIG_DFL),
    "interval timers": lambda: signal.setitimer(signal.ITIMER_REAL, 0),
    "alarms": lambda: signal.alarm(0),
    "sent signals": lambda: os.kill(os.getpid(), 0),
    "signals to oneself": lambda: signal.raise_signal(signal.SIGURG),
    "the clock": lambda: time.time(),  # noqa: PLW0108  looked up late, as callers do
    "the clock in nanoseconds": lambda: time.time_ns(),  # noqa: PLW0108
    "the monotonic clock": lambda: time.monotonic(),  # noqa: PLW0108
    "the clock for measuring": lambda: time.perf_counter(),  # noqa: PLW0108
    "sleeping": lambda: time.sleep(0),
    "chance": lambda: random.random(),  # noqa: PLW0108
    "chance in numbers": lambda: random.randint(1, 2),
    "chance in order": lambda: random.shuffle([1, 2]),
    "the system's chance": lambda: os.urandom(1),
    "secrets": lambda: secrets.token_hex(1),
    "unique names": uuid.uuid4,
    "files": lambda: open(os.devnull, encoding="ascii"),  # noqa: SIM115, PTH123  it must not be reached
    "files by their path": lambda: Path(os.devnull).read_text(encoding="ascii"),
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


def test_a_module_may_be_imported_late() -> None:
    async def act(_: Simulation) -> None:
        import colorsys  # noqa: F401  any module that nobody else needs

    sys.modules.pop("colorsys", None)
    run_one(act)


def test_a_traceback_may_show_its_lines() -> None:
    shown: list[str] = []

    async def act(_: Simulation) -> None:
        linecache.clearcache()
        try:
            int("nothing")
        except ValueError as error:
            shown.extend(traceback.format_exception(error))

    run_one(act)
    assert 'int("nothing")' in "".join(shown)


def test_what_draws_from_a_seed_and_a_loop_s_own_time_stay_open() -> None:
    async def act(simulation: Simulation) -> None:
        random.Random(1).random()
        assert asyncio.get_running_loop().time() == simulation.now

    run_one(act)


def test_outside_of_a_run_nothing_is_closed() -> None:
    run_one(lambda _: nothing())
    assert time.time() > 0
    assert 0 <= random.random() < 1
    assert len(os.urandom(2) + secrets.token_bytes(2)) == 4
    thread = threading.Thread(target=socket.socket().close)
    thread.start()
    thread.join()
    asyncio.run(asyncio.to_thread(time.time))
