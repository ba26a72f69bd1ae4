import pytest

from dnsguard.core.fence import Fence, Progress
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Difference, GenerationUnknown, Submission
from dnsguard.core.plan import Before, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import identical, parse_records
from dnsguard.store import reads
from dnsguard.store.sql import SqlStore
from tests.store.making import HISTORY, RETIRED, ZONE, a, accepted, fence_at, key, publish


async def test_pending_has_one_change_per_rrset_in_publication_order(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("mail"): a(1)})
    await accepted(store, {key("www"): a(2)}, stated=10)
    await accepted(store, {key("www"): a(3), key("alias", "CNAME"): a(3)})
    pending = await store.pending(ZONE, None)
    assert [(change.key, change.wanted, change.generation) for change in pending.changes] == [
        (key("alias", "CNAME"), a(3), 11),
        (key("mail"), a(1), 1),
        (key("www"), a(3), 11),
    ]
    assert pending.changes[2].earlier == (a(1), a(2))
    upto = await store.pending(ZONE, None, 10)
    assert (upto.target, [change.generation for change in upto.changes]) == (10, [1, 10])
    with pytest.raises(GenerationUnknown, match="found 5"):
        await store.pending(ZONE, None, 5)


async def test_an_rrset_is_held_gone_or_unmanaged_as_it_was_published(store: SqlStore) -> None:
    await accepted(store, {key("held"): a(1), key("gone"): RETIRED})
    fence = await publish(store, 1)
    await accepted(store, {key("held"): a(2), key("gone"): a(2), key("new"): a(2)})
    changes = (await store.pending(ZONE, fence)).changes
    assert {change.key: change.before for change in changes} == {
        key("held"): Before.HELD,
        key("gone"): Before.GONE,
        key("new"): Before.UNMANAGED,
    }


async def test_what_a_fence_not_yet_on_record_shows_is_known_to_be_ours(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("gone"): RETIRED})
    fence = await fence_at(store, 1)
    await accepted(store, {key("www"): a(2), key("gone"): a(2), key("new"): a(2)})
    changes = (await store.pending(ZONE, fence)).changes
    assert {change.key: change.before for change in changes} == {
        key("www"): Before.HELD,
        key("gone"): Before.GONE,
        key("new"): Before.UNMANAGED,
    }


async def test_whole_names_bring_along_what_stands_unchanged_beside_a_change(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("www", "TXT"): a(1), key("www", "MX"): RETIRED, key("mail"): a(1)})
    await accepted(store, {key("www", "TXT"): a(2)})
    fence = await publish(store, 2)
    await accepted(store, {key("www"): a(3)})
    assert [change.key for change in (await store.pending(ZONE, fence)).changes] == [key("www")]
    whole = await store.pending(ZONE, fence, whole_names=True)
    assert [(change.key, change.wanted, change.generation, change.before) for change in whole.changes] == [
        (key("www"), a(3), 3, Before.HELD),
        (key("www", "TXT"), a(2), 2, Before.HELD),
    ]


async def test_the_ns_and_the_ds_of_a_name_are_published_together(store: SqlStore) -> None:
    ns, ds = key("child", "NS"), key("child", "DS")
    await accepted(store, {ns: a(1), ds: a(1), key("www"): a(1)})
    fence = await publish(store, 1)
    await accepted(store, {ns: a(2)})
    found = (await store.pending(ZONE, fence)).changes
    assert [(change.key, change.wanted, change.generation) for change in found] == [(ns, a(2), 2), (ds, a(1), 1)]
    fence = await publish(store, 2)
    await accepted(store, {ds: RETIRED})
    assert [change.key for change in (await store.pending(ZONE, fence)).changes] == [ns, ds]
    fence = await publish(store, 3)
    await accepted(store, {ns: a(3)})
    assert [change.key for change in (await store.pending(ZONE, fence)).changes] == [ns]
    assert await store.record(ZONE, fence, 2001.0, [(2, "not there")])
    fence = await publish(store, 4)
    await accepted(store, {ds: a(4)})
    fence = await publish(store, 5)
    assert await store.record(ZONE, fence, 2002.0, [(5, "not there")])
    assert [change.key for change in (await store.pending(ZONE, fence)).owed] == [ns, ds]


async def test_a_publication_under_way_is_resumed_to_its_own_target_or_overtaken(store: SqlStore) -> None:
    for number in range(1, 5):
        await accepted(store, {key(f"host-{number}"): a(number)})
    fence = await fence_at(store, 3, Progress(1, 1, 2))
    resumed = await store.pending(ZONE, fence)
    assert (resumed.target, [change.generation for change in resumed.changes]) == (3, [2, 3])
    assert resumed.known_digest == resumed.target_digest == fence.digest
    overtaken = await store.pending(ZONE, fence, 4)
    assert (overtaken.target, [change.generation for change in overtaken.changes]) == (4, [2, 3, 4])


async def test_a_publication_under_way_from_before_the_kept_history_is_overtaken(store: SqlStore) -> None:
    for number in range(1, 5):
        await accepted(store, {key("www"): a(number)})
    fence = await fence_at(store, 2, Progress(0, 1, 2))
    await publish(store, 4)
    assert (await store.pending(ZONE, fence)).target == 2
    await store.prune(ZONE, 3)
    overtaken = await store.pending(ZONE, fence)
    assert (overtaken.target, [change.generation for change in overtaken.changes]) == (4, [4])


async def test_with_nothing_to_publish_the_target_is_the_fences_own_generation(store: SqlStore) -> None:
    empty = await store.pending(ZONE, None)
    assert (empty.target, empty.target_digest, empty.changes, empty.known_digest) == (0, HISTORY, (), None)
    await accepted(store, {key("www"): a(1)})
    fence = await publish(store, 1)
    current = await store.pending(ZONE, fence)
    assert (current.target, current.target_digest, current.changes) == (1, fence.digest, ())
    foreign = Fence("f" * 16, 9, "a" * 16)
    ahead = await store.pending(ZONE, foreign)
    assert (ahead.target, ahead.target_digest, ahead.known_digest, ahead.changes) == (9, "a" * 16, None, ())


async def test_rrsets_at_a_generation_are_as_they_were_then(store: SqlStore) -> None:
    await accepted(store, {key("b"): a(1), key("a", "TXT"): a(1)})
    await accepted(store, {key("a"): a(2), key("b"): RETIRED}, stated=7)
    assert [(found.key, found.wanted, found.generation) for found in await store.rrsets(ZONE)] == [
        (key("a"), a(2), 7),
        (key("a", "TXT"), a(1), 1),
        (key("b"), RETIRED, 7),
    ]
    for between in (1, 6):
        assert [(found.key, found.wanted) for found in await store.rrsets(ZONE, at=between)] == [
            (key("a", "TXT"), a(1)),
            (key("b"), a(1)),
        ]
    assert await store.rrsets(ZONE, at=0) == ()
    with pytest.raises(GenerationUnknown):
        await store.rrsets(ZONE, at=8)


async def test_rrsets_are_filtered_and_paged_in_the_order_of_keys(store: SqlStore) -> None:
    keys = [key(name, rdtype) for name in ("-", "0", "_a", "a", r"a\046b", "b") for rdtype in ("A", "AAAA", "TXT")]
    await accepted(store, dict.fromkeys(keys, a(1)))
    paged, after = [], None
    while page := await store.rrsets(ZONE, after=after, limit=4):
        paged += [found.key for found in page]
        after = page[-1].key
    assert paged == sorted(keys)
    assert [found.key for found in await store.rrsets(ZONE, name=key("a").name)] == sorted(
        one for one in keys if one.name == key("a").name
    )
    assert {found.key.type for found in await store.rrsets(ZONE, rdtype="AAAA", at=1)} == {"AAAA"}


async def test_differences_name_what_changed_in_either_direction(store: SqlStore) -> None:
    await accepted(store, {key("www"): a(1), key("same"): a(1), key("gone"): a(1)})
    await accepted(store, {key("www"): a(2), key("same"): a(2)})
    await accepted(store, {key("www"): a(3), key("same"): a(1), key("gone"): RETIRED, key("new"): a(3)})
    found = await store.differences(ZONE, 1, 3)
    assert [(diff.key, diff.before, diff.after) for diff in found] == [
        (key("gone"), a(1), RETIRED),
        (key("new"), None, a(3)),
        (key("www"), a(1), a(3)),
    ]
    assert [(diff.key, diff.after, diff.before) for diff in await store.differences(ZONE, 3, 1)] == [
        (diff.key, diff.before, diff.after) for diff in found
    ]
    assert await store.differences(ZONE, 2, 2) == ()
    with pytest.raises(GenerationUnknown):
        await store.differences(ZONE, 1, 4)


async def test_plans_are_paged_newest_first(store: SqlStore) -> None:
    for number in range(5):
        await accepted(store, {key("www"): a(number)}, at=1000.0 + number)
    first = await store.plans(ZONE, below=None, limit=2)
    rest = await store.plans(ZONE, below=first[-1].generation, limit=10)
    assert [entry.generation for entry in (*first, *rest)] == [5, 4, 3, 2, 1]
    with pytest.raises(GenerationUnknown):
        await store.plan(ZONE, 6)


async def test_zones_say_what_waits_and_since_when(store: SqlStore) -> None:
    await store.ensure_zone("another.test.", "f" * 16)
    again = await store.ensure_zone("another.test.", "e" * 16)
    assert again.history == "f" * 16
    await accepted(store, {key("www"): a(1)}, at=1000.0)
    await accepted(store, {key("www"): a(2)}, at=1001.0)
    await accepted(store, {key("www"): a(3)}, at=1002.0)
    await publish(store, 1)
    zones = await store.zones()
    assert [(zone.name, zone.pending, zone.oldest_pending_at) for zone in zones] == [
        ("another.test.", 0, None),
        (ZONE, 2, 1001.0),
    ]


@pytest.mark.parametrize("sorted_max", [0, 5_000], ids=["by RRset", "by generation"])
async def test_pages_of_differences_are_the_whole_whichever_way_they_are_found(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, sorted_max: int
) -> None:
    monkeypatch.setattr(reads, "_CHANGES_SORTED_MAX", sorted_max)
    names = [f"n{number}" for number in range(7)]
    await accepted(store, {key(name): a(1) for name in names})
    await accepted(store, {key(name): a(2) for name in names[2:5]} | {key("new", "TXT"): a(9)})
    await accepted(store, {key(names[3]): a(1), key(names[6]): RETIRED, key("brief"): a(3)})
    rejected = await accepted(store, {key("never"): a(66)}, adopt=True)
    assert await store.reject(ZONE, rejected, "no", 2000.0) is not None
    whole = await store.differences(ZONE, 1, 4)
    assert [diff.key for diff in whole] == [
        key("brief"), key("n2"), key("n4"), key("n6"), key("new", "TXT"),
    ]  # fmt: skip
    for limit in (1, 2, 5):
        found: list[Difference] = []
        while page := await store.differences(ZONE, 1, 4, beyond=found[-1].key if found else None, limit=limit):
            assert len(page) <= limit
            found += page
        assert tuple(found) == whole


async def test_a_plan_is_read_page_by_page(store: SqlStore) -> None:
    await accepted(store, {key(f"n{number}"): a(1) for number in range(5)})
    _, whole = await store.plan(ZONE, 1)
    _, first = await store.plan(ZONE, 1, limit=2)
    _, rest = await store.plan(ZONE, 1, after=first[-1].key, limit=9)
    assert (first + rest, len(first)) == (whole, 2)


MIXED, LOWER = (parse_records("PTR", 60, [text, "other.test."]) for text in ("Front.Desk.test.", "front.desk.test."))


async def test_the_case_of_names_in_records_is_kept_generation_by_generation(store: SqlStore) -> None:
    ptr = key("ptr", "PTR")
    await accepted(store, {ptr: MIXED})
    await accepted(store, {ptr: LOWER})
    for generation, wanted in ((1, MIXED), (2, LOWER)):
        (covered,) = await store.rrsets(ZONE, at=generation)
        assert identical(covered.wanted, wanted)
        _, (planned,) = await store.plan(ZONE, generation)
        assert identical(planned.wanted, wanted)
    assert MIXED == LOWER


async def test_a_change_of_case_alone_is_a_difference(store: SqlStore) -> None:
    ptr = key("ptr", "PTR")
    await accepted(store, {ptr: MIXED, key("www"): a(1)})
    await accepted(store, {ptr: LOWER, key("www"): a(1)})
    (found,) = await store.differences(ZONE, 1, 2)
    assert identical(found.before, MIXED)
    assert identical(found.after, LOWER)
    for wanted, differing, unchanged_at in ((MIXED, [ptr], None), (LOWER, [], 2)):
        submission = Submission(make_plan(ZONE, {ptr: wanted}), "tests", 1.0)
        judged = await store.judge(submission, GUARDED, Policy(), {})
        assert ([each.key for each in judged.differences], judged.unchanged_at) == (differing, unchanged_at)
