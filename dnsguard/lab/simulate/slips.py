"""Plans that no planner should ever submit: empty, stale, too large, for names that are not theirs.
The door refuses every one of them; what would come of each if it did not is for the invariants to say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnsguard.core.fence import fence_key
from dnsguard.core.names import name_wire
from dnsguard.core.plan import Absence, Plan, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records

PLAN_RRSETS_MAX = 20
TTL_S_MAX = 300
DIGEST = Records(60, (bytes((48, 57, 13, 2)) + bytes(32),))
ADDRESS = parse_records("A", 60, ["192.0.2.250"])


@dataclass(frozen=True, slots=True)
class Slip:
    """A plan that is wrong, and why nothing can ever come of it; without that it could be published."""

    plan: Plan
    hopeless: str | None = None
    shows_on_the_wire: bool = False
    """Whether only those who have looked at the primary can know that it is hopeless."""


@dataclass(frozen=True, slots=True)
class Slipping:
    """Facts from which a planner makes a wrong plan; ``standing`` has what each of its RRsets is to hold."""

    zone: str
    keys: tuple[Key, ...]
    newest: int
    standing: dict[Key, Records]
    policy: Policy

    def plan(self, rrsets: dict[Key, Wanted], **how: bool | int) -> Plan:
        """Make a plan of the zone."""
        return make_plan(self.zone, rrsets, **how)  # type: ignore[arg-type]

    def at(self, label: str, rdtype: str) -> Key:
        """Return an RRset of the zone that no other plan covers."""
        return Key(f"{label}.{self.zone}", rdtype)


def _empty(on: Slipping) -> Slip:
    return Slip(on.plan({}))


def _too_many(on: Slipping) -> Slip:
    return Slip(on.plan({on.at(f"host{number}", "A"): ADDRESS for number in range(4 * PLAN_RRSETS_MAX)}))


def _foreign_zone(on: Slipping) -> Slip:
    return Slip(on.plan({Key("www.elsewhere.test.", "A"): ADDRESS}), "it is about a name outside the zone")


def _forged_fence(on: Slipping) -> Slip:
    return Slip(on.plan({fence_key(on.zone): parse_records("TXT", 1, ['"forged"'])}, adopt=True))


def _own_soa(on: Slipping) -> Slip:
    soa = parse_records("SOA", 60, [f"ns.{on.zone} hostmaster.{on.zone} 1 60 60 60 60"])
    return Slip(on.plan({Key(on.zone, "SOA"): soa}, adopt=True))


def _no_ns(on: Slipping) -> Slip:
    return Slip(on.plan({Key(on.zone, "NS"): Absence.RETIRED}, adopt=True))


def _retired(on: Slipping) -> Slip | None:
    key = next(iter(on.standing), None)
    return None if key is None or on.policy.retire else Slip(on.plan({key: Absence.RETIRED}))


def _long_ttl(on: Slipping) -> Slip:
    return Slip(on.plan({on.keys[0]: Records(TTL_S_MAX + 1, ADDRESS.rdatas)}))


def _two_aliases(on: Slipping) -> Slip:
    return Slip(on.plan({on.at("twice", "CNAME"): Records(60, (name_wire("a.test."), name_wire("b.test.")))}))


def _too_large(on: Slipping) -> Slip:
    rdatas = tuple(3 * (bytes((255,)) + f"{number:03}".encode() * 85) for number in range(95))
    return Slip(on.plan({on.at("large", "TXT"): Records(60, rdatas)}), "no message can hold it")


def _old_number(on: Slipping) -> Slip | None:
    return None if not on.newest else Slip(on.plan({on.keys[-1]: ADDRESS}, stated=on.newest))


def _stale(on: Slipping) -> Slip | None:
    return None if on.newest < 1 else Slip(on.plan(dict.fromkeys(on.keys, ADDRESS), based_on=on.newest - 1))


def _alias_beside_address(on: Slipping) -> Slip:
    alias = Records(60, (name_wire("elsewhere.test."),))
    wrong: dict[Key, Wanted] = {on.at("both", "A"): ADDRESS, on.at("both", "CNAME"): alias}
    return Slip(on.plan(wrong), "an alias can't stand beside an address")


def _apex_dname(on: Slipping) -> Slip:
    return Slip(on.plan({Key(on.zone, "DNAME"): Records(60, (name_wire("elsewhere.test."),))}))


def _delegation(on: Slipping) -> Slip | None:
    """Delegate a name away that has an address."""
    key = next(iter(on.standing), None)
    servers = Records(60, (name_wire("ns.elsewhere.test."),))
    return None if key is None else Slip(on.plan({Key(key.name, "NS"): servers}))


def _large_cycle(on: Slipping) -> Slip:
    names = [f"loop{number}" for number in range(4)]
    text = parse_records("TXT", 60, [" ".join([f'"{"x" * 250}"'] * 90)])
    rrsets: dict[Key, Wanted] = {}
    for name, target in zip(names, [*names[1:], names[0]], strict=True):
        mail = parse_records("MX", 60, [f"10 {target}.{on.zone}"])
        rrsets |= {on.at(name, "A"): ADDRESS, on.at(name, "MX"): mail, on.at(name, "TXT"): text}
    return Slip(on.plan(rrsets), "no message can hold its names, which point at each other")


def _orphaned_ds(on: Slipping) -> Slip:
    return Slip(on.plan({on.at("orphan", "DS"): DIGEST}), "a DS can't stand without an NS", shows_on_the_wire=True)


def _wild_delegation(on: Slipping) -> Slip:
    return Slip(on.plan({on.at("*", "NS"): Records(60, (name_wire("ns.elsewhere.test."),))}))


ACTS: dict[str, Callable[[Slipping], Slip | None]] = {
    "empty": _empty,
    "too many": _too_many,
    "foreign zone": _foreign_zone,
    "forged fence": _forged_fence,
    "own SOA": _own_soa,
    "no NS": _no_ns,
    "retired": _retired,
    "long TTL": _long_ttl,
    "two aliases": _two_aliases,
    "too large": _too_large,
    "old number": _old_number,
    "stale": _stale,
    "alias beside address": _alias_beside_address,
    "apex DNAME": _apex_dname,
    "delegation": _delegation,
    "large cycle": _large_cycle,
    "orphaned DS": _orphaned_ds,
    "wildcard delegation": _wild_delegation,
}
"""What a planner makes of the facts; None where that slip is not possible now."""


def covered_by_slips(zone: str, keys: Sequence[Key]) -> tuple[Key, ...]:
    """Return the RRsets beside the usual ones, ``keys``, of which a slip may change what stands there."""
    at_apex = (Key(zone, rdtype) for rdtype in ("SOA", "NS", "DNAME"))
    return (
        fence_key(zone),
        *at_apex,
        Key(f"twice.{zone}", "CNAME"),
        Key(f"*.{zone}", "NS"),
        *(Key(key.name, "NS") for key in keys),
    )
