"""Guards on a plan at the door: plain functions from `Submitted` to a refusal, or None. A guard that looks at each
RRset says all that it refuses, up to a bound: the first refusal has the others as further ones.
Each says its rule and what happened, or would happen, without it. Nothing here knows which of them are asked.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dnsguard.core.fence import GENERATION_STATED_MAX
from dnsguard.core.layout import LAYOUTS
from dnsguard.core.message import AddRecords, octets_of
from dnsguard.core.names import fence_name, is_within
from dnsguard.core.occlusion import ANCESTORS_MAX, ancestors_of, first_occlusion
from dnsguard.core.plan import Absence, Plan, Wanted
from dnsguard.core.policy import RRSET_OCTETS_MAX, Policy
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, collect

SINGLETON_TYPES = frozenset({"CNAME", "DNAME"})  # RFC 2181 section 10.1, RFC 6672 section 2.4
SERVER_OWNED_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3", "NSEC3PARAM"})


@dataclass(frozen=True, slots=True)
class Standing:
    """What the history says of one RRset: its newest contents, since which generation, and by whom."""

    wanted: Wanted
    generation: int
    actor: str
    adopted: bool = False
    """Whether it was published, or a plan may take over what it finds there: adopting it again changes nothing."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Facts on a plan at the door.

    ``standing`` has every covered name's RRsets, of all types, as the newest generation wants them; the delegations
    and DNAMEs above these names; and what is covered below the delegations and DNAMEs that the plan makes.
    ``wire`` has every RRset at the names that hold something unmanaged, as the primary shows them;
    None if the primary could not be asked (the enactor asks again).
    """

    plan: Plan
    policy: Policy
    newest: int
    standing: Mapping[Key, Standing]
    wire: Mapping[Key, Records] | None


def plan_covers_something(facts: Submitted) -> Refusal | None:
    """A plan covers at least one RRset. Without this, an empty plan takes a generation and says nothing."""
    if facts.plan.rrsets:
        return None
    return Refusal("plan_covers_something", "the plan is empty; name RRsets to set or retire", "≥ 1 RRset", "0")


def plan_is_bounded(facts: Submitted) -> Refusal | None:
    """A plan covers at most as many RRsets as the policy allows. Without this, one request can fill the disk.

    The names above its own are bounded as well, since each is looked up to see whether it hides what the plan sets.
    """
    if (refusal := too_many_rrsets(len(facts.plan.rrsets), facts.policy)) is not None:
        return refusal
    if len(ancestors_of(facts.plan)) <= ANCESTORS_MAX:
        return None
    return Refusal(
        "plan_is_bounded",
        f"the plan's names have more than {ANCESTORS_MAX} different names above them; split it",
        f"≤ {ANCESTORS_MAX} names above those of the plan",
        "more",
    )


def too_many_rrsets(count: int, policy: Policy) -> Refusal | None:
    """Refuse a count of RRsets in a plan; the door asks it before it reads a single record."""
    most = policy.plan_rrsets_max
    if count <= most:
        return None
    return Refusal(
        "plan_is_bounded",
        f"the plan covers {count} RRsets and the zone allows {most}; split it, or raise plan_rrsets_max",
        f"≤ {most} RRsets",
        str(count),
    )


def plan_in_zone(facts: Submitted) -> Refusal | None:
    """Every owner name lies in the zone. Without this, a server refuses the whole message with NOTZONE."""
    zone = facts.plan.zone
    return collect(
        Refusal("plan_in_zone", f"{key} is outside the zone {zone}", f"a name in {zone}", key.name, key=key)
        for key in facts.plan.keys
        if not is_within(key.name, zone)
    )


def reserved_names_untouched(facts: Submitted) -> Refusal | None:
    """The fence's name and all below it are dnsguard's own, and so are the names that the layout makes.

    Without this, a plan can forge the fence, or stand in the way of a node.
    """
    fence, reserves = fence_name(facts.plan.zone), LAYOUTS[facts.policy.layout].reserves
    return collect(
        Refusal("reserved_names_untouched", f"{key.name} is reserved for dnsguard", "another name", key.name, key=key)
        for key in facts.plan.keys
        if is_within(key.name, fence) or reserves(key.name)
    )


def server_records_untouched(facts: Submitted) -> Refusal | None:
    """SOA, signatures and denial records are the server's own business.

    Without this, a plan can lower the serial, after which secondaries stop following, or break the signatures.
    """
    return collect(
        Refusal(
            "server_records_untouched",
            f"{key} belongs to the name server, which keeps it itself; leave it out",
            "a type that plans may set",
            key.type,
            key=key,
        )
        for key in facts.plan.keys
        if key.type == "SOA" or key.type in SERVER_OWNED_TYPES
    )


def apex_ns_kept(facts: Submitted) -> Refusal | None:
    """The apex NS RRset is never retired. Without this, the zone is orphaned (servers ignore it silently)."""
    for key, wanted in facts.plan.rrsets:
        if key == (facts.plan.zone, "NS") and isinstance(wanted, Absence):
            return Refusal(
                "apex_ns_kept",
                f"{key} is the zone's own NS RRset, which can be replaced but not retired",
                "records",
                wanted.value,
                key=key,
            )
    return None


def apex_not_redirected(facts: Submitted) -> Refusal | None:
    """No DNAME or CNAME stands at the apex.

    Without this, a plan takes the zone away from its own guard: a DNAME there redirects all names, the fence's
    included, and no later plan, rollback or resync that asks for the fence gets through.
    """
    for key, wanted in facts.plan.rrsets:
        if key.name == facts.plan.zone and key.type in SINGLETON_TYPES and isinstance(wanted, Records):
            return Refusal(
                "apex_not_redirected",
                f"a {key.type} at the apex would take {facts.plan.zone} away from dnsguard and from its clients; "
                "redirect single names instead",
                f"no {key.type} at the apex",
                str(key),
            )
    return None


def names_not_occluded(facts: Submitted) -> Refusal | None:
    """No delegation (NS below the apex) or DNAME hides a covered RRset; DS and glue at and below a cut stay legal.

    Without this, one NS or DNAME record makes every name below it disappear, though the zone still holds them all.
    The rule is about the state after the plan: the RRsets that it retires are out of the way, and what it sets below
    a cut that stands already is refused, too.
    """
    plan, standing = facts.plan, facts.standing
    found = first_occlusion(
        plan,
        {key: each.wanted for key, each in standing.items()},
        below_is_glue=not LAYOUTS[facts.policy.layout].whole_names,
    )
    if found is None:
        return None
    hidden, cut = found.hidden, found.cut
    covered = {key for key, wanted in plan.rrsets if isinstance(wanted, Records)}

    def where(key: Key) -> str:
        return "this plan" if key in covered else f"generation {standing[key].generation}"

    legal = "nothing"
    if cut.type == "NS":
        legal = "only DS, and the addresses of its own name servers"
        if LAYOUTS[facts.policy.layout].whole_names:
            legal = f"only DS, and in the {facts.policy.layout} layout no glue"
    return Refusal(
        "names_not_occluded",
        f"{cut} ({where(cut)}) would hide {hidden} ({where(hidden)}) from all clients; retire one of them in the "
        "same plan",
        f"{legal} below {cut.name}",
        str(hidden),
        (("rrset", str(hidden)), ("hidden_by", str(cut))),
        key=hidden if hidden in covered else cut,
    )


def retirement_allowed(facts: Submitted) -> Refusal | None:
    """An RRset goes away only by name and where the policy lets it. Without this, a slip empties a name."""
    if facts.policy.retire:
        return None
    return collect(
        Refusal(
            "retirement_allowed",
            f"the zone's policy lets nothing be retired, and the plan retires {key}",
            "records",
            "retire",
            key=key,
        )
        for key, wanted in facts.plan.rrsets
        if wanted is Absence.RETIRED
    )


def ttl_in_bounds(facts: Submitted) -> Refusal | None:
    """TTLs lie within the policy. Without this, a slip pins a wrong answer in caches for years."""
    policy = facts.policy
    return collect(
        Refusal(
            "ttl_in_bounds",
            f"the TTL of {key} is outside what the zone allows",
            f"{policy.ttl_s_min} to {policy.ttl_s_max} seconds",
            f"{wanted.ttl} seconds",
            key=key,
        )
        for key, wanted in facts.plan.rrsets
        if isinstance(wanted, Records) and not policy.ttl_s_min <= wanted.ttl <= policy.ttl_s_max
    )


def rrset_is_bounded(facts: Submitted) -> Refusal | None:
    """An RRset has at most as many records as servers take.

    Without this, BIND answers SERVFAIL past 100; of two CNAMEs it keeps the last and answers NOERROR.
    """
    return collect(
        refusal
        for key, wanted in facts.plan.rrsets
        if isinstance(wanted, Records)
        and (refusal := too_many_records(key, len(wanted.rdatas), facts.policy)) is not None
    )


def too_many_records(key: Key, count: int, policy: Policy) -> Refusal | None:
    """Refuse a count of records in an RRset; the door asks it before it reads a single one."""
    if key.type in SINGLETON_TYPES and count > 1:
        return Refusal(
            "rrset_is_bounded",
            f"{key} has {count} records, and a name can have one {key.type} only",
            "1 record",
            str(count),
            key=key,
        )
    if count <= policy.records_max:
        return None
    return Refusal(
        "rrset_is_bounded",
        f"{key} has {count} records; use fewer, or raise records_max and the server's own limit",
        f"≤ {policy.records_max} records",
        str(count),
        key=key,
    )


def rrset_fits_a_message(facts: Submitted) -> Refusal | None:
    """An RRset fits one UPDATE. Without this, it could only be replaced in pieces: half-made for a while."""
    return collect(
        Refusal(
            "rrset_fits_a_message",
            f"{key} takes {octets} octets and could not be replaced in one UPDATE",
            f"≤ {RRSET_OCTETS_MAX} octets",
            str(octets),
            key=key,
        )
        for key, wanted in facts.plan.rrsets
        if isinstance(wanted, Records) and (octets := octets_of(AddRecords(key, wanted))) > RRSET_OCTETS_MAX
    )


def generation_forward(facts: Submitted) -> Refusal | None:
    """A stated generation is newer than the newest, and leaves room for more.

    Without this, a planner's counter that was reset goes back, or a slip uses up all generations at once.
    """
    stated = facts.plan.stated
    if stated is not None and stated > GENERATION_STATED_MAX:
        return Refusal(
            "generation_forward",
            f"generation {stated} would leave too few after it; state a lower one, or none at all",
            f"≤ {GENERATION_STATED_MAX}",
            str(stated),
        )
    if stated is None or stated > facts.newest:
        return None
    return Refusal(
        "generation_forward",
        f"the zone is at generation {facts.newest}; state a higher one, or none at all",
        f"> {facts.newest}",
        str(stated),
        (("newest", facts.newest),),
    )


def made_from_what_stands(facts: Submitted) -> Refusal | None:
    """What a plan covers has not changed since the generation that it was made from.

    Without this, a slow planner overwrites the work of a faster one that it never saw.
    """
    based_on = facts.plan.based_on
    if based_on is None:
        return None
    if based_on > facts.newest:
        return Refusal(
            "made_from_what_stands",
            f"the plan was made from generation {based_on}, and the zone's newest is {facts.newest}; read it again",
            f"≤ {facts.newest}",
            str(based_on),
            (("newest", facts.newest),),
        )
    return collect(
        Refusal(
            "made_from_what_stands",
            f"{key} was changed in generation {standing.generation} by {standing.actor}; "
            "read the zone again and make the plan anew",
            f"{key} unchanged since generation {based_on}",
            f"generation {standing.generation} by {standing.actor}",
            (
                ("rrset", str(key)),
                ("generation", standing.generation),
                ("actor", standing.actor),
                ("newest", facts.newest),
            ),
            key,
        )
        for key in facts.plan.keys
        if (standing := facts.standing.get(key)) is not None and standing.generation > based_on
    )


def cname_alone(facts: Submitted) -> Refusal | None:
    """A CNAME stands alone at its name (RFC 1034 section 3.6.2), what dnsguard does not manage included.

    Without this, servers silently drop one of the two and answer NOERROR.
    """
    return cname_beside(standing_before(facts), dict(facts.plan.rrsets))


def standing_before(facts: Submitted) -> dict[Key, str]:
    """Return what stands at a plan's names before it, as far as is known, and of each where it is."""
    before: dict[Key, str] = dict.fromkeys(facts.wire or {}, "on the server")
    for key, standing in facts.standing.items():
        if standing.wanted is not Absence.UNCOVERED:
            before.pop(key, None)
        if isinstance(standing.wanted, Records):
            before[key] = f"of generation {standing.generation}"
    return before


def cname_beside(before: Mapping[Key, str], after: Mapping[Key, Wanted]) -> Refusal | None:
    """Refuse CNAMEs that would stand beside something; ``before`` says of each RRset where it is."""
    return collect(_cnames_beside(before, after))


def _cnames_beside(before: Mapping[Key, str], after: Mapping[Key, Wanted]) -> Iterator[Refusal]:
    names = {key.name for key in after}
    held = {
        key: where
        for key, where in before.items()
        if key.name in names and after.get(key, Absence.UNCOVERED) is Absence.UNCOVERED
    }
    held |= {key: "of this plan" for key, wanted in after.items() if isinstance(wanted, Records)}
    others: dict[str, list[Key]] = {}
    for key in held:
        if key.type != "CNAME" and key.type not in SERVER_OWNED_TYPES:
            others.setdefault(key.name, []).append(key)
    for cname in sorted(key for key in held if key.type == "CNAME"):
        if cname.name in others:
            other = min(others[cname.name])
            yield Refusal(
                "cname_alone",
                f"at {cname.name} a CNAME ({held[cname]}) would stand beside {other.type} ({held[other]}); "
                "retire one of them in the same plan",
                "a CNAME alone at its name",
                f"CNAME and {other.type}",
                key=cname if cname in after else other,
            )


def unmanaged_contents_kept(facts: Submitted) -> Refusal | None:
    """What dnsguard does not manage yet is taken over only by a plan that says so (``adopt``).

    Without this, the first plan for a name destroys what somebody else put there.
    """
    if facts.plan.adopt or facts.wire is None:
        return None
    wire = facts.wire
    return collect(
        refusal
        for key, wanted in facts.plan.rrsets
        if not is_ours(facts.standing.get(key))
        and (refusal := contents_taken(key, wanted, wire, as_found=facts.plan.as_found)) is not None
    )


def is_ours(standing: Standing | None) -> bool:
    """Tell whether an accepted plan covers an RRset: what stands there from then on is ours, published or not.

    1. A plan for a new name is accepted. 2. An enactor publishes it. 3. A second plan for the name arrives and looks
    at the primary. 4. The publication is recorded. Between 2 and 4 the primary shows what the record does not, so
    contents on the wire prove nothing against the second plan. If they belong to someone else, the first plan's
    publication is refused by its prerequisites, and the second plan's as well.
    """
    return standing is not None and standing.wanted is not Absence.UNCOVERED


def contents_taken(
    key: Key,
    wanted: Wanted,
    wire: Mapping[Key, Records],
    earlier: Collection[Records] = (),
    *,
    as_found: bool = False,
) -> Refusal | None:
    """Refuse contents that would replace other, unmanaged ones found on the wire.

    ``earlier`` has what other plans of ours, published in part, may have put there. What is taken over ``as_found``
    must stand there exactly so.
    """
    found = wire.get(key)
    if as_found and found != wanted:
        return Refusal(
            "unmanaged_contents_kept",
            f"{key} was to be taken over as it stood, and somebody has changed it since; "
            "repeat the adoption to take over what stands now",
            "the same records and TTL",
            "nothing" if found is None else f"{len(found.rdatas)} record(s), TTL {found.ttl}",
            key=key,
        )
    if found is None or found == wanted or found in earlier or wanted is Absence.UNCOVERED:
        return None
    return Refusal(
        "unmanaged_contents_kept",
        f'{key} is not managed by dnsguard and has other contents on the server; say "adopt": true to take it over',
        "absent, or the same contents",
        f"{len(found.rdatas)} record(s), TTL {found.ttl}",
        key=key,
    )
