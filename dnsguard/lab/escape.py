"""What would leave a simulation, or let something unforeseen into it: threads, sockets, signals, processes.
Inside a run each of them raises; outside, and in other threads, everything is as it was.
"""

import sys
import threading
from asyncio import _get_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import NoReturn, Protocol, runtime_checkable


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
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.system",
    "socket.__new__",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.getnameinfo",
    "subprocess.Popen",
    "time.sleep",
}


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
            if isinstance(loop, Confining):
                raise loop.refuse_escape(event)

    sys.addaudithook(hook)


@contextmanager
def confined() -> Iterator[None]:
    """Refuse threads, sockets and processes of the running `Confining` loop while the block runs."""
    _audit()
    start = threading.Thread.start

    def refuse_inside(self: threading.Thread) -> None:
        loop = _get_running_loop()
        if isinstance(loop, Confining):
            raise loop.refuse_escape(f"threading.Thread.start ({self.name})")
        start(self)

    # Python 3.11 has no audit event for a new thread.
    threading.Thread.start = refuse_inside  # type: ignore[method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
