"""The daemon as the command line sees it: one HTTP exchange per question, answers as the API's own types.
Redirects are not followed and proxies not asked, so the token goes to the named address and nowhere else.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import yarl

from dnsguard import __version__
from dnsguard.api.desk import WaitFor
from dnsguard.api.documents import Zones
from dnsguard.cli.outcome import CannotAsk, LostAnswer, Refused
from dnsguard.cli.target import Target

ANSWER_S_MAX = 60
CONNECT_S_MAX = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What the daemon said with 2xx: as a value, and as it came."""

    status: int
    document: T
    raw: bytes


class Daemon:
    """A daemon to ask. Every method raises Refused, or CannotAsk where there is no answer of dnsguard's."""

    def __init__(self, session: aiohttp.ClientSession, target: Target) -> None:
        """Hold what `opened` made."""
        self._session = session
        self._target = target
        self.unsettled: str | None = None
        """How to find out what became of the write under way; None if none is."""

    async def get(self, path: str, answer: type[T], **query: str | int | None) -> Answer[T]:
        """Read a document."""
        given = {key: str(value) for key, value in query.items() if value is not None}
        return await self._exchange("GET", path + (f"?{urlencode(given)}" if given else ""), answer)

    async def submit(
        self,
        path: str,
        body: Mapping[str, Any],
        answer: type[T],
        *,
        if_match: str | None = None,
        wait_s: int = 0,
        wait_for: WaitFor = "published",
        key: str | None = None,
    ) -> Answer[T]:
        """Submit, once: a connection lost after sending is tried one more time under the same Idempotency-Key."""
        key = key or secrets.token_hex(16)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if if_match is not None:
            headers["If-Match"] = if_match
        if wait_s:
            headers["Prefer"] = f"wait={wait_s}" + (", wait-for=propagated" if wait_for == "propagated" else "")
        stated = "" if if_match is None else f" --if-match {if_match.strip(chr(34)).replace('*', 'any')}"
        again = f"repeat it with '--idempotency-key {key}{stated}' to find out: it is then never done twice"
        with self._settling(again):
            return await self._twice(path, answer, json.dumps(body).encode("ascii"), headers, ANSWER_S_MAX + wait_s)

    async def look(self, path: str, answer: type[T], deadline_s: int) -> Answer[T]:
        """Ask for something to be found out now; nothing is changed by that."""
        return await self._exchange("POST", path, answer, deadline_s=deadline_s)

    async def order(
        self,
        path: str,
        body: Mapping[str, Any],
        answer: type[T],
        *,
        deadline_s: int = ANSWER_S_MAX,
        wait_s: int = 0,
        again: str = "look with 'dnsguard status ZONE' before you ask again",
    ) -> Answer[T]:
        """Ask for what knows no Idempotency-Key: one request, never repeated.

        ``again`` says how to find out what became of it if no answer comes.
        """
        octets = json.dumps(body).encode("ascii")
        headers = {"Content-Type": "application/json"} | ({"Prefer": f"wait={wait_s}"} if wait_s else {})
        with self._settling(again):
            return await self._exchange("POST", path, answer, octets, headers, deadline_s + wait_s)

    @contextmanager
    def _settling(self, again: str) -> Iterator[None]:
        """Keep in mind how to find out what became of a write, until that is known."""
        self.unsettled = again
        try:
            yield
        except LostAnswer as error:
            raise CannotAsk(f"{error}; whether the daemon did what was asked is unclear: {again}") from None
        except Refused as error:
            if not error.is_unclear:
                self.unsettled = None
            raise
        self.unsettled = None

    async def only_zone(self, named: str | None) -> str:
        """Return the zone that is meant: the one named, or the only one that there is."""
        if named is not None:
            return named
        zones = (await self.get("/v1/zones", Zones)).document.zones
        if len(zones) == 1:
            return zones[0].zone
        if not zones:
            raise CannotAsk("the daemon serves no zone that this token may see; name one with --zone")
        names = ", ".join(zone.zone for zone in zones[:10]) + (", …" if len(zones) > 10 else "")
        raise CannotAsk(f"the daemon serves {len(zones)} zones, and which one is meant is not said; name it: {names}")

    async def _twice(
        self, path: str, answer: type[T], body: bytes, headers: Mapping[str, str], deadline_s: int
    ) -> Answer[T]:
        try:
            return await self._exchange("POST", path, answer, body, headers, deadline_s)
        except LostAnswer as error:
            if error.timed_out:
                raise
        try:
            return await self._exchange("POST", path, answer, body, headers, deadline_s)
        except CannotAsk as error:
            # Even if nobody answers any more, the first request may have been received.
            raise LostAnswer(str(error)) from None

    async def _exchange(
        self,
        method: str,
        path: str,
        answer: type[T],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: int = ANSWER_S_MAX,
    ) -> Answer[T]:
        url, place = self._target.url, self._target.place
        sent = dict(headers or {})
        if self._target.token is not None:
            sent["Authorization"] = f"Bearer {self._target.token}"
        try:
            async with self._session.request(
                method,
                yarl.URL(url + path, encoded=True),
                data=None if body is None else BytesIO(body),
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=deadline_s, connect=CONNECT_S_MAX),
            ) as response:
                status, kind, raw = response.status, response.content_type, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise CannotAsk(
                f"no daemon answers at {place} ({_why(error)}); "
                "start one with 'dnsguard serve', or name another with --url"
            ) from None
        except TimeoutError:
            raise LostAnswer(
                f"the daemon at {place} did not answer within {deadline_s} seconds", timed_out=True
            ) from None
        except aiohttp.ClientError as error:
            raise LostAnswer(f"the connection to {place} broke before the answer came ({_why(error)})") from None
        return self._read(status, kind, raw, answer)

    def _read(self, status: int, kind: str, raw: bytes, answer: type[T]) -> Answer[T]:
        if kind == "application/problem+json":
            try:
                problem = msgspec.json.decode(raw, type=dict[str, Any])
            except msgspec.DecodeError:
                raise self._stranger(f"a problem document that is not JSON, with status {status}") from None
            raise Refused(problem, raw, status, self._target.sought)
        if not 200 <= status < 300 or kind != "application/json":
            raise self._stranger(f"status {status} and {kind}")
        try:
            return Answer(status, msgspec.json.decode(raw, type=answer), raw)
        except msgspec.DecodeError:
            raise self._stranger("a document of another shape; perhaps its version is not this one's") from None

    def _stranger(self, found: str) -> CannotAsk:
        return CannotAsk(
            f"expected dnsguard's API at {self._target.place}, found {found}; "
            "name the daemon's address with --url (this is dnsguard " + __version__ + ")"
        )


def opened(target: Target) -> tuple[aiohttp.ClientSession, Daemon]:
    """Return a session to be closed by the caller, and the daemon behind it."""
    # A connection for each request: one kept alive may be closed by the other side just when a write is sent on it,
    # and that would look like a lost answer.
    connector: aiohttp.BaseConnector = (
        aiohttp.TCPConnector(force_close=True)
        if target.socket is None
        else aiohttp.UnixConnector(path=str(target.socket), force_close=True)
    )
    session = aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": f"dnsguard/{__version__}", "Accept": "application/json"},
    )
    return session, Daemon(session, target)


def zone_path(zone: str, *below: str | int) -> str:
    """Return the path of a zone or of what lies below it; a zone's name may hold slashes (RFC 2317)."""
    return "/".join(["/v1/zones", *(quote(str(part), safe="") for part in (zone, *below))])


def _why(error: BaseException) -> str:
    """Say a network fault in words, without the addresses that the library adds."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no trusted TLS connection can be made"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return "it was closed"
