"""The OpenAPI document says what the door does, and all of it."""

import re
from collections.abc import Iterator
from typing import Any

from dnsguard.api.endpoints import ENDPOINTS
from dnsguard.api.openapi import openapi_document
from dnsguard.api.problems import KINDS
from tests.api.house import Door

DOCUMENT = openapi_document(ENDPOINTS)


def _references(value: Any) -> Iterator[str]:
    match value:
        case dict():
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for inner in value.values():
                yield from _references(inner)
        case list() | tuple():
            for inner in value:
                yield from _references(inner)


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_reference_resolves() -> None:
    references = set(_references(DOCUMENT))
    assert references
    for reference in references:
        at: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]
        assert at


def test_no_schema_is_left_unused() -> None:
    used = {reference.rpartition("/")[2] for reference in _references(DOCUMENT)}
    assert set(DOCUMENT["components"]["schemas"]) == used


async def test_every_route_is_described_and_every_description_has_its_route(door: Door) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in door.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert routes == {(method, path) for method, path, _ in _operations()}


def test_operations_are_named_once_and_path_parameters_are_described() -> None:
    names = [operation["operationId"] for _, _, operation in _operations()]
    assert len(names) == len(set(names))
    for _, path, operation in _operations():
        described = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert described == set(re.findall(r"\{(\w+)\}", path))
        for parameter in operation["parameters"]:
            assert parameter["description"]
            assert parameter["schema"]
            assert parameter["in"] != "path" or parameter["required"]


def test_every_operation_says_what_goes_wrong_and_who_may() -> None:
    for _, path, operation in _operations():
        answers = operation["responses"]
        assert {"400", "500", "503"} <= set(answers)
        assert any(status.startswith("2") for status in answers)
        needs_token = not path.startswith("/v1/health/")
        assert ({"401", "403"} <= set(answers)) == needs_token
        assert (operation.get("security") == []) == (not needs_token)
        for status, answer in answers.items():
            assert answer["description"]
            if status[0] in "45":
                assert list(answer["content"]) == ["application/problem+json"]


def test_a_change_needs_if_match_and_may_have_a_key_and_a_preference() -> None:
    parameters = DOCUMENT["paths"]["/v1/zones/{zone}/plans"]["post"]["parameters"]
    headers = {each["name"]: each["required"] for each in parameters if each["in"] == "header"}
    assert headers == {"If-Match": True, "Idempotency-Key": False, "Prefer": False}


def test_every_kind_of_problem_is_described_once() -> None:
    assert {kind.type for kind in KINDS} == set(DOCUMENT["x-problems"])
    assert len({kind.slug for kind in KINDS}) == len(KINDS)


def test_requests_refuse_what_they_do_not_know() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for name in ("PlanWanted", "RRsetWanted", "RRsetNamed", "RollbackWanted", "ResyncWanted"):
        assert schemas[name]["additionalProperties"] is False


async def test_the_document_is_served(door: Door) -> None:
    reply = await door.get("/openapi.json")
    assert reply.status == 200
    assert reply.body["openapi"] == "3.1.0"
    assert set(reply.body["paths"]) == set(DOCUMENT["paths"])
