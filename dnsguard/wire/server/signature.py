"""TSIG of the embedded server (RFC 8945): who signed a request, and how its responses are signed.

The only room of the server that reads the clock, because a signature carries a time. A request whose
signature does not hold is answered here with the right error and is never shown to a zone.
"""

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TSIG
import dns.tsig

from dnsguard.wire.server.message import Request

FUDGE = 300
"""Seconds that clocks may differ (RFC 8945 section 10 recommends this)."""
MAC_SIZE_MIN = 10


@dataclass(slots=True)
class Seal:
    """How the responses to one request are signed, in the order in which they are sent.

    `error` other than NOERROR means that the request was not authenticated: answer NOTAUTH.
    """

    keyname: dns.name.Name | None = None
    error: dns.rcode.Rcode = dns.rcode.NOERROR
    _key: dns.tsig.Key | None = None
    _request: dns.rdtypes.ANY.TSIG.TSIG | None = None
    _context: Any = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """Octets to keep free in a message for the signature, at most."""
        if self._request is None or self.keyname is None:
            return 0
        mac_size = dns.tsig.mac_sizes[self._key.algorithm] if self._key else 0
        algorithm = self._key.algorithm if self._key else self._request.algorithm
        return len(self.keyname.to_wire() or b"") + len(algorithm.to_wire() or b"") + mac_size + 10 + 16 + 6

    def apply(self, wire: bytes, *, continued: bool = False) -> bytes:
        """Return the response with its TSIG record, or unchanged when the request had none.

        `continued` chains the signatures of a response in several messages (RFC 8945 section 5.3.1).
        """
        request, keyname = self._request, self.keyname
        if request is None or keyname is None:
            return wire
        now = int(time.time())
        if self._key is None:
            # RFC 8945 section 5.3.2: an unsigned TSIG, for there is no key that both sides trust.
            tsig = request.replace(mac=b"", error=self.error, other=b"", time_signed=now, fudge=FUDGE)
            return _append(wire, keyname, tsig)
        signed_at, other = now, b""
        if self.error == dns.rcode.BADTIME:
            # RFC 8945 section 5.2.3: the client's time is repeated, the server's is in Other Data.
            signed_at, other = request.time_signed, struct.pack("!Q", now)[2:]
        blank = request.replace(mac=b"", error=self.error, other=other, fudge=FUDGE)
        tsig, self._context = dns.tsig.sign(wire, self._key, blank, signed_at, request.mac, self._context, continued)
        return _append(wire, keyname, tsig)


def verify(request: Request, keys: Mapping[dns.name.Name, dns.tsig.Key]) -> Seal:
    """Check who signed a request, by RFC 8945 section 5.2: key, then signature, then time.

    Raises `dns.exception.FormError` where the answer is FORMERR. Truncated signatures count as wrong ones.
    """
    if request.signature is None:
        return Seal()
    keyname, tsig = request.signature.keyname, request.signature.tsig
    key = keys.get(keyname)
    if key is None or key.algorithm != tsig.algorithm:
        return Seal(keyname, dns.rcode.BADKEY, None, tsig)
    full = dns.tsig.mac_sizes[key.algorithm]
    if len(tsig.mac) > full or len(tsig.mac) < max(MAC_SIZE_MIN, full // 2) or tsig.error:
        raise dns.exception.FormError("a signature of impossible length, or an error in a request")
    try:
        dns.tsig.validate(request.wire, key, keyname, tsig, int(time.time()), b"", request.signature.offset)
    except dns.tsig.BadSignature:
        return Seal(keyname, dns.rcode.BADSIG, None, tsig)
    except dns.tsig.BadTime:
        return Seal(keyname, dns.rcode.BADTIME, key, tsig)
    return Seal(keyname, dns.rcode.NOERROR, key, tsig)


def _append(wire: bytes, keyname: dns.name.Name, tsig: dns.rdata.Rdata) -> bytes:
    rdata = tsig.to_wire() or b""
    (count,) = struct.unpack_from("!H", wire, 10)
    head = struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(rdata))
    return b"".join((wire[:10], struct.pack("!H", count + 1), wire[12:], keyname.to_wire() or b"", head, rdata))
