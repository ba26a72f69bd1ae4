"""From a request's document to a plan: names, types, TTLs and rdata in their one canonical form.
All that is not well formed is collected, each with the place where it stands. Nothing here asks what the zone holds.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from dnsguard.api.documents import PlanWanted, Request, RequestError, RRsetNamed, RRsetWanted
from dnsguard.api.limits import Limits
from dnsguard.api.problems import NOT_VALID, REFUSED, errors_of, malformed, of_errors, of_refusal
from dnsguard.api.strict_json import JsonRefused, decode, scan
from dnsguard.core.names import NameRefused, parse_name
from dnsguard.core.plan import Absence, Plan, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.rdata_names import canonical_rdata
from dnsguard.core.records import Key, RecordRefused, Records, make_records, parse_rdata, parse_ttl, parse_type
from dnsguard.core.refusal import REFUSALS_MAX, Refusal
from dnsguard.core.submission import too_many_records, too_many_rrsets

Wish = TypeVar("Wish", bound=Request)
_T = TypeVar("_T")

_PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<expected>.*), got (?P<found>.*)", re.DOTALL)
_BIDI_CONTROLS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Abandoned(Exception):
    """Nobody waits for this any more."""


class Faults:
    """All that is wrong with a request's body, up to a bound: then the problem is raised with what was found so far."""

    def __init__(self) -> None:
        """Start with none."""
        self._errors: list[RequestError] = []

    def add(self, error: RequestError) -> None:
        """Note one. Raises ProblemRaised at the bound."""
        self._errors.append(error)
        if len(self._errors) == REFUSALS_MAX:
            self.raise_any()

    def refuse(self, detail: str, expected: str, found: str, pointer: str) -> None:
        """Note something that is not well formed."""
        shown = found if len(found) <= 200 else f"{found[:160]}… ({len(found)} characters)"
        self.add(RequestError(detail=detail, pointer=pointer, guard="well_formed", expected=expected, found=shown))

    def refused(self, refusal: Refusal, pointer: str) -> None:
        """Note what a guard refuses."""
        for error in errors_of(refusal):
            self.add(msgspec.structs.replace(error, pointer=pointer))

    def raise_any(self) -> None:
        """Raise a problem with all that was noted, in the order of the document, if there is anything."""
        if self._errors:
            kind = REFUSED if all(error.guard is not None for error in self._errors) else NOT_VALID
            raise of_errors(kind, sorted(self._errors, key=_place_of))


def _place_of(error: RequestError) -> list[str]:
    return [part.rjust(9) if part.isdigit() else part for part in (error.pointer or "").split("/")]


def read_document(body: bytes | bytearray, kind: type[Wish], limits: Limits) -> Wish:
    """Read a body as strict JSON of a schema: 400 if it is not JSON, 422 with all that does not fit."""
    _scan(body, limits, lambda: False)
    try:
        return _decoded(body, kind)
    except msgspec.ValidationError:
        faults = Faults()
        _note_misfits(_decoded(body, object), kind, faults)
        faults.raise_any()
        raise


def _scan(body: bytes | bytearray, limits: Limits, abandoned: Callable[[], bool]) -> None:
    def checkpoint() -> None:
        if abandoned():
            raise Abandoned

    try:
        scan(body, limits.depth_max, limits.values_max, checkpoint)
    except JsonRefused as error:
        raise malformed(str(error)) from None


def _decoded(body: bytes | bytearray, kind: type[_T]) -> _T:
    try:
        return decode(body, kind)
    except JsonRefused as error:
        raise malformed(str(error)) from None


def _note_misfits(value: object, kind: type[Request], faults: Faults) -> None:
    for error in islice(_misfits(value, kind, ""), REFUSALS_MAX):
        faults.add(error)


def _misfits(value: object, kind: Any, pointer: str) -> Iterator[RequestError]:  # noqa: ANN401  any type of the schema
    """Yield what of a value does not fit a type of the schema: its fields and its items one by one."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        sentence = str(error)
    else:
        return
    found = False
    for each in _misfits_within(value, kind, pointer):
        found = True
        yield each
    if not found:
        yield _misfit(sentence, pointer)


def _misfits_within(value: object, kind: Any, pointer: str) -> Iterator[RequestError]:  # noqa: ANN401  as above
    args = get_args(kind)
    if hasattr(kind, "__metadata__"):  # Annotated
        yield from _misfits_within(value, args[0], pointer)
    elif isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        for name, field in fields.items():
            if name in value:
                yield from _misfits(value[name], field.type, f"{pointer}/{_escaped(name)}")
            elif field.required:
                yield _misfit(f"Object missing required field `{name}`", pointer)
        for name in value:
            if name not in fields:
                yield _misfit(f"Object contains unknown field `{name[:80]}`", f"{pointer}/{_escaped(name[:80])}")
    elif isinstance(value, list) and get_origin(kind) is tuple:
        for index, item in enumerate(value):
            yield from _misfits(item, args[0], f"{pointer}/{index}")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _misfit(sentence: str, pointer: str) -> RequestError:
    place = _PLACE.fullmatch(sentence)
    what = (sentence if place is None else place["what"]).replace("`", "'")
    pair = _EXPECTED.fullmatch(what)
    where = f" at {pointer}" if pointer else ""
    return RequestError(
        detail=f"{what[:500]}{where}; the schema is in /openapi.json",
        pointer=pointer,
        expected=None if pair is None else pair["expected"],
        found=None if pair is None else pair["found"],
    )


def read_plan(
    body: bytes | bytearray,
    zone: str,
    policy: Policy,
    based_on: int | None,
    limits: Limits,
    abandoned: Callable[[], bool],
) -> tuple[PlanWanted, Plan]:
    """Read a body and make the plan that it asks for: 400 if it is not JSON, 422 with all that is not well formed.

    Counts are judged before a single record is read. Raises Abandoned when ``abandoned`` says so, which is
    asked before each RRset.
    """
    _scan(body, limits, abandoned)
    faults = Faults()
    try:
        document: PlanWanted | None = _decoded(body, PlanWanted)
    except msgspec.ValidationError:
        document = None
    rrsets: Iterable[tuple[int, RRsetWanted]]
    retire: Iterable[tuple[int, RRsetNamed]]
    if document is None:
        value = _decoded(body, object)
        _note_misfits(value, PlanWanted, faults)
        rrsets, retire = _fitting(value, "rrsets", RRsetWanted), _fitting(value, "retire", RRsetNamed)
    else:
        if (refusal := too_many_rrsets(len(document.rrsets) + len(document.retire), policy)) is not None:
            raise of_refusal(refusal)
        _check_reason(document.reason, faults)
        rrsets, retire = enumerate(document.rrsets), enumerate(document.retire)
    wanted = _read_rrsets(rrsets, retire, zone, policy, faults, abandoned)
    faults.raise_any()
    if document is None:
        raise AssertionError("expected a fault in what does not fit the schema")
    plan = make_plan(
        zone,
        wanted,
        reason=document.reason,
        adopt=document.adopt,
        based_on=based_on,
        stated=document.generation,
    )
    return document, plan


def _fitting(value: object, name: str, kind: type[Wish]) -> Iterator[tuple[int, Wish]]:
    """Yield the items of a list that fit the schema, so that what else is wrong with them is said at once, too."""
    items = value.get(name) if isinstance(value, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        try:
            fits = msgspec.convert(item, kind)
        except msgspec.ValidationError:
            continue
        yield index, fits


def _read_rrsets(
    rrsets: Iterable[tuple[int, RRsetWanted]],
    retire: Iterable[tuple[int, RRsetNamed]],
    zone: str,
    policy: Policy,
    faults: Faults,
    abandoned: Callable[[], bool],
) -> dict[Key, Wanted]:
    wanted: dict[Key, Wanted] = {}
    seen: set[Key] = set()
    for index, rrset in rrsets:
        if abandoned():
            raise Abandoned
        pointer = f"/rrsets/{index}"
        name = read_name(rrset.name, zone, f"{pointer}/name", faults)
        rdtype = read_type(rrset.type, f"{pointer}/type", faults)
        key = None if rdtype is None else Key(name or rrset.name[:80], rdtype)
        records = _read_records(key, rrset, policy, pointer, faults)
        if name is None or key is None:
            continue
        if key in seen:
            faults.refuse(f"{key} stands twice in the plan; name each RRset once", "each RRset once", str(key), pointer)
        seen.add(key)
        if records is not None:
            wanted[key] = records
    for index, named in retire:
        pointer = f"/retire/{index}"
        key = _read_key(named, zone, pointer, faults)
        if key is None:
            continue
        if key in seen:
            twice = "is retired twice" if wanted.get(key) is Absence.RETIRED else "is both set and retired"
            faults.refuse(f"{key} {twice} in the plan; name each RRset once", "each RRset once", str(key), pointer)
        seen.add(key)
        wanted[key] = Absence.RETIRED
    return wanted


def pointers_of(document: PlanWanted, zone: str) -> dict[Key, str]:
    """Return where in a plan's document, which is well formed, each RRset stands."""
    named: list[tuple[str, RRsetWanted | RRsetNamed]] = [
        *((f"/rrsets/{index}", rrset) for index, rrset in enumerate(document.rrsets)),
        *((f"/retire/{index}", rrset) for index, rrset in enumerate(document.retire)),
    ]
    return {Key(parse_name(rrset.name, zone), parse_type(rrset.type)): pointer for pointer, rrset in named}


def read_keys(named: Sequence[RRsetNamed], zone: str) -> frozenset[Key]:
    """Read the RRsets that a rollback is limited to; naming one twice is no harm."""
    faults = Faults()
    keys = [_read_key(rrset, zone, f"/rrsets/{index}", faults) for index, rrset in enumerate(named)]
    faults.raise_any()
    return frozenset(key for key in keys if key is not None)


def _read_key(rrset: RRsetWanted | RRsetNamed, zone: str, pointer: str, faults: Faults) -> Key | None:
    """Read an owner name and a type; None if one of them is not well formed."""
    name = read_name(rrset.name, zone, f"{pointer}/name", faults)
    rdtype = read_type(rrset.type, f"{pointer}/type", faults)
    return None if name is None or rdtype is None else Key(name, rdtype)


def read_type(text: str, pointer: str, faults: Faults) -> str | None:
    """Read a record type; None if it is not well formed."""
    try:
        return parse_type(text)
    except RecordRefused as error:
        faults.refuse(str(error), "a record type", text, pointer)
        return None


def read_name(text: str, zone: str, pointer: str, faults: Faults) -> str | None:
    """Read an owner name, relative to the zone or absolute; None if it is not well formed."""
    try:
        return parse_name(text, zone)
    except NameRefused as error:
        faults.refuse(str(error), "a domain name", text, pointer)
        return None


def _read_records(key: Key | None, rrset: RRsetWanted, policy: Policy, pointer: str, faults: Faults) -> Records | None:
    """Read an RRset's contents; of one whose type cannot be read only the TTL is looked at."""
    ttl = None
    try:
        ttl = parse_ttl(rrset.ttl)
    except RecordRefused as error:
        faults.refuse(str(error), "a TTL in seconds", str(rrset.ttl), f"{pointer}/ttl")
    if key is None:
        return None
    if not rrset.records:
        detail = f"{key} would be left without records; give at least one, or name it in 'retire'"
        faults.refused(Refusal("never_empty", detail, "≥ 1 record", "0"), f"{pointer}/records")
        return None
    if (refusal := too_many_records(key, len(rrset.records), policy)) is not None:
        faults.refused(refusal, f"{pointer}/records")
        return None
    rdatas: list[bytes] = []
    known: dict[bytes, int] = {}
    for index, text in enumerate(rrset.records):
        place = f"{pointer}/records/{index}"
        try:
            rdata = parse_rdata(key.type, text)
        except RecordRefused as error:
            faults.refuse(str(error), f"{key.type} rdata in presentation format", text, place)
            continue
        if (first := known.setdefault(canonical_rdata(key.type, rdata), index)) != index:
            detail = f"{key} has the same record twice (records {first} and {index}); name each once"
            faults.refuse(detail, "each record once", text, place)
        rdatas.append(rdata)
    return make_records(key.type, ttl, rdatas) if ttl is not None and len(known) == len(rrset.records) else None


def read_reason(reason: str) -> str:
    """Refuse a reason that would break or disguise the lines that show it."""
    faults = Faults()
    _check_reason(reason, faults)
    faults.raise_any()
    return reason


def _check_reason(reason: str, faults: Faults) -> None:
    for char in reason:
        if unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char in _BIDI_CONTROLS:
            faults.refuse(
                f"the reason must be one line of text without control characters, and has U+{ord(char):04X}",
                "text on one line",
                f"U+{ord(char):04X}",
                "/reason",
            )
            return
