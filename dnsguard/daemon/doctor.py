"""What `dnsguard doctor` looks at: for each zone its primary, its name servers, and the history. The way there is
that of the daemon itself; what is found is a value. Of the zones nothing is changed that lasts: a record below the
fence, for as long as two servers are compared.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from dnsguard.core.history import StoreUnavailable, Zone
from dnsguard.core.message import Applied, DeleteRRset, Message, Outcome, Refused, Unknown, Unreachable
from dnsguard.core.names import fence_name
from dnsguard.core.publication import scratch_removed
from dnsguard.core.records import Key, has_opaque
from dnsguard.daemon import compose
from dnsguard.daemon.check import Check, Verdict
from dnsguard.daemon.clock import SystemClock
from dnsguard.daemon.config import ConfigRefused, Settings
from dnsguard.daemon.files import OTHERS_WRITE, FolderRefused, expect_own
from dnsguard.daemon.places import EMBEDDED
from dnsguard.daemon.secret_files import PRIVATE_EXPECTED, exposed_secrets
from dnsguard.store.engine import make_engine
from dnsguard.store.sql import SqlStore
from dnsguard.wire.identity import version_of
from dnsguard.wire.name_server import NameServer
from dnsguard.wire.observer import Follower
from dnsguard.wire.primary import Primary
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.wire.rivals import Standing, examine

BIND_RECORDS_MAX = 100
"""BIND's max-records-per-type unless somebody sets it."""
OPAQUE_NAMED_MAX = 20
"""How many RRsets with unreadable records are named."""
_CLOCK = SystemClock()


async def examine_all(
    settings: Settings, folder: Path, only: str | None, powerdns_database: str | None
) -> AsyncIterator[Check]:
    """Yield what is found about all zones or one. Raises ConfigRefused, PrimaryRefused."""
    zones = [zone for zone in settings.zones if only in (None, zone, zone.removesuffix("."))]
    if not zones:
        known = ", ".join(settings.zones)
        raise ConfigRefused(f"expected a zone of the settings, one of {known}, found {only!r}")
    primaries, servers = compose.primaries(settings, folder, None), compose.name_servers(settings)
    for check in (*_data_folder(folder), *_secrets(settings)):
        yield check
    recorded: dict[str, Zone] = {}
    async for check in _history(settings, folder, recorded):
        yield check
    for zone in zones:
        if settings.zones[zone].primary == EMBEDDED:
            yield Check(zone, Verdict.NOTE, "a primary that takes updates", "the embedded server, of the daemon itself")
            continue
        listed = [servers[name] for name in settings.zones[zone].name_servers]
        async for check in _zone(zone, primaries[zone], settings.policy_of(zone).records_max, recorded.get(zone)):
            yield check
        async for check in _name_servers(zone, primaries[zone], listed):
            yield check
    if powerdns_database is not None:
        from dnsguard.daemon.powerdns import examine_database  # late: only who asks for it needs the driver

        async for check in examine_database(powerdns_database, zones):
            yield check


def _data_folder(folder: Path) -> Iterator[Check]:
    expected = "a folder that is this user's, and that nobody else can write"
    if not folder.exists():
        yield Check("data folder", Verdict.NOTE, expected, "none yet", "the daemon makes it at its first start")
        return
    try:
        expect_own(folder, folder.stat(), OTHERS_WRITE, what="the data folder")
    except FolderRefused as refused:
        yield Check("data folder", Verdict.WRONG, expected, str(refused))
    else:
        yield Check("data folder", Verdict.GOOD, expected, "one")


def _secrets(settings: Settings) -> Iterator[Check]:
    for path, found in exposed_secrets(settings):
        advice = "let dnsguard's user or root own it, and take the rights of others away (chmod 0600)"
        yield Check(f"secret file {path}", Verdict.NOTE, PRIVATE_EXPECTED, found, advice)


async def _history(settings: Settings, folder: Path, known: dict[str, Zone]) -> AsyncIterator[Check]:
    url = compose.database_url(settings, folder)
    expected = "a database that keeps what it acknowledged"
    if _is_missing(url):
        yield Check("database", Verdict.NOTE, expected, "none yet", "the daemon makes it at its first start")
        return
    store = SqlStore(make_engine(url, bounds=compose.bounds(settings)))
    try:
        known |= {zone.name: zone for zone in await store.zones()}
    except StoreUnavailable as unavailable:
        yield Check("database", Verdict.WRONG, expected, str(unavailable), "see [database] in the settings")
        return
    finally:
        await store.close()
    yield Check("database", Verdict.GOOD, expected, f"one; zones on record: {len(known)}")


def _is_missing(url: str) -> bool:
    """Tell whether a database is a file that is not there: to look at it would make it."""
    parsed = sa.make_url(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists()


async def _zone(zone: str, primary: Primary, records_max: int, known: Zone | None) -> AsyncIterator[Check]:
    publisher = DnsPublisher(primary, _CLOCK.now)
    about = f"{zone} at {primary}"
    try:
        expected = "a signed and authoritative answer, within 300 s of this clock"
        answer = await publisher.ask(zone, "SOA")
        if isinstance(answer, Unreachable):
            yield Check(about, Verdict.WRONG, expected, answer.reason, "mend this first; nothing else was looked at")
            return
        if answer.rcode != "NOERROR" or not answer.authoritative:
            said = f"{answer.rcode}, {'authoritative' if answer.authoritative else 'not authoritative'}"
            yield Check(about, Verdict.WRONG, expected, said, f"make {zone} a primary zone of this server")
            return
        yield Check(about, Verdict.GOOD, expected, f"one, signed with {primary.key_name}")
        yield await _version(about, primary, records_max)
        yield await _update(about, zone, publisher)
        yield await _transfer(about, zone, publisher)
        yield await _fence(about, zone, publisher, known)
    finally:
        await publisher.close()


async def _version(about: str, primary: Primary, records_max: int) -> Check:
    expected = "a server whose manners are known (docs/name-servers.md)"
    version = await version_of(primary, _CLOCK.now)
    if isinstance(version, Unreachable) or not version:
        return Check(about, Verdict.GOOD, expected, "one that does not say what it is")
    if "PowerDNS" in version:
        advice = "take care that dnsupdate=yes is set on this instance alone; see docs/name-servers.md"
        return Check(about, Verdict.NOTE, expected, version, advice)
    if version[0].isdigit() and records_max > BIND_RECORDS_MAX:
        advice = f"set max-records-per-type to {records_max} or more there, or records_max to {BIND_RECORDS_MAX}"
        found = f"{version}, and a policy of {records_max} records; BIND answers SERVFAIL beyond its own limit"
        return Check(about, Verdict.NOTE, expected, found, advice)
    return Check(about, Verdict.GOOD, expected, version)


async def _update(about: str, zone: str, publisher: DnsPublisher) -> Check:
    # To delete what is not there changes nothing, not even the serial, and needs the same permission. The other record
    # is there only if a daemon was killed between writing and removing it.
    nothing = DeleteRRset(Key(f"{_CLOCK.hex_digits(12)}.probe.{fence_name(zone)}", "TXT"))
    outcome = await publisher.publish(Message(zone, (), (nothing, *scratch_removed(zone).updates)))
    expected = "an update that changes nothing is taken"
    if outcome == Applied():
        return Check(about, Verdict.GOOD, expected, "it is")
    return Check(about, Verdict.WRONG, expected, _said(outcome), "let the TSIG key update all names and types")


async def _transfer(about: str, zone: str, publisher: DnsPublisher) -> Check:
    everything = await publisher.transfer(zone)
    expected = "the whole zone by AXFR"
    if isinstance(everything, Unreachable):
        return Check(about, Verdict.WRONG, expected, everything.reason, "let the TSIG key transfer the zone")
    opaque = sorted(str(key) for key, records in everything.items() if has_opaque(key.type, records))
    if not opaque:
        return Check(about, Verdict.GOOD, expected, f"{len(everything)} RRsets")
    named = ", ".join(opaque[:OPAQUE_NAMED_MAX]) + (" and more" if len(opaque) > OPAQUE_NAMED_MAX else "")
    found = f"{len(everything)} RRsets, {len(opaque)} of them opaque: {named}"
    advice = "they are not valid for their types and kept octet for octet; check that clients can use them"
    return Check(about, Verdict.NOTE, expected, found, advice)


async def _fence(about: str, zone: str, publisher: DnsPublisher, known: Zone | None) -> Check:
    seen = await publisher.observe(zone)
    expected = f"the fence of this history at {fence_name(zone)}, or none yet"
    if isinstance(seen, Unreachable):
        return Check(about, Verdict.WRONG, expected, seen.reason, "nothing is published until it can be read")
    if seen.fence is None:
        advice = "remove that record, or let nobody else write there"
        found = f"another text: {seen.text}" if seen.rdatas else "none yet"
        return Check(about, Verdict.WRONG if seen.rdatas else Verdict.GOOD, expected, found, advice * bool(seen.rdatas))
    found = f"generation {seen.fence.generation} of history {seen.fence.history}"
    if known is None:
        advice = "if another database writes this zone, stop; otherwise `dnsguard resync` says how to go on"
        return Check(about, Verdict.WRONG, expected, f"{found}, and no history of the zone here", advice)
    if seen.fence.history != known.history:
        advice = "see `dnsguard resync`: this database never wrote it, or was restored"
        return Check(about, Verdict.WRONG, expected, f"{found}; the history here is {known.history}", advice)
    return Check(about, Verdict.GOOD, expected, found)


async def _name_servers(zone: str, primary: Primary, listed: Sequence[NameServer]) -> AsyncIterator[Check]:
    expected = "an authoritative answer about the fence"
    for server in listed:
        seen = await Follower(server, _CLOCK.now).fence(zone)
        about = f"{zone} at {server}"
        if isinstance(seen, Unreachable):
            yield Check(about, Verdict.WRONG, expected, seen.reason, "a plan counts as propagated when all have it")
            continue
        at = "no fence yet" if seen.fence is None else f"generation {seen.fence.generation}"
        yield Check(about, Verdict.GOOD, expected, at)
    others = [replace(primary, host=server.host, port=server.port, timeout_s=server.timeout_s) for server in listed]
    found = await examine(primary, zone, others, _CLOCK.now, _CLOCK.hex_digits(12))
    for server, rival in zip(listed, found.rivals, strict=True):
        tells_why = not rival.standing.is_clear and rival.standing not in (Standing.BOTH_WIN, Standing.COLLIDES)
        yield Check(
            f"{zone} at {server}",
            Verdict.GOOD if rival.standing.is_clear else Verdict.WRONG if rival.standing.is_refused else Verdict.NOTE,
            "it takes no update that the primary does not decide",
            rival.standing.value + (f" ({rival.detail})" if tells_why else ""),
            found.refusal_of(rival),
        )


def _said(outcome: Outcome) -> str:
    match outcome:
        case Refused(rcode, detail):
            return f"{rcode}: {detail}"
        case Unknown(reason):
            return reason
        case Applied():
            return "applied"
