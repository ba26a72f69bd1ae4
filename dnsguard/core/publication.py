"""From a change to the UPDATE messages that publish it: cut into parts, laid out, fenced.
A part never cuts an owner name in two where that can be helped, nor names that point at each other in a cycle, and
carries the prerequisites that make the name server refuse it when anything that it relies on is no longer so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dnsguard.core.fence import FENCE_TTL, Fence, Progress, fence_key, fence_rdata
from dnsguard.core.layout import Layout, Stage
from dnsguard.core.message import AddRecords, DeleteRRset, Message, Prerequisite, Update, octets_of
from dnsguard.core.names import fence_name
from dnsguard.core.plan import Before, Change
from dnsguard.core.policy import MESSAGE_OCTETS_MAX
from dnsguard.core.records import Key, Records, make_records
from dnsguard.core.written import Seen, WriteRule, Written, fence_as_seen

_SCRATCH_OCTETS_MIN = 4_096
"""A page: what is left of the last one of a journal holds no such message."""
_SCRATCH_OCTETS_MAX = MESSAGE_OCTETS_MAX - 4_096
_SCRATCH_RDATA_OCTETS = 4_096
"""Few and long: BIND takes 100 records of a type, or as few as it is told."""


def write_fence(zone: str, fence: Fence) -> tuple[Update, ...]:
    """Return the updates that set the fence."""
    key = fence_key(zone)
    return DeleteRRset(key), AddRecords(key, Records(FENCE_TTL, (fence_rdata(fence),)))


def compose(stage: Stage, facts: Written, fence: Fence, rules: Sequence[WriteRule]) -> Message:
    """Build the UPDATE that carries some changes through a stage and moves the fence.

    What hides the fence at its own name goes with it: the name is dnsguard's. A DNAME at the apex, which hides it, too,
    goes with a plan that retires it.
    """
    cleared = tuple(DeleteRRset(key) for key in facts.seen.hidden_by if key.name == fence_name(facts.zone))
    asked = prerequisites_only(facts, rules)
    return replace(asked, updates=stage.lay(facts) + cleared + write_fence(facts.zone, fence))


def prerequisites_only(facts: Written, rules: Sequence[WriteRule]) -> Message:
    """Build an UPDATE without updates that asks for what the one with these changes expects."""
    return Message(facts.zone, tuple(dict.fromkeys(each for rule in rules for each in rule(facts))), ())


def control(zone: str, seen: Seen, rules: Sequence[WriteRule]) -> Message:
    """Build an UPDATE that says what stands already: a server that refuses this refuses everything.

    It tells of permission only: of equal records deleted and added BIND makes no change, and writes nothing.
    """
    key = fence_key(zone)
    again = (AddRecords(key, Records(FENCE_TTL, seen.rdatas)),) if seen.rdatas else ()
    return Message(zone, _believing(zone, seen, rules), (DeleteRRset(key), *again))


def scratch_key(zone: str) -> Key:
    """Return the key below the fence at which `writing_control` writes; nobody else's record ever stands there."""
    return Key(f"control.{fence_name(zone)}", "TXT")


def writing_control(zone: str, seen: Seen, rules: Sequence[WriteRule], like: Message, token: str) -> Message:
    """Build an UPDATE that writes at least as much as another and touches no plan's record.

    A server that fails this cannot write, whatever the other message has in it. ``token`` is at most 64 characters
    that were not used before: of the same records once more a server would make no change. `scratch_removed` takes
    it away again.
    """
    octets = _SCRATCH_OCTETS_MIN + 2 * sum(octets_of(update) for update in like.updates)
    key = scratch_key(zone)
    rdatas = []
    for start in range(0, min(octets, _SCRATCH_OCTETS_MAX), _SCRATCH_RDATA_OCTETS):
        text = f"{token} {start} ".encode("ascii").ljust(255, b"x")
        rdatas.append((b"\xff" + text) * (_SCRATCH_RDATA_OCTETS // 256))
    updates = DeleteRRset(key), AddRecords(key, make_records(key.type, FENCE_TTL, rdatas))
    return Message(zone, _believing(zone, seen, rules), updates)


def scratch_removed(zone: str) -> Message:
    """Build the UPDATE that removes what `writing_control` wrote; where nothing is, it changes nothing."""
    return Message(zone, (), (DeleteRRset(scratch_key(zone)),))


def _believing(zone: str, seen: Seen, rules: Sequence[WriteRule]) -> tuple[Prerequisite, ...]:
    facts = Written(zone, seen, (), {}, frozenset())
    return tuple(prerequisite for rule in rules for prerequisite in rule(facts))


def verification(stage: Stage, facts: Written) -> Message:
    """Build an UPDATE without updates that the server takes only if the zone holds what was published.

    This reads back with the server's own comparison, which wildcards and delegations do not disturb.
    """
    return Message(facts.zone, fence_as_seen(facts) + stage.expect(facts), ())


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a publication that fits a message: changes[first:last] in one stage.

    ``done`` counts RRsets over all stages, as the fence does, once this part is on the wire.
    """

    stage: Stage
    first: int
    last: int
    done: int


def steps_of(layout: Layout, changes: Sequence[Change]) -> int:
    """Return how many RRsets a publication writes, each counted once per stage."""
    return len(layout.stages) * len(changes)


_NO_CYCLES: Mapping[str, str] = {}


def parts(
    layout: Layout, changes: Sequence[Change], done: int, rrsets_max: int, cycle_of: Mapping[str, str] = _NO_CYCLES
) -> Iterator[Part]:
    """Cut what is left of a publication after ``done`` into parts, stage by stage."""
    count = len(changes)
    if not count:
        yield Part(layout.stages[-1], 0, 0, 0)
    for index, stage in enumerate(layout.stages):
        if done < (index + 1) * count:
            for first, last in ranges(changes, max(0, done - index * count), rrsets_max, cycle_of):
                yield Part(stage, first, last, index * count + last)


def ranges(
    changes: Sequence[Change], start: int, rrsets_max: int, cycle_of: Mapping[str, str] = _NO_CYCLES
) -> Iterator[tuple[int, int]]:
    """Cut changes[start:] into half-open ranges that fit a message, at owner names where possible.

    ``rrsets_max`` bounds the RRsets in a part; the RRsets of one name, and of names in one cycle, stay together even
    beyond it, as long as the octets allow.
    """
    first = start
    count = octets = 0
    index = start
    for _, group in groupby(changes[start:], key=lambda change: cycle_of.get(change.key.name, change.key.name)):
        sizes = [octets_max(change) for change in group]
        if count and (count + len(sizes) > rrsets_max or octets + sum(sizes) > MESSAGE_OCTETS_MAX):
            yield first, index
            first, count, octets = index, 0, 0
        for size in sizes:
            if count and octets + size > MESSAGE_OCTETS_MAX:
                yield first, index
                first, count, octets = index, 0, 0
            count, octets, index = count + 1, octets + size, index + 1
    if count:
        yield first, index


def octets_max(change: Change) -> int:
    """Bound from above what a change takes in an UPDATE."""
    octets = 4 * octets_of(DeleteRRset(change.key))
    if isinstance(change.wanted, Records):
        octets += octets_of(AddRecords(change.key, change.wanted))
        if change.before is Before.UNMANAGED or change.key.type == "NS":
            octets *= 3  # compared with what is there, or an apex NS RRset that grows, shrinks and is written again
    return octets


def next_fence(target: Fence, base: int, done: int, of: int, order: int = 0) -> Fence:
    """Return the fence after ``done`` of ``of`` RRsets on the way from ``base`` to a target."""
    return target if done == of else replace(target, progress=Progress(base, done, of, order))
