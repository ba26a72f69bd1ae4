"""Mutated DNS messages for every reader of octets from the network. A reader may refuse a message with the exceptions
that it declares, and takes a bounded time for it; anything else counts as a breach.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from struct import pack

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update

from dnsguard.core.message import AddRecords, DeleteRRset, Message, RRsetAbsent, RRsetExists, RRsetIs
from dnsguard.core.names import fence_name, name_wire
from dnsguard.core.records import Key, Records
from dnsguard.core.written import seen_of
from dnsguard.wire.decode import Unreadable, decode_answer, gather
from dnsguard.wire.encode import AXFR, encode_question, encode_update
from dnsguard.wire.primary import Primary, TransferLimits
from dnsguard.wire.server.server import initial_contents
from dnsguard.wire.server.service import Service
from dnsguard.wire.transfer import Assembly, LimitExceeded, TransferRefused
from dnsguard.wire.transport import same_question
from dnsguard.wire.tsig import NotAuthentic, Responses, Signer
from dnsguard.wire.txt_answer import read_txt_answer, texts_of

ZONE = "example.test."
FENCE = name_wire(fence_name(ZONE))
KEY_NAME, SECRET = "hostile.", b"a key for mutated messages only."
CPU_S_MAX = 1.0
"""Processor time that one reader may take for one message; 64 KiB of well-formed records take a tenth of it."""
SERVICE_MESSAGES_MAX = 2_000
"""Messages to one embedded server before it is replaced: what updates added would slow it down otherwise."""
_SAMPLES_MAX = 200_000
_CONTENTS = (
    (f"www.{ZONE}", "A", ("192.0.2.1", "192.0.2.2")),
    (f"www.{ZONE}", "AAAA", ("2001:db8::1",)),
    (f"alias.{ZONE}", "CNAME", (f"www.{ZONE}",)),
    (ZONE, "MX", (f"10 mail.{ZONE}",)),
    (ZONE, "NS", (f"ns1.{ZONE}",)),
    (f"_sip._tcp.{ZONE}", "SRV", (f"1 2 5060 sip.{ZONE}",)),
    (ZONE, "CAA", ('0 issue "ca.example"',)),
    (f"svc.{ZONE}", "SVCB", ("1 . alpn=h2 port=443 ipv4hint=192.0.2.1",)),
    (f"naptr.{ZONE}", "NAPTR", (f'1 2 "u" "E2U+sip" "!^.*$!sip:a@b!" {ZONE}',)),
    (f"loc.{ZONE}", "LOC", ("52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",)),
    (f"apl.{ZONE}", "APL", ("1:192.0.2.0/24 !2:2001:db8::/32",)),
    (f"child.{ZONE}", "DS", ("1 8 2 " + "00" * 32,)),
    (f"tlsa.{ZONE}", "TLSA", ("3 1 1 " + "11" * 32,)),
    (f"_dnsguard.{ZONE}", "TXT", ('"dnsguard=1 history=0123456789abcdef generation=41"',)),
    (f"hip.{ZONE}", "HIP", ("2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p",)),
    (f"x.{ZONE}", "TYPE65400", ("\\# 4 01020304",)),
)


@dataclass(slots=True)
class Account:
    """What was done and seen."""

    messages: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """By reader and outcome."""
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    """Processor time by reader, in microseconds; a sample once there are many."""
    worst_us: dict[str, float] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)

    def breach(self, what: str) -> None:
        """Note what must not happen; the first hundred are kept."""
        if len(self.breaches) < 100:
            self.breaches.append(what)


def seeds() -> list[bytes]:
    """Return well-formed messages of every kind that is read."""
    key = dns.tsig.Key(KEY_NAME, SECRET, dns.tsig.HMAC_SHA256)
    rrsets = [dns.rrset.from_text_list(name, 300, "IN", rdtype, texts) for name, rdtype, texts in _CONTENTS]
    soa = dns.rrset.from_text(ZONE, 300, "IN", "SOA", f"ns1.{ZONE} hostmaster.{ZONE} 1 3600 600 604800 60")
    found: list[bytes] = []

    def answer(question: tuple[str, str], *sections: Sequence[dns.rrset.RRset]) -> dns.message.Message:
        message = dns.message.make_response(dns.message.make_query(*question), recursion_available=False)
        message.flags |= dns.flags.AA
        for section, given in zip((message.answer, message.authority, message.additional), sections, strict=False):
            section.extend(given)
        return message

    answers = [
        answer((fence_name(ZONE), "TXT"), [rrsets[13]], [rrsets[4]], [rrsets[0]]),
        answer((fence_name(ZONE), "TXT"), [], [soa], []),
        answer((ZONE, "AXFR"), [soa, *rrsets, soa.copy()]),
        answer((f"www.{ZONE}", "ANY"), [*rrsets], [soa], [rrsets[1]]),
        answer((f"alias.{ZONE}", "A"), [rrsets[2], rrsets[0]]),
    ]
    for message in answers:
        found.append(message.to_wire())
        message.use_tsig(key)
        found.append(message.to_wire())
    for query in (dns.message.make_query(f"www.{ZONE}", "A", use_edns=True), dns.message.make_query(ZONE, "AXFR")):
        found.append(query.to_wire())
        query.use_tsig(key)
        found.append(query.to_wire())
    update = dns.update.UpdateMessage(ZONE)
    update.present(f"_dnsguard.{ZONE}", "TXT", '"41"')
    update.absent(f"new.{ZONE}")
    update.delete(f"www.{ZONE}", "A", "192.0.2.1")
    for rrset in rrsets:
        update.replace(rrset.name, rrset)
    found.append(update.to_wire())
    update.use_tsig(key)
    found.append(update.to_wire())
    fence, www = Key(fence_name(ZONE), "TXT"), Key(f"www.{ZONE}", "A")
    found.append(
        encode_update(
            Message(
                ZONE,
                (RRsetIs(fence, (b"\x0241",)), RRsetAbsent(Key(f"new.{ZONE}", "A")), RRsetExists(Key(ZONE, "SOA"))),
                (
                    DeleteRRset(www),
                    AddRecords(www, Records(60, (b"\xc0\0\x02\x07",))),
                    AddRecords(fence, Records(0, (b"\x0242",))),
                ),
            )
        )
    )
    found.append(encode_question(ZONE, AXFR))
    found += [pointer_chains(), many_records()]
    return found


def pointer_chains(flags: int = 0x8400) -> bytes:
    """Return a message in which each of many names leads through a chain of compression pointers."""
    chain = bytearray(b"\x01a\0")
    for at in range(15, 15 + 2 * 2_000, 2):
        chain += pack("!H", 0xC000 | (12 if at == 15 else at - 2))
    last = pack("!H", 0xC000 | 12 + len(chain) - 2)
    # The chain is the data of one record, which begins after the header and the record's own owner and fixed fields.
    shift = 11
    moved = bytearray(chain[:3])
    for at in range(3, len(chain), 2):
        pointer = int.from_bytes(chain[at : at + 2], "big") + shift
        moved += pack("!H", pointer)
    last = pack("!H", (int.from_bytes(last, "big")) + shift)
    record = b"\0" + pack("!HHIH", 16, 1, 0, len(moved)) + moved
    name_in_rdata = last + pack("!HHIH", 5, 1, 0, 2) + last
    count = 1_000
    return pack("!HHHHHH", 7, flags, 0, 1 + count, 0, 0) + record + name_in_rdata * count


def many_records() -> bytes:
    """Return a message of nearly 64 KiB with as many records as fit."""
    record = b"\xc0\x0c" + pack("!HHIH", 16, 1, 0, 1) + b"\0"
    question = FENCE + b"\0\x10\0\1"
    count = (65_000 - len(question)) // len(record)
    return pack("!HHHHHH", 7, 0x8400, 1, count, 0, 0) + question + record * count


def mutate(chance: random.Random, wire: bytes, others: Sequence[bytes]) -> bytes:
    """Return a message with some of it changed; now and then it is left as it is."""
    octets = bytearray(wire)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(octets)) if octets else 0
        match chance.randrange(10):
            case 0 if octets:
                octets[at] ^= 1 << chance.randrange(8)
            case 1 if octets:
                octets[at] = chance.choice((0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF, chance.randrange(256)))
            case 2:
                octets[at : at + 2] = pack("!H", chance.choice((0, 1, 2, 255, 0x7FFF, 0xFFFF, len(octets))))
            case 3:
                octets[at : at + 2] = pack(
                    "!H", 0xC000 | chance.choice((at, max(0, at - 2), 12, 0x3FFF, at + 2)) & 0xFFFF
                )
            case 4:
                del octets[at:]
            case 5:
                del octets[at : at + chance.randrange(1, 32)]
            case 6:
                octets[at:at] = octets[at : at + chance.randrange(1, 64)]
            case 7:
                octets[at:at] = chance.randbytes(chance.randrange(1, 16))
            case 8:
                octets[4:12] = pack("!HHHH", *(chance.choice((0, 1, 2, 3, 255, 0xFFFF)) for _ in range(4)))
            case _:
                other = chance.choice(others)
                octets[at:] = other[chance.randrange(len(other)) :][:2_000]
    return bytes(octets[:65_535])


class Readers:
    """Every reader of octets that nobody has checked, each with the exceptions that it declares."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        """Prepare a key, a request to be answered, and an embedded server in memory."""
        self._now = now
        self._signer = Signer(Primary("127.0.0.1", 53, KEY_NAME, "hmac-sha256", SECRET))
        self._question = encode_question(fence_name(ZONE), 16)
        self._service: Service | None = None
        self._answered = 0

    async def read(self, wire: bytes, account: Account) -> None:
        """Give a message to each reader."""
        account.messages += 1
        for name, reader, declared in (
            ("txt_answer", self._txt, (Unreadable,)),
            ("decode_answer", self._decode, (Unreadable,)),
            ("tsig", self._tsig, (NotAuthentic,)),
            ("transfer", self._transfer, (NotAuthentic, Unreadable, TransferRefused, LimitExceeded)),
        ):
            begun = time.thread_time()
            try:
                reader(wire)
                outcome = "read"
            except declared:
                outcome = "refused"
            except Exception as error:  # noqa: BLE001  finding these is what this is for
                outcome = "breach"
                account.breach(f"{name} raised {error!r} for {wire[:200].hex()}")
            self._note(account, name, outcome, begun)
        await self._serve(wire, account)
        await self._serve(signed(wire, b"", self._now()) if len(wire) >= 12 else wire, account)

    def _txt(self, wire: bytes) -> None:
        answer = read_txt_answer(wire, FENCE)
        seen_of(answer.rdatas)
        for rdata in answer.rdatas:
            b"".join(texts_of(rdata)).decode("ascii", "replace")

    def _decode(self, wire: bytes) -> None:
        answer = decode_answer(wire)
        gather((*answer.answer, *answer.authority, *answer.additional))

    def _tsig(self, wire: bytes) -> None:
        same_question(wire, self._question)
        Responses(self._signer, self._signer.sign(self._question, self._now())).open(wire, self._now())

    def _transfer(self, wire: bytes) -> None:
        """Read a message under a signature that holds: what a name server with the key may send."""
        request = self._signer.sign(self._question, self._now())
        if len(wire) >= 12:
            wire = signed(wire, request.mac, self._now())
        assembly = Assembly(ZONE, TransferLimits(), self._signer, request, self._now)
        assembly.take(wire)
        assembly.rrsets()

    async def _serve(self, wire: bytes, account: Account) -> None:
        if self._service is None or self._answered >= SERVICE_MESSAGES_MAX:
            origin, key_name = dns.name.from_text(ZONE), dns.name.from_text(KEY_NAME)
            key = dns.tsig.Key(key_name, SECRET, dns.tsig.HMAC_SHA256)
            self._service = Service({origin: frozenset([key_name])}, {key_name: key}, None)
            await self._service.add_zone(origin, initial_contents(origin))
            self._answered = 0
        self._answered += 1
        if self._answered % 3 and len(wire) > 2:
            wire = wire[:2] + bytes((wire[2] & 0x7F,)) + wire[3:]  # an answer would be dropped unread
        begun = time.thread_time()
        outcome = "dropped"
        try:
            async for reply in self._service.replies(wire, stream=bool(self._answered % 2)):
                outcome = dns.rcode.to_text(dns.rcode.from_flags(int.from_bytes(reply[2:4], "big"), 0))
        except Exception as error:  # noqa: BLE001  finding these is what this is for
            outcome = "breach"
            account.breach(f"the embedded server raised {error!r} for {wire[:200].hex()}")
        self._note(account, "embedded server", outcome, begun)

    def _note(self, account: Account, name: str, outcome: str, begun: float) -> None:
        took = time.thread_time() - begun
        account.calls[f"{name} {outcome}"] += 1
        times = account.cpu_us.setdefault(name, [])
        if len(times) < _SAMPLES_MAX:
            times.append(took * 1e6)
        account.worst_us[name] = max(account.worst_us.get(name, 0.0), took * 1e6)
        if took > CPU_S_MAX:
            account.breach(
                f"{name} took {took:.2f} s of processor time for one message; expected at most {CPU_S_MAX:g} s"
            )


def signed(wire: bytes, request_mac: bytes, now: float) -> bytes:
    """Sign any octets with a header, whatever they say: a request, or the answer to one (RFC 8945 section 5.3)."""
    key = dns.tsig.Key(KEY_NAME, SECRET, dns.tsig.HMAC_SHA256)
    name, algorithm, stamp = key.name.to_wire() or b"", key.algorithm.to_wire() or b"", pack("!QH", int(now), 300)[2:]
    context = dns.tsig.get_context(key)
    if request_mac:
        context.update(pack("!H", len(request_mac)) + request_mac)
    context.update(wire + name + b"\0\xff\0\0\0\0" + algorithm + stamp + b"\0\0\0\0")
    mac = context.sign()
    rdata = algorithm + stamp + pack("!H", len(mac)) + mac + wire[:2] + b"\0\0\0\0"
    count = (int.from_bytes(wire[10:12], "big") + 1) & 0xFFFF
    head = wire[:10] + pack("!H", count) + wire[12:]
    return bytes(head + name + pack("!HHIH", 250, 255, 0, len(rdata)) + rdata)


async def run_readers(count: int, seed: int, is_over: Callable[[], bool]) -> Account:
    """Give so many mutated messages to the readers, or fewer if the time is over."""
    account, readers, originals = Account(), Readers(), seeds()
    chance = random.Random(f"{seed} dns")
    # Messages of 64 KiB take a hundred times as long as others, so they come a hundred times less often.
    weights = [1.0 if len(wire) < 4_096 else 0.01 for wire in originals]
    for wire in originals:
        await readers.read(wire, account)
    while account.messages < count and not is_over():
        await readers.read(mutate(chance, chance.choices(originals, weights)[0], originals[:-2]), account)
    return account


Ask = Callable[[bytes], Awaitable[bytes | None]]


async def run_sockets(address: tuple[str, int], count: int, seed: int, is_over: Callable[[], bool]) -> Account:
    """Send mutated messages to a name server over UDP and TCP; after each batch it has to answer a plain question."""
    account, originals = Account(), seeds()
    chance = random.Random(f"{seed} sockets")
    number = 0
    while account.messages < count and not is_over():
        number += 1
        batch = [mutate(chance, chance.choice(originals[:-2]), originals[:-2]) for _ in range(20)]
        if number % 50 == 0:
            batch[-1] = chance.choice((pointer_chains(0), pointer_chains(0x2800), many_records()))
        account.messages += len(batch)
        if number % 2:
            await _send_datagrams(address, [wire[:60_000] for wire in batch])
            account.calls["sockets UDP"] += len(batch)
        else:
            octets = b"".join(len(wire).to_bytes(2, "big") + wire for wire in batch)
            if chance.random() < 0.3:
                octets += b"\xff\xff" + chance.randbytes(9)  # a message that never ends
            await _send_stream(address, octets)
            account.calls["sockets TCP"] += len(batch)
        begun = time.perf_counter()
        if not await _is_answering(address):
            account.breach(f"the embedded server did not answer a plain question within 10 s after batch {number}")
        took = (time.perf_counter() - begun) * 1e6
        account.cpu_us.setdefault("sockets, answer after a batch", []).append(took)
        worst = account.worst_us
        worst["sockets, answer after a batch"] = max(worst.get("sockets, answer after a batch", 0.0), took)
    return account


async def _send_datagrams(address: tuple[str, int], batch: Sequence[bytes]) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    try:
        for wire in batch:
            transport.sendto(wire)
    finally:
        transport.close()


async def _send_stream(address: tuple[str, int], octets: bytes) -> None:
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(15):
            writer.write(octets)
            writer.write_eof()
            while await reader.read(65_536):
                pass
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


async def _is_answering(address: tuple[str, int]) -> bool:
    question = encode_question(ZONE, 6)
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(len(question).to_bytes(2, "big") + question)
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return decode_answer(wire).rcode == "NOERROR"
