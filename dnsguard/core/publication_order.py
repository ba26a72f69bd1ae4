"""Which owner names of a publication go out before which: what is pointed at before what points at it.

A publication in several messages passes through states that no plan describes. BIND refuses an MX or an apex NS whose
target in the zone has no address yet, Knot refuses a DNAME above names that still exist, and clients follow a new CNAME
or SRV to a target that is not there. `targets_first` avoids these states.

The fence stores a position in the order, so every daemon must compute the same order from the same changes. An order
depends on keys and wanted contents only, and has a version that the fence names.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dnsguard.core.names import name_at, names_above, parent_name
from dnsguard.core.plan import Absence, Change
from dnsguard.core.records import Records

_TARGET_AT = {"NS": 0, "CNAME": 0, "MX": 2, "SRV": 6, "SVCB": 2, "HTTPS": 2}
"""Types whose rdata names a target, and the octet at which the target's name starts."""

_ADDRESS, _NO_ADDRESS, _ALIAS, _NO_ALIAS, _DELEGATION, _DNAME, _NO_DNAME, _POINTER = (1 << bit for bit in range(8))
_SET = {
    "A": _ADDRESS,
    "AAAA": _ADDRESS,
    "CNAME": _ALIAS | _POINTER,
    "NS": _DELEGATION | _POINTER,
    "DNAME": _DNAME,
} | dict.fromkeys(("MX", "SRV", "SVCB", "HTTPS"), _POINTER)
_RETIRED = {
    "A": _NO_ADDRESS,
    "AAAA": _NO_ADDRESS,
    "CNAME": _NO_ALIAS | _POINTER,
    "DNAME": _NO_DNAME,
} | dict.fromkeys(("NS", "MX", "SRV", "SVCB", "HTTPS"), _POINTER)
_GAIN = _ADDRESS | _ALIAS
_CUT = _DELEGATION | _NO_DNAME


@dataclass(frozen=True, slots=True)
class Arranged:
    """Changes in the order in which they are published; the RRsets of an owner name stay next to each other.

    ``cycle_of`` has the owner names that point at each other. Names with the same value go out in one message.
    """

    version: int
    changes: tuple[Change, ...]
    cycle_of: Mapping[str, str] = field(default_factory=dict)


OrderRule = Callable[[Sequence[Change]], Arranged]


def by_name(changes: Sequence[Change]) -> Arranged:
    """Keep changes in the order of their owner names: the order of daemons whose fences name no order."""
    return Arranged(0, tuple(changes))


def targets_first(changes: Sequence[Change]) -> Arranged:
    """Publish what is pointed at before what points at it; what loses its addresses goes last.

    ``changes`` are sorted by owner name. What an RRset pointed at before the publication is not known here, so every
    name that loses its addresses waits for every name that may point at it. Takes O(n log n).
    Without this, a plan that is right as a whole is rejected because of where it is cut into messages.
    """
    web = _Web(changes)
    if not web.waits_for and not any(web.ranks):
        return Arranged(1, tuple(changes))
    places, cycle_of = _places(web.ranks, web.waits_for)
    bounds = [*web.starts, len(changes)]
    arranged: list[Change] = []
    for number in sorted(range(len(places)), key=places.__getitem__):
        arranged += changes[bounds[number] : bounds[number + 1]]
    return Arranged(1, tuple(arranged), {web.names[number]: web.names[first] for number, first in cycle_of.items()})


ORDERS: Mapping[int, OrderRule] = {0: by_name, 1: targets_first}
"""The orders that this version of dnsguard knows, by the version that a fence names."""


class _Web:
    """The owner names of a publication, numbered by their order, and which of them wait for which others."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.names: list[str] = []
        self.starts: list[int] = []
        self.waits_for: dict[int, list[int]] = {}
        self._kinds: list[int] = []
        pointers: list[tuple[int, str, Records]] = []
        last = None
        for position, change in enumerate(changes):
            name, rdtype = change.key
            if name != last:
                last = name
                self.names.append(name)
                self.starts.append(position)
                self._kinds.append(0)
            wanted = change.wanted
            if wanted is Absence.RETIRED:
                self._kinds[-1] |= _RETIRED.get(rdtype, 0)
            elif isinstance(wanted, Records):
                self._kinds[-1] |= _SET.get(rdtype, 0)
                if rdtype in _TARGET_AT:
                    pointers.append((len(self.names) - 1, rdtype, wanted))
        self.ranks = [_rank(kind) for kind in self._kinds]
        self._numbers = {name: number for number, name in enumerate(self.names)}
        parents = (name[2:] for name in self.names if name.startswith("*."))
        cuts = (self.names[number] for number, kind in enumerate(self._kinds) if kind & _CUT)
        self._sheltering = _Above((*parents, *cuts))
        self._wait_for_targets(pointers)
        self._wait_for_dnames()

    def _wait_for_targets(self, pointers: Iterable[tuple[int, str, Records]]) -> None:
        mail: dict[bytes, Sequence[int]] = {}
        other: dict[bytes, Sequence[int]] = {}
        for pointer, rdtype, records in pointers:
            start, is_mail = _TARGET_AT[rdtype], rdtype == "MX"
            known = mail if is_mail else other
            for rdata in records.canonical:
                target = rdata[start:]
                providers = known.get(target)
                if providers is None:
                    name = name_at(target, 0)
                    providers = known[target] = [] if name is None else self._providers(name, is_mail=is_mail)
                if providers:
                    self._wait(pointer, providers)

    def _providers(self, target: str, *, is_mail: bool) -> Sequence[int]:
        """Return what makes a target usable: its own addresses or alias, a wildcard's, or a zone cut.

        BIND takes an MX whose target lies at or below a delegation, and refuses one below a DNAME.
        """
        found = self._of_kind(target, _GAIN | _DELEGATION if is_mail else _GAIN)
        for above in self._sheltering.above(target):
            found += self._of_kind(f"*.{above}", _GAIN) + (self._of_kind(above, _CUT) if is_mail else [])
        return found

    def _of_kind(self, name: str, kinds: int) -> list[int]:
        number = self._numbers.get(name)
        if number is None or not (found := self._kinds[number] & kinds):
            return []
        return [number] if found & _CUT or not self.ranks[number] else []  # not to wait for addresses that go

    def _wait_for_dnames(self) -> None:
        """Have names below a DNAME go before it comes, and come after it goes: Knot refuses to hold both."""
        dnames = {self.names[number]: kind for number, kind in enumerate(self._kinds) if kind & (_DNAME | _NO_DNAME)}
        marked = _Above(dnames)
        for number, name in enumerate(self.names if dnames else ()):
            for above in marked.above(name):
                dname = self._numbers[above]
                if dnames[above] & _DNAME:
                    self._wait(dname, (number,))
                else:
                    self._wait(number, (dname,))

    def _wait(self, number: int, others: Sequence[int]) -> None:
        if number in others:
            others = [other for other in others if other != number]
        if others:
            self.waits_for.setdefault(number, []).extend(others)


class _Above:
    """Answers which of some names lie above another one, and remembers the answer for all names with one parent."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._known: dict[str, Sequence[str]] = {}

    def above(self, name: str) -> Sequence[str]:
        """Return the names above, the nearest first."""
        if not self._names or name == ".":
            return ()
        parent = parent_name(name)
        known = self._known.get(parent)
        if known is None:
            known = self._known[parent] = tuple(
                each for each in (parent, *names_above(parent, ".")) if each in self._names
            )
        return known


def _rank(kind: int) -> int:
    """Return 0 for a name that keeps or gains addresses, and 1 or 2 for one that loses them.

    Among those, what may have pointed at another one goes first. A delegation or apex that is set loses nothing.
    """
    gone = kind & (_NO_ADDRESS | _NO_ALIAS)
    kept = kind & (_ADDRESS | _DELEGATION) or (kind & _ALIAS and not kind & _NO_ADDRESS)
    if not gone or kept:
        return 0
    return 1 if kind & _POINTER else 2


def _places(ranks: Sequence[int], waits_for: Mapping[int, Sequence[int]]) -> tuple[list[int], dict[int, int]]:
    """Return a number for each name by which to sort, and of each name in a cycle the cycle's first name.

    A name's level is its rank, raised above the level of everything that it waits for. Names of a cycle share one.
    """
    count = len(ranks)
    levels = [rank * (count + 1) for rank in ranks]
    cycle_of: dict[int, int] = {}
    tangled: dict[int, Sequence[int]] = {}
    for number, others in waits_for.items():
        if any(other in waits_for for other in others):
            tangled[number] = others
        else:
            levels[number] = max([levels[number], *[levels[other] + 1 for other in others]])
    for members in _components(tangled):
        if len(members) > 1:
            cycle_of |= dict.fromkeys(members, min(members))
        inside = frozenset(members)
        level = max(levels[number] for number in members)
        for number in members:
            level = max([level, *[levels[other] + 1 for other in tangled[number] if other not in inside]])
        for number in members:
            levels[number] = level
    return [level * count + cycle_of.get(number, number) for number, level in enumerate(levels)], cycle_of


def _components(waits_for: Mapping[int, Sequence[int]]) -> Iterator[Sequence[int]]:
    """Yield the strongly connected components, each after all that it waits for (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_names: list[int] = []
    done: set[int] = set()
    for root in waits_for:
        if root in index:
            continue
        index[root] = lowest[root] = len(index)
        open_names.append(root)
        path = [(root, iter(waits_for[root]))]
        while path:
            number, others = path[-1]
            for other in others:
                if other in done:
                    continue
                if other in index:
                    lowest[number] = min(lowest[number], index[other])
                elif other in waits_for:
                    index[other] = lowest[other] = len(index)
                    open_names.append(other)
                    path.append((other, iter(waits_for[other])))
                    break
            else:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[number])
                if lowest[number] == index[number]:
                    at = len(open_names) - 1
                    while open_names[at] != number:
                        at -= 1
                    component = open_names[at:]
                    del open_names[at:]
                    done.update(component)
                    yield component
