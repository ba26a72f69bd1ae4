"""What an endpoint is: its path, who may use it, what it takes and gives, as one value.
Routing, judging and the OpenAPI document are all made from these values, so that none can differ from the others.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from dnsguard.api.documents import Answer, Request
from dnsguard.api.problems import Kind
from dnsguard.api.tokens import Access
from dnsguard.api.visit import Visit


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query or a header that means something; ``schema`` is JSON Schema."""

    name: str
    place: Literal["query", "header"]
    about: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. ``access`` of None means that no token is needed."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    about: str
    access: Access | None
    answer: Callable[[Visit], Awaitable[web.Response]]
    answers: Mapping[int, type[Answer] | str]
    """By status: the answer's type, or its media type where it is no document of ours."""
    body: type[Request] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[Kind, ...] = ()
    urgent: bool = False
    """Answered even when the door is crowded."""
    every_zone: bool = False
    """Tells of all zones, so a token for some of them is not enough."""
    dry: type[Answer] | None = None
    """The other answer with status 200, to a dry run."""

    @property
    def query(self) -> frozenset[str]:
        """The names of the query's parameters."""
        return frozenset(parameter.name for parameter in self.parameters if parameter.place == "query")
