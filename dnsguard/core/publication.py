"""From a change to the UPDATE messages that publish it: cut into parts, laid out, fenced.
A part never cuts an owner name in two where that can be helped, and carries the prerequisites that make
the name server refuse it when anything that it relies on is no longer so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dnsguard.core.fence import FENCE_TTL, Fence, Progress, fence_key, fence_rdata
from dnsguard.core.layout import Layout, Stage
from dnsguard.core.message import AddRecords, DeleteRRset, Message, Update, octets_of
from dnsguard.core.plan import Before, Change
from dnsguard.core.policy import MESSAGE_OCTETS_MAX
from dnsguard.core.records import Records
from dnsguard.core.written import Seen, WriteRule, Written, fence_as_seen


def write_fence(zone: str, fence: Fence) -> tuple[Update, ...]:
    """Return the updates that set the fence."""
    key = fence_key(zone)
    return DeleteRRset(key), AddRecords(key, Records(FENCE_TTL, (fence_rdata(fence),)))


def compose(stage: Stage, facts: Written, fence: Fence, rules: Sequence[WriteRule]) -> Message:
    """Build the UPDATE that carries some changes through a stage and moves the fence."""
    prerequisites = tuple(dict.fromkeys(prerequisite for rule in rules for prerequisite in rule(facts)))
    return Message(facts.zone, prerequisites, stage.lay(facts) + write_fence(facts.zone, fence))


def control(zone: str, seen: Seen, rules: Sequence[WriteRule]) -> Message:
    """Build an UPDATE that says what stands already: a server that refuses this refuses everything."""
    prerequisites = tuple(p for rule in rules for p in rule(Written(zone, seen, (), {}, frozenset())))
    key = fence_key(zone)
    again = (AddRecords(key, Records(FENCE_TTL, seen.rdatas)),) if seen.rdatas else ()
    return Message(zone, prerequisites, (DeleteRRset(key), *again))


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


def parts(layout: Layout, changes: Sequence[Change], done: int, rrsets_max: int) -> Iterator[Part]:
    """Cut what is left of a publication after ``done`` into parts, stage by stage."""
    count = len(changes)
    if not count:
        yield Part(layout.stages[-1], 0, 0, 0)
    for index, stage in enumerate(layout.stages):
        if done < (index + 1) * count:
            for first, last in ranges(changes, max(0, done - index * count), rrsets_max):
                yield Part(stage, first, last, index * count + last)


def ranges(changes: Sequence[Change], start: int, rrsets_max: int) -> Iterator[tuple[int, int]]:
    """Cut changes[start:] into half-open ranges that fit a message, at owner names where possible.

    ``rrsets_max`` bounds the RRsets in a part; one name's RRsets stay together even beyond it, as long as
    the octets allow.
    """
    first = start
    count = octets = 0
    index = start
    for _, group in groupby(changes[start:], key=lambda change: change.key.name):
        sizes = [_octets_max(change) for change in group]
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


def _octets_max(change: Change) -> int:
    octets = 4 * octets_of(DeleteRRset(change.key))
    if isinstance(change.wanted, Records):
        octets += octets_of(AddRecords(change.key, change.wanted))
        if change.before is Before.UNMANAGED or change.key.type == "NS":
            octets *= 2  # compared with what is there, or an apex NS RRset that grows before it shrinks
    return octets


def next_fence(target: Fence, base: int, done: int, of: int) -> Fence:
    """Return the fence after ``done`` of ``of`` RRsets on the way from ``base`` to a target."""
    return target if done == of else replace(target, progress=Progress(base, done, of))
