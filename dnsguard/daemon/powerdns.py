"""A PowerDNS database in PostgreSQL, seen from inside: what no question over DNS can show. It is only read."""

from collections.abc import AsyncIterator, Sequence

import asyncpg

from dnsguard.daemon.check import Check, Verdict

_CLIENTS = """
    SELECT coalesce(host(client_addr), 'the same machine'), count(*)
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    GROUP BY 1 ORDER BY 1
"""
_INDEX = "SELECT count(*) FROM pg_indexes WHERE indexname = 'dnsguard_fence'"
_ZONE = "SELECT type FROM domains WHERE name = $1"


async def examine_database(url: str, zones: Sequence[str]) -> AsyncIterator[Check]:
    """Yield what is found. Who is connected now is seen, and only by address: of two on one machine, one is."""
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        yield Check("PowerDNS's database", Verdict.WRONG, "a connection", type(error).__name__, "see the URL given")
        return
    try:
        async for check in _examine(connection, zones):
            yield check
    except asyncpg.PostgresError as error:
        yield Check("PowerDNS's database", Verdict.WRONG, "PowerDNS's tables", str(error), "see the URL given")
    finally:
        await connection.close()


async def _examine(connection: "asyncpg.Connection[asyncpg.Record]", zones: Sequence[str]) -> AsyncIterator[Check]:
    about = "PowerDNS's database"
    clients = {str(place): int(count) for place, count in await connection.fetch(_CLIENTS)}
    found = ", ".join(f"{place} ({count} connections)" for place, count in clients.items()) or "nobody"
    alone = len(clients) <= 1
    yield Check(
        about,
        Verdict.GOOD if alone else Verdict.NOTE,
        "one PowerDNS that takes updates",
        f"connected now: {found}",
        "" if alone else "see that dnsupdate=yes is set on one of these alone, and list the others as name servers",
    )
    fenced = await connection.fetchval(_INDEX)
    yield Check(
        about,
        Verdict.GOOD if fenced else Verdict.NOTE,
        "the index dnsguard_fence, which lets a zone have one fence",
        "it is there" if fenced else "none",
        "" if fenced else "run deploy/powerdns/postgresql.sql, and take over the settings in postgresql.conf beside it",
    )
    for zone in zones:
        kind = await connection.fetchval(_ZONE, zone.removesuffix("."))
        if kind is not None and kind not in {"MASTER", "PRIMARY"}:
            advice = "pdnsutil set-kind ZONE primary, or its secondaries are never told"
            yield Check(f"{zone} in {about}", Verdict.NOTE, "a zone of the kind MASTER", str(kind), advice)
