"""What of a request may be written to a log: words of this program, numbers, and names of zones that are served.

Anything else that a client sent may hold a secret or imitate a line of the log: a path, a query, a header, a whole
head, and with them the messages of exceptions that were raised while these were read.
"""

import traceback

from aiohttp import hdrs, http_exceptions, web

from dnsguard.api.room import Room

DIGITS_MAX = 20
QUOTED_CHARACTERS_MIN = 8
"""A shorter word in common proves nothing."""

_MALFORMED = (
    (http_exceptions.BadHttpMethod, "an invalid method"),
    (http_exceptions.InvalidURLError, "an invalid request target"),
    (http_exceptions.LineTooLong, "a request line or header field that is too long"),
    (http_exceptions.BadStatusLine, "an invalid request line"),
    (http_exceptions.InvalidHeader, "an invalid header field"),
    (http_exceptions.TransferEncodingError, "an invalid Transfer-Encoding"),
    (http_exceptions.ContentLengthError, "an invalid Content-Length"),
)
_REASONS = {
    # What aiohttp's parser in C says in the first line of a message that goes on to quote the request.
    "Invalid header token": "an invalid header name",
    "Invalid header field char": "an invalid header name",
    "Invalid header value char": "an invalid character in a header value",
    "Missing expected CR after header value": "a header line that does not end in CR LF",
    "Missing expected LF after header value": "a header line that does not end in CR LF",
    "Expected LF after CR": "a line that does not end in CR LF",
    "Expected CRLF after version": "a request line that does not end in CR LF",
    "Expected CRLF": "a line that does not end in CR LF",
    "Unexpected whitespace after header value": "a folded header",
    "Expected HTTP/, RTSP/ or ICE/": "no HTTP version in the request line",
    "Invalid HTTP version": "another version of HTTP",
    "Received HTTPS traffic on an HTTP port": "TLS on a port that speaks plain HTTP",
    "Request has invalid `Transfer-Encoding`": "an invalid Transfer-Encoding",
    "Invalid character in chunk size": "an invalid chunk size",
    "Invalid character in Content-Length": "an invalid Content-Length",
    "Content-Length can't be present with Transfer-Encoding": "both Content-Length and Transfer-Encoding",
    "Transfer-Encoding can't be present with Content-Length": "both Content-Length and Transfer-Encoding",
}


def method(request: web.BaseRequest) -> str:
    """Return a known method; aiohttp's parser in Python takes any token for one."""
    return request.method if request.method in hdrs.METH_ALL else "unknown"


def path(request: web.Request, room: Room, zone: str) -> str | None:
    """Return the route's path with the zone's name, if it is served, and with numbers; None if there is no route."""
    resource = request.match_info.route.resource
    if resource is None:
        return None
    text = resource.canonical
    for name, value in request.match_info.items():
        if name == "zone" and zone and room.desk.planner(zone) is not None:
            text = text.replace("{zone}", zone)
        elif value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
            text = text.replace(f"{{{name}}}", value)
    return text


def malformation(error: BaseException | None) -> str:
    """Say what is wrong with a request's head, without anything of it."""
    reason = error.message.split("\n")[0] if isinstance(error, http_exceptions.HttpProcessingError) else ""
    if (words := _REASONS.get(reason.strip().removesuffix(":"))) is not None:
        return words
    return next((words for kind, words in _MALFORMED if isinstance(error, kind)), "something else")


def quotes(error: BaseException, request: web.BaseRequest) -> bool:
    """Tell whether an exception's message has a word of the request's head, which may be a secret."""
    said = "".join(traceback.format_exception(error))
    words = (word for text in (*request.headers.values(), request.path_qs) for word in text.split())
    return any(len(word) >= QUOTED_CHARACTERS_MIN and word in said for word in words)


def frames(error: BaseException) -> list[str]:
    """Return where an exception was raised, innermost last, and its type; not its message."""
    stack = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return [*stack, type(error).__name__]
