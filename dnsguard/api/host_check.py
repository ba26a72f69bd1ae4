"""Whether a request's Host header names this server: a page in a browser whose own name was pointed at this address
(DNS rebinding) sends its own name. An address in the header is no danger, since it cannot be pointed elsewhere.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from dnsguard.api.problems import MISDIRECTED, ProblemRaised, malformed


def expect_own_host(request: web.Request, host_names: frozenset[str]) -> None:
    """Raise a problem unless Host is an address, a name of loopback, or one of ``host_names`` (lower case).

    HTTP/1.1 demands exactly one Host (RFC 9112 section 3.2); HTTP/1.0 may do without.
    """
    values = request.headers.getall(hdrs.HOST, [])
    if not values and request.version < (1, 1):
        return
    if len(values) != 1:
        raise malformed(f"expected one Host header, found {len(values)}")
    if not is_own_host(values[0], host_names):
        raise ProblemRaised(
            MISDIRECTED,
            "the Host header names another host; use the server's address or localhost, or have this name listed in "
            "host_names under [http] in the daemon's settings",
            close=True,
        )


def is_own_host(text: str, host_names: frozenset[str]) -> bool:
    """Tell whether a Host header's value, with or without a port, is an address or one of the names."""
    try:
        parts = urlsplit(f"//{text}")
        host = (parts.hostname or "").removesuffix(".")
        usable = parts.netloc == text and parts.username is None and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False
    if not usable or not host:
        return False
    if host == "localhost" or host.endswith(".localhost") or host in host_names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
