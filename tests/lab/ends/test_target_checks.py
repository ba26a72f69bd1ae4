"""A primary in memory that checks targets takes and refuses what a real BIND does."""

from pathlib import Path

import pytest

from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Outcome, Refused, Update
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.lab.ends.primary import MemoryPrimary, MemoryPublisher
from tests.servers import require
from tests.wire.primaries import ZONE, make_publisher, start_bind

Step = tuple[str, ...]
"""The updates of one message, each as ``+label TYPE rdata`` or ``-label TYPE``; ``~`` stands for the zone's name."""

STORIES: dict[str, list[Step]] = {
    "an MX to nothing": [("+m MX 10 t.~",)],
    "an MX to an address": [("+t A 192.0.2.1",), ("+m MX 10 t.~",)],
    "an MX to an address of the same message": [("+m MX 10 t.~", "+t A 192.0.2.1")],
    "an MX to a text": [('+t TXT "x"',), ("+m MX 10 t.~",)],
    "an MX to an alias": [("+u AAAA 2001:db8::1",), ("+t CNAME u.~",), ("+m MX 10 t.~",)],
    "an MX elsewhere": [("+m MX 10 t.elsewhere.test.",)],
    "an MX to a wildcard's name": [("+*.w A 192.0.2.1",), ("+m MX 10 x.w.~",)],
    "an MX to a name that keeps a wildcard away": [("+*.w A 192.0.2.1",), ('+x.w TXT "x"',), ("+m MX 10 x.w.~",)],
    "an MX below a delegation": [("+d NS ns.elsewhere.test.",), ("+m MX 10 x.d.~",)],
    "an MX to a delegation": [("+d NS ns.elsewhere.test.",), ("+m MX 10 d.~",)],
    "an MX below a DNAME": [("+d DNAME elsewhere.test.",), ("+m MX 10 x.d.~",)],
    "an address goes that an MX points at": [("+t A 192.0.2.1", "+m MX 10 t.~"), ("-t A",)],
    "an address goes that the apex NS points at": [("+n A 192.0.2.1", "+@ NS n.~"), ("-n A",)],
    "a name server that is an alias": [("+n CNAME elsewhere.test.",), ("+@ NS n.~",)],
    "an MX with a new TTL to nothing": [("+t A 192.0.2.1", "+m MX 10 t.~"), ("-t A",), ("-m MX", "+m MX 10 t.~ 99")],
    "glue that is missing": [("+d NS ns.d.~",), ("+e NS ns.~",)],
    "an SRV and an alias to nothing": [("+_s._tcp SRV 0 0 5 t.~", "+c CNAME t.~")],
}


def update(text: str) -> Update:
    label, rdtype, *rdata = text[1:].split(" ", 2)
    of = Key(ZONE if label == "@" else f"{label}.{ZONE}", rdtype)
    if text.startswith("-"):
        return DeleteRRset(of)
    written, ttl = (rdata[0][:-3], 99) if rdata[0].endswith(" 99") else (rdata[0], 60)
    return AddRecords(of, parse_records(rdtype, ttl, [written.replace("~", ZONE)]))


def words(outcomes: list[Outcome]) -> list[str]:
    return ["taken" if each == Applied() else each.rcode if isinstance(each, Refused) else "?" for each in outcomes]


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
async def test_the_primary_in_memory_answers_as_bind_does(steps: list[Step], tmp_path: Path) -> None:
    require("named")
    messages = [Message(ZONE, (), tuple(map(update, step))) for step in steps]
    server = await start_bind(tmp_path / "server")
    publisher = make_publisher(server.address)
    try:
        answered = [await publisher.publish(message) for message in messages]
        begun = MemoryPrimary(ZONE, memory(), checks_targets=True)
    finally:
        await publisher.close()
        await server.stop()
    assert words([MemoryPublisher(begun).take(message) for message in messages]) == words(answered)


def memory() -> dict[Key, Records]:
    """Return what the servers under test hold when they begin, as far as it counts here."""
    return {Key(ZONE, "NS"): parse_records("NS", 60, ["ns.elsewhere.test."])}
