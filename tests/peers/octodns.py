"""The peers, honestly: octoDNS with its RFC 2136 provider on a real BIND, in the interleaving of October 2025.
`python -m tests.peers.octodns` plays it and prints what the name answers after each step. Nothing is forced,
and octoDNS does what it says: a plan is right for the zone it was made from, and is applied without a question.
"""

import asyncio
import base64
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
from octodns.record import Record
from octodns.zone import Zone
from octodns_bind import Rfc2136Provider

from tests.servers.bind import Bind

ZONE = "example.test."
KEY = dns.name.from_text("octodns.")
SECRET = base64.b64encode(b"a key made for this test, no more").decode()
NAME = "www"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says of the endpoint's address."""

    step: str
    rcode: str
    alias: str | None
    addresses: tuple[str, ...]


def desired(generation: int) -> Zone:
    """Return the zone as the plan of a generation wants it: a node with an address, and the alias to it."""
    zone = Zone(ZONE, [])
    address = {"type": "A", "ttl": 60, "value": f"192.0.2.{generation}"}
    alias = {"type": "CNAME", "ttl": 60, "value": f"g{generation}.{NAME}.{ZONE}"}
    apex = {"type": "NS", "ttl": 300, "value": f"ns1.{ZONE}"}
    server = {"type": "A", "ttl": 300, "value": "127.0.0.1"}
    # What keeps a node's name from vanishing with its records, as in the system that this is modelled on.
    marker = {"type": "TXT", "ttl": 60, "values": ["kept"]}
    markers = {f"_node.g{each}.{NAME}": marker for each in range(1, 5)}
    for name, document in {"": apex, "ns1": server, f"g{generation}.{NAME}": address, NAME: alias, **markers}.items():
        zone.add_record(Record.new(zone, name, document))
    return zone


def ask(address: tuple[str, int], step: str) -> Answer:
    """Ask the server for the endpoint's address."""
    query = dns.message.make_query(f"{NAME}.{ZONE}", "A")
    answer = dns.query.udp(query, address[0], port=address[1], timeout=5)
    found: dict[int, list[str]] = {}
    for rrset in answer.answer:
        found.setdefault(int(rrset.rdtype), []).extend(str(rdata) for rdata in rrset)
    alias = found.get(dns.rdatatype.CNAME, [None])[0]
    return Answer(step, dns.rcode.to_text(answer.rcode()), alias, tuple(found.get(dns.rdatatype.A, ())))


def play(address: tuple[str, int]) -> list[Answer]:
    """Play the interleaving; return what the name answers after each step."""

    def provider(name: str, batch: int = 1_000) -> Any:
        return Rfc2136Provider(
            name,
            host=address[0],
            port=address[1],
            key_name=str(KEY),
            key_secret=SECRET,
            key_algorithm="hmac-sha256",
            update_batch_size=batch,
        )

    fast, slow, cleaner = provider("fast"), provider("slow", batch=1), provider("cleaner")
    said: list[Answer] = []

    def then(step: str, act: Callable[[], object]) -> None:
        act()
        said.append(ask(address, step))

    then("plan 1 is applied", lambda: fast.apply(fast.plan(desired(1))))
    old = slow.plan(desired(2))
    old.changes.sort(key=lambda change: change.record._type == "CNAME")  # its node first, then the alias
    batches = [[change] for change in old.changes]
    said.append(ask(address, "the slow one has made plan 2, and is held up"))
    then("the newer plan 4 is applied", lambda: fast.apply(fast.plan(desired(4))))
    flip = [batch for batch in batches if batch[0].record._type == "CNAME"]
    old.changes = [change for batch in batches if batch not in flip for change in batch]
    then("the slow one goes on, and writes the node of plan 2", lambda: slow._apply(old))
    cleaning = cleaner.plan(desired(4))
    said.append(ask(address, "clean-up plans to delete what plan 4 does not have: the node of plan 2"))
    old.changes = [change for batch in flip for change in batch]
    then("the slow one flips the alias to its stale plan 2", lambda: slow._apply(old))
    then("clean-up is applied", lambda: cleaner.apply(cleaning))
    return said


async def main() -> int:
    """Play it on a BIND of its own; print what was answered."""
    key = dns.tsig.Key(KEY, SECRET, dns.tsig.HMAC_SHA256)
    with tempfile.TemporaryDirectory() as folder:
        async with await Bind.start(Path(folder), zones={dns.name.from_text(ZONE): [KEY]}, keys={KEY: key}) as server:
            answers = await asyncio.to_thread(play, server.address)
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps([asdict(answer) for answer in answers], indent=2) + "\n")
    else:
        for answer in answers:
            shown = ", ".join(answer.addresses) or "NO ADDRESS"
            sys.stdout.write(f"{answer.step:75} {answer.rcode}  {answer.alias or '-'}  {shown}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
