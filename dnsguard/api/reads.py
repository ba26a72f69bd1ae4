"""Reading: zones, plans, RRsets and differences, page by page. Nothing here changes anything."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from aiohttp import web

from dnsguard.api import queries, rendering
from dnsguard.api.desk import Desk
from dnsguard.api.documents import Differences, Plans, PlanShown, RRsets, Zones, ZoneStatus, fields_of
from dnsguard.api.problems import malformed
from dnsguard.api.visit import Visit, entity_tag, respond
from dnsguard.core.history import Entry, Zone

UNFINISHED_MAX = 100
"""How many plans that somebody may have to look after are shown of a zone."""

Item = TypeVar("Item")


async def list_zones(visit: Visit) -> web.Response:
    """Show every zone that the token may read, and to whom may read all of them who works on the history."""
    desk = visit.room.desk
    zones = await desk.histories.zones()
    token = visit.token
    seen = [zone for zone in zones if token is not None and (token.zones is None or zone.name in token.zones)]
    now = desk.now()
    shown = tuple([await _status(desk, zone, now) for zone in seen])
    sees_all = token is not None and token.zones is None
    daemons = await desk.histories.daemons() if sees_all else ()
    listed = tuple(rendering.daemon_status(daemon, now, alive=desk.is_alive(daemon.id)) for daemon in daemons)
    return respond(Zones(mode=desk.mode, zones=shown, daemons=listed))


async def show_zone(visit: Visit) -> web.Response:
    """Show where a zone stands; its entity tag is its newest generation."""
    desk = visit.room.desk
    zone = await desk.histories.zone(visit.zone)
    return respond(await _status(desk, zone, desk.now()), ETag=entity_tag(zone.newest))


async def _status(desk: Desk, zone: Zone, now: float) -> ZoneStatus:
    trouble, followed = desk.stands_in_the_way(zone.name), desk.followed(zone.name)
    verified = rendering.verification(desk.verification_state(zone.name), len(desk.suspended(zone.name)), now)
    entries: tuple[Entry, ...] = ()
    if zone.waiting or zone.faulted or zone.withdrawing:
        entries = await desk.histories.unfinished(zone.name, limit=UNFINISHED_MAX)
    return rendering.zone_status(zone, desk.mode, now, trouble, followed, verified, rendering.unfinished(entries))


async def list_plans(visit: Visit) -> web.Response:
    """Show a page of plans, newest first."""
    desk, most = visit.room.desk, queries.limit(visit)
    entries = await desk.histories.plans(visit.zone, below=queries.number(visit, "below"), limit=most + 1)
    page, more = _page(entries, most)
    onward = _next(visit, "plans", {"below": str(page[-1].generation), "limit": str(most)}) if more else None
    followed = bool(desk.followed(visit.zone))
    shown = tuple(rendering.plan_status(entry, desk.mode, followed=followed) for entry in page)
    return respond(Plans(plans=shown, next=onward))


async def show_plan(visit: Visit) -> web.Response:
    """Show one plan with a page of what it covers."""
    desk, most, after = visit.room.desk, queries.limit(visit), queries.after(visit)
    generation = queries.parse_number(visit.request.match_info["generation"], "generation")
    entry, covered = await desk.histories.plan(visit.zone, generation, after=after, limit=most + 1)
    page, more = _page(covered, most)
    onward = None
    if more:
        onward = _next(visit, f"plans/{generation}", {"after": str(page[-1].key), "limit": str(most)})
    status = rendering.plan_status(entry, desk.mode, followed=bool(desk.followed(visit.zone)))
    rrsets = await visit.room.render(lambda: rendering.rrsets(page), len(page))
    return respond(PlanShown(**fields_of(status), rrsets=rrsets, next=onward))


async def list_rrsets(visit: Visit) -> web.Response:
    """Show a page of RRsets at a generation; further pages stay at that generation."""
    histories, most = visit.room.desk.histories, queries.limit(visit)
    name, rdtype, after = queries.owner_name(visit), queries.record_type(visit), queries.after(visit)
    asked = queries.number(visit, "at")
    newest = (await histories.zone(visit.zone)).newest
    generation = newest if asked is None else asked
    covered = await histories.rrsets(visit.zone, at=generation, name=name, rdtype=rdtype, after=after, limit=most + 1)
    page, more = _page(covered, most)
    onward = None
    if more:
        query = {"name": name, "type": rdtype, "at": str(generation), "after": str(page[-1].key), "limit": str(most)}
        onward = _next(visit, "rrsets", query)
    shown = await visit.room.render(lambda: rendering.rrsets(page), len(page))
    return respond(
        RRsets(zone=visit.zone, generation=generation, rrsets=shown, next=onward), ETag=entity_tag(generation)
    )


async def list_differences(visit: Visit) -> web.Response:
    """Show a page of what differs between two generations; ``to`` is the newest if absent."""
    histories, most, after = visit.room.desk.histories, queries.limit(visit), queries.after(visit)
    before, upto = queries.number(visit, "from"), queries.number(visit, "to")
    if before is None:
        raise malformed("expected from=GENERATION to compare with, found none")
    newest = (await histories.zone(visit.zone)).newest
    upto = newest if upto is None else upto
    found = await histories.differences(visit.zone, before, upto, beyond=after, limit=most + 1)
    page, more = _page(found, most)
    onward = None
    if more:
        query = {"from": str(before), "to": str(upto), "after": str(page[-1].key), "limit": str(most)}
        onward = _next(visit, "differences", query)
    shown = await visit.room.render(lambda: rendering.differences(page), len(page))
    return respond(
        Differences(zone=visit.zone, from_generation=before, to_generation=upto, differences=shown, next=onward)
    )


def _page(items: Sequence[Item], most: int) -> tuple[Sequence[Item], bool]:
    return items[:most], len(items) > most


def _next(visit: Visit, what: str, query: Mapping[str, str | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{rendering.zone_path(visit.zone)}/{what}?{urlencode(given)}"
