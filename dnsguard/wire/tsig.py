"""Transaction signatures by hand (RFC 8945): requests are signed, and responses opened only if theirs holds.
The time is given by whoever calls. A response that was not proven authentic is never returned; the one word
taken from it is the reason, for people.
"""

import hmac
from dataclasses import dataclass
from struct import error as struct_error
from struct import pack, pack_into, unpack_from

import dns.rcode

from dnsguard.core.names import name_wire
from dnsguard.wire.primary import DIGESTS, Primary

FUDGE_S = 300
"""How far clocks may differ (RFC 8945 section 10)."""
UNSIGNED_MAX = 99
"""Messages of one transfer between two signatures (RFC 8945 section 5.3.1)."""

_TSIG = 250
_HEADER_OCTETS = 12


class NotAuthentic(Exception):
    """A response proves nothing; the message says why. ``rcode`` is what it says if it is not signed at all."""

    def __init__(self, message: str, rcode: str = "") -> None:
        super().__init__(message)
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it is sent, and its signature, to which those of the responses are bound."""

    wire: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class _Found:
    """The TSIG record of a response, which begins at octet ``at``."""

    at: int
    name: bytes
    algorithm: bytes
    time: bytes
    fudge_s: int
    mac: bytes
    original_id: bytes
    error: int
    other: bytes


class Signer:
    """Signs requests with one key."""

    def __init__(self, primary: Primary) -> None:
        """Prepare the key."""
        self._hmac = hmac.new(primary.secret, digestmod=DIGESTS[primary.algorithm])
        self._name = name_wire(primary.key_name)
        self._algorithm = name_wire(f"{primary.algorithm}.")
        self.key_name = primary.key_name
        self.octets = len(self._name) + len(self._algorithm) + 10 + 16 + self._hmac.digest_size
        """What a signature adds to a message."""

    def sign(self, message: bytes, now: float) -> Signed:
        """Append the TSIG record to a message (RFC 8945 section 5.1)."""
        stamp = pack("!QH", int(now), FUDGE_S)[2:]
        mac = self.mac(message, self.variables(stamp, 0, b""))
        rdata = b"".join((self._algorithm, stamp, pack("!H", len(mac)), mac, message[:2], b"\0\0\0\0"))
        (additional,) = unpack_from("!H", message, 10)
        head = (message[:10], pack("!H", additional + 1), message[12:], self._name)
        return Signed(b"".join((*head, pack("!HHIH", _TSIG, 255, 0, len(rdata)), rdata)), mac)

    def mac(self, *octets: bytes) -> bytes:
        """Compute the signature over some octets."""
        context = self._hmac.copy()
        for some in octets:
            context.update(some)
        return context.digest()

    def variables(self, stamp: bytes, error: int, other: bytes) -> bytes:
        """Return the TSIG variables that are signed (RFC 8945 section 4.3.3); ``stamp`` is time and fudge."""
        fixed = (self._name, b"\0\xff\0\0\0\0", self._algorithm, stamp)
        return b"".join((*fixed, pack("!HH", error, len(other)), other))

    def owns(self, found: _Found) -> bool:
        """Tell whether a signature claims to be by this key."""
        return found.name.lower() == self._name and found.algorithm.lower() == self._algorithm


class Responses:
    """The responses to one signed request, opened in the order in which they come."""

    def __init__(self, signer: Signer, request: Signed) -> None:
        """Expect the first response."""
        self._signer = signer
        self._mac = request.mac
        self._first = True
        self._unsigned: list[bytes] = []

    @property
    def proven(self) -> bool:
        """Whether everything opened so far is under a signature."""
        return not self._first and not self._unsigned

    def open(self, wire: bytes, now: float) -> bytes:
        """Return a response without its TSIG record.

        Only in a transfer, and after its first message, a message may be covered by the signature of a later
        one: ask `proven` at the end. Raises NotAuthentic.
        """
        try:
            found = _find(wire)
        except (IndexError, struct_error):
            raise NotAuthentic("expected a DNS message, found one that is malformed") from None
        if found is None:
            if self._first or len(self._unsigned) >= UNSIGNED_MAX:
                raise NotAuthentic(self._unsigned_means(rcode_of(wire)), rcode_of(wire))
            self._unsigned.append(wire)
            return wire
        if not self._signer.owns(found):
            raise NotAuthentic(f"the answer ({rcode_of(wire)}) is signed with another key than {self._signer.key_name}")
        if not found.mac:
            raise NotAuthentic(self._explain(found, now, wire))
        bare = bytearray(wire[: found.at])
        pack_into("!H", bare, 10, unpack_from("!H", wire, 10)[0] - 1)
        bare[:2] = found.original_id
        stamp = found.time + pack("!H", found.fudge_s)
        variables = self._signer.variables(stamp, found.error, found.other) if self._first else stamp
        expected = self._signer.mac(pack("!H", len(self._mac)), self._mac, *self._unsigned, bytes(bare), variables)
        if not hmac.compare_digest(expected, found.mac):
            raise NotAuthentic(f"the signature of the answer ({rcode_of(wire)}) does not hold")
        if found.error:
            raise NotAuthentic(self._explain(found, now, wire))
        if abs(int(now) - int.from_bytes(found.time, "big")) > found.fudge_s:
            raise NotAuthentic(_apart(now, found.time))
        self._mac, self._first = found.mac, False
        self._unsigned.clear()
        return bytes(bare)

    def _unsigned_means(self, rcode: str) -> str:
        """Say what may be the matter. PowerDNS says no more than this to a wrong key, secret or time."""
        meaning = f"the answer ({rcode}) is not signed, and only signed ones count"
        if rcode not in ("REFUSED", "NOTAUTH"):
            return meaning
        return (
            f"{meaning}; compare the TSIG key {self._signer.key_name}, its algorithm and secret with the server's, and "
            "both clocks; see whether the server has the zone"
        )

    def _explain(self, found: _Found, now: float, wire: bytes) -> str:
        """Say what a server means that takes no request of ours (RFC 8945 section 5.2)."""
        key = self._signer.key_name
        match found.error:
            case 16:
                return f"{rcode_of(wire)}, BADSIG: the server has another secret for the TSIG key {key}; compare them"
            case 17:
                return (
                    f"{rcode_of(wire)}, BADKEY: the server does not know the TSIG key {key} with this algorithm, "
                    "or does not let it do this; compare name, algorithm and what it allows"
                )
            case 18:
                return f"{rcode_of(wire)}, BADTIME: {_apart(now, found.other or found.time)}"
        return f"the answer ({rcode_of(wire)}) has no signature, and TSIG error {found.error}"


def rcode_of(wire: bytes) -> str:
    """Return the response code's mnemonic."""
    return dns.rcode.to_text(dns.rcode.Rcode(wire[3] & 0x0F))


def _apart(now: float, time: bytes) -> str:
    seconds = int.from_bytes(time, "big") - int(now)
    return f"the clocks differ: the server's is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}; set them right"


def _find(wire: bytes) -> _Found | None:
    """Find the TSIG record, which is the last of the message if there is one (RFC 8945 section 5.1)."""
    questions, answers, authorities, additionals = unpack_from("!HHHH", wire, 4)
    at = start = _HEADER_OCTETS
    for _ in range(questions):
        at = _after_name(wire, at) + 4
    if not additionals:
        return None
    fixed = 0
    for _ in range(answers + authorities + additionals):
        start = at
        fixed = _after_name(wire, at)
        at = fixed + 10 + unpack_from("!H", wire, fixed + 8)[0]
    if unpack_from("!HHI", wire, fixed) != (_TSIG, 255, 0) or at != len(wire):
        return None
    named = fixed + 10
    timed = _after_name(wire, named)
    fudge_s, mac_octets = unpack_from("!HH", wire, timed + 6)
    tail = timed + 10 + mac_octets
    error, other_octets = unpack_from("!HH", wire, tail + 2)
    if tail + 6 + other_octets != at:
        raise IndexError
    return _Found(
        start,
        wire[start:fixed],
        wire[named:timed],
        wire[timed : timed + 6],
        fudge_s,
        wire[timed + 10 : tail],
        wire[tail : tail + 2],
        error,
        wire[tail + 6 :],
    )


def _after_name(wire: bytes, at: int) -> int:
    while length := wire[at]:
        if length >= 0xC0:
            return at + 2
        at += length + 1
    return at + 1
