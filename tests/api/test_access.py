"""Who gets in: tokens, rights, paths and methods."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dnsguard.api.app import reconfigure
from dnsguard.api.endpoint import Endpoint
from dnsguard.api.endpoints import ENDPOINTS
from dnsguard.api.tokens import Access, Token, Tokens, make_tokens
from tests.api.house import (
    ADMIN,
    OTHER_ZONE,
    OTHERS,
    PLANS,
    READER,
    WRITER,
    ZONE,
    Door,
    House,
    Reply,
    open_door,
    plan,
    rrset,
)

CALLERS: dict[str, str | None] = {"none": None, "unknown": "wrong", "read": "read", "write": "write", "admin": "admin"}
"""Who asks: nobody, an unknown token, and tokens with each access, limited to one zone."""
READING = {"none": 401, "unknown": 403, "read": 200, "write": 200, "admin": 200}
OPEN = dict.fromkeys(CALLERS, 200)


def writing(status: int) -> dict[str, int]:
    """Return a row for an endpoint that needs write access and answers an allowed caller with this status."""
    return {"none": 401, "unknown": 403, "read": 403, "write": status, "admin": status}


def administering(status: int) -> dict[str, int]:
    """Return a row for an endpoint that needs administration."""
    return {"none": 401, "unknown": 403, "read": 403, "write": 403, "admin": status}


BODIES = {
    "rollBack": {"to": 0},
    "withdrawPlan": {"reason": ""},
    "resyncZone": {"keep": "wire"},
    "adoptZone": {"names": []},
}
QUERIES = {"listDifferences": "?from=0"}
OWN_ZONE = {
    "submitPlan": writing(202),
    "rollBack": writing(422),  # there is nothing to go back from
    "withdrawPlan": writing(404),  # there is no plan yet
    "resyncZone": administering(409),  # there is nothing to settle
    "verifyZone": writing(200),
    "adoptZone": administering(200),  # no name is given, so nothing is taken over
    "listZones": READING,
    "showZone": READING,
    "listPlans": READING,
    "showPlan": READING | {"read": 404, "write": 404, "admin": 404},  # there is no plan yet
    "listRRsets": READING,
    "listDifferences": READING,
    "live": OPEN,
    "ready": OPEN,
    "metrics": READING | {"read": 403, "write": 403, "admin": 403},  # it tells of every zone
    "openapi": READING,
}
"""The status of each endpoint for each caller, about a zone that the token is for."""
OTHER_ZONE_FORBIDDEN = {"none": 401, "unknown": 403, "read": 403, "write": 403, "admin": 403}
"""And about any other zone, whether it exists or not."""


@pytest.fixture
async def guest_door(house: House) -> AsyncIterator[Door]:
    """Tokens of each access, for one zone."""
    zones = frozenset({ZONE})
    tokens = make_tokens(
        Token(access, hashlib.sha256(access.encode()).hexdigest(), access, zones)
        for access in ("read", "write", "admin")
    )
    async with open_door(house, tokens=tokens) as door:
        yield door


async def ask_endpoint(door: Door, endpoint: Endpoint, caller: str, zone: str) -> Reply:
    """Ask an endpoint what it is for, as a caller of the matrix."""
    path = endpoint.path.replace("{zone}", zone).replace("{generation}", "1") + QUERIES.get(endpoint.name, "")
    headers = {"If-Match": "*"} if endpoint.body is not None else {}
    body = plan(rrset(caller)) if endpoint.name == "submitPlan" else BODIES.get(endpoint.name)
    return await door.ask(endpoint.method, path, token=CALLERS[caller], body=body, headers=headers)


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS} == OWN_ZONE.keys()
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.body is not None} == {"submitPlan", *BODIES}
    assert all(row.keys() == CALLERS.keys() for row in OWN_ZONE.values())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_a_route_answers_each_caller_as_the_matrix_says(guest_door: Door, endpoint: Endpoint) -> None:
    replies = {caller: await ask_endpoint(guest_door, endpoint, caller, ZONE) for caller in CALLERS}
    assert {caller: reply.status for caller, reply in replies.items()} == OWN_ZONE[endpoint.name]
    for reply in replies.values():
        if reply.status == 401:
            assert reply.body["type"] == "/problems/token-missing"
            assert reply.headers["WWW-Authenticate"] == 'Bearer realm="dnsguard"'
        if reply.status == 403:
            assert reply.body["type"] == "/problems/forbidden"


@pytest.mark.parametrize(
    "endpoint", [each for each in ENDPOINTS if "{zone}" in each.path], ids=lambda endpoint: endpoint.name
)
async def test_no_caller_reaches_a_zone_that_its_token_is_not_for(guest_door: Door, endpoint: Endpoint) -> None:
    for zone in (OTHER_ZONE, "unknown.test.", "www.example.test."):
        replies = {caller: await ask_endpoint(guest_door, endpoint, caller, zone) for caller in CALLERS}
        assert {caller: reply.status for caller, reply in replies.items()} == OTHER_ZONE_FORBIDDEN, zone
    assert (await guest_door.house.store.zone(OTHER_ZONE)).newest == 0
    assert guest_door.house.woken == []


@pytest.mark.parametrize("name", ["verifyZone", "adoptZone"])
async def test_a_read_token_starts_no_transfer(guest_door: Door, name: str) -> None:
    (endpoint,) = [each for each in ENDPOINTS if each.name == name]
    assert (await ask_endpoint(guest_door, endpoint, "read", ZONE)).status == 403
    assert guest_door.house.verifiers.get(ZONE) is None or guest_door.house.verifiers[ZONE].attempted_at is None


async def test_an_unlimited_token_of_any_access_reads_the_metrics(door: Door) -> None:
    assert (await door.get("/metrics", token=READER)).status == 200


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "admin-token"])
async def test_what_is_no_bearer_token_is_401(door: Door, value: str) -> None:
    assert (await door.get("/v1/zones", token=None, headers={"Authorization": value})).status == 401


async def test_the_scheme_may_be_written_in_any_case(door: Door) -> None:
    assert (await door.get("/v1/zones", token=None, headers={"Authorization": f"bearer {READER}"})).status == 200


async def test_a_token_that_is_no_ascii_is_403(door: Door) -> None:
    assert (await door.get("/v1/zones", token="tökén")).status == 403


async def test_reading_is_not_writing(door: Door) -> None:
    assert (await door.get("/v1/zones/example.test", token=READER)).status == 200
    reply = await door.submit(plan(), token=READER)
    assert (reply.status, reply.body["actor"]) == (403, "rita")
    assert await door.newest() == 0


async def test_a_token_for_one_zone_reaches_no_other(door: Door) -> None:
    assert (await door.get(f"/v1/zones/{OTHER_ZONE}", token=OTHERS)).status == 200
    assert (await door.get("/v1/zones/example.test", token=OTHERS)).status == 403
    assert (await door.get("/v1/zones/unknown.test", token=OTHERS)).status == 403
    assert (await door.submit(plan(), token=OTHERS)).status == 403
    assert (await door.get("/metrics", token=OTHERS)).status == 403
    listed = (await door.get("/v1/zones", token=OTHERS)).body
    assert [zone["zone"] for zone in listed["zones"]] == [OTHER_ZONE]
    assert await door.newest() == 0


async def test_tokens_can_be_replaced_while_the_door_is_open(door: Door) -> None:
    assert (await door.get("/v1/zones", token=READER)).status == 200
    new = Token("nora", hashlib.sha256(b"new").hexdigest(), "read", None)
    reconfigure(door.app, tokens=Tokens((new,)))
    assert (await door.get("/v1/zones", token=READER)).status == 403
    assert (await door.get("/v1/zones", token="new")).status == 200
    reconfigure(door.app, tokens=Tokens(()))
    assert (await door.get("/v1/zones", token="new")).status == 403


def test_two_tokens_alike_are_refused() -> None:
    one = Token("one", "0" * 64, "read", None)
    with pytest.raises(ValueError, match="alike"):
        make_tokens([one, Token("one", "1" * 64, "read", None)])
    with pytest.raises(ValueError, match="alike"):
        make_tokens([one, Token("two", "0" * 64, "read", None)])


def test_an_access_includes_those_before_it() -> None:
    reach = {
        name: [access.name for access in Access if Token("t", "", name).reaches(access)]
        for name in ("read", "write", "admin")
    }
    assert reach == {"read": ["READ"], "write": ["READ", "WRITE"], "admin": ["READ", "WRITE", "ADMIN"]}


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/zones/", "/v2/zones", "/v1/zones/example.test/plans/", "/etc/passwd", "/%00"]
)
async def test_an_unknown_path_is_404(door: Door, path: str) -> None:
    reply = await door.get(path)
    assert (reply.status, reply.body["type"]) == (404, "/problems/not-found")
    assert (await door.get(path, token=None)).status == 401


@pytest.mark.parametrize("zone", ["unknown.test", "test", "a..b", "a%00b", "a" * 70, "%EF%BC%B7", "@"])
async def test_an_unknown_zone_is_404(door: Door, zone: str) -> None:
    assert (await door.get(f"/v1/zones/{zone}")).status == 404
    assert (await door.ask("POST", f"/v1/zones/{zone}/plans", body=plan(), headers={"If-Match": "*"})).status == 404


async def test_a_zones_name_may_have_a_slash(door: Door) -> None:
    reply = await door.get("/v1/zones/0%2F25.2.0.192.in-addr.arpa")
    assert (reply.status, "0/25.2.0.192.in-addr.arpa." in reply.body["detail"]) == (404, True)


@pytest.mark.parametrize("zone", ["example.test", "example.test.", "EXAMPLE.Test", "ex%61mple.test"])
async def test_a_zone_has_one_name_however_it_is_written(door: Door, zone: str) -> None:
    assert (await door.get(f"/v1/zones/{zone}")).body["zone"] == "example.test."


async def test_another_method_is_405_and_says_which_there_are(door: Door) -> None:
    reply = await door.ask("DELETE", PLANS)
    assert (reply.status, reply.body["type"]) == (405, "/problems/method")
    assert reply.headers["Allow"] == "GET,HEAD,POST"


async def test_head_is_answered_like_get_without_a_body(door: Door) -> None:
    reply = await door.ask("HEAD", "/v1/zones/example.test")
    assert (reply.status, reply.body, reply.headers["ETag"]) == (200, "", '"0"')


async def test_every_answer_is_logged_with_its_actor_and_no_token(door: Door) -> None:
    with capture_logs() as logs:
        await door.submit(plan())
        await door.get("/v1/zones", token="some-secret-token")
    answered = [event for event in logs if event["event"] == "request.answered"]
    assert [(event["method"], event["status"], event["actor"]) for event in answered] == [
        ("POST", 202, "will"),
        ("GET", 403, None),
    ]
    for secret in (WRITER, ADMIN, "some-secret-token"):
        assert secret not in repr(logs)


async def test_what_breaks_is_500_without_a_traceback_and_logged_with_one(door: Door) -> None:
    door.house.fault = RuntimeError("secret inside")
    with capture_logs() as logs:
        reply = await door.get("/v1/zones")
    assert (reply.status, reply.body["type"]) == (500, "/problems/internal")
    assert "secret inside" not in repr(reply.body)
    (failed,) = [event for event in logs if event["event"] == "request.failed"]
    assert failed["exc_info"]


async def test_a_database_that_does_not_answer_is_503(door: Door, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "history.db")) as database:
        database.execute("ALTER TABLE plans RENAME TO mislaid")
    reply = await door.get(PLANS)
    assert (reply.status, reply.body["type"]) == (503, "/problems/store")
    assert "dnsguard migrate" in reply.body["detail"]
