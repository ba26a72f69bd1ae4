"""A small authoritative name server on loopback, for first steps, tests and demos; never for production."""

from dnsguard.wire.server.listeners import Limits, NotLoopback
from dnsguard.wire.server.server import EmbeddedServer, UnknownKey, initial_contents
from dnsguard.wire.server.storage import StorageUnavailable

__all__ = [
    "EmbeddedServer",
    "Limits",
    "NotLoopback",
    "StorageUnavailable",
    "UnknownKey",
    "initial_contents",
]
