"""Daemons on one history, and which of them looks first at a zone when there is news.
The order is a hint that saves work. Nothing may ever rest on it: any number of them may act at once.
"""

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon; times are seconds since the epoch, UTC, by its own clock."""

    id: str
    host: str
    pid: int
    version: str
    revision: str
    """The revision of the tables that its code brings about."""
    address: str | None
    """Where its API listens."""
    started_at: float
    seen_at: float


def rank(zone: str, own: str, alive: Collection[str]) -> int:
    """Return how many of the daemons that are alive come before one of them at a zone; 0: it looks first.

    Rendezvous hashing: each zone has an order of its own, and one daemon more or less moves no other pair's order.
    """
    mine = _weight(zone, own)
    return sum(_weight(zone, other) > mine for other in alive if other != own)


def _weight(zone: str, daemon: str) -> bytes:
    return blake2b(f"{zone} {daemon}".encode(), digest_size=8).digest()
