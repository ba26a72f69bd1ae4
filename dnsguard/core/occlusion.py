"""Which records of a zone a delegation or a DNAME hides (occludes) from clients: the zone holds them, and no ordinary
question finds them. Pure. What it costs follows what a plan changes: the names above its own, and those below the cuts
that it makes.

These RRsets take names away, and with the names the means to repair them. Each has its rule, and each is tested:

| RRset | hides | rule |
|---|---|---|
| DNAME at the apex | every other name of the zone, the fence's included | `apex_not_redirected` |
| CNAME at the apex | what stands at the apex; servers drop it silently, beside the SOA | `apex_not_redirected` |
| NS, CNAME or DNAME at the fence's name | the fence | `reserved_names_untouched` |
| NS below the apex | all at and below its name but DS and glue | `names_not_occluded` |
| DNAME below the apex | all below its name | `names_not_occluded` |
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dnsguard.core.names import name_wire, names_above
from dnsguard.core.plan import Absence, Plan, Wanted
from dnsguard.core.records import Key, Records

CUT_TYPES = ("DNAME", "NS")
ANCESTORS_MAX = 200_000
"""Names above those of one plan: each is looked up when the plan is judged."""
_GLUE_TYPES = frozenset({"A", "AAAA"})
_PARENT_TYPES = frozenset({"NS", "DS"})
"""What the parent's side of a delegation has at the cut itself (RFC 4035 section 2.4)."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """An RRset that a zone would hold and no client would find, and the RRset that hides it."""

    hidden: Key
    cut: Key


def is_cut(zone: str, key: Key) -> bool:
    """Tell whether an RRset hides what stands below its name; the apex NS RRset delegates nothing."""
    return key.type == "DNAME" or (key.type == "NS" and key.name != zone)


def cuts_made(plan: Plan) -> frozenset[Key]:
    """Return the delegations and DNAMEs that a plan gives records."""
    return frozenset(key for key, wanted in plan.rrsets if isinstance(wanted, Records) and is_cut(plan.zone, key))


def ancestors_of(plan: Plan) -> frozenset[str]:
    """Return the names above those of a plan, up to the apex; at most `ANCESTORS_MAX` of them."""
    found: set[str] = set()
    for name in {key.name for key in plan.keys}:
        for above in names_above(name, plan.zone):
            if above in found:
                break  # and with it all that are above that one
            found.add(above)
        if len(found) > ANCESTORS_MAX:
            break
    return frozenset(found)


def first_occlusion(plan: Plan, standing: Mapping[Key, Wanted], *, below_is_glue: bool) -> Occlusion | None:
    """Return the first RRset that a plan would newly hide, or that it would put where it is hidden.

    ``standing`` has what the history covers at the plan's names, the cuts above them, and what is covered below the
    cuts that the plan makes. What was hidden before stays allowed: a plan may touch it, and a repair must be possible.
    ``below_is_glue`` says that an address below a delegation stands there as an address, and so can be glue.
    """
    before = {key for key, wanted in standing.items() if isinstance(wanted, Records)}
    after = {**standing, **{key: wanted for key, wanted in plan.rrsets if wanted is not Absence.UNCOVERED}}
    held = {key: wanted for key, wanted in after.items() if isinstance(wanted, Records)}
    if not any(is_cut(plan.zone, key) for key in held):
        return None
    servers = {rdata for key, wanted in held.items() if key.type == "NS" for rdata in wanted.canonical}
    for key in sorted(held):
        for cut in cuts_over(plan.zone, key, held):
            if (key not in before or cut not in before) and not _is_glue(key, cut, servers, below=below_is_glue):
                return Occlusion(key, cut)
    return None


def hidden_in(zone: str, wire: Mapping[Key, Records]) -> dict[Key, Key]:
    """Return what a zone holds and hides, each RRset with the one that hides it; glue is not hidden."""
    found: dict[Key, Key] = {}
    if not any(is_cut(zone, key) for key in wire):
        return found
    for key in wire:
        for cut in cuts_over(zone, key, wire):
            if not _is_glue(key, cut, wire[cut].canonical, below=True):
                found[key] = cut
    return found


def cuts_over(zone: str, key: Key, held: Mapping[Key, Records]) -> Iterator[Key]:
    """Yield the cuts, of the RRsets given, that hide an RRset unless it is glue."""
    delegation = Key(key.name, "NS")
    if key.type not in _PARENT_TYPES and key.name != zone and delegation in held:
        yield delegation
    for above in names_above(key.name, zone):
        for rdtype in CUT_TYPES:
            if is_cut(zone, cut := Key(above, rdtype)) and cut in held:
                yield cut


def _is_glue(key: Key, cut: Key, servers: Collection[bytes], *, below: bool) -> bool:
    """Tell whether an address belongs to a name server, and so is given with the delegation (RFC 9471)."""
    is_address = cut.type == "NS" and key.type in _GLUE_TYPES
    return is_address and (below or key.name == cut.name) and name_wire(key.name) in servers
