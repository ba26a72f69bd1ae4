"""What somebody else with a key does to the tests' zone, past dnsguard; and how the zone looks to the letter."""

import dns.asyncquery
import dns.name
import dns.rcode
import dns.update
import dns.xfr
import dns.zone

from tests.wire.primaries import KEYS, ORIGIN

KEY_NAME = dns.name.from_text("updater.")
ANSWER_S_MAX = 10


async def rcode_of(address: tuple[str, int], *lines: str) -> int:
    """Write "OWNER TTL TYPE RDATA", or delete "OWNER 0 - TYPE": letters keep their case. Return the answer's rcode."""
    message = dns.update.UpdateMessage(ORIGIN, keyring=dict(KEYS), keyname=KEY_NAME)
    for line in lines:
        owner, ttl, rdtype, *rdata = line.split(" ")
        if rdtype == "-":
            message.delete(dns.name.from_text(owner, ORIGIN), rdata[0])
        else:
            message.add(dns.name.from_text(owner, ORIGIN), int(ttl), rdtype, " ".join(rdata))
    answer = await dns.asyncquery.tcp(message, address[0], timeout=ANSWER_S_MAX, port=address[1])
    return int(answer.rcode())


async def update(address: tuple[str, int], *lines: str) -> None:
    """Write what must be taken."""
    assert await rcode_of(address, *lines) == dns.rcode.NOERROR


async def shown(address: tuple[str, int]) -> set[str]:
    """Return all of the zone, to the letter, but for the SOA and the fence."""
    zone = dns.zone.Zone(ORIGIN, relativize=False)
    request, _ = dns.xfr.make_query(zone, keyring=dict(KEYS), keyname=KEY_NAME)
    await dns.asyncquery.inbound_xfr(address[0], zone, request, port=address[1], timeout=ANSWER_S_MAX)
    lines = zone.to_text(sorted=True, relativize=False).splitlines()
    return {line for line in lines if " SOA " not in line and not line.startswith("_dnsguard.")}
