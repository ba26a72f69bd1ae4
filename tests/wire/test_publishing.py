"""The contract of a primary: what a fenced publication may rely on, whatever the name server is."""

import asyncio
import inspect
from collections.abc import Sequence

import pytest

from dnsguard.core.fence import fence_key, fence_rdata
from dnsguard.core.guards import GUARDED
from dnsguard.core.layout import INLINE
from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRecords,
    DeleteRRset,
    Message,
    NameInUse,
    NameNotInUse,
    Outcome,
    Prerequisite,
    Refused,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    Unknown,
)
from dnsguard.core.plan import Absence, Before, Change
from dnsguard.core.publication import compose, next_fence, ranges, verification
from dnsguard.core.records import Records
from dnsguard.core.written import Seen, Written
from dnsguard.wire.encode import MESSAGE_OCTETS_MAX, encode_update
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.effects import Publisher
from tests.wire.primaries import (
    ZONE,
    Connect,
    OwnWay,
    changes,
    fence_at,
    guarded,
    key,
    publish,
    read,
    records,
    seen_at,
)

WWW = key("www", "A")
WRITING = INLINE.stages[0]
ONE, TWO = records("A", "192.0.2.1"), records("A", "192.0.2.2")


def verifying(seen: Seen, some: Sequence[Change]) -> Message:
    """The message that reads back what was published inline."""
    return verification(WRITING, Written(ZONE, seen, tuple(some), {}, frozenset()))


def test_it_is_what_the_workers_publish_with(publisher: DnsPublisher) -> None:
    worker_side: Publisher = publisher  # mypy compares the signatures
    for effect in ("observe", "publish", "read"):
        assert inspect.iscoroutinefunction(getattr(worker_side, effect))


async def test_a_zone_without_a_fence_shows_none(publisher: DnsPublisher) -> None:
    assert await publisher.observe(ZONE) == Seen((), None)


async def test_what_was_published_is_observed_and_read(publisher: DnsPublisher) -> None:
    fence = await publish(publisher, 1, {WWW: ONE})
    assert await publisher.observe(ZONE) == Seen((fence_rdata(fence),), fence)
    assert await read(publisher, [WWW.name]) == {WWW: ONE}


@pytest.mark.parametrize(
    ("key_name", "algorithm"),
    [("updater.", "hmac-sha256"), ("updater384.", "hmac-sha384"), ("updater512.", "hmac-sha512")],
)
async def test_every_algorithm_signs(connect: Connect, key_name: str, algorithm: str) -> None:
    publisher = connect(key_name=key_name, algorithm=algorithm)
    fence = await publish(publisher, 1, {WWW: ONE})
    assert await publisher.observe(ZONE) == seen_at(fence)


async def test_a_stale_fence_is_refused_and_nothing_is_applied(publisher: DnsPublisher) -> None:
    old = await publish(publisher, 1, {WWW: ONE})
    new = await publish(publisher, 2, {WWW: TWO})
    late = guarded(seen_at(old), changes({WWW: ONE, key("other", "A"): ONE}, Before.HELD), fence_at(2, writer=9))
    assert await publisher.publish(late) == Refused("NXRRSET", "an RRset does not exist, or not with these records")
    assert await publisher.observe(ZONE) == seen_at(new)
    assert await read(publisher, [WWW.name, key("other", "A").name]) == {WWW: TWO}


async def test_the_first_publication_happens_only_once(publisher: DnsPublisher) -> None:
    first, second = (guarded(seen_at(None), changes({WWW: ONE}), fence_at(1, writer=writer)) for writer in (1, 2))
    assert await publisher.publish(first) == Applied()
    assert isinstance(refused := await publisher.publish(second), Refused)
    assert refused.rcode == "YXRRSET"
    assert await publisher.observe(ZONE) == seen_at(fence_at(1, writer=1))


@pytest.mark.parametrize(
    ("prerequisites", "rcode"),
    [
        ([RRsetIs(WWW, ONE.rdatas), RRsetIs(key("mail", "A"), TWO.rdatas)], None),
        ([RRsetIs(WWW, ONE.rdatas), RRsetIs(key("mail", "A"), ONE.rdatas)], "NXRRSET"),
        ([RRsetIs(WWW, (*ONE.rdatas, *TWO.rdatas))], "NXRRSET"),
        ([RRsetIs(key("nowhere", "A"), ONE.rdatas)], "NXRRSET"),
        ([RRsetExists(WWW), RRsetAbsent(key("www", "AAAA"))], None),
        ([RRsetExists(key("www", "AAAA"))], "NXRRSET"),
        ([RRsetAbsent(WWW)], "YXRRSET"),
        ([NameInUse(WWW.name), NameNotInUse(key("nowhere", "A").name)], None),
        ([NameInUse(key("nowhere", "A").name)], "NXDOMAIN"),
        ([NameInUse(key("empty", "A").name)], "NXDOMAIN"),
        ([NameNotInUse(key("empty", "A").name)], None),
        ([NameNotInUse(WWW.name)], "YXDOMAIN"),
    ],
    ids=str,
)
async def test_prerequisites_of_every_kind_decide_over_the_whole_message(
    publisher: DnsPublisher, prerequisites: list[Prerequisite], rcode: str | None
) -> None:
    await publish(publisher, 1, {WWW: ONE, key("mail", "A"): TWO, key("below.empty", "A"): ONE})
    added = AddRecords(key("added", "A"), ONE)
    outcome = await publisher.publish(Message(ZONE, tuple(prerequisites), (added,)))
    assert (outcome.rcode if isinstance(outcome, Refused) else None) == rcode
    found = await read(publisher, [added.key.name])
    assert found == ({} if rcode else {added.key: ONE})


async def test_single_records_go_and_the_others_stay(publisher: DnsPublisher) -> None:
    await publish(publisher, 1, {WWW: records("A", "192.0.2.1", "192.0.2.2")})
    assert await publisher.publish(Message(ZONE, (), (DeleteRecords(WWW, ONE.rdatas),))) == Applied()
    assert await read(publisher, [WWW.name]) == {WWW: TWO}


async def test_a_key_without_permission_is_refused_in_words(connect: Connect, kind: str, own_way: OwnWay) -> None:
    stranger = connect(key_name="stranger.")
    outcome = await stranger.publish(guarded(seen_at(None), changes({WWW: ONE}), fence_at(1)))
    if kind == "knot":
        own_way("it says BADKEY, as if it did not know the key, and so without a signature: unknown")
        assert isinstance(outcome, Unknown)
        assert "does not let it do this" in outcome.reason
    else:
        assert isinstance(outcome, Refused)
        assert outcome.rcode == "REFUSED"
        assert "key" in outcome.detail
    assert await connect().observe(ZONE) == Seen((), None)


async def test_another_zone_is_refused_and_cannot_be_observed(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    foreign = Message("elsewhere.test.", (RRsetAbsent(fence_key("elsewhere.test.")),), ())
    outcome = await publisher.publish(foreign)
    if kind == "knot":
        own_way("NOTAUTH is not signed, so it decides nothing: unknown")
        assert isinstance(outcome, Unknown)
        assert "see whether the server has the zone" in outcome.reason
    else:
        assert isinstance(outcome, Refused)
    assert outcome.rcode in {"NOTAUTH", "REFUSED"}
    seen = await publisher.observe("elsewhere.test.")
    assert not isinstance(seen, Seen)


async def compete(publishers: list[DnsPublisher], rounds: int) -> None:
    """Let all publish over the same observed fence, round after round."""
    seen = await publishers[0].observe(ZONE)
    assert isinstance(seen, Seen)
    for generation in range(1, rounds + 1):
        fences = [fence_at(generation, writer) for writer in range(len(publishers))]
        sent = [
            publisher.publish(guarded(seen, changes({WWW: records("A", f"192.0.2.{writer}")}), fences[writer]))
            for writer, publisher in enumerate(publishers)
        ]
        outcomes: list[Outcome] = await asyncio.gather(*sent)
        winners = [writer for writer, outcome in enumerate(outcomes) if outcome == Applied()]
        assert len(winners) == 1, f"round {generation}: {outcomes}"
        assert all(isinstance(outcome, Applied | Refused) for outcome in outcomes), f"round {generation}: {outcomes}"
        seen = seen_at(fences[winners[0]])
        if generation % 10 == 0:
            assert await publishers[-1].observe(ZONE) == seen
            won = records("A", f"192.0.2.{winners[0]}")
            assert await read(publishers[-1], [WWW.name]) == {WWW: won}


@pytest.mark.parametrize(("publishers", "rounds"), [(2, 400), (8, 200)])
async def test_a_race_has_exactly_one_winner_each_time(connect: Connect, publishers: int, rounds: int) -> None:
    await compete([connect() for _ in range(publishers)], rounds)


async def test_a_chain_of_fenced_messages_in_flight_applies_in_order(publisher: DnsPublisher) -> None:
    fences = [fence_at(generation) for generation in range(1, 65)]
    chain = [
        guarded(seen_at(before), changes({WWW: records("A", f"192.0.2.{after.generation}")}), after)
        for before, after in zip([None, *fences], fences, strict=False)
    ]
    assert await asyncio.gather(*map(publisher.publish, chain)) == [Applied()] * len(chain)
    assert await publisher.observe(ZONE) == seen_at(fences[-1])
    assert await read(publisher, [WWW.name]) == {WWW: records("A", "192.0.2.64")}


@pytest.mark.parametrize("finished", [1, 4, 7])
async def test_another_publisher_resumes_in_the_middle_of_many_parts(connect: Connect, finished: int) -> None:
    wanted = changes({key(f"host{index:02}", "A"): records("A", f"192.0.2.{index}") for index in range(40)})
    target = fence_at(7)

    async def walk(publisher: DnsPublisher, seen: Seen, messages_max: int) -> Seen:
        start = seen.fence.progress.done if seen.fence is not None and seen.fence.progress is not None else 0
        for count, (first, last) in enumerate(ranges(wanted, start, 5)):
            if count == messages_max:
                break
            fence = next_fence(target, 0, last, len(wanted))
            facts = Written(ZONE, seen, wanted[first:last], {}, frozenset())
            assert await publisher.publish(compose(WRITING, facts, fence, GUARDED.write)) == Applied()
            seen = seen_at(fence)
        return seen

    left = await walk(connect(), seen_at(None), finished)
    other = connect()
    found = await other.observe(ZONE)
    assert found == left
    assert found.fence is not None
    assert found.fence.progress is not None
    assert found.fence.progress.done == 5 * finished
    seen = await walk(other, found, 100)
    assert seen == seen_at(target)
    assert await other.publish(verifying(seen, wanted)) == Applied()
    late = guarded(left, wanted[:5], next_fence(target, 0, 5 * finished + 5, len(wanted)))
    assert isinstance(await connect().publish(late), Refused)


def filled(octets: int, signature_octets: int) -> Message:
    """A message that takes exactly so many octets with its signature, at 220 names or fewer."""
    string = b"\xff" + b"x" * 255
    updates = [AddRecords(key(f"big{index}", "TXT"), Records(60, (string,))) for index in range(220)]
    last = AddRecords(key("last", "TXT"), Records(60, (b"\0",)))
    room = octets - signature_octets - len(encode_update(Message(ZONE, (), (*updates, last))))
    strings, rest = divmod(room, len(string))
    rdata = bytes((rest,)) + b"y" * rest + string * strings
    return Message(ZONE, (), (*updates, AddRecords(last.key, Records(60, (rdata,)))))


async def test_the_largest_message_is_published_and_a_larger_one_is_refused_unsent(publisher: DnsPublisher) -> None:
    signature = publisher._connection._signer.octets
    largest = filled(MESSAGE_OCTETS_MAX, signature)
    assert len(encode_update(largest)) + signature == MESSAGE_OCTETS_MAX
    assert await publisher.publish(largest) == Applied()
    written = {update.key: update.records for update in largest.updates if isinstance(update, AddRecords)}
    assert await read(publisher, [key.name for key in written]) == written
    outcome = await publisher.publish(filled(MESSAGE_OCTETS_MAX + 1, signature))
    assert outcome == Refused("FORMERR", "expected at most 65535 octets in a message, found 65536; nothing was sent")


async def test_the_apex_name_servers_are_replaced_in_one_message(publisher: DnsPublisher) -> None:
    apex = key("", "NS")
    wanted = changes({apex: records("NS", "ns1.elsewhere.test.", "ns2.elsewhere.test.", ttl=300)})
    found = await read(publisher, [ZONE])
    assert isinstance(found, dict)
    assert apex in found
    fence = fence_at(1)
    assert await publisher.publish(guarded(seen_at(None), wanted, fence, found)) == Applied()
    assert await publisher.publish(verifying(seen_at(fence), wanted)) == Applied()


async def test_a_cname_and_an_address_change_places_in_one_message(publisher: DnsPublisher) -> None:
    alias, target = key("www", "CNAME"), records("CNAME", "elsewhere.test.")
    seen = seen_at(await publish(publisher, 1, {WWW: ONE}))
    for generation, wanted in ((2, {WWW: Absence.RETIRED, alias: target}), (3, {WWW: TWO, alias: Absence.RETIRED})):
        found = await read(publisher, [WWW.name])
        assert isinstance(found, dict)
        some = changes(wanted)  # type: ignore[arg-type]  # each value is a Wanted
        assert await publisher.publish(guarded(seen, some, fence_at(generation), found)) == Applied()
        seen = seen_at(fence_at(generation))
        assert await publisher.publish(verifying(seen, some)) == Applied()
        assert await read(publisher, [WWW.name]) == {k: v for k, v in wanted.items() if v != Absence.RETIRED}


async def test_an_address_beside_a_cname_is_refused_or_its_silent_loss_is_detected(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    await publish(publisher, 1, {key("www", "CNAME"): records("CNAME", "elsewhere.test.")})
    fence = fence_at(2)
    fence_update = (DeleteRRset(fence_key(ZONE)), AddRecords(fence_key(ZONE), Records(1, (fence_rdata(fence),))))
    outcome = await publisher.publish(Message(ZONE, (), (AddRecords(WWW, ONE), *fence_update)))
    if kind == "powerdns":
        own_way("it is REFUSED; the others lose it silently")
        assert isinstance(outcome, Refused)
        assert outcome.rcode == "REFUSED"
        assert await publisher.observe(ZONE) == seen_at(fence_at(1))
        return
    assert outcome == Applied()
    outcome = await publisher.publish(verifying(seen_at(fence), changes({WWW: ONE})))
    assert isinstance(outcome, Refused)
    assert outcome.rcode == "NXRRSET"


async def test_an_honest_publication_is_verified_despite_wildcards_and_delegations(publisher: DnsPublisher) -> None:
    wanted = changes(
        {
            key("*", "A"): ONE,
            key("*", "TXT"): records("TXT", '"wild"'),
            key("sub", "NS"): records("NS", "ns.sub.example.test."),
            key("ns.sub", "A"): ONE,
            key("deep.sub", "TXT"): records("TXT", '"occluded"'),
            key("gone.sub", "A"): Absence.RETIRED,
            key("gone", "A"): Absence.RETIRED,
        }
    )
    fence = fence_at(1)
    assert await publisher.publish(guarded(seen_at(None), wanted, fence)) == Applied()
    assert await publisher.publish(verifying(seen_at(fence), wanted)) == Applied()
    lies = changes({key("made-up", "A"): ONE})
    assert isinstance(await publisher.publish(verifying(seen_at(fence), lies)), Refused)
