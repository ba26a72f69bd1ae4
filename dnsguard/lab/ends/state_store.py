"""A history in memory that also answers what a verifier asks: the state at a generation, what a range of plans wants,
and which repairs there were. By the same rules as the SQL store; nothing is written here.
"""

from collections.abc import Mapping

from dnsguard.core.history import Covered, GenerationUnknown
from dnsguard.core.plan import Absence
from dnsguard.core.records import Key
from dnsguard.core.repair import ACTOR, REASON
from dnsguard.lab.ends.store import MemoryStore


class MemoryStateStore(MemoryStore):
    """A `StateStore` over histories in memory."""

    __slots__ = ()

    async def rrsets(
        self, zone: str, *, at: int | None = None, after: Key | None = None, limit: int | None = None
    ) -> tuple[Covered, ...]:
        """Return what is covered at a generation, by name and type. Raises ZoneUnknown, GenerationUnknown."""
        history = await self._turn("store.rrsets", zone, reads=("history",))
        about = history.zone
        if at is not None and not about.kept_from <= at <= about.newest:
            raise GenerationUnknown(zone, at, about.kept_from, about.newest)
        found = []
        for key in sorted(key for key in history.changes if after is None or key > after):
            change = history.newest_change(key, about.newest if at is None else at)
            if change is not None and change[1] is not Absence.UNCOVERED:
                found.append(Covered(key, change[1], change[0]))
        return tuple(found[:limit])

    async def contents_between(self, zone: str, above: int, upto: int) -> tuple[Covered, ...]:
        """Return whatever plans of a range of generations want, rejected ones included, oldest first."""
        history = await self._turn("store.contents_between", zone, reads=("history",))
        found = [
            Covered(key, wanted, generation)
            for key, changes in history.changes.items()
            for generation, wanted in changes.items()
        ]
        found += [
            Covered(key, wanted, generation)
            for generation, rrsets in history.turned_down.items()
            for key, wanted in rrsets.items()
        ]
        between = [covered for covered in found if above < covered.generation <= upto]
        return tuple(sorted(between, key=lambda covered: (covered.generation, covered.key)))

    async def repairs_since(self, zone: str, since: float) -> Mapping[Key, tuple[float, ...]]:
        """Return when each RRset was repaired since a time, oldest first."""
        history = await self._turn("store.repairs_since", zone, reads=("history",))
        times: dict[Key, list[float]] = {}
        for key, changes in history.changes.items():
            for generation in changes:
                entry = history.entries[generation]
                if entry.actor == ACTOR and entry.reason.startswith(REASON) and entry.accepted_at >= since:
                    times.setdefault(key, []).append(entry.accepted_at)
        return {key: tuple(sorted(found)) for key, found in times.items()}
