"""Plan files: JSON or YAML in, the document that the API takes out.
Nothing here changes what the file says: a value that YAML could turn into another one (`NO`, `1.10`, `12:30`) is
refused with its line and the way to write it, and so are doubled keys, anchors, aliases and tags.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dnsguard.api.strict_json import JsonRefused, loads

FILE_OCTETS_MAX = 64 * 2**20
DEPTH_MAX = 16
FAULTS_MAX = 100
"""So many faults of a file are listed; nothing is counted beyond."""
VALUES_MAX = 1_000_000

Document = dict[str, Any]

_NUMBERS = frozenset({"ttl", "generation", "if_match"})
_TRUTHS = frozenset({"adopt", "republish"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
# Words and shapes that YAML 1.1 or YAML 1.2 read as something else than the text that stands there.
_NOT_TEXT = re.compile(
    r"(?:y|n|yes|no|on|off|true|false|null|~|=|<<)"
    r"|[-+]?\.(?:inf|nan)"
    r"|[-+]?[0-9][0-9_]*|[-+]?0[box][0-9a-f_]+"
    r"|[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+)(?:e[-+]?[0-9]+)?|[-+]?[0-9][0-9_]*e[-+]?[0-9]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t \t].*)?",
    re.IGNORECASE,
)


class DocumentRefused(ValueError):
    """A plan file is not well formed; each line of the message says where, what was expected and what was found."""


class _Faults(list[str]):
    """What can be read in two ways, value by value; reading goes on after each, up to a bound."""

    def add(self, fault: str) -> None:
        """Note one. Raises DocumentRefused at the bound."""
        self.append(fault)
        if len(self) == FAULTS_MAX:
            self.raise_any()

    def raise_any(self) -> None:
        """Raise what was noted, if there is anything."""
        if self:
            raise DocumentRefused("\n".join(self))


def read_plan_file(path: str) -> Document:
    """Read a plan from a file, or from standard input for ``-``. Raises DocumentRefused.

    A file is JSON if its name ends in .json or its first character is ``{``, and YAML otherwise.
    """
    shown = "standard input" if path == "-" else path
    try:
        if path == "-":
            octets = sys.stdin.buffer.read(FILE_OCTETS_MAX + 1)
        else:
            with Path(path).open("rb") as file:
                octets = file.read(FILE_OCTETS_MAX + 1)
    except OSError as error:
        raise DocumentRefused(f"cannot read {shown}: {error.strerror}") from None
    if len(octets) > FILE_OCTETS_MAX:
        raise DocumentRefused(f"{shown}: expected at most {FILE_OCTETS_MAX} octets, found more; split the plan")
    try:
        return parse_document(octets, is_json=path.endswith(".json"))
    except DocumentRefused as error:
        raise DocumentRefused("\n".join(f"{shown}: {fault}" for fault in str(error).split("\n"))) from None


def parse_document(octets: bytes, *, is_json: bool = False) -> Document:
    """Read a plan from JSON or YAML in UTF-8. Raises DocumentRefused."""
    if is_json or octets.lstrip().startswith(b"{"):
        value = _parse_json(octets)
    else:
        try:
            value = _parse_yaml(octets.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise DocumentRefused(f"expected UTF-8, found an invalid sequence at octet {error.start}") from None
    if not isinstance(value, dict):
        raise DocumentRefused('expected a mapping with "rrsets" or "retire", found something else')
    return value


def _parse_json(octets: bytes) -> object:
    try:
        return loads(octets, DEPTH_MAX, VALUES_MAX)
    except JsonRefused as error:
        raise DocumentRefused(str(error)) from None


def _parse_yaml(text: str) -> object:
    events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        # An empty stream has no document; the two events before the first node say nothing else.
        if not isinstance(next(events), yaml.StreamStartEvent) or isinstance(next(events), yaml.StreamEndEvent):
            raise DocumentRefused("expected a plan, found nothing; see 'dnsguard submit --help' for an example")
        faults = _Faults()
        value = _value(next(events), events, "", 0, faults)
        faults.raise_any()
        next(events)
        if not isinstance(extra := next(events), yaml.StreamEndEvent):
            raise DocumentRefused(f"expected one document, found another{_line(extra)}; submit them one by one")
    except yaml.MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise DocumentRefused(f"expected YAML, found a fault{where}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise DocumentRefused(f"expected YAML, found {getattr(error, 'reason', 'a fault')}") from None
    return value


def _value(event: yaml.Event, events: Iterator[yaml.Event], place: str, depth: int, faults: _Faults) -> object:
    """Build the value that begins with an event; ``place`` is the key under which it stands."""
    if isinstance(event, yaml.AliasEvent):
        raise DocumentRefused(f"expected no aliases, found *{event.anchor}{_line(event)}; write the value out")
    if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
        raise DocumentRefused(f"expected a value, found none{_line(event)}")
    if event.anchor is not None:
        raise DocumentRefused(f"expected no anchors, found &{event.anchor}{_line(event)}; write the value out")
    if event.tag is not None:
        raise DocumentRefused(f"expected no tags, found {event.tag!r}{_line(event)}; quote the value instead")
    if depth > DEPTH_MAX:
        raise DocumentRefused(f"expected a plan, found values nested deeper than {DEPTH_MAX}{_line(event)}")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event, place, faults)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_value(item, events, "", depth + 1, faults))
        return items
    mapping: Document = {}
    while not isinstance(found := next(events), yaml.MappingEndEvent):
        key = _value(found, events, "", depth + 1, faults)
        if not isinstance(key, str):
            raise DocumentRefused(f"expected keys that are text, found something else{_line(found)}")
        if key in mapping:
            faults.add(f"expected each key once, found {key[:60]!r} again{_line(found)}; remove one")
        mapping[key] = _value(next(events), events, key, depth + 1, faults)
    return mapping


def _scalar(event: yaml.ScalarEvent, place: str, faults: _Faults) -> str | int | bool:
    text: str = event.value
    if (fault := _fault_of(event, place)) is not None:
        faults.add(fault)
    elif event.style in ("'", '"'):
        return text
    elif place in _NUMBERS and _INTEGER.fullmatch(text):
        return int(text)
    elif place in _TRUTHS and text in ("true", "false"):
        return text == "true"
    return text


def _fault_of(event: yaml.ScalarEvent, place: str) -> str | None:
    """Say how a value could be read in two ways; None if it cannot."""
    text: str = event.value
    if event.style in ("'", '"'):
        return f"expected text on one line, found several{_line(event)}" if _lines(event) > 1 else None
    if event.style in ("|", ">"):
        return f"expected text on one line, found a block{_line(event)}; write it on the line, quoted"
    if not text:
        return f"expected a value{f' for {place!r}' if place else ''}, found none{_line(event)}"
    if _lines(event) > 1:
        return f"expected text on one line, found several{_line(event)}; one record is one item, with a dash of its own"
    if (place in _NUMBERS and _INTEGER.fullmatch(text)) or (place in _TRUTHS and text in ("true", "false")):
        return None
    if not _NOT_TEXT.fullmatch(text):
        return None
    expected = "a whole number" if place in _NUMBERS else "true or false" if place in _TRUTHS else "text"
    advice = "" if expected != "text" else f"; YAML readers disagree about it: write {json.dumps(text)} in quotes"
    return f"expected {expected}{f' for {place!r}' if place else ''}, found {text[:60]}{_line(event)}{advice}"


def _line(event: yaml.Event) -> str:
    return "" if event.start_mark is None else f" in line {event.start_mark.line + 1}"


def _lines(event: yaml.Event) -> int:
    """Count the lines that a scalar takes, quotes included."""
    if event.start_mark is None or event.end_mark is None:
        return 1
    return event.end_mark.line - event.start_mark.line + 1
