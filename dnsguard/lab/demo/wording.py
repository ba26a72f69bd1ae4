"""Messages and prerequisites in words: short for the terminal, in the notation of nsupdate for the report.
Pure; nothing is sent from here.
"""

from collections.abc import Collection, Mapping

from dnsguard.core.fence import FenceUnreadable, fence_key, parse_fence
from dnsguard.core.layout import MARKER_LABEL, node_of, target_of
from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameInUse,
    NameNotInUse,
    Prerequisite,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
)
from dnsguard.core.records import Key, Records, records_text
from dnsguard.lab.demo.script import REGION, ZONE, Script
from dnsguard.lab.ends.primary import first_refusal
from dnsguard.workers.lock import LOCK_LABEL, flipped, read_lease

FENCE = fence_key(ZONE)


def short(name: str) -> str:
    """Return a name without what all of them end in."""
    return name.removesuffix(f".{REGION}").removesuffix(f".{ZONE}")


def fence_words(rdatas: Collection[bytes]) -> str:
    """Say what a fence says."""
    if not rdatas:
        return "no fence"
    try:
        fence = parse_fence(tuple(rdatas))
    except FenceUnreadable:
        return "no readable fence"
    if fence.progress is None:
        return f"g{fence.generation}"
    return f"g{fence.generation}, {fence.progress.done} of {fence.progress.of} steps done from g{fence.progress.base}"


def act_of(message: Message) -> tuple[str, str, int | None]:
    """Say what a message is for: the act, what it is about, and the generation."""
    if flips := flipped(message):
        added = next(update for update in message.updates if update.key == (flips[0], "CNAME") and _adds(update))
        target = target_of(added.records) if isinstance(added, AddRecords) else None
        place = node_of(target or "")
        return "flip", short(flips[0]), place[0] if place else None
    for update in message.updates:
        place = node_of(update.key.name)
        if place is not None and isinstance(update, AddRecords):
            return "build", short(update.key.name), place[0]
    for update in message.updates:
        place = node_of(update.key.name.removeprefix(f"{MARKER_LABEL}."))
        if place is not None:
            return "delete", short(update.key.name), place[0]
    return "control", "nothing", None


def plan_in(message: Message, script: Script) -> int | None:
    """Return which of the planner's plans the records are that a message puts at nodes: told by the records."""
    for update in message.updates:
        place = node_of(update.key.name)
        if place is not None and isinstance(update, AddRecords):
            texts = records_text(update.key.type, update.records)
            if (number := script.number_of(Key(place[1], update.key.type), texts)) is not None:
                return number
    return None


def endpoints_of(message: Message) -> tuple[str, ...]:
    """Return the endpoints, short, at whose nodes a message puts records."""
    places = [node_of(update.key.name) for update in message.updates if isinstance(update, AddRecords)]
    return tuple(short(place[1]) for place in places if place is not None)


def _adds(update: object) -> bool:
    return isinstance(update, AddRecords)


def failed_prerequisite(message: Message, wire: Mapping[Key, Records]) -> tuple[str, str]:
    """Return the first prerequisite that does not hold, and what is found instead, in words."""
    for prerequisite in message.prerequisites:
        if first_refusal(wire, (prerequisite,)) is not None:
            return prerequisite_words(prerequisite), found_words(prerequisite, wire)
    return "", ""


def prerequisite_words(prerequisite: Prerequisite) -> str:
    """Say a prerequisite."""
    match prerequisite:
        case RRsetIs(key, rdatas) if key == FENCE:
            return f"the fence is still {fence_words(rdatas)}"
        case RRsetIs(key, rdatas) if key.name.startswith(f"{LOCK_LABEL}."):
            return f"the lock of {short(key.name.removeprefix(LOCK_LABEL + '.'))} is still {_lease(rdatas)}"
        case RRsetIs(key, rdatas):
            return f"{short(key.name)} {key.type} is still {_shown(key, rdatas)}"
        case RRsetExists(key):
            return f"{short(key.name)} {key.type} exists"
        case RRsetAbsent(key):
            return f"{short(key.name)} {key.type} does not exist"
        case NameInUse(name):
            return f"node {short(name)} exists"
        case NameNotInUse(name):
            return f"nothing stands at {short(name)}"


def found_words(prerequisite: Prerequisite, wire: Mapping[Key, Records]) -> str:
    """Say what is found where a prerequisite does not hold."""
    match prerequisite:
        case RRsetIs(key, _) | RRsetExists(key) | RRsetAbsent(key):
            found = wire.get(key)
            if key == FENCE:
                return fence_words(found.rdatas if found else ())
            if found is None:
                return "it does not exist"
            if key.name.startswith(f"{LOCK_LABEL}."):
                return _lease(found.rdatas)
            return _shown(key, found.rdatas)
        case NameInUse(_):
            return "it is gone"
        case NameNotInUse(name):
            return ", ".join(key.type for key in wire if key.name == name)


def _lease(rdatas: tuple[bytes, ...]) -> str:
    lease = read_lease(Records(0, rdatas)) if rdatas else None
    return "free" if lease is None else f"{lease.holder}'s"


def _shown(key: Key, rdatas: tuple[bytes, ...]) -> str:
    return ", ".join(short(text) for text in records_text(key.type, Records(0, rdatas)))


def as_nsupdate(message: Message) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write a message as nsupdate reads it: the lines of its prerequisites, and those of its updates."""
    prerequisites: list[str] = []
    for prerequisite in message.prerequisites:
        match prerequisite:
            case RRsetIs(key, rdatas):
                texts = records_text(key.type, Records(0, rdatas))
                prerequisites += [f"prereq yxrrset {key.name} {key.type} {text}" for text in texts]
            case RRsetExists(key):
                prerequisites.append(f"prereq yxrrset {key.name} {key.type}")
            case RRsetAbsent(key):
                prerequisites.append(f"prereq nxrrset {key.name} {key.type}")
            case NameInUse(name):
                prerequisites.append(f"prereq yxdomain {name}")
            case NameNotInUse(name):
                prerequisites.append(f"prereq nxdomain {name}")
    updates: list[str] = []
    for update in message.updates:
        key = update.key
        match update:
            case AddRecords(_, records):
                texts = records_text(key.type, records)
                updates += [f"update add {key.name} {records.ttl} {key.type} {text}" for text in texts]
            case DeleteRRset():
                updates.append(f"update delete {key.name} {key.type}")
            case DeleteRecords(_, rdatas):
                texts = records_text(key.type, Records(0, rdatas))
                updates += [f"update delete {key.name} {key.type} {text}" for text in texts]
    return tuple(prerequisites), tuple(updates)
