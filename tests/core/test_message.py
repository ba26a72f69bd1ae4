"""Messages: what a part takes on the wire is never underestimated."""

import dns.name
from hypothesis import given
from hypothesis import strategies as st

from dnsguard.core.message import (
    AddRecords,
    DeleteRecords,
    DeleteRRset,
    NameInUse,
    NameNotInUse,
    RRsetAbsent,
    RRsetExists,
    RRsetIs,
    octets_of,
)
from dnsguard.core.records import Key, Records

NAMES = st.lists(st.text("abc-_", min_size=1, max_size=20), max_size=5).map(lambda labels: ".".join(labels) + ".")
RDATAS = st.lists(st.binary(max_size=50), min_size=1, max_size=5).map(tuple)


@given(NAMES, RDATAS)
def test_octets_are_those_of_uncompressed_records(name: str, rdatas: tuple[bytes, ...]) -> None:
    owner = len(dns.name.from_text(name).to_wire() or b"")
    key = Key(name, "TXT")
    whole = sum(owner + 10 + len(rdata) for rdata in rdatas)
    assert octets_of(AddRecords(key, Records(0, rdatas))) == whole
    assert octets_of(RRsetIs(key, rdatas)) == whole
    assert octets_of(DeleteRecords(key, rdatas)) == whole
    for part in (RRsetExists(key), RRsetAbsent(key), DeleteRRset(key), NameInUse(name), NameNotInUse(name)):
        assert octets_of(part) == owner + 10
