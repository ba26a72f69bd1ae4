"""What an update changes beside what it says, found by trying: `python -m tests.wire.side_effects`.

At names of its own, with and without a delegation, each type is added beside each other type and removed from beside
it. A transfer then shows what else came, went or was ignored while the server answered NOERROR. The findings go into
docs/name-servers.md; `--check` says whether they are still so. Takes some minutes.
"""

import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dnsguard.core.message import AddRecords, Applied, DeleteRRset, Message, Unknown, Update
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.submission import SERVER_OWNED_TYPES
from dnsguard.wire.publisher import DnsPublisher
from tests.core.test_records import SAMPLES
from tests.wire.matrix import ROOT, TITLES
from tests.wire.primaries import SERVERS, ZONE, make_publisher

PAGE = ROOT / "docs" / "name-servers.md"
BEGIN = "<!-- the findings of tests.wire.side_effects begin -->"
END = "<!-- the findings of tests.wire.side_effects end -->"
_TEXTS = (
    SAMPLES
    | dict.fromkeys(("MB", "MD", "MF", "MG", "MR"), r"\# 3 016100")
    | {"MINFO": r"\# 6 016100016200", "NULL": r"\# 2 0102", "NXT": r"\# 4 01610002"}
    | dict.fromkeys(("TYPE65280", "TYPE65534"), r"\# 2 0102")
)
TYPES = tuple(sorted(_TEXTS.keys() - SERVER_OWNED_TYPES - {"SOA"}))
"""Every type that a plan may set. Knot 3.2.6 crashes on an NSEC3 by an update, which no plan can have."""
WHERE = {"": "at a name", "NS": "at a delegation"}
MANY = len(TYPES) // 2
Findings = Mapping[str, frozenset[str]]
"""By sentence: the servers of which it is true."""


def sample(rdtype: str) -> Records:
    """Return contents of a type."""
    return parse_records(rdtype, 60, [_TEXTS[rdtype]])


async def taken(publisher: DnsPublisher, updates: Sequence[Update]) -> set[str]:
    """Send updates of different names, halving what is refused; return the names of those that were taken."""
    if not updates:
        return set()
    outcome = await publisher.publish(Message(ZONE, (), tuple(updates)))
    if outcome == Applied():
        return {update.key.name for update in updates}
    if len(updates) == 1:
        if isinstance(outcome, Unknown) and not outcome.rcode:
            raise RuntimeError(f"expected an answer about {updates[0]}, found {outcome}")
        return set()
    half = len(updates) // 2
    return await taken(publisher, updates[:half]) | await taken(publisher, updates[half:])


async def stored(publisher: DnsPublisher) -> dict[str, frozenset[str]]:
    """Return the types at each name of the zone."""
    zone = await publisher.transfer(ZONE)
    if not isinstance(zone, dict):
        raise TypeError(f"expected the zone, found {zone}")
    found: dict[str, set[str]] = defaultdict(set)
    for key in zone:
        found[key.name].add(key.type)
    return {name: frozenset(types) for name, types in found.items()}


class Probe:
    """The findings on one server: what was done, to which type, beside which other, and what that left out."""

    def __init__(self, publisher: DnsPublisher) -> None:
        self._publisher = publisher
        self.refused: set[str] = set()
        self.ignored: dict[str, set[str]] = {where: set() for where in WHERE}
        self.beside: dict[str, set[tuple[str, str]]] = {where: set() for where in WHERE}
        """(added, beside): the added one is not there."""
        self.gone: set[tuple[str, str]] = set()
        """(removed, beside): the other one went, too."""

    async def run(self) -> None:
        """Try all pairs."""
        for where in WHERE:
            for first in TYPES:
                if first != where:
                    await self._try(where, first)

    async def _try(self, where: str, first: str) -> None:
        context = {where} - {""}
        names = {f"{first}-{other}.{ZONE}".lower(): other for other in TYPES if other != where}
        for present in (*context, first):
            added = await self._added(dict.fromkeys(names, present))
            names = {name: other for name, other in names.items() if name in added}
        if not names:
            self.refused.add(first)
            return
        before = await stored(self._publisher)
        if first not in before.get(next(iter(names)), frozenset()):
            self.ignored[where].add(first)
        else:
            others = {name: other for name, other in names.items() if other != first}
            added = await self._added(others)
            after = await stored(self._publisher)
            self.beside[where] |= {(others[name], first) for name in added if others[name] not in after[name]}
            self.gone |= {(others[name], each) for name in added for each in {first, *context} - after[name]}
            both = [name for name in added if after[name] >= {first, others[name], *context}]
            for removed in (first, *context):
                await taken(self._publisher, [DeleteRRset(Key(name, removed)) for name in both])
                left = await stored(self._publisher)
                lost = {name for name in both if others[name] not in left.get(name, frozenset())}
                self.gone |= {(removed, others[name]) for name in lost}
                both = [name for name in both if name not in lost]
        await self._clear(names)

    async def _added(self, types: Mapping[str, str]) -> set[str]:
        updates = [AddRecords(Key(name, rdtype), sample(rdtype)) for name, rdtype in types.items()]
        return await taken(self._publisher, updates)

    async def _clear(self, names: Iterable[str]) -> None:
        held = await stored(self._publisher)
        wanted = [Key(name, rdtype) for name in names for rdtype in held.get(name, ())]
        for rdtype in sorted({key.type for key in wanted}):
            await taken(self._publisher, [DeleteRRset(key) for key in wanted if key.type == rdtype])

    def sentences(self) -> set[str]:
        """Return what was found, as sentences."""
        said = {f"refused: {rdtype}" for rdtype in self.refused}
        for where, words in WHERE.items():
            said |= {f"{rdtype} added {words}: not in the transfer" for rdtype in self.ignored[where]}
            pairs = {(added, first) for added, first in self.beside[where] if added not in self.ignored[where]}
            for added, first in pairs:
                if sum(other == first for _, other in pairs) > MANY:
                    said.add(f"anything added beside {first}: ignored")
                elif sum(other == added for other, _ in pairs) > MANY:
                    said.add(f"{added} added beside anything: ignored")
                else:
                    said.add(f"{added} added beside {first}: ignored")
        return said | {f"{done} changed beside {other}: {other} goes, too" for done, other in self.gone}


async def find(servers: Iterable[str]) -> Findings:
    """Try it on some servers, one after the other."""
    found: dict[str, set[str]] = defaultdict(set)
    for name in servers:
        with tempfile.TemporaryDirectory() as folder:
            server = await SERVERS[name](Path(folder) / "server")
            publisher = make_publisher(server.address, timeout_s=60)
            probe = Probe(publisher)
            await probe.run()
            for sentence in probe.sentences():
                found[sentence].add(name)
            await publisher.close()
            await server.stop()
    return {sentence: frozenset(names) for sentence, names in found.items()}


def table(findings: Findings) -> str:
    """Return the table; what is true of the same servers and differs in the type only shares a row."""
    rows: dict[tuple[str, frozenset[str]], list[str]] = defaultdict(list)
    for sentence, servers in findings.items():
        if sentence.startswith("refused: "):
            rows["refused", servers].append(sentence.removeprefix("refused: "))
        else:
            subject, _, rest = sentence.partition(" ")
            rows[rest, servers].append(subject)
    lines = ["| update | " + " | ".join(TITLES[server] for server in SERVERS) + " |", "|---|" + "---|" * len(SERVERS)]
    for (rest, servers), subjects in sorted(rows.items(), key=lambda row: (row[0][0], sorted(row[1]), row[1])):
        marks = " | ".join("yes" if server in servers else "-" for server in SERVERS)
        lines.append(f"| {', '.join(sorted(subjects))} {rest} | {marks} |")
    return "\n".join(lines)


def main() -> int:
    """Write the table, or compare it. Return 1 if the page says something else."""
    findings = asyncio.run(find(SERVERS))
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    new = f"{head}{BEGIN}\n{table(findings)}\n{END}{tail}"
    if "--check" in sys.argv:
        return int(new != page)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
