"""What the embedded server writes down: everything acknowledged, whatever happens to the process."""

import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import pytest

from dnsguard.wire.server import EmbeddedServer, StorageUnavailable
from dnsguard.wire.server.draft import Change
from dnsguard.wire.server.storage import Storage
from tests.servers.process import Process
from tests.wire.server.conversation import Conversation
from tests.wire.server.parts import KEYS, ORIGIN, ZONES, name, signed_update

ROOT = Path(__file__).parents[3]
BURST = 60


def change(owner: str, rdtype: str, *texts: str, ttl: int = 60) -> Change:
    number = dns.rdatatype.from_text(rdtype)
    rdataset = dns.rdataset.from_text("IN", number, ttl, *texts) if texts else None
    return Change(name(owner), number, dns.rdatatype.NONE, rdataset)


def text(changes: list[Change]) -> list[str]:
    return [str(one.rdataset.to_text(one.name)) for one in changes if one.rdataset is not None]


async def test_rrsets_come_back_as_they_were_saved(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path / "zones")
    saved = [
        change("a", "A", "192.0.2.1", "192.0.2.2"),
        change("a", "TXT", '"x" "y"', '"\\000\\255"', ttl=0),
        change("B", "MX", "10 mail.example.net."),
        change("c", "TYPE65400", r"\# 2 beef", r"\# 0"),
        change("c", "CNAME", "a.example.test.", ttl=2**31 - 1),
    ]
    await storage.save(ORIGIN, saved)
    await storage.close()
    storage = await Storage.open(tmp_path / "zones")
    assert sorted(text(await storage.load(ORIGIN))) == sorted(text(saved))
    assert await storage.load(dns.name.from_text("example.net.")) == []
    await storage.close()


async def test_a_later_change_takes_the_place_of_an_earlier_one_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path / "zones")
    await storage.save(ORIGIN, [change("a", "A", "192.0.2.1"), change("b", "A", "192.0.2.1")])
    await storage.save(ORIGIN, [change("A", "A", "192.0.2.9"), change("b", "A")])
    assert text(await storage.load(ORIGIN)) == ["A.example.test. 60 IN A 192.0.2.9"]
    await storage.close()


async def test_a_failed_save_writes_nothing_of_it(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path / "zones")
    broken = Change(
        name("b"), dns.rdatatype.A, dns.rdatatype.NONE, dns.rdataset.from_text("IN", "A", 2**70, "192.0.2.1")
    )
    with pytest.raises(OverflowError):
        await storage.save(ORIGIN, [change("a", "A", "192.0.2.1"), broken])
    assert await storage.load(ORIGIN) == []
    await storage.save(ORIGIN, [change("a", "A", "192.0.2.1")])
    await storage.close()


async def test_a_file_that_is_open_elsewhere_is_unavailable(tmp_path: Path) -> None:
    storage = await Storage.open(tmp_path / "zones")
    with pytest.raises(StorageUnavailable, match="stop the other server, or choose another folder"):
        await Storage.open(tmp_path / "zones")
    await storage.close()
    await (await Storage.open(tmp_path / "zones")).close()


async def test_a_file_of_another_format_is_unavailable_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "zones"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StorageUnavailable, match="found format 99"):
        await Storage.open(path)
    (tmp_path / "text").write_text("this is no database, " * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        await Storage.open(tmp_path / "text")
    with pytest.raises(StorageUnavailable, match="unable to open"):
        await Storage.open(tmp_path / "nowhere" / "zones")


@pytest.mark.parametrize("answered_before_the_kill", [1, 7, 23, 41])
async def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_made(
    tmp_path: Path, answered_before_the_kill: int
) -> None:
    path = tmp_path / "zones"
    process = Process(
        [sys.executable, "-m", "tests.wire.server.serving", str(path)], ready=r"^listening on \d+$", folder=ROOT
    )
    await process.started()
    port = int(process.lines[-1].rsplit(" ", 1)[1])
    async with await Conversation.open(("127.0.0.1", port)) as conversation:
        conversation.send(*(numbered(number) for number in range(BURST)))
        for _ in range(answered_before_the_kill):
            assert (await conversation.receive())[3] & 0xF == dns.rcode.NOERROR
        await process.stop(signal.SIGKILL)
        acknowledged = answered_before_the_kill + await answers_left(conversation)
    survivor = await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path)
    try:
        async with await Conversation.open(survivor.address) as conversation:
            shown = await conversation.transfer()
    finally:
        await survivor.stop()
    texts = sorted(data for owner, rdtype, _, data in shown if rdtype == dns.rdatatype.TXT)
    addresses = {data for owner, rdtype, _, data in shown if rdtype == dns.rdatatype.A} - {b"\x7f\0\0\1"}
    assert len(texts) >= acknowledged >= answered_before_the_kill
    assert addresses == {bytes((192, 0, 2, number)) for number in range(len(texts))}
    (serial,) = [int.from_bytes(data[-20:-16]) for _, rdtype, _, data in shown if rdtype == dns.rdatatype.SOA]
    assert serial == 1 + len(texts)


async def answers_left(conversation: Conversation) -> int:
    """How many more answers a cut connection holds."""
    count = 0
    while True:
        try:
            answer = await conversation.receive()
        except (asyncio.IncompleteReadError, ConnectionError):
            return count
        assert answer[3] & 0xF == dns.rcode.NOERROR
        count += 1


def numbered(number: int) -> bytes:
    """An UPDATE that adds two records of a number, each at a name of its own."""
    message = signed_update()
    message.add(f"t{number}", 60, "TXT", f"{number}")
    message.add(f"a{number}", 60, "A", f"192.0.2.{number}")
    return message.to_wire()
