"""What of a zone is taken over as it stands, and what is left out and why. Pure.
A plan made of this wants exactly what is on the wire: whatever differs by the time it is published is refused.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from dnsguard.core.comparison import SIGNING_TYPES
from dnsguard.core.guards import Guards
from dnsguard.core.names import fence_name, is_within
from dnsguard.core.occlusion import hidden_in
from dnsguard.core.plan import Plan, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal
from dnsguard.core.server_effects import never_stored
from dnsguard.core.submission import SERVER_OWNED_TYPES, Standing, Submitted

_NOTED_BY_SERVERS = "TYPE65534"


@dataclass(frozen=True, slots=True)
class Excepted:
    """What the operator leaves out: one RRset, or all of a name (``type`` is None)."""

    name: str
    type: str | None

    def covers(self, key: Key) -> bool:
        """Tell whether an RRset is among it."""
        return key.name == self.name and self.type in (None, key.type)

    def __str__(self) -> str:
        return self.name if self.type is None else f"{self.name} {self.type}"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is taken, sorted, and what is left out, each with the reason for people."""

    taken: tuple[tuple[Key, Records], ...]
    left_out: tuple[tuple[Key, str], ...]

    def without(self, refused: Mapping[Key, str]) -> "Selection":
        """Leave out more, each with the reason."""
        taken = tuple((key, records) for key, records in self.taken if key not in refused)
        return Selection(taken, tuple(sorted((dict(self.left_out) | dict(refused)).items())))


def select(
    zone: str,
    wire: Mapping[Key, Records],
    covered: Collection[Key],
    names: Collection[str] | None,
    *,
    excepted: Collection[Excepted] = (),
    signing_keys: bool = False,
) -> Selection:
    """Choose what to take over of some names, or of all (None); ``covered`` is what plans have already.

    DNSKEY, CDS and CDNSKEY are taken with ``signing_keys`` only: a signing server keeps them by itself.
    """
    taken: list[tuple[Key, Records]] = []
    left_out: list[tuple[Key, str]] = []
    hidden = hidden_in(zone, wire)
    for key in sorted(wire):
        if names is not None and key.name not in names:
            continue
        why = _why_not(zone, key, covered, signing_keys=signing_keys)
        if why is None and any(each.covers(key) for each in excepted):
            why = "excepted by the request"
        if why is None and key in hidden:
            why = f"{hidden[key]} hides it from clients"
        if why is None:
            taken.append((key, wire[key]))
        else:
            left_out.append((key, why))
    return Selection(tuple(taken), tuple(left_out))


def _why_not(zone: str, key: Key, covered: Collection[Key], *, signing_keys: bool) -> str | None:
    if is_within(key.name, fence_name(zone)):
        return "dnsguard's own"
    if key.type == "SOA" or key.type in SERVER_OWNED_TYPES or key.type == _NOTED_BY_SERVERS:
        return "the name server keeps it itself"
    if key == (zone, "DNAME"):
        return "it redirects all names of the zone; retire it"
    if key.type in SIGNING_TYPES and not signing_keys:
        return "a signing server keeps it itself; ask for signing keys if yours does not"
    if (ignored := never_stored(zone, key)) is not None:
        return f"{ignored}, so it could not be put back by an update once it is changed or retired"
    return "a plan covers it already" if key in covered else None


def refused_alone(
    zone: str,
    taken: Sequence[tuple[Key, Records]],
    wire: Mapping[Key, Records],
    standing: Mapping[Key, Standing],
    guards: Guards,
    policy: Policy,
    newest: int,
) -> dict[Key, Refusal]:
    """Return the RRsets that the guards refuse to take over, each judged alone at its name, with the refusal."""
    at: dict[str, dict[Key, Records]] = {}
    for key, records in wire.items():
        at.setdefault(key.name, {})[key] = records
    stands: dict[str, dict[Key, Standing]] = {}
    for key, each in standing.items():
        stands.setdefault(key.name, {})[key] = each
    refused: dict[Key, Refusal] = {}
    for key, records in taken:
        plan = make_plan(zone, {key: records}, based_on=newest, as_found=True)
        facts = Submitted(plan, policy, newest, stands.get(key.name, {}), at[key.name])
        if (refusal := guards.refuse_submission(facts)) is not None:
            refused[key] = refusal
    return refused


def plans_of(
    zone: str, taken: Sequence[tuple[Key, Records]], rrsets_max: int, *, based_on: int, reason: str
) -> Iterator[Plan]:
    """Cut what is taken into plans of at most so many RRsets; a name is never cut in two where that can be helped."""
    here: dict[Key, Records] = {}
    for _, group in groupby(taken, key=lambda each: each[0].name):
        more = dict(group)
        if here and len(here) + len(more) > rrsets_max:
            yield make_plan(zone, here, reason=reason, based_on=based_on, as_found=True)
            here = {}
        here |= more
    if here:
        yield make_plan(zone, here, reason=reason, based_on=based_on, as_found=True)
