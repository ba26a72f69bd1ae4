"""Fixtures of the door's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.house import Door, House, open_door, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


@pytest.fixture
async def door(house: House) -> AsyncIterator[Door]:
    async with open_door(house) as door:
        yield door
