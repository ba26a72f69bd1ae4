"""From the house's values to documents: times as RFC 3339, rdata in presentation format, ages in seconds.
Nothing is read here, and nothing is left out that an operator would miss.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from dnsguard.api import documents
from dnsguard.api.problems import errors_of
from dnsguard.api.verification import RRsetTaken
from dnsguard.core.history import Covered, Difference, Entry, Judged, PlanState, Replaced, Zone
from dnsguard.core.plan import Absence, Wanted
from dnsguard.core.propagation import Served
from dnsguard.core.records import Key, Records, is_opaque, records_text
from dnsguard.core.roster import Daemon
from dnsguard.core.verification_state import VerificationState

_ON_THE_WIRE = frozenset({PlanState.PUBLISHED, PlanState.SUPERSEDED, PlanState.FAULTED})


def time_text(at: float) -> str:
    """Render seconds since the epoch as RFC 3339, in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(at: float | None) -> str | None:
    return None if at is None else time_text(at)


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else round(max(0.0, now - at), 3)


def zone_path(zone: str) -> str:
    """Return the path of a zone."""
    return f"/v1/zones/{quote(zone, safe='')}"


def plan_path(zone: str, generation: int) -> str:
    """Return the path of a plan."""
    return f"{zone_path(zone)}/plans/{generation}"


def daemon_status(daemon: Daemon, now: float, *, alive: bool) -> documents.DaemonStatus:
    """Show who works on the history."""
    return documents.DaemonStatus(
        id=daemon.id,
        host=daemon.host,
        pid=daemon.pid,
        version=daemon.version,
        revision=daemon.revision,
        address=daemon.address,
        started_at=time_text(daemon.started_at),
        seen_at=time_text(daemon.seen_at),
        seen_age_s=round(max(0.0, now - daemon.seen_at), 3),
        alive=alive,
    )


def zone_status(
    zone: Zone,
    mode: str,
    now: float,
    trouble: str | None,
    followed: Sequence[Served],
    verification: documents.VerificationSummary | None,
    unfinished: tuple[documents.UnfinishedPlan, ...],
) -> documents.ZoneStatus:
    """Show where a zone stands, and how its name servers follow."""
    return documents.ZoneStatus(
        zone=zone.name,
        mode=mode,
        newest=zone.newest,
        published=zone.published,
        fence=zone.fence,
        published_at=_time(zone.published_at),
        published_age_s=_age(zone.published_at, now),
        pending=zone.pending,
        oldest_pending_at=_time(zone.oldest_pending_at),
        oldest_pending_age_s=_age(zone.oldest_pending_at, now),
        kept_from=zone.kept_from,
        halted=zone.halted,
        trouble=trouble,
        history=zone.history,
        trusted_fence=zone.trusted_fence,
        propagated=zone.propagated if followed else zone.published,
        propagated_at=_time(zone.propagated_at if followed else zone.published_at),
        name_servers=tuple(_name_server(served, now) for served in followed),
        verification=verification,
        waiting=zone.waiting,
        faulted=zone.faulted,
        unfinished=unfinished,
    )


def verification(state: VerificationState | None, suspended: int, now: float) -> documents.VerificationSummary | None:
    """Show the newest verification in few numbers, and whether it still says how the zone stands."""
    if state is None:
        return None
    last = state.last
    return documents.VerificationSummary(
        current=state.is_current(now),
        overdue=state.is_overdue(now),
        attempted_at=_time(state.attempted_at),
        failure=state.failure,
        at=None if last is None else time_text(last.at),
        age_s=None if last is None else _age(last.at, now),
        generation=None if last is None else last.generation,
        findings=None if last is None else last.total,
        suspended=suspended,
    )


def _name_server(served: Served, now: float) -> documents.NameServerStatus:
    return documents.NameServerStatus(
        server=served.server,
        standing=served.standing.value,
        since=_time(served.since),
        generation=served.generation,
        behind_generations=served.behind,
        behind_s=_age(served.behind_since, now),
        asked_at=_time(served.asked_at),
        detail=served.detail or None,
    )


def propagated_at(entry: Entry, *, followed: bool) -> float | None:
    """Return when a plan had propagated; without listed name servers that is when the primary had it."""
    if entry.state in _ON_THE_WIRE:
        return entry.propagated_at if followed else entry.settled_at
    return None


def _state(entry: Entry) -> documents.State:
    state: documents.State = entry.state.value
    return state


def unfinished(entries: Iterable[Entry]) -> tuple[documents.UnfinishedPlan, ...]:
    """Show the plans that somebody may have to look after."""
    return tuple(
        documents.UnfinishedPlan(
            generation=entry.generation,
            state=_state(entry),
            why=entry.why,
            accepted_at=time_text(entry.accepted_at),
        )
        for entry in entries
    )


def plan_status(entry: Entry, mode: str, *, followed: bool) -> documents.PlanStatus:
    """Show how far a plan got; ``followed``: its zone lists name servers."""
    at = propagated_at(entry, followed=followed)
    return documents.PlanStatus(
        zone=entry.zone,
        mode=mode,
        generation=entry.generation,
        state=_state(entry),
        why=entry.why,
        actor=entry.actor,
        reason=entry.reason,
        accepted_at=time_text(entry.accepted_at),
        settled_at=_time(entry.settled_at),
        based_on=entry.based_on,
        digest=entry.digest,
        rrset_count=entry.rrsets,
        reverts=entry.reverts,
        links=documents.Links(plan=plan_path(entry.zone, entry.generation), zone=zone_path(entry.zone)),
        propagated=at is not None,
        propagated_at=_time(at),
        suspects=suspects(entry),
    )


def suspects(entry: Entry) -> tuple[documents.Suspect, ...]:
    """Show the RRsets that a plan was probably rejected for."""
    return tuple(
        documents.Suspect(name=each.key.name, type=each.key.type, reason=each.reason) for each in entry.suspects
    )


def _sides(key: Key, wanted: Wanted) -> tuple[int | None, tuple[str, ...], Literal["retired", "uncovered"] | None]:
    match wanted:
        case Records():
            return wanted.ttl, records_text(key.type, wanted), None
        case Absence.RETIRED:
            return None, (), "retired"
        case Absence.UNCOVERED:
            return None, (), "uncovered"


def rrsets(covered: Iterable[Covered]) -> tuple[documents.RRset, ...]:
    """Show RRsets with the generations that they come from."""
    shown = []
    for each in covered:
        ttl, records, absence = _sides(each.key, each.wanted)
        shown.append(
            documents.RRset(
                name=each.key.name,
                type=each.key.type,
                ttl=ttl,
                records=records,
                absence=absence,
                generation=each.generation,
                opaque=_opaque(each.key, records),
            )
        )
    return tuple(shown)


def contents(key: Key, wanted: Wanted | None) -> documents.Contents | None:
    """Show what is, or should be, at an RRset; None where there is nothing."""
    if wanted is None:
        return None
    ttl, records, absence = _sides(key, wanted)
    return documents.Contents(ttl=ttl, records=records, absence=absence, opaque=_opaque(key, records))


def taken(adopted: Iterable[tuple[Key, Records]]) -> tuple[RRsetTaken, ...]:
    """Show what an adoption takes over."""
    return tuple(
        RRsetTaken(name=key.name, type=key.type, opaque=_opaque(key, records_text(key.type, records)))
        for key, records in adopted
    )


def _opaque(key: Key, records: Iterable[str]) -> bool:
    return any(is_opaque(key.type, text) for text in records)


def differences(found: Iterable[Difference]) -> tuple[documents.Difference, ...]:
    """Show what differs."""
    return tuple(
        documents.Difference(
            name=each.key.name,
            type=each.key.type,
            before=contents(each.key, each.before),
            after=contents(each.key, each.after),
        )
        for each in found
    )


def replaced(found: Iterable[Replaced]) -> tuple[documents.Replaced, ...]:
    """Show what a plan replaces."""
    return tuple(
        documents.Replaced(
            name=each.key.name,
            type=each.key.type,
            before=contents(each.key, each.before),
            after=contents(each.key, each.after),
            generation=each.generation,
        )
        for each in found
    )


def dry_run(zone: str, mode: str, judged: Judged, pointers: Callable[[], Mapping[Key, str]]) -> documents.DryRun:
    """Show what would become of a plan; ``pointers`` says where in its document each RRset stands."""
    refused = any(refusal is not None for _, refusal in judged.verdicts)
    places = pointers() if refused else {}
    return documents.DryRun(
        zone=zone,
        mode=mode,
        newest=judged.newest,
        acceptable=not refused,
        unchanged=judged.unchanged_at is not None,
        verdicts=tuple(
            documents.Verdict(guard=guard, passed=True)
            if refusal is None
            else documents.Verdict(
                guard=guard,
                passed=False,
                detail=refusal.detail,
                expected=refusal.expected,
                found=refusal.found,
                errors=errors_of(refusal, places),
            )
            for guard, refusal in judged.verdicts
        ),
        differences=differences(judged.differences),
    )


def named(keys: Iterable[Key]) -> tuple[documents.RRsetNamed, ...]:
    """Show RRsets by name and type only."""
    return tuple(documents.RRsetNamed(key.name, key.type) for key in keys)
