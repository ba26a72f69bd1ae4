"""The OpenAPI 3.1 document, made from the endpoints and the types that validate: it cannot say anything else."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from dnsguard import __version__
from dnsguard.api.documents import Problem
from dnsguard.api.endpoint import Endpoint
from dnsguard.api.problems import (
    BUSY,
    CONTENT_TYPE,
    DEADLINE,
    FORBIDDEN,
    INTERNAL,
    KINDS,
    MALFORMED,
    MISDIRECTED,
    UNAUTHENTICATED,
    Kind,
)

_IN_PATH = re.compile(r"\{(\w+)\}")
_ABOUT_PATH = {
    "zone": ("The zone's name, with or without its last dot; U-labels are accepted.", {"type": "string"}),
    "generation": ("A generation of the zone.", {"type": "integer", "minimum": 1}),
}
_HEADERS: dict[str, Any] = {
    "ETag": {"description": "A generation, to be sent as If-Match.", "schema": {"type": "string"}},
    "Location": {"description": "The plan.", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "How long was waited at most, and for what.", "schema": {"type": "string"}},
}


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Describe the endpoints."""
    types: list[type] = [Problem]
    for endpoint in endpoints:
        types += [answer for answer in (*endpoint.answers.values(), endpoint.dry) if isinstance(answer, type)]
        types += [] if endpoint.body is None else [endpoint.body]
    _, schemas = msgspec.json.schema_components(list(dict.fromkeys(types)), ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dnsguard",
            "version": __version__,
            "summary": "Plans for DNS zones, published behind a fence.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "x-problems": {
            kind.type: {"title": kind.title, "status": kind.status, "description": kind.about} for kind in KINDS
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.about,
        "parameters": list(_parameters(endpoint)),
        "responses": _responses(endpoint),
    }
    if endpoint.access is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs a token with {endpoint.access.name.lower()} access."
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(endpoint.body)}}}
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in _IN_PATH.findall(endpoint.path):
        about, schema = _ABOUT_PATH[name]
        yield {"name": name, "in": "path", "required": True, "description": about, "schema": schema}
    for parameter in endpoint.parameters:
        yield {
            "name": parameter.name,
            "in": parameter.place,
            "required": parameter.required,
            "description": parameter.about,
            "schema": dict(parameter.schema),
        }


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in endpoint.answers.items():
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": _content(endpoint, status, answer),
        }
        if endpoint.path.startswith("/v1/zones/"):
            names = _HEADERS if endpoint.method == "POST" else ("ETag",)
            responses[str(status)]["headers"] = {name: _HEADERS[name] for name in names}
    everywhere = (MALFORMED, MISDIRECTED, INTERNAL, BUSY, DEADLINE)
    guarded = () if endpoint.access is None else (UNAUTHENTICATED, FORBIDDEN)
    by_status: dict[int, list[Kind]] = {}
    for kind in (*endpoint.problems, *guarded, *everywhere):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        described = "; ".join(f"`{kind.type}`: {kind.title}. {kind.about}" for kind in kinds)
        responses[str(status)] = {"description": described, "content": {CONTENT_TYPE: {"schema": _ref(Problem)}}}
    return responses


def _content(endpoint: Endpoint, status: int, answer: type | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {answer: {"schema": {}}}
    if status == HTTPStatus.OK and endpoint.dry is not None:
        return {"application/json": {"schema": {"anyOf": [_ref(answer), _ref(endpoint.dry)]}}}
    return {"application/json": {"schema": _ref(answer)}}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
