"""Guards with something left out, and the table of what each stage between none and all of them lets through.
Values only: nothing but the value of `Guards` is different from one variant to the next.
"""

from dataclasses import dataclass, fields, replace

from dnsguard.core.enactment import fence_unmoved
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards
from dnsguard.core.layout import rollback_target_exists, target_exists
from dnsguard.core.sweep import aliases_as_listed, spare_live
from dnsguard.core.written import fence_as_seen

NAMED = {"guarded": GUARDED, "unguarded": UNGUARDED}


class GuardUnknown(ValueError):
    """A name is none of a guard that could be left out."""


def guard_names(guards: Guards) -> tuple[str, ...]:
    """Return the names of all rules that are asked."""
    return tuple(rule.__name__ for place in fields(guards) for rule in getattr(guards, place.name))


def without(guards: Guards, name: str) -> Guards:
    """Leave one rule out. Raises GuardUnknown."""
    for place in fields(guards):
        rules = getattr(guards, place.name)
        if any(rule.__name__ == name for rule in rules):
            return replace(guards, **{place.name: tuple(rule for rule in rules if rule.__name__ != name)})
    why = ", which is none of these, or left out already" if name in GUARD_NAMES else ""
    raise GuardUnknown(f"expected one of {', '.join(guard_names(guards))}, found {name[:60]!r}{why}")


GUARD_NAMES = frozenset((*guard_names(GUARDED), *guard_names(UNGUARDED)))


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table: how a write is checked, how clean-up chooses, and what that lets through."""

    check: str
    cleanup: str
    guards: Guards
    empty: bool
    stale: bool
    wedged: bool


AT_START = "once at start"
BY_AGE = "by age"
VARIANTS = (
    Variant(AT_START, "by age (the bug)", UNGUARDED, empty=True, stale=True, wedged=True),
    Variant(
        "again just before the write, separate step",
        BY_AGE,
        replace(UNGUARDED, recheck=(fence_unmoved,)),
        empty=True,
        stale=True,
        wedged=True,
    ),
    Variant(
        AT_START,
        "skips what is live when listing",
        replace(UNGUARDED, spare=(spare_live,)),
        empty=True,
        stale=True,
        wedged=True,
    ),
    Variant(
        AT_START,
        "live check inside the deleting transaction",
        replace(UNGUARDED, spare=(spare_live,), delete=(aliases_as_listed,)),
        empty=False,
        stale=True,
        wedged=False,
    ),
    Variant(
        "once at start, missing rollback tolerated",
        BY_AGE,
        replace(UNGUARDED, write=(target_exists,)),
        empty=True,
        stale=True,
        wedged=False,
    ),
    Variant(
        "compare-and-set in the writing transaction",
        BY_AGE,
        replace(UNGUARDED, write=(fence_as_seen, target_exists, rollback_target_exists)),
        empty=False,
        stale=False,
        wedged=False,
    ),
    Variant("all guards", "by reachability", GUARDED, empty=False, stale=False, wedged=False),
)
