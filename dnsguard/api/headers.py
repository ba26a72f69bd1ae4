"""Request headers that mean something here: Authorization, If-Match, Idempotency-Key, Prefer.
Each is read strictly into a value; what could be meant in two ways is refused with the way to write it.
"""

import re

from multidict import CIMultiDictProxy

from dnsguard.api.desk import WaitFor
from dnsguard.api.documents import GENERATION_MAX
from dnsguard.api.problems import FORBIDDEN, IF_MATCH_MISSING, UNAUTHENTICATED, ProblemRaised, malformed
from dnsguard.api.tokens import Token, Tokens

Headers = CIMultiDictProxy[str]

_ENTITY_TAG = re.compile(r'"(0|[1-9][0-9]{0,18})"')
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PREFERENCE = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)
_WAIT_FOR = re.compile(r"\s*wait-for\s*=\s*(\"?)(published|propagated)\1\s*", re.IGNORECASE)


def authenticate(headers: Headers, tokens: Tokens) -> Token:
    """Return the token that a request presents: 401 without one, 403 with one that is not known."""
    values = headers.getall("Authorization", [])
    scheme, _, presented = values[0].partition(" ") if values else ("", "", "")
    if len(values) > 1 or scheme.lower() != "bearer" or not (presented := presented.strip()):
        raise ProblemRaised(
            UNAUTHENTICATED,
            "expected one header 'Authorization: Bearer TOKEN', found none; the administrator's token is in "
            "admin.token in the daemon's data folder",
            headers={"WWW-Authenticate": 'Bearer realm="dnsguard"'},
            close=True,
        )
    token = tokens.find(presented)
    if token is None:
        raise ProblemRaised(FORBIDDEN, "expected a token known here, found another one", close=True)
    return token


def based_on(headers: Headers) -> int | None:
    """Return the generation that a change was made from, None for ``*``: 428 without If-Match (RFC 9110, 13.1.1)."""
    values = headers.getall("If-Match", [])
    if not values:
        raise ProblemRaised(
            IF_MATCH_MISSING,
            'expected If-Match with the generation that the change was made from, such as If-Match: "41" (the '
            "zone's ETag), or If-Match: * for whatever it is; found none",
        )
    text = values[0].strip()
    if len(values) == 1 and text == "*":
        return None
    match = _ENTITY_TAG.fullmatch(text)
    if len(values) > 1 or match is None or int(match[1]) > GENERATION_MAX:
        shown = ", ".join(values)[:80]
        raise malformed(
            f'expected If-Match with one strong entity tag, a generation in quotes such as "41", or *; found {shown}'
        )
    return int(match[1])


def idempotency_key(headers: Headers) -> str | None:
    """Return the key under which a repetition is known, None without one: 1 to 255 visible ASCII characters."""
    values = headers.getall("Idempotency-Key", [])
    if not values:
        return None
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        raise malformed("expected one Idempotency-Key of 1 to 255 visible ASCII characters, found something else")
    return values[0]


def wait_s(headers: Headers, most: int) -> int | None:
    """Return how long the client prefers to wait, at most ``most`` seconds; None if it does not say (RFC 7240).

    Preferences that are not understood are ignored, as section 2 wants it; the first ``wait`` counts.
    """
    for preference in ",".join(headers.getall("Prefer", [])).split(","):
        if (match := _PREFERENCE.fullmatch(preference)) is not None:
            return min(int(match[1]), most)
    return None


def wait_for(headers: Headers) -> WaitFor:
    """Return what the client waits for: a preference of its own or a parameter of ``wait``; the first one counts."""
    for preference in re.split("[,;]", ",".join(headers.getall("Prefer", []))):
        if (match := _WAIT_FOR.fullmatch(preference)) is not None:
            return "propagated" if match[2].lower() == "propagated" else "published"
    return "published"
