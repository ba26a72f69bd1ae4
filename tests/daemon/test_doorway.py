"""Nobody at the door waits for a primary that is away."""

import asyncio
from collections.abc import Collection

import pytest

from dnsguard.core.message import NamesRead, Unreachable
from dnsguard.daemon import doorway
from dnsguard.daemon.doorway import Doorway
from dnsguard.lab.ends.primary import MemoryPrimary, MemoryPublisher

ZONE = "example.test."


class Slow(MemoryPublisher):
    """A primary that never comes to answering."""

    async def read(self, zone: str, names: Collection[str]) -> NamesRead | Unreachable:
        await asyncio.get_running_loop().create_future()
        return await super().read(zone, names)


async def test_a_primary_that_is_away_is_not_asked() -> None:
    found = await Doorway(Slow(MemoryPrimary(ZONE)), lambda: True).read(ZONE, [ZONE])
    assert isinstance(found, Unreachable)


async def test_a_slow_primary_is_waited_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorway, "LOOK_S_MAX", 0.01)
    found = await Doorway(Slow(MemoryPrimary(ZONE)), lambda: False).read(ZONE, [ZONE])
    assert isinstance(found, Unreachable)
    assert "within 0.01 s" in found.reason


async def test_a_primary_that_answers_is_read() -> None:
    assert not isinstance(
        await Doorway(MemoryPublisher(MemoryPrimary(ZONE)), lambda: False).read(ZONE, []), Unreachable
    )
