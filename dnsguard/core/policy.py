"""What a zone's owner allows: bounds on plans and the length of the history that is kept.
Values only; the rules that read them are in `guards`.
"""

from dataclasses import dataclass

MESSAGE_OCTETS_MAX = 60_000
"""Room for updates in one UPDATE over TCP (65,535 octets at most), fence and TSIG left aside."""

RRSET_OCTETS_MAX = MESSAGE_OCTETS_MAX // 2
"""An RRset may have to be named twice in one UPDATE: as found in a prerequisite, and as wanted."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of one zone. TTLs are in seconds, ``history_generations_min`` counts generations."""

    ttl_s_min: int = 0
    ttl_s_max: int = 604_800
    records_max: int = 100
    """Records in one RRset; BIND answers SERVFAIL past 100 unless configured."""
    plan_rrsets_max: int = 20_000
    retire: bool = True
    """Whether a plan may retire an RRset at all."""
    history_generations_min: int = 1_000
    """How many of the newest generations a rollback can reach for certain."""
    message_rrsets_max: int = 300
    """RRsets in one UPDATE; larger publications go out in several messages."""
    layout: str = "inline"
    """How RRsets lie in the zone; a name of `layout.LAYOUTS`."""
    read_back: bool = True
    """Whether what was published is read back from the primary and compared."""
    verify: str = "report"
    """What a verifier does with differences: "report" them, or "repair" them with a plan of its own."""
    repairs_per_hour_max: int = 3
    """How often an RRset is repaired within an hour; see `repair`."""
