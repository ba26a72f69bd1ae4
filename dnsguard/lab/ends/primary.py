"""A primary in memory: UPDATE semantics by RFC 2136 section 3, on one zone, all or nothing.
It keeps the same promises as the real ones (the same contract tests), and shows its contents to checkers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameInUse,
    NameNotInUse,
    NamesRead,
    Outcome,
    Prerequisite,
    Refused,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Unknown,
    Unreachable,
    Update,
)
from dnsguard.core.rdata_names import canonical_rdata, canonical_rdatas
from dnsguard.core.records import Key, Records, make_records, stored_records
from dnsguard.core.server_effects import never_stored
from dnsguard.core.written import Seen, seen_in
from dnsguard.lab.ends.target_checks import dangling
from dnsguard.lab.scheduler.gate import Gate, OpenGate, Turn

Contents = dict[Key, Records]


def first_refusal(contents: Mapping[Key, Records], prerequisites: Collection[Prerequisite]) -> str | None:
    """Return the rcode of the first prerequisite that does not hold (RFC 2136 section 3.2), or None."""
    names = {key.name for key in contents}
    for prerequisite in prerequisites:
        match prerequisite:
            case RRsetIs(key, rdatas):
                found = contents.get(key)
                if found is None or set(found.canonical) != set(canonical_rdatas(key.type, rdatas)):
                    return "NXRRSET"
            case RRsetExists(key):
                if key not in contents:
                    return "NXRRSET"
            case RRsetAbsent(key):
                if key in contents:
                    return "YXRRSET"
            case NameInUse(name):
                if name not in names:
                    return "NXDOMAIN"
            case NameNotInUse(name):
                if name in names:
                    return "YXDOMAIN"
    return None


def apply_update(zone: str, contents: Contents, update: Update) -> None:
    """Change contents by one update (RFC 2136 section 3.4.2), with what servers silently leave undone."""
    match update:
        case AddRecords(key, records):
            if never_stored(zone, key) is not None:
                return
            cname = Key(key.name, "CNAME")
            beside = cname in contents if key != cname else any(k.name == key.name and k != key for k in contents)
            if beside:
                return
            before = contents.get(key)
            if key == cname:
                contents[key] = stored_records(
                    key.type, records.ttl, records.rdatas[-1:]
                )  # of several the last one stays
            elif key != (zone, "SOA") or before is None:
                held = () if before is None else before.rdatas
                known = () if before is None else before.canonical
                new = tuple(
                    r for r, same_as in zip(records.rdatas, records.canonical, strict=True) if same_as not in known
                )
                contents[key] = make_records(key.type, records.ttl, (*held, *new))  # an equal record stays as it was
            elif _serial(records) > _serial(before):
                contents[key] = records
        case DeleteRRset(key):
            if key not in {Key(zone, "SOA"), Key(zone, "NS")}:
                contents.pop(key, None)
        case DeleteRecords(key, rdatas):
            before = contents.get(key)
            if before is None or key == (zone, "SOA"):
                return
            gone = canonical_rdatas(key.type, rdatas)
            left = tuple(rdata for rdata in before.rdatas if canonical_rdata(key.type, rdata) not in gone)
            if left:
                contents[key] = stored_records(key.type, before.ttl, left)
            elif key != (zone, "NS"):
                del contents[key]


def drop_orphaned_ds(contents: Contents, names: Collection[str]) -> None:
    """Remove DS RRsets beside which no NS is left, or ever was, as BIND does at the end of an UPDATE."""
    for name in names:
        if Key(name, "NS") not in contents:
            contents.pop(Key(name, "DS"), None)


def _serial(soa: Records) -> int:
    """Return the serial, the first of the five numbers at the end of an SOA's rdata (RFC 1035 section 3.3.13)."""
    return int.from_bytes(soa.rdatas[0][-20:-16], "big")


@dataclass(slots=True)
class MemoryPrimary:
    """One zone and the server that has it. ``away`` makes it silent; contents are replaced, never changed.

    ``checks_targets``: it refuses an MX or apex NS whose target in the zone has no address, as BIND does.
    """

    zone: str
    contents: Contents = field(default_factory=dict)
    away: bool = False
    checks_targets: bool = False
    unreadable: dict[str, str] = field(default_factory=dict)
    """The names that it does not answer questions about, with the reason. Prerequisites and updates work there."""


@dataclass(slots=True)
class MemoryPublisher:
    """A `Publisher` over a primary in memory."""

    primary: MemoryPrimary
    gate: Gate = field(default_factory=OpenGate)

    async def observe(self, zone: str) -> Seen | Unreachable:
        """Read the fence."""
        await self.gate.pass_through("observe", reads=(f"zone {zone}",))
        if self.primary.away:
            return Unreachable("the primary is away")
        return seen_in(zone, self.primary.contents)

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        about = (f"zone {message.zone}",)
        turn = await self.gate.pass_through("publish", reads=about, writes=about, losable=True)
        if turn is Turn.LOST_REQUEST:
            return Unknown("no answer")
        outcome = self.take(message)
        return Unknown("no answer") if turn is Turn.LOST_ANSWER else outcome

    def take(self, message: Message) -> Outcome:
        """Apply one UPDATE at once, as the server does."""
        if self.primary.away:
            return Unknown("the primary is away")
        refused = first_refusal(self.primary.contents, message.prerequisites)
        if refused is not None:
            return Refused(refused)
        contents = dict(self.primary.contents)
        for update in message.updates:
            apply_update(message.zone, contents, update)
        drop_orphaned_ds(contents, {update.key.name for update in message.updates if update.key.type in {"NS", "DS"}})
        if self.primary.checks_targets and message.updates:
            found = dangling(message.zone, self.primary.contents, contents)
            if found is not None:
                return Refused("REFUSED", f"{found} points at a name that has no address")
        self.primary.contents = contents
        return Applied()

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        """Return every RRset at these names."""
        await self.gate.pass_through("read", reads=(f"zone {zone}",))
        if self.primary.away:
            return Unreachable("the primary is away")
        unread = {name: self.primary.unreadable[name] for name in names if name in self.primary.unreadable}
        shown = set(names) - unread.keys()
        return NamesRead({key: records for key, records in self.primary.contents.items() if key.name in shown}, unread)

    async def transfer(self, zone: str) -> Mapping[Key, Records] | Unreachable:
        """Return all RRsets of the zone."""
        await self.gate.pass_through("transfer", reads=(f"zone {zone}",))
        return Unreachable("the primary is away") if self.primary.away else dict(self.primary.contents)
