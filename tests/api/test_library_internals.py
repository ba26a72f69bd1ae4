"""What is used of aiohttp beyond its documentation: another release may have changed it without a word."""

import inspect
import re
import tomllib
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from packaging.requirements import Requirement

OVERRIDDEN = {
    # By each of these, aiohttp would write what a client sent to a log, or wait for a client without a bound.
    "handle_error": ["self", "request", "status", "exc", "message"],
    "log_exception": ["self", "args", "kw"],
    "log_debug": ["self", "args", "kw"],
    "finish_response": ["self", "request", "resp", "start_time"],
    "data_received": ["self", "data"],
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
}


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_is_overridden_is_there_and_takes_the_same(name: str) -> None:
    assert list(inspect.signature(getattr(RequestHandler, name)).parameters) == OVERRIDDEN[name]


def test_the_handler_logs_only_by_what_is_overridden() -> None:
    source = inspect.getsource(RequestHandler)
    callers = {
        name
        for name, member in inspect.getmembers(RequestHandler, inspect.isfunction)
        if re.search(r"\blogger\.(?!enabled)|access_logger\.log\b", inspect.getsource(member))
    }
    assert callers == {"log_debug", "log_exception", "handle_error", "log_access"}
    assert source.count("access_logger.enabled") >= 1  # the access log is off as long as its logger says so


def test_a_server_hands_out_what_a_connection_needs() -> None:
    assert "manager" in inspect.signature(RequestHandler).parameters
    assert {"access_log_class", "lingering_time", "auto_decompress"} <= set(
        inspect.signature(RequestHandler).parameters
    )
    assert isinstance(web.AppRunner.server, property)


def test_the_release_in_use_is_within_the_bounds_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    (needed,) = (each for each in map(Requirement, project["dependencies"]) if each.name == "aiohttp")
    assert needed.specifier.contains(aiohttp.__version__)
    assert any(each.operator == "<" for each in needed.specifier)
