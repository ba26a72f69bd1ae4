"""What the history covers below the delegations and DNAMEs that plans make: a range of reversed names for each."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from dnsguard.core.occlusion import cuts_made
from dnsguard.core.plan import Plan
from dnsguard.core.records import Key, Records
from dnsguard.core.submission import Standing
from dnsguard.store.ledger import Ledger
from dnsguard.store.rows import same_rrset, slices, wanted_from
from dnsguard.store.schema import changes, plans, rrsets

CUTS_AT_ONCE = 100
"""Ranges of names in one statement."""


def read_below(conn: sa.Connection, ledger: Ledger, some: Sequence[Plan]) -> None:
    """Read what is covered below the delegations and DNAMEs that plans make, for the guards to see.

    It reads one RRset more than the plans together could retire or turn into glue, so a plan of which not all is
    read hides one for certain, however many there are.
    """
    rrsets_max = sum(len(plan.rrsets) for plan in some)
    for plan in some:
        made = dict(plan.rrsets)
        fresh = [cut for cut in cuts_made(plan) if not ledger.holds(cut)]
        servers = sum(len(wanted.rdatas) for cut in fresh if isinstance(wanted := made[cut], Records))
        for names in slices(sorted({cut.name for cut in fresh}), CUTS_AT_ONCE):
            for row in conn.execute(_below_query(ledger.seen.name, names, rrsets_max + 2 * servers + 1)):
                key = Key(row.name, row.type)
                wanted = wanted_from(row.type, row.disposition, row.ttl, row.rdatas)
                ledger.standing.setdefault(key.name, {}).setdefault(key, Standing(wanted, row.generation, row.actor))


def _below_query(zone: str, names: Sequence[str], limit: int) -> sa.Select[Any]:
    """Return the query for what is covered below some names: a range of reversed names for each."""
    # "/" is the character after ".". The zone is in every term, so that each is a range of the index by itself.
    ranges = [
        (rrsets.c.zone == zone)
        & (rrsets.c.name_reversed > f"{name[::-1]}.")
        & (rrsets.c.name_reversed < f"{name[::-1]}/")
        for name in names
    ]
    return (
        sa.select(
            rrsets.c.name,
            rrsets.c.type,
            changes.c.generation,
            changes.c.disposition,
            changes.c.ttl,
            changes.c.rdatas,
            plans.c.actor,
        )
        .select_from(rrsets)
        .join(changes, same_rrset(changes, rrsets) & (changes.c.generation == rrsets.c.newest))
        .join(plans, (plans.c.zone == changes.c.zone) & (plans.c.generation == changes.c.generation))
        .where(sa.or_(*ranges), changes.c.disposition == "records")
        .limit(limit)
    )
