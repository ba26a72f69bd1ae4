"""A name that was pointed at this address by somebody else (DNS rebinding) reaches no endpoint."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.api.app import reconfigure
from dnsguard.api.host_check import is_own_host
from tests.api.house import ADMIN, Door
from tests.api.sockets import connected

NAMES = frozenset({"dns.example.com"})


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8053",
        "a.localhost",
        "127.0.0.1",
        "127.0.0.1:8053",
        "[::1]",
        "[::1]:8053",
        "192.0.2.7:1",
        "dns.example.com",
        "DNS.example.com.:443",
    ],
)
def test_addresses_loopbacks_names_and_configured_names_are_own(host: str) -> None:
    assert is_own_host(host, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "dns.example.com.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "localhost?",
        "localhost:x",
        "localhost:-1",
        "::1",
        "[::1",
        "x:99999",
        "localhost evil.example",
        "127.0.0.1#.evil.example",
        "0x7f000001",
        "2130706433",
        "localhost:80:80",
        "[evil]",
    ],
)
def test_anything_else_is_not(host: str) -> None:
    assert not is_own_host(host, NAMES)


@given(st.text(max_size=30))
def test_any_text_is_judged_without_a_fault(text: str) -> None:
    assert is_own_host(text, frozenset()) in {True, False}


@pytest.mark.parametrize("path", ["/v1/health/live", "/v1/zones", "/openapi.json", "/metrics", "/nothing"])
async def test_every_path_refuses_a_foreign_host(door: Door, path: str) -> None:
    reply = await door.get(path, token=ADMIN, headers={"Host": "evil.example"})
    assert (reply.status, reply.body["type"]) == (421, "/problems/misdirected")
    assert "host_names" in reply.body["detail"]
    assert "evil" not in reply.body["detail"]


async def test_a_name_that_is_configured_later_is_taken_from_then_on(door: Door) -> None:
    headers = {"Host": "dns.example.com:8053"}
    assert (await door.get("/v1/health/live", headers=headers)).status == 421
    reconfigure(door.app, host_names=NAMES)
    assert (await door.get("/v1/health/live", headers=headers)).status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/health/live HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v1/health/live HTTP/1.0\r\n\r\n", 200),
        (b"GET /v1/health/live HTTP/1.0\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET http://localhost/v1/health/live HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ],
)
async def test_http_1_1_names_its_host_once(door: Door, head: bytes, status: int) -> None:
    async with connected(door) as socket:
        socket.send(head)
        found, _, body = await socket.answer()
        assert found == status, json.loads(body)
