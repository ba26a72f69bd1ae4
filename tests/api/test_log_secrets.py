"""Whatever a client sends, and however it is broken, no secret and no octet of its head gets into the log."""

import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsguard.api import loggable
from dnsguard.daemon.logs import configure_logs
from tests.api.house import ADMIN, Door, House, open_door
from tests.api.sockets import connected, until

SECRET = "s3cret-0123456789-abcdefghijkl"
HEAD = "GET /v1/zones HTTP/1.1\r\nHost: localhost\r\n"

MALFORMED = {
    "LF line ends": f"GET /v1/zones HTTP/1.1\nHost: localhost\nAuthorization: Bearer {SECRET}\n\n",
    "CR after the token": f"{HEAD}Authorization: Bearer {SECRET}\r\r\n\r\n",
    "NUL after the token": f"{HEAD}Authorization: Bearer {SECRET}\0\r\n\r\n",
    "ESC after the token": f"{HEAD}Authorization: Bearer {SECRET}\x1b\r\n\r\n",
    "folded header": f"{HEAD}Authorization: Bearer\r\n {SECRET}\r\n\r\n",
    "space before colon": f"{HEAD}Authorization : Bearer {SECRET}\r\n\r\n",
    "token in query": f"GET /v1/zones?access_token={SECRET} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "token as basic": f"{HEAD}Authorization: Basic {SECRET}\r\n\r\n",
    "token as method": f"{SECRET} /v1/zones HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "token as path": f"GET /{SECRET} HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "token as zone": f"GET /v1/zones/{SECRET} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\n\r\n",
    "token as generation": f"GET /v1/zones/example.test/plans/{SECRET} HTTP/1.1\r\nHost: localhost\r\n"
    f"Authorization: Bearer {ADMIN}\r\n\r\n",
    "token as version": f"GET /v1/zones {SECRET}\r\nHost: localhost\r\n\r\n",
    "token as host": f"GET /v1/zones HTTP/1.1\r\nHost: {SECRET}\r\n\r\n",
    "token in an absolute target": f"GET http://{SECRET}@localhost:x/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "token as header name": f"{HEAD}{SECRET}\r\n\r\n",
    "token in a long header": f"{HEAD}Authorization: Bearer {SECRET}{'x' * 20_000}\r\n\r\n",
    "token as length": f"POST /v1/zones HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SECRET}\r\n\r\n",
    "token as encoding": f"POST /v1/zones HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {SECRET}\r\n\r\n",
    "token as chunk": "POST /v1/zones/example.test/plans HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\n"
    f"Content-Type: application/json\r\nAuthorization: Bearer {ADMIN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    f"{SECRET}\r\n\r\n",
    "token as expectation": f"POST /v1/zones HTTP/1.1\r\nHost: localhost\r\nExpect: {SECRET}\r\n\r\n",
    "token as upgrade": f"{HEAD}Connection: upgrade\r\nUpgrade: {SECRET}\r\n\r\n{SECRET}",
    "no HTTP at all": f"\x16\x03\x01{SECRET}\r\n\r\n",
    "a second head": f"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGARBAGE {SECRET}\r\n\r\n",
}


class Recorder:
    """A log stream that keeps what it gets."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        return False


@pytest.fixture(params=["json", "console"])
def recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder()
    monkeypatch.setattr(sys, "stderr", recorder)
    configure_logs("info", request.param)
    yield recorder
    structlog.reset_defaults()
    logging.basicConfig(force=True)


async def said_to(door: Door, octets: bytes) -> None:
    """Send octets and wait for whatever comes back, until the other side is done with them."""
    async with connected(door) as socket:
        socket.send(octets)
        socket.writer.write_eof()
        await socket.is_closed()


async def test_no_malformed_request_puts_its_token_into_the_log(door: Door, recorded: Recorder) -> None:
    for name, text in MALFORMED.items():
        recorded.text = ""
        await said_to(door, text.encode("latin-1"))
        if "expectation" not in name:
            await until(door, lambda: bool(recorded.text))
        assert SECRET not in recorded.text, name
        assert "Traceback" not in recorded.text, name


FIELDS = st.sampled_from(
    ["Authorization", "authorization", "Cookie", "X", "Host", "Content-Length", "", "\0", "Ex pect"]
)
BREAKS = st.sampled_from(["\r\n", "\n", "\r", "\r\r\n", "\0", "\x1b[2J", "\t", " ", "\r\n ", "\x85", "\xff", ": "])


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A head in which the secret stands anywhere, broken anywhere."""
    target = draw(st.sampled_from(["/v1/zones", f"/v1/zones/{SECRET}", f"/{SECRET}?{SECRET}", f"//{SECRET}", "*", "%"]))
    method = draw(st.sampled_from(["GET", "POST", "get", SECRET, "\0", "PUT"]))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/9", f"HTTP/{SECRET}", SECRET]))
    lines = [f"{method} {target} {version}"]
    lines += [
        f"{draw(FIELDS)}{draw(st.sampled_from([':', ': ', ' : ', ' ']))}{draw(st.sampled_from(['', 'Bearer ', '1']))}"
        f"{SECRET}{draw(st.one_of(st.just(''), BREAKS))}"
        for _ in range(draw(st.integers(0, 3)))
    ]
    ends = [draw(st.one_of(st.just("\r\n"), BREAKS)) for _ in lines]
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    return (text + draw(st.sampled_from(["\r\n", "\n\n", "", SECRET]))).encode("latin-1")


@pytest.fixture
async def kept_door(house: House) -> AsyncIterator[Door]:
    async with open_door(house) as door:
        yield door


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(octets=heads())
async def test_no_generated_head_gets_into_the_log(kept_door: Door, recorded: Recorder, octets: bytes) -> None:
    await said_to(kept_door, octets)
    assert SECRET not in recorded.text
    assert "\x1b" not in recorded.text


async def test_a_path_cannot_forge_a_line_or_steer_a_terminal(door: Door, recorded: Recorder) -> None:
    forged = "12:00:00%20[info%20%20%20%20%20]%20request.answered%20%20actor=admin"
    for path in (f"/a%0a{forged}", "/%1b]0;owned%07%1b[2J", "/%0d%1b[31m", f"/v1/zones/%0a{forged}"):
        recorded.text = ""
        request = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\nConnection: close\r\n\r\n"
        )
        await said_to(door, request.encode())
        await until(door, lambda: bool(recorded.text))
        assert recorded.text.count("\n") == 1
        assert "actor=admin" not in recorded.text
        assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", recorded.text) is None


async def test_a_served_zone_and_a_number_are_logged_with_their_route(door: Door, recorded: Recorder) -> None:
    await door.get("/v1/zones/EXAMPLE.test/plans/7", token=ADMIN)
    assert re.search(r"path\W+/v1/zones/example\.test\./plans/7\W", recorded.text)


async def test_a_fault_is_logged_with_its_traceback_unless_that_quotes_the_request(
    house: House, recorded: Recorder
) -> None:
    async with open_door(house) as door:
        house.fault = RuntimeError("the clock is gone")
        assert (await door.submit({"rrsets": [], "retire": []})).status in {422, 500}
        assert (await door.get("/v1/zones")).status == 500
        assert "the clock is gone" in recorded.text
        recorded.text = ""
        house.fault = RuntimeError(f"cannot parse 'Bearer {ADMIN}'")
        assert (await door.get("/v1/zones", token=ADMIN)).status == 500
        assert "RuntimeError" in recorded.text
        assert ADMIN not in recorded.text


async def test_the_librarys_own_failures_are_logged_without_their_messages(
    door: Door, recorded: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ValueError(f"cannot read {SECRET}")

    monkeypatch.setattr(loggable, "malformation", broken)
    await said_to(door, MALFORMED["NUL after the token"].encode("latin-1"))
    await until(door, lambda: bool(recorded.text))
    assert SECRET not in recorded.text
    assert "ValueError" in recorded.text


async def test_a_malformed_request_is_answered_without_being_quoted(door: Door) -> None:
    async with connected(door) as socket:
        socket.send(MALFORMED["NUL after the token"].encode("latin-1"))
        status, _, body = await socket.answer()
    assert (status, json.loads(body)["detail"]) == (
        400,
        "the request is not valid HTTP/1.1: found an invalid character in a header value",
    )


def test_a_log_line_of_a_library_cannot_forge_another(recorded: Recorder) -> None:
    logging.getLogger("somebody").error("one\n12:00:00 [info] request.answered \x1b[2J %s", "\x85\u202e")
    assert recorded.text == "one\n    12:00:00 [info] request.answered \\x1b[2J \\x85\\u202e\n"
