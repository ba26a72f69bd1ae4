"""What would leave a simulation, or let something unforeseen into it: threads, sockets, signals, processes, files, the
real clock and chance. Inside a run each of them raises; outside, and in other threads, everything is as it was.
Not seen is a function that somebody imported by name before, and `datetime.now`, which is part of an immutable type:
that the workers have neither, the house rules show from their syntax trees.
"""

import _thread
import os
import random
import signal
import sys
import threading
import time
from asyncio import _get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import FrameType, ModuleType
from typing import Any, NoReturn, Protocol, runtime_checkable


class EscapedSimulation(RuntimeError):
    """Something inside the simulation reached for what is outside of it."""


@runtime_checkable
class Confining(Protocol):
    """A loop that lets nothing out."""

    def refuse_escape(self, what: str) -> EscapedSimulation:
        """Note an attempt to leave, so that the run fails even if the error is caught; return the error."""
        ...


LOOP_DOORS = (
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "call_soon_threadsafe",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "remove_reader",
    "remove_signal_handler",
    "remove_writer",
    "run_forever",
    "run_in_executor",
    "run_until_complete",
    "sendfile",
    "set_default_executor",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)
"""Methods of asyncio's loops that lead outside."""

_AUDITED = {
    "open",
    "os.kill",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "signal.pthread_kill",
    "socket.__new__",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.getnameinfo",
    "subprocess.Popen",
    "time.sleep",
}
_OPENS = 5
"""So many frames above a file's opening, the import system is still there if it was that."""
_READING_SOURCE = ("importlib.", "_frozen_importlib", "zipimport", "linecache")
"""Modules that read source: to import it late, or to show it in the traceback of what is being cleared away."""
_TRUSTED = ("sqlalchemy.", "logging")
"""Modules that note when a connection or a line was made, and draw names that nobody sees: nothing is decided by it."""
_CHANCE = (
    "betavariate", "choice", "choices", "expovariate", "gauss", "getrandbits", "lognormvariate", "normalvariate",
    "paretovariate", "randbytes", "randint", "random", "randrange", "sample", "seed", "shuffle", "triangular",
    "uniform", "vonmisesvariate", "weibullvariate", "_urandom",
)  # fmt: skip
_CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "sleep")
_SIGNALS = ("alarm", "raise_signal", "set_wakeup_fd", "setitimer", "signal")
_CLOSED: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (_thread, ("start_new_thread",)),
    (os, ("urandom", "getrandom")),
    (random, _CHANCE),
    (signal, _SIGNALS),
    (threading, ("_start_new_thread",)),
    (time, _CLOCKS),
)
"""Functions without an audit event, by the module in which they are looked up; `secrets` and `uuid` end at them too."""


def closed_door(name: str) -> Callable[..., NoReturn]:
    """Return the method that stands where asyncio has one that leads outside."""

    def refuse(self: Confining, *_: object, **__: object) -> NoReturn:
        raise self.refuse_escape(name)

    refuse.__name__ = name
    return refuse


@cache
def _audit() -> None:
    """Watch the interpreter's own events, once: an audit hook can't be taken away again."""

    def hook(event: str, _: tuple[object, ...]) -> None:
        if event in _AUDITED:
            loop = _get_running_loop()
            if isinstance(loop, Confining) and not (event == "open" and _is_source(sys._getframe(1))):  # noqa: SLF001
                raise loop.refuse_escape(event)

    sys.addaudithook(hook)


def _is_source(frame: FrameType | None) -> bool:
    """Tell whether a file is opened for its source: nobody decides by that."""
    for _ in range(_OPENS):
        if frame is None:
            return False
        if str(frame.f_globals.get("__name__", "")).startswith(_READING_SOURCE):
            return True
        frame = frame.f_back
    return False


def _closed(name: str, function: Callable[..., Any], *, lenient: bool) -> Callable[..., Any]:
    @wraps(function)
    def refuse_inside(*args: object, **kwargs: object) -> object:
        loop = _get_running_loop()
        if isinstance(loop, Confining):
            asks = str(sys._getframe(1).f_globals.get("__name__", ""))  # noqa: SLF001  whoever calls
            if not (lenient and asks.startswith(_TRUSTED)):
                raise loop.refuse_escape(name)
        return function(*args, **kwargs)

    return refuse_inside


@cache
def _closings() -> tuple[tuple[ModuleType, str, Callable[..., Any], Callable[..., Any]], ...]:
    """Return what is put in the place of what, made once."""
    return tuple(
        (module, name, function, _closed(f"{module.__name__}.{name}", function, lenient=module in {time, os}))
        for module, names in _CLOSED
        for name in names
        if (function := getattr(module, name, None)) is not None
    )


@contextmanager
def confined() -> Iterator[None]:
    """Refuse the running `Confining` loop everything that leads outside while the block runs."""
    _audit()
    start = threading.Thread.start

    def refuse_inside(self: threading.Thread) -> None:
        loop = _get_running_loop()
        if isinstance(loop, Confining):
            raise loop.refuse_escape(f"threading.Thread.start ({self.name})")
        start(self)

    threading.Thread.start = refuse_inside  # type: ignore[method-assign]
    closings = _closings()
    for module, name, _, closed in closings:
        setattr(module, name, closed)
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for module, name, function, _ in closings:
            setattr(module, name, function)
