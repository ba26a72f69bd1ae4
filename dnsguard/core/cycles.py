"""Names that point at each other in a cycle, which one message must hold: the guard, and the question behind it."""

from dnsguard.core.plan import Before, Change
from dnsguard.core.policy import MESSAGE_OCTETS_MAX
from dnsguard.core.publication import octets_max
from dnsguard.core.publication_order import Arranged, targets_first
from dnsguard.core.refusal import Refusal
from dnsguard.core.submission import Submitted

_NAMES_SHOWN = 10


def oversized_cycle(arranged: Arranged) -> tuple[tuple[str, ...], int] | None:
    """Return the names and the octets of the first cycle that one message may not hold; None if each one fits."""
    cycles: dict[str, dict[str, None]] = {}
    octets: dict[str, int] = {}
    for change in arranged.changes if arranged.cycle_of else ():
        if (cycle := arranged.cycle_of.get(change.key.name)) is not None:
            cycles.setdefault(cycle, {})[change.key.name] = None
            octets[cycle] = octets.get(cycle, 0) + octets_max(change)
    return next(((tuple(cycles[at]), size) for at, size in octets.items() if size > MESSAGE_OCTETS_MAX), None)


def cycle_fits_a_message(facts: Submitted) -> Refusal | None:
    """Names that point at each other in a cycle fit one UPDATE, together.

    Without this, wherever such a plan is cut, something points at a name that has no address yet, and BIND refuses it.
    """
    rrsets = facts.plan.rrsets
    found = oversized_cycle(targets_first([Change(key, wanted, 0, Before.UNMANAGED) for key, wanted in rrsets]))
    if found is None:
        return None
    names, octets = found
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return Refusal(
        "cycle_fits_a_message",
        f"{shown}{more} point at each other and are too large for one UPDATE; set their addresses in a plan of their "
        "own first, and then what points at them",
        f"≤ {MESSAGE_OCTETS_MAX} octets for names that point at each other",
        f"{octets} octets at {len(names)} names",
        key=next(key for key in facts.plan.keys if key.name == names[0]),
    )
