"""Name servers that are only asked: which fence does each of them serve? By UDP, twice, then by TCP; unsigned, or
signed with a key. An answer counts only if it is authoritative, and comes in time. Nothing is ever written here, and
nothing that is written rests on what is read here.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence

from dnsguard.core.message import Unreachable
from dnsguard.core.names import fence_name, name_wire
from dnsguard.core.records import type_code
from dnsguard.core.written import Seen, seen_of
from dnsguard.fair_semaphore import FairSemaphore
from dnsguard.wire.decode import Unreadable
from dnsguard.wire.encode import encode_question
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.transport import same_question, worded
from dnsguard.wire.tsig import NotAuthentic, Responses, Signed, Signer
from dnsguard.wire.txt_answer import OCTETS_MAX, TxtAnswer, read_txt_answer, refuse_long_answer

IN_FLIGHT_MAX = 16
"""Questions to one name server at once, of all zones together."""
_UDP_TRIES = 2


class Follower:
    """One name server, asked about any number of zones."""

    def __init__(self, server: NameServer, now: Callable[[], float]) -> None:
        """Prepare; ``now`` gives seconds since the epoch, for signatures. Nothing is opened yet."""
        self.server = server
        self._now = now
        self._signer = None if server.signed_as is None else Signer(server.signed_as)
        self._places = FairSemaphore(IN_FLIGHT_MAX)

    async def fence(self, zone: str) -> Seen | Unreachable:
        """Ask for the fence; ``timeout_s`` of the server bounds all of it."""
        server = self.server
        try:
            async with asyncio.timeout(server.timeout_s), self._places.held(zone):
                return _seen(zone, await self._ask(fence_name(zone)), server)
        except TimeoutError:
            return Unreachable(f"no answer from {server} within {server.timeout_s:g} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            return Unreachable(f"no answer from {server}: {worded(error)}")
        except (NotAuthentic, Unreadable) as refused:
            return Unreachable(f"no usable answer from {server}: {refused}")

    async def _ask(self, name: str) -> TxtAnswer:
        question = secrets.token_bytes(2) + encode_question(name, type_code("TXT"))[2:]
        request = Signed(question, b"") if self._signer is None else self._signer.sign(question, self._now())
        wire = await self._by_udp(request.wire)
        if wire is not None:
            answer = self._open(wire, request, name)
            if not answer.truncated:
                return answer
        return self._open(await self._by_tcp(request.wire), request, name)

    def _open(self, wire: bytes, request: Signed, name: str) -> TxtAnswer:
        if self._signer is not None:
            wire = Responses(self._signer, request).open(wire, self._now())
        return read_txt_answer(wire, name_wire(name))

    async def _by_udp(self, question: bytes) -> bytes | None:
        """Send a question up to twice, and return the answer; None if none comes in its share of the time."""
        server, loop = self.server, asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Listener(question, answered), remote_addr=(server.host, server.port)
        )
        try:
            for _ in range(_UDP_TRIES):
                transport.sendto(question)
                done, _ = await asyncio.wait((answered,), timeout=server.timeout_s / (_UDP_TRIES + 1))
                if done:
                    break
            return answered.result() if answered.done() and answered.exception() is None else None
        finally:
            answered.cancel()
            transport.close()

    async def _by_tcp(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        try:
            writer.write(len(question).to_bytes(2, "big") + question)
            octets = int.from_bytes(await reader.readexactly(2), "big")
            refuse_long_answer(octets)
            wire = await reader.readexactly(octets)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not _answers(wire, question):
            raise Unreadable("expected an answer to the question that was asked, found another")
        return wire


class _Listener(asyncio.DatagramProtocol):
    """Waits for the answer to one question; whatever else arrives is dropped, as it may be forged."""

    def __init__(self, question: bytes, answered: asyncio.Future[bytes]) -> None:
        self._question = question
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        if len(data) <= OCTETS_MAX and not self._answered.done() and _answers(data, self._question):
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Note that nobody listens there; TCP is tried at once."""
        if not self._answered.done():
            self._answered.set_exception(exc)


class Followers:
    """The name servers of one zone."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        """Prepare; zones share followers, each of which bounds how much it is asked at once."""
        self._followers = tuple(followers)

    async def fences(self, zone: str) -> Mapping[str, Seen | Unreachable]:
        """Ask all of them at the same time; the slowest takes its time-out at most."""
        found = await asyncio.gather(*(follower.fence(zone) for follower in self._followers))
        return {follower.server.name: seen for follower, seen in zip(self._followers, found, strict=True)}


def _answers(wire: bytes, question: bytes) -> bool:
    """Tell whether a message is a response to a question, by its id, kind and question."""
    return (
        len(wire) > len(question[:12])
        and wire[:2] == question[:2]
        and bool(wire[2] & 0x80)
        and not wire[2] & 0x78
        and wire[4:6] != b"\0\0"
        and same_question(wire, question)
    )


def _seen(zone: str, answer: TxtAnswer, server: NameServer) -> Seen | Unreachable:
    """Read the fence out of an answer."""
    if answer.rcode not in ("NOERROR", "NXDOMAIN"):
        return Unreachable(f"{server} answered {answer.rcode}")
    if not answer.authoritative:
        return Unreachable(f"{server} is not authoritative for {zone}")
    return seen_of(answer.rdatas)
