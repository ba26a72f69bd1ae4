"""Headers and queries that are not understood: each has its clear answer, and nothing is stored."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from dnsguard.api.headers import wait_for
from tests.api.house import PLANS, Door, clear, nothing_stored, plan


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_a_body_that_is_not_json_by_its_headers_is_415(door: Door, headers: dict[str, str]) -> None:
    clear(await door.ask("POST", PLANS, raw=b"{}", headers={"If-Match": "*"} | headers), 415)
    await nothing_stored(door)


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        (None, 428),
        ("", 400),
        ("41", 400),
        ("'41'", 400),
        ('W/"41"', 400),
        ('"41", "42"', 400),
        ('"041"', 400),
        ('"-1"', 400),
        ('"forty-one"', 400),
        ('"٤"', 400),
        ('"' + "9" * 30 + '"', 400),
        ('"9999999999999999999"', 400),
        ("**", 400),
    ],
)
async def test_if_match_is_one_generation_in_quotes_or_a_star(door: Door, if_match: str | None, status: int) -> None:
    clear(await door.submit(plan(), if_match=if_match), status)
    await nothing_stored(door)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "schlüssel"])
async def test_an_idempotency_key_is_short_visible_ascii(door: Door, key: str) -> None:
    clear(await door.submit(plan(), headers={"Idempotency-Key": key}), 400)
    await nothing_stored(door)


@pytest.mark.parametrize("query", ["?dry_run=yes", "?dryrun=true", "?dry_run=true&dry_run=true", "?=", "?%ff=1"])
async def test_a_query_that_is_not_understood_is_400(door: Door, query: str) -> None:
    clear(await door.submit(plan(), query=query), 400)
    await nothing_stored(door)


@pytest.mark.parametrize(
    ("preferences", "meant"),
    [
        ([], "published"),
        (["wait=5"], "published"),
        (["wait=5, wait-for=propagated"], "propagated"),
        (["wait=5;wait-for=propagated"], "propagated"),
        (["wait=5", 'Wait-For = "PROPAGATED"'], "propagated"),
        (["wait-for=published, wait-for=propagated"], "published"),
        (["wait-for=everywhere, respond-async"], "published"),
        (["wait-for=propagated-soon"], "published"),
    ],
)
def test_what_a_client_waits_for_is_the_first_preference_that_is_understood(preferences: list[str], meant: str) -> None:
    received = CIMultiDictProxy(CIMultiDict([("Prefer", text) for text in preferences]))
    assert wait_for(received) == meant
