"""From a settings document to typed values, with the place of what is wrong: of three hundred zones, which one.
Only names of settings and sections are said, never a value, which could be a secret.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec

NAMED_MAX = 3
"""So many wrong entries are named, and the others counted."""
_UNKNOWN = re.compile("Object contains unknown field `(.+)`")

Kind = TypeVar("Kind", bound=msgspec.Struct)


class Mistaken(Exception):
    """A document is not as it should be; the message says what is wrong where."""


def convert(document: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """Make a value of a document. Raises Mistaken."""
    try:
        return msgspec.convert(document, kind, strict=True)
    except msgspec.ValidationError as error:
        found = list(_by_entry(document, kind)) or [_said(error, kind, "")]
    more = f"; and {len(found) - NAMED_MAX} more like that" if len(found) > NAMED_MAX else ""
    raise Mistaken("; ".join(found[:NAMED_MAX]) + more)


def _by_entry(document: Mapping[str, Any], kind: type[msgspec.Struct]) -> Iterator[str]:
    """Look at each entry of a section that has any number of them, for the library tells which section alone."""
    for field in msgspec.structs.fields(kind):
        section = document.get(field.encode_name)
        if get_origin(field.type) is not dict or not isinstance(section, dict):
            continue
        entry_kind = get_args(field.type)[1]
        for name, entry in section.items():
            try:
                msgspec.convert(entry, entry_kind, strict=True)
            except msgspec.ValidationError as error:
                yield _said(error, entry_kind, f"{field.encode_name}.{name!r}")


def _said(error: msgspec.ValidationError, kind: type[msgspec.Struct], where: str) -> str:
    what, _, path = str(error).partition(" - at ")
    path = path.strip("`").removeprefix("$").removeprefix(".")
    said = f"{what[:1].lower()}{what[1:]}"
    if (unknown := _UNKNOWN.fullmatch(what)) is not None:
        for near in difflib.get_close_matches(unknown[1], _names(kind, path), 1):
            said += f", did you mean `{near}`?"
    whole = ".".join(part for part in (where, path) if part)
    return said + (f" (at {whole})" if whole else "")


def _names(kind: Any, path: str) -> list[str]:  # noqa: ANN401  whatever a field's type is
    """Return the names of the settings at a place."""
    for part in filter(None, path.split(".")):
        kind = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}.get(part)
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            return []
    return [field.encode_name for field in msgspec.structs.fields(kind)]
