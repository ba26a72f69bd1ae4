"""From a request's document to a plan: names, types, TTLs and rdata in their one canonical form.
Whatever is not well formed is refused with the place where it stands. Nothing here asks what the zone holds.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

import msgspec

from dnsguard.api.documents import PlanWanted, Request, RRsetNamed, RRsetWanted
from dnsguard.api.problems import NOT_VALID, ProblemRaised, malformed, of_refusal
from dnsguard.api.strict_json import JsonRefused, loads
from dnsguard.core.names import NameRefused, parse_name
from dnsguard.core.plan import Absence, Plan, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.rdata_names import canonical_rdata
from dnsguard.core.records import Key, RecordRefused, Records, make_records, parse_rdata, parse_ttl, parse_type
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import too_many_records, too_many_rrsets

Wish = TypeVar("Wish", bound=Request)

_PLACE = re.compile(r"(?P<what>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<expected>.*), got (?P<found>.*)", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")
_BIDI_CONTROLS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Abandoned(Exception):
    """Nobody waits for this any more."""


def read_document(body: bytes, kind: type[Wish], depth_max: int) -> Wish:
    """Read a body as strict JSON of a schema: 400 if it is not JSON, 422 if it does not fit."""
    try:
        value = loads(body, depth_max)
    except JsonRefused as error:
        raise malformed(str(error)) from None
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _not_valid(str(error)) from None


def _not_valid(sentence: str) -> ProblemRaised:
    place = _PLACE.fullmatch(sentence)
    what, path = (sentence, "") if place is None else (place["what"], place["path"] or "")
    pointer = "".join(f"/{field or index}" for field, index in _STEP.findall(path))
    members: dict[str, object] = {"pointer": pointer}
    what = what.replace("`", "'")
    if (pair := _EXPECTED.fullmatch(what)) is not None:
        members |= {"expected": pair["expected"], "found": pair["found"]}
    where = f" at {pointer}" if pointer else ""
    return ProblemRaised(NOT_VALID, f"{what[:500]}{where}; the schema is in /openapi.json", members)


def read_plan(
    document: PlanWanted,
    zone: str,
    policy: Policy,
    based_on: int | None,
    abandoned: Callable[[], bool],
) -> Plan:
    """Make the plan that a document asks for: 422 with guard and pointer for what is not well formed.

    Counts are judged before a single record is read. Raises Abandoned when ``abandoned`` says so, which is
    asked before each RRset.
    """
    if (refusal := too_many_rrsets(len(document.rrsets) + len(document.retire), policy)) is not None:
        raise of_refusal(refusal)
    read_reason(document.reason)
    wanted: dict[Key, Wanted] = {}
    for index, rrset in enumerate(document.rrsets):
        if abandoned():
            raise Abandoned
        pointer = f"/rrsets/{index}"
        key = read_key(rrset, zone, pointer)
        if key in wanted:
            _refuse(f"{key} stands twice in the plan; name each RRset once", "each RRset once", str(key), pointer)
        wanted[key] = _read_records(key, rrset, policy, pointer)
    for index, named in enumerate(document.retire):
        pointer = f"/retire/{index}"
        key = read_key(named, zone, pointer)
        if (there := wanted.get(key)) is not None:
            twice = "is retired twice" if there is Absence.RETIRED else "is both set and retired"
            _refuse(f"{key} {twice} in the plan; name each RRset once", "each RRset once", str(key), pointer)
        wanted[key] = Absence.RETIRED
    return make_plan(
        zone,
        wanted,
        reason=document.reason,
        adopt=document.adopt,
        based_on=based_on,
        stated=document.generation,
    )


def read_keys(named: Sequence[RRsetNamed], zone: str) -> frozenset[Key]:
    """Read the RRsets that a rollback is limited to; naming one twice is no harm."""
    return frozenset(read_key(rrset, zone, f"/rrsets/{index}") for index, rrset in enumerate(named))


def read_key(rrset: RRsetWanted | RRsetNamed, zone: str, pointer: str) -> Key:
    """Read an owner name and a type."""
    return Key(read_name(rrset.name, zone, f"{pointer}/name"), read_type(rrset.type, f"{pointer}/type"))


def read_type(text: str, pointer: str) -> str:
    """Read a record type."""
    try:
        return parse_type(text)
    except RecordRefused as error:
        _refuse(str(error), "a record type", text, pointer)


def read_name(text: str, zone: str, pointer: str) -> str:
    """Read an owner name, relative to the zone or absolute."""
    try:
        return parse_name(text, zone)
    except NameRefused as error:
        _refuse(str(error), "a domain name", text, pointer)


def _read_records(key: Key, rrset: RRsetWanted, policy: Policy, pointer: str) -> Records:
    if not rrset.records:
        raise of_refusal(
            Refusal(
                "never_empty",
                f"{key} would be left without records; give at least one, or name it in 'retire'",
                "≥ 1 record",
                "0",
            ),
            f"{pointer}/records",
        )
    if (refusal := too_many_records(key, len(rrset.records), policy)) is not None:
        raise of_refusal(refusal, f"{pointer}/records")
    try:
        ttl = parse_ttl(rrset.ttl)
    except RecordRefused as error:
        _refuse(str(error), "a TTL in seconds", str(rrset.ttl), f"{pointer}/ttl")
    rdatas: list[bytes] = []
    known: dict[bytes, int] = {}
    for index, text in enumerate(rrset.records):
        place = f"{pointer}/records/{index}"
        try:
            rdata = parse_rdata(key.type, text)
            same_as = canonical_rdata(key.type, rdata)
        except RecordRefused as error:
            _refuse(str(error), f"{key.type} rdata in presentation format", text, place)
        if (first := known.setdefault(same_as, index)) != index:
            _refuse(
                f"{key} has the same record twice (records {first} and {index}); name each once",
                "each record once",
                text,
                place,
            )
        rdatas.append(rdata)
    return make_records(key.type, ttl, rdatas)


def read_reason(reason: str) -> str:
    """Refuse a reason that would break or disguise the lines that show it."""
    for char in reason:
        if unicodedata.category(char) in {"Cc", "Zl", "Zp"} or char in _BIDI_CONTROLS:
            _refuse(
                f"the reason must be one line of text without control characters, and has U+{ord(char):04X}",
                "text on one line",
                f"U+{ord(char):04X}",
                "/reason",
            )
    return reason


def _refuse(detail: str, expected: str, found: str, pointer: str) -> NoReturn:
    shown = found if len(found) <= 200 else f"{found[:160]}… ({len(found)} characters)"
    raise of_refusal(Refusal("well_formed", detail, expected, shown), pointer) from None
