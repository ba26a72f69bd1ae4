"""All that a message does to a zone is in the trace, or the trace says that something of it is nothing known."""

import pytest

from dnsguard.core.fence import Fence
from dnsguard.core.layout import alias_to, marker_key, node_name, rollback_name
from dnsguard.core.message import AddRecords, Applied, DeleteRecords, DeleteRRset, Message, Update
from dnsguard.core.plan import Change
from dnsguard.core.publication import scratch_removed, write_fence
from dnsguard.core.records import Key, Records, parse_records
from tests.model.events import Deleted, Published, Strange, Unmarked
from tests.model.recording import Recorder
from tests.model.world import Place
from tests.workers.rig import HISTORY, ZONE, key

WWW = key("www")
NEW, OLD = parse_records("A", 60, ["192.0.2.2"]), parse_records("A", 60, ["192.0.2.1"])
NODE, BEFORE = Key(node_name(WWW.name, 2), "A"), Key(node_name(WWW.name, 1), "A")
ALIAS, BACK = Key(WWW.name, "CNAME"), Key(rollback_name(WWW.name), "CNAME")
FENCED = write_fence(ZONE, Fence(HISTORY, 2, "0" * 16))


def put(at: Key, records: Records) -> tuple[Update, ...]:
    return DeleteRRset(at), AddRecords(at, records)


def acts(*updates: Update) -> list[object]:
    """Return what is recorded of a message of somebody who is to publish WWW as of generation 2."""
    recorder = Recorder(ZONE, fetched={"E0": (Change(WWW, NEW, 2),)})
    recorder.note("E0", "publish", Message(ZONE, (), updates), Applied())
    return [event.act for event in recorder.events]


def published(touched: tuple[tuple[Key, int], ...], backs: tuple[tuple[Key, int], ...] = ()) -> list[object]:
    return [Published(None, Place(2, 2), touched, "applied", frozenset(), backs)]


def test_what_the_layouts_write_is_recorded_with_the_generation_that_it_gives() -> None:
    marker = put(marker_key(NODE.name), Records(0, (b"\x05built",)))
    assert acts(*put(WWW, NEW), *FENCED) == published(((WWW, 2),))
    assert acts(*marker, *put(NODE, NEW), *FENCED) == published(((WWW, 2),))
    flip = DeleteRRset(WWW), *put(ALIAS, alias_to(NODE.name, 60)), *put(BACK, alias_to(BEFORE.name, 0))
    assert acts(*flip, *FENCED) == published(((WWW, 2),), ((WWW, 1),))
    assert acts(DeleteRRset(BEFORE)) == [Deleted(WWW, 1, "applied", None)]
    assert acts(DeleteRRset(marker_key(BEFORE.name))) == [Unmarked(WWW.name, 1, "applied")]
    assert acts(*scratch_removed(ZONE).updates) == []


@pytest.mark.parametrize(
    "updates",
    [put(WWW, OLD), put(NODE, OLD), put(BEFORE, NEW), (DeleteRRset(NODE),), put(ALIAS, alias_to(NODE.name, 61))],
    ids=["other contents", "other contents at the node", "another node", "nothing at the node", "another TTL"],
)
def test_other_contents_than_those_fetched_are_recorded_as_such(updates: tuple[Update, ...]) -> None:
    assert acts(*updates, *FENCED) == published(((WWW, 0),))


@pytest.mark.parametrize(
    ("updates", "what"),
    [
        (put(key("other"), NEW), key("other")),
        ((DeleteRRset(WWW),), WWW),
        ((AddRecords(key("other"), NEW),), key("other")),
        ((DeleteRecords(NODE, NEW.rdatas),), NODE),
        (put(ALIAS, alias_to(key("elsewhere").name, 60)), ALIAS),
        (put(BACK, alias_to(BEFORE.name, 60)), BACK),
        ((DeleteRRset(BACK),), BACK),
        ((DeleteRRset(marker_key(NODE.name)),), marker_key(NODE.name)),
    ],
)
def test_what_is_nothing_known_is_recorded_as_strange(updates: tuple[Update, ...], what: Key) -> None:
    assert Strange(what) in acts(*updates, *FENCED)


@pytest.mark.parametrize(
    ("updates", "what"),
    [
        (put(WWW, NEW), WWW),
        (put(NODE, NEW), WWW),
        ((DeleteRRset(BEFORE), DeleteRRset(ALIAS)), ALIAS),
        ((DeleteRRset(BEFORE), DeleteRecords(NODE, NEW.rdatas)), NODE),
        ((DeleteRRset(BEFORE), AddRecords(marker_key(NODE.name), NEW)), marker_key(NODE.name)),
    ],
)
def test_without_the_fence_nothing_is_known_but_deletions_of_nodes(updates: tuple[Update, ...], what: Key) -> None:
    assert Strange(what) in acts(*updates)
