"""Who gets in: tokens, rights, paths and methods."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dnsguard.api.app import reconfigure
from dnsguard.api.endpoint import Endpoint
from dnsguard.api.endpoints import ENDPOINTS
from dnsguard.api.tokens import Access, Token, Tokens, make_tokens
from tests.api.house import ADMIN, OTHER_ZONE, OTHERS, PLANS, READER, WRITER, Door, plan


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
async def test_everything_but_health_needs_a_token(door: Door, endpoint: Endpoint) -> None:
    path = endpoint.path.replace("{zone}", "example.test").replace("{generation}", "1")
    reply = await door.ask(endpoint.method, path, token=None)
    if endpoint.path.startswith("/v1/health/"):
        assert reply.status == 200
        return
    assert (reply.status, reply.body["type"]) == (401, "/problems/token-missing")
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="dnsguard"'
    wrong = await door.ask(endpoint.method, path, token="wrong")
    assert (wrong.status, wrong.body["type"]) == (403, "/problems/forbidden")


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
