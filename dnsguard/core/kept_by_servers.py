"""Guards on a plan at the door, against what name servers do beside it: drop a DS with its NS, or never store a record
and say nothing. Like those in `submission`.
"""

from collections.abc import Mapping

from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.records import Key, Records
from dnsguard.core.refusal import Refusal, collect
from dnsguard.core.server_effects import never_stored, orphaned_ds
from dnsguard.core.submission import Submitted, is_ours, standing_before


def ds_beside_ns(facts: Submitted) -> Refusal | None:
    """A DS stands beside an NS only (RFC 4035 section 2.4), what dnsguard does not manage included.

    Without this, BIND drops a DS with the NS beside it, or never stores it, and answers NOERROR.
    """
    before = standing_before(facts)
    if facts.wire is None:
        # Nobody could look: what no plan covers may stand there.
        for key, _ in facts.plan.rrsets:
            if key.type == "DS" and not is_ours(facts.standing.get(ns := Key(key.name, "NS"))):
                before[ns] = "on the server"
    return ds_without_ns(before, _newly(facts))


def ds_without_ns(before: Mapping[Key, str], after: Mapping[Key, Wanted]) -> Refusal | None:
    """Refuse changes that leave a DS without the NS beside it; ``before`` says of each RRset where it is."""
    return collect(_orphaned(ds, before, after) for ds in orphaned_ds(after, before))


def _orphaned(ds: Key, before: Mapping[Key, str], after: Mapping[Key, Wanted]) -> Refusal:
    ns = Key(ds.name, "NS")
    if after.get(ns) is Absence.RETIRED:
        detail = (
            f"servers drop {ds} ({before.get(ds, 'of this plan')}) together with the NS RRset that the plan retires; "
            f"retire both {ns} and {ds} in one plan"
        )
        return Refusal("ds_beside_ns", detail, "NS and DS retired together", f"{ns} retired and {ds} kept", key=ns)
    return Refusal(
        "ds_beside_ns",
        f"{ds} has no NS RRset beside it, and servers ignore such a DS; set {ns} in the same plan",
        f"{ns} in the zone or in the plan",
        "no NS RRset at that name",
        key=ds,
    )


def _newly(facts: Submitted) -> dict[Key, Wanted]:
    """Return what a plan changes: what stands there already just so, servers keep."""
    known = dict(facts.wire or {}) | {key: standing.wanted for key, standing in facts.standing.items()}
    return {key: wanted for key, wanted in facts.plan.rrsets if not facts.plan.as_found and known.get(key) != wanted}


def contents_are_stored(facts: Submitted) -> Refusal | None:
    """What a plan sets is nothing that servers are known to ignore.

    Without this, the plan is published, reads back otherwise, and is tried again for ever.
    """
    return collect(
        Refusal(
            "contents_are_stored",
            f"{key} would be ignored by the name server: {why}; leave it out",
            "records that name servers store",
            str(key),
            key=key,
        )
        for key, wanted in _newly(facts).items()
        if isinstance(wanted, Records) and (why := never_stored(facts.plan.zone, key)) is not None
    )
