"""Every no and every fault that the door can answer, as RFC 9457 problem documents.
A kind is a page in the documentation; a `ProblemRaised` is one case of it. No traceback ever gets into one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from msgspec import structs

from dnsguard.api.documents import Problem, RequestError, encode
from dnsguard.core.records import Key
from dnsguard.core.refusal import REFUSALS_MAX, Refusal

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: the last part of its type, its title, its status, and when it comes."""

    slug: str
    title: str
    status: int
    about: str

    @property
    def type(self) -> str:
        """The URI reference that programs compare."""
        return f"/problems/{self.slug}"


MALFORMED = Kind("malformed", "The request is malformed", 400, "The JSON, a header or a parameter cannot be read.")
UNAUTHENTICATED = Kind("token-missing", "A bearer token is needed", 401, "No Authorization: Bearer was sent.")
FORBIDDEN = Kind("forbidden", "The token does not allow this", 403, "Unknown token, or not enough access for this.")
NOT_FOUND = Kind("not-found", "There is no such thing", 404, "The path, the zone or the generation is not known here.")
METHOD = Kind("method", "The method is not possible here", 405, "See the Allow header.")
TIMEOUT = Kind("too-slow", "The request took too long to arrive", 408, "The body did not arrive in time.")
GENERATION_BEHIND = Kind(
    "generation-behind", "The stated generation is not above the newest", 409, "See newest; state a higher one."
)
RESYNC_REFUSED = Kind("resync-refused", "There is nothing to settle, or no way to", 409, "The detail says why.")
NOT_COMPARABLE = Kind(
    "not-comparable", "The zone cannot be compared now", 409, "Its fence is gone, too far behind, or another history's."
)
ADOPTION_REFUSED = Kind("adoption-refused", "This cannot be taken over as it stands", 409, "The detail says why.")
NOT_WITHDRAWABLE = Kind(
    "not-withdrawable", "The plan cannot be withdrawn", 409, "It is published or rejected; the detail says what to do."
)
WITHDRAWN = Kind("withdrawn", "The plan was accepted, then withdrawn", 409, "None of it was published.")
STALE = Kind("stale", "The zone has changed since the plan was made", 412, "See rrset, generation and actor.")
TOO_LARGE = Kind("too-large", "The body is too large", 413, "Nothing of it was read on.")
MEDIA_TYPE = Kind("media-type", "The body is not JSON", 415, "Send Content-Type: application/json, unencoded.")
EXPECTATION = Kind("expectation", "The expectation cannot be met", 417, "Only Expect: 100-continue is known.")
NOT_VALID = Kind("not-valid", "The body does not fit its schema", 422, "See errors; the schema is in /openapi.json.")
REFUSED = Kind("refused", "A guard refuses this", 422, "See errors, each with guard, expected and found.")
KEY_REUSED = Kind("key-reused", "The Idempotency-Key belongs to another request", 422, "See generation.")
REJECTED = Kind("rejected", "The plan was accepted, then rejected", 422, "By the name server, or a guard asked again.")
MISDIRECTED = Kind("misdirected", "The request is for another host", 421, "See host_names in the settings.")
IF_MATCH_MISSING = Kind("if-match-missing", "If-Match is needed", 428, 'Send the generation as "41", or *.')
INTERNAL = Kind("internal", "Something broke", 500, "The daemon's log has the details.")
FAULTED = Kind("faulted", "The name server shows something else than was published", 502, "See detail.")
BUSY = Kind("busy", "Too much at once", 503, "Try again after Retry-After seconds.")
DEADLINE = Kind("deadline", "The answer took too long", 503, "With a change, its outcome is unclear: read the plans.")
NOT_READY = Kind("not-ready", "The daemon is not ready", 503, "See missing.")
UNREACHABLE = Kind("unreachable", "The name server does not answer", 503, "Nor does it let the zone be transferred.")
STORE = Kind("store", "The database does not answer", 503, "Nothing was accepted, or its outcome is unclear.")
UNCLEAR = Kind(
    "unclear", "Whether the change was accepted is not known", 503, "Repeat it with its Idempotency-Key, or look first."
)

KINDS: tuple[Kind, ...] = tuple(kind for kind in list(globals().values()) if isinstance(kind, Kind))


class ProblemRaised(Exception):
    """One case of a problem, on its way to the client. ``members`` are the further fields of the document.

    ``close``: the connection ends with this answer, since the rest of the request is not wanted.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.members = dict(members or {})
        self.headers = dict(headers or {})
        self.close = close

    def response(self) -> web.Response:
        """Return the answer."""
        kind = self.kind
        document = Problem(
            type=kind.type,
            title=kind.title,
            status=kind.status,
            detail=_clean(self.detail),
            **{name: _clean(value) for name, value in self.members.items()},
        )
        response = web.Response(
            status=kind.status, body=encode(document), content_type=CONTENT_TYPE, headers=self.headers
        )
        response.headers["Cache-Control"] = "no-store"
        if self.close:
            response.force_close()
        return response


def _clean(value: Any) -> Any:  # noqa: ANN401  members are of many types
    """Make text fit for JSON: header octets that are no UTF-8 arrive as lone surrogates."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def malformed(detail: str) -> ProblemRaised:
    """Say that the request cannot be read."""
    return ProblemRaised(MALFORMED, detail)


def busy(detail: str, *, close: bool = False) -> ProblemRaised:
    """Say that there is too much to do just now."""
    return ProblemRaised(BUSY, detail, headers={"Retry-After": "1"}, close=close)


def of_refusal(refusal: Refusal, pointers: Mapping[Key, str] | None = None) -> ProblemRaised:
    """Turn a guard's no into a problem: 412 for a stale plan, 409 for a generation that goes back, else 422.

    ``pointers`` says where in the request each RRset stands.
    """
    kind = {"made_from_what_stands": STALE, "generation_forward": GENERATION_BEHIND}.get(refusal.guard, REFUSED)
    return of_errors(kind, errors_of(refusal, pointers), dict(refusal.about))


def errors_of(refusal: Refusal, pointers: Mapping[Key, str] | None = None) -> tuple[RequestError, ...]:
    """List all that is refused."""
    return tuple(
        RequestError(
            detail=each.detail,
            pointer=None if pointers is None or each.key is None else pointers.get(each.key),
            guard=each.guard,
            expected=each.expected,
            found=each.found,
        )
        for each in refusal.all()
    )


def of_errors(kind: Kind, errors: Sequence[RequestError], members: Mapping[str, object] | None = None) -> ProblemRaised:
    """Make a problem of all that is wrong with a request; the first error is the problem's own detail."""
    first = errors[0]
    own = {name: getattr(first, name) for name in ("guard", "expected", "found", "pointer")}
    said = {name: value for name, value in own.items() if value is not None}
    bound = "at least " if len(errors) == REFUSALS_MAX else ""
    more = "" if len(errors) == 1 else f" (and {bound}{len(errors) - 1} more; see errors)"
    listed = tuple(structs.replace(each, detail=_clean(each.detail), found=_clean(each.found)) for each in errors)
    return ProblemRaised(kind, first.detail + more, said | dict(members or {}) | {"errors": listed})
