"""Where name servers are, as settings: primaries that take updates, and the servers that are asked how far they
follow. Whatever refers to another section is checked here, in one sentence each; nothing is opened or resolved.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

import msgspec

EMBEDDED = "embedded"
TRANSPORTS = ("tcp",)

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


class PrimarySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[primaries.NAME]``: a name server that takes UPDATE messages."""

    host: str
    port: Port = 53
    transport: str = "tcp"
    key: str | None = None
    """The TSIG key of zones that name none of their own."""
    timeout_s: Seconds = 5.0
    in_flight_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16
    transfer_s_max: Seconds = 900.0
    """How long a transfer of a zone may take in all; a message in it is waited for ``timeout_s`` at most."""
    transfer_octets_max: Annotated[int, msgspec.Meta(ge=1)] = 2**30
    transfer_records_max: Annotated[int, msgspec.Meta(ge=1)] = 10_000_000


class NameServerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[name_servers.NAME]``: a server that is asked which generation it serves; never written to."""

    host: str
    port: Port = 53
    key: str | None = None
    """A TSIG key, where the server answers nobody else (views); without one the question is unsigned."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0


class PropagationSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[propagation]``: how often listed name servers are asked while nothing is outstanding, and when one lags."""

    interval_s: Seconds = 15.0
    lag_s_max: Seconds = 30.0


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What a zone's section says of places."""

    zone: str
    primary: str
    key: str | None
    name_servers: tuple[str, ...]


def contradictions(
    placed: Collection[Placed],
    primaries: Mapping[str, PrimarySection],
    name_servers: Mapping[str, NameServerSection],
    keys: Collection[str],
) -> Iterator[str]:
    """Yield what is wrong with places and what refers to them, a sentence each."""
    for name, primary in primaries.items():
        yield from _wrong_place(f"[primaries.{name}]", primary.host, primary.key, keys)
        if primary.transport not in TRANSPORTS:
            yield (
                f"[primaries.{name}] expects transport = {' or '.join(map(repr, TRANSPORTS))}, found "
                f"{primary.transport!r}; updates go over TCP, and a tunnel can encrypt them"
            )
    if EMBEDDED in primaries:
        yield f"[primaries.{EMBEDDED}]: this name is the embedded server's; choose another"
    for name, server in name_servers.items():
        yield from _wrong_place(f"[name_servers.{name}]", server.host, server.key, keys)
    for zone in placed:
        yield from _wrong_zone(zone, primaries, name_servers, keys)


def _wrong_place(where: str, host: str, key: str | None, keys: Collection[str]) -> Iterator[str]:
    if not is_host(host):
        yield f"{where} expects host to be an address or a name, without a port or brackets, found {host!r}"
    if key is not None and key not in keys:
        yield f"{where} names the key {key!r}; add a section [keys.{key!r}]"


def _wrong_zone(
    zone: Placed,
    primaries: Mapping[str, PrimarySection],
    name_servers: Mapping[str, NameServerSection],
    keys: Collection[str],
) -> Iterator[str]:
    where = f"[zones.{zone.zone!r}]"
    if zone.primary != EMBEDDED and zone.primary not in primaries:
        known = ", ".join([EMBEDDED, *sorted(primaries)])
        yield f"{where} names the primary {zone.primary!r}; expected one of: {known}"
    elif zone.primary == EMBEDDED and zone.key is not None:
        yield f"{where} names a key, and the embedded server has its own; leave it out, or name a primary"
    elif zone.primary != EMBEDDED and zone.key is None and primaries[zone.primary].key is None:
        yield f"{where} has no key: expected one there or in [primaries.{zone.primary}]"
    if zone.key is not None and zone.key not in keys:
        yield f"{where} names the key {zone.key!r}; add a section [keys.{zone.key!r}]"
    for name in zone.name_servers:
        if name not in name_servers:
            known = ", ".join(sorted(name_servers)) or "none; add a section [name_servers.NAME]"
            yield f"{where} lists the name server {name!r}; expected one of: {known}"
    if len(set(zone.name_servers)) < len(zone.name_servers):
        yield f"{where} expects each of its name_servers once, found one twice"


def is_host(text: str) -> bool:
    """Tell whether a text is an address, IPv4 or IPv6 (with a scope, too), or may be a host's name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= 255 and _HOST_NAME.fullmatch(text) is not None
    return True
