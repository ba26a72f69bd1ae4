"""TSIG by RFC 8945: which signatures hold, and what the others are answered with."""

import struct
import time
from collections.abc import AsyncIterator

import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.tsig
import pytest
import pytest_asyncio

from dnsguard.wire.server import EmbeddedServer
from tests.wire.server.conversation import Conversation
from tests.wire.server.parts import KEY, KEYS, ZONES, query, signed_update, update

ALGORITHMS = (dns.tsig.HMAC_SHA1, dns.tsig.HMAC_SHA224, dns.tsig.HMAC_SHA384, dns.tsig.HMAC_SHA512)
MORE_KEYS = {dns.name.from_text(f"key{n}."): algorithm for n, algorithm in enumerate(ALGORITHMS)}


@pytest_asyncio.fixture
async def conversation() -> AsyncIterator[Conversation]:
    keys = {name: dns.tsig.Key(name, b"one more secret", algorithm) for name, algorithm in MORE_KEYS.items()}
    zones = {origin: [*names, *keys] for origin, names in ZONES.items()}
    server = await EmbeddedServer.start(zones=zones, keys={**KEYS, **keys})
    async with await Conversation.open(server.address) as opened:
        yield opened
    await server.stop()


def signed_at(moment: int, *, mac_size: int = 32, error: int = 0) -> tuple[bytes, dns.rdtypes.ANY.TSIG.TSIG]:
    """An UPDATE signed by a clock that shows a moment, and its TSIG."""
    wire = update().to_wire()
    blank = dns.rdtypes.ANY.TSIG.TSIG(
        dns.rdataclass.ANY, dns.rdatatype.TSIG, KEY.algorithm, 0, 300, b"", int.from_bytes(wire[:2]), error, b""
    )
    tsig, _ = dns.tsig.sign(wire, KEY, blank, moment)
    tsig = tsig.replace(mac=tsig.mac[:mac_size])
    return append(wire, tsig), tsig


def append(wire: bytes, tsig: dns.rdata.Rdata) -> bytes:
    """A message with a TSIG record at its end."""
    rdata = tsig.to_wire() or b""
    head = (KEY.name.to_wire() or b"") + struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(rdata))
    return wire[:10] + struct.pack("!H", int.from_bytes(wire[10:12]) + 1) + wire[12:] + head + rdata


def read(wire: bytes) -> tuple[dns.rcode.Rcode, dns.rdtypes.ANY.TSIG.TSIG | None]:
    """An answer's code and its TSIG, which is not checked."""
    message = dns.message.from_wire(wire, keyring=False)
    tsig = message.tsig[0] if message.tsig else None
    assert tsig is None or isinstance(tsig, dns.rdtypes.ANY.TSIG.TSIG)
    return message.rcode(), tsig


@pytest.mark.parametrize("keyname", list(MORE_KEYS), ids=str)
async def test_every_usual_algorithm_is_understood(conversation: Conversation, keyname: dns.name.Name) -> None:
    key = dns.tsig.Key(keyname, b"one more secret", MORE_KEYS[keyname])
    message = signed_update(key)
    message.add("www", 60, "A", "192.0.2.1")
    answer = dns.message.from_wire(await conversation.ask(message.to_wire()), keyring=key, request_mac=message.mac)
    assert answer.rcode() == dns.rcode.NOERROR


async def test_an_unknown_key_is_badkey_without_a_signature(conversation: Conversation) -> None:
    stranger = dns.tsig.Key("stranger.", b"a secret for tests only")
    rcode, tsig = read(await conversation.ask(signed_update(stranger).to_wire()))
    assert rcode == dns.rcode.NOTAUTH
    assert tsig is not None
    assert (tsig.error, tsig.mac) == (dns.rcode.BADKEY, b"")


async def test_a_known_key_of_another_algorithm_is_badkey(conversation: Conversation) -> None:
    changed = dns.tsig.Key(KEY.name, KEY.secret, dns.tsig.HMAC_SHA512)
    rcode, tsig = read(await conversation.ask(signed_update(changed).to_wire()))
    assert rcode == dns.rcode.NOTAUTH
    assert tsig is not None
    assert tsig.error == dns.rcode.BADKEY


async def test_a_wrong_secret_is_badsig_without_a_signature(conversation: Conversation) -> None:
    forged = dns.tsig.Key(KEY.name, b"a secret that is another")
    for message in (signed_update(forged), query("ns1", "A", key=forged), query("@", "AXFR", key=forged)):
        rcode, tsig = read(await conversation.ask(message.to_wire()))
        assert rcode == dns.rcode.NOTAUTH
        assert tsig is not None
        assert (tsig.error, tsig.mac) == (dns.rcode.BADSIG, b"")


async def test_a_changed_message_is_badsig(conversation: Conversation) -> None:
    message = signed_update()
    message.add("www", 60, "A", "192.0.2.1")
    wire = message.to_wire().replace(bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))
    rcode, tsig = read(await conversation.ask(wire))
    assert rcode == dns.rcode.NOTAUTH
    assert tsig is not None
    assert tsig.error == dns.rcode.BADSIG


@pytest.mark.parametrize("skew", [-1000, 1000])
async def test_a_wrong_clock_is_badtime_signed_and_told_the_servers_time(conversation: Conversation, skew: int) -> None:
    now = int(time.time())
    wire, sent = signed_at(now + skew)
    answer = await conversation.ask(wire)
    rcode, tsig = read(answer)
    assert rcode == dns.rcode.NOTAUTH
    assert tsig is not None
    assert (tsig.error, tsig.time_signed) == (dns.rcode.BADTIME, now + skew)
    assert abs(int.from_bytes(tsig.other) - now) < 300
    record = append(b"\0" * 12, tsig)[12:]
    unsigned = answer[:10] + b"\0\0" + answer[12 : -len(record)]
    expected, _ = dns.tsig.sign(unsigned, KEY, tsig, tsig.time_signed, sent.mac)
    assert tsig.mac == expected.mac


async def test_a_clock_that_is_a_little_off_is_accepted(conversation: Conversation) -> None:
    wire, _ = signed_at(int(time.time()) - 200)
    assert read(await conversation.ask(wire))[0] == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("mac_size", "rcode"), [(16, dns.rcode.NOTAUTH), (9, dns.rcode.FORMERR), (0, dns.rcode.FORMERR)]
)
async def test_a_truncated_signature_is_not_accepted(
    conversation: Conversation, mac_size: int, rcode: dns.rcode.Rcode
) -> None:
    wire, _ = signed_at(int(time.time()), mac_size=mac_size)
    assert read(await conversation.ask(wire))[0] == rcode


async def test_a_signature_that_is_not_last_or_not_alone_is_a_format_error(conversation: Conversation) -> None:
    wire, tsig = signed_at(int(time.time()))
    assert read(await conversation.ask(append(wire, tsig)))[0] == dns.rcode.FORMERR
    wire, _ = signed_at(int(time.time()), error=dns.rcode.BADKEY)
    assert read(await conversation.ask(wire))[0] == dns.rcode.FORMERR


async def test_queries_are_signed_when_the_client_signs(conversation: Conversation) -> None:
    asked = query("ns1", "A", key=KEY)
    answer = dns.message.from_wire(await conversation.ask(asked.to_wire()), keyring=KEY, request_mac=asked.mac)
    assert answer.had_tsig
    assert answer.answer
    _, tsig = read(await conversation.ask(query("ns1", "A").to_wire()))
    assert tsig is None
