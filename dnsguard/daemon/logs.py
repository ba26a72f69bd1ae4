"""Logging: readable on a terminal, one JSON object a line otherwise; always on standard error, which in this program
never fails (`outlet`): what is logged decides nothing.

Nothing that came from outside can end a line, begin another or steer a terminal: control characters are written as
escapes, in both formats and whatever logger is used.
"""

import logging
import re
import sys
from typing import Any

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# C0 and C1 controls, line and paragraph separators, bidirectional controls, and surrogates, which no stream can encode.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def configure_logs(level: str, form: str) -> None:
    """Set up structlog; ``form`` is "console", "json" or "auto" (by whether standard error is a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            # The console's own formatter would show the values of local variables: requests with their tokens.
            structlog.processors.format_exc_info,
            _escape_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        # A new level is to hold for loggers that have been used before.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_EscapingFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)


def escape_controls(text: str) -> str:
    r"""Return a text on one line: control characters become escapes such as ``\x1b``."""
    return _CONTROLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escape_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback; every line but the first is indented, so none can pass for
    an entry of its own.
    """
    return "\n    ".join(escape_controls(line) for line in text.split("\n"))


def _escape_event(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {
        escape_controls(key): escape_lines(value) if key == "exception" else _escape_value(value)
        for key, value in event.items()
    }


def _escape_value(value: Any) -> Any:  # noqa: ANN401  a field's value is of any type
    match value:
        case str():
            return escape_controls(value)
        case dict():
            return {escape_controls(str(key)): _escape_value(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_escape_value(each) for each in value]
        case None | bool() | int() | float():
            return value
    return escape_controls(str(value))


class _EscapingFormatter(logging.Formatter):
    """For what libraries log by themselves."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message, and a traceback if there is one, without control characters."""
        return escape_lines(super().format(record))
