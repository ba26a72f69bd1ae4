"""What planners wish for: plans of many kinds over names that overlap and names of one's own. The plan's number is
in every record's contents, so that each answer of the name server tells which plan it is from.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records, parse_records, records_text
from tests.campaigns.testimony import Wish, reason_of

PLANNERS = 6
_SHARED, _OWN, _BULK, _ALIASES = 12, 3, 40, 3
_TYPES = ("A", "AAAA", "TXT")
WEIGHTS: Mapping[str, int] = {
    "small": 28,
    "own": 14,
    "exact": 18,
    "bulk": 10,
    "retiring": 10,
    "rollback": 9,
    "alias": 6,
    "stated": 3,
    "empty": 2,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A wish as it is sent: its path below the zone, its body, and the generation for If-Match (None: ``*``)."""

    wish: Wish
    path: str
    body: Mapping[str, object]
    based_on: int | None = None


class Names:
    """The owner names of a campaign."""

    def __init__(self, zone: str) -> None:
        self.shared = _keys(zone, "s", _SHARED)
        self.own = [_keys(zone, f"p{planner}-", _OWN) for planner in range(PLANNERS)]
        self.bulk = _keys(zone, "b", _BULK)
        self.aliases = [f"c{index}.{zone}" for index in range(_ALIASES)]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every RRset that a plan may cover."""
        aliases = [Key(name, rdtype) for name in self.aliases for rdtype in ("A", "CNAME")]
        return (*self.shared, *(key for own in self.own for key in own), *self.bulk, *aliases)


def _keys(zone: str, prefix: str, count: int) -> list[Key]:
    return [Key(f"{prefix}{index}.{zone}", rdtype) for index in range(count) for rdtype in _TYPES]


def contents(number: int, rdtype: str) -> Records:
    """Return the records of a plan: its number is in each of them, and no other plan has the same."""
    texts = {
        "A": [f"{net}.{number >> 16}.{number >> 8 & 255}.{number & 255}" for net in range(10, 11 + number % 3)],
        "AAAA": [f"2001:db8::{number >> 16:x}:{number & 0xFFFF:x}"],
        "TXT": [f'"plan={number}"'],
        "CNAME": [f"plan{number}.target.test."],
    }
    return parse_records(rdtype, 60 + number % 7, texts[rdtype])


class Imagination:
    """One planner's wishes, from a seed."""

    def __init__(self, planner: int, names: Names, seed: int, weights: Mapping[str, int] = WEIGHTS) -> None:
        self._planner = planner
        self._weights = weights
        self._names = names
        self._chance = random.Random(f"{seed} planner {planner}")
        self._known: deque[int] = deque([0], maxlen=10)

    def learn(self, newest: int) -> None:
        """Take note of a zone's newest generation, as the API showed it."""
        self._known.append(newest)

    def wish(self, number: int) -> Request:
        """Return the next wish."""
        chance, newest = self._chance, self._known[-1]
        kind = chance.choices(list(self._weights), list(self._weights.values()))[0]
        if kind == "rollback" and newest > 2:
            return self._rollback(number, max(1, newest - chance.randint(1, 20)))
        wanted = self._wanted(kind, number)
        request = Request(Wish(number, kind, wanted), "plans", _body(number, wanted))
        match kind:
            case "exact":
                return replace(request, based_on=chance.choice(self._known))
            case "stated":
                return replace(request, body={**request.body, "generation": newest + chance.randint(1, 4)})
            case "empty":
                first = next(iter(wanted))
                rrset = {"name": first.name, "type": first.type, "ttl": 60, "records": []}
                return replace(request, body={"rrsets": [rrset], "reason": reason_of(number)})
            case _:
                return request

    def _wanted(self, kind: str, number: int) -> dict[Key, Wanted]:
        chance, names = self._chance, self._names
        match kind:
            case "own":
                keys = chance.sample(names.own[self._planner], chance.randint(1, 5))
            case "bulk":
                keys = chance.sample(names.bulk, chance.randint(25, 80))
            case "alias":
                return _alias(chance.choice(names.aliases), number)
            case "retiring":
                return dict.fromkeys(chance.sample(names.shared, chance.randint(1, 3)), Absence.RETIRED)
            case _:
                keys = chance.sample(names.shared, chance.randint(1, 3))
        return {key: contents(number, key.type) for key in keys}

    def _rollback(self, number: int, to: int) -> Request:
        body = {"to": to, "reason": reason_of(number)}
        return Request(Wish(number, "rollback", None, to), "rollback", body)


def _alias(name: str, number: int) -> dict[Key, Wanted]:
    """Return a plan that changes an owner name between an alias and an address, in one step."""
    address, alias = Key(name, "A"), Key(name, "CNAME")
    if number % 2:
        return {address: contents(number, "A"), alias: Absence.RETIRED}
    return {address: Absence.RETIRED, alias: contents(number, "CNAME")}


def _body(number: int, wanted: Mapping[Key, Wanted]) -> dict[str, object]:
    rrsets: Sequence[object] = [
        {"name": key.name, "type": key.type, "ttl": records.ttl, "records": records_text(key.type, records)}
        for key, records in wanted.items()
        if isinstance(records, Records)
    ]
    retire = [{"name": key.name, "type": key.type} for key, records in wanted.items() if records is Absence.RETIRED]
    return {"rrsets": rrsets, "retire": retire, "reason": reason_of(number)}
