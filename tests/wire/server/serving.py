"""A server in a process of its own, for tests that kill it: `python -m tests.wire.server.serving FILE`."""

import asyncio
import sys
from pathlib import Path

from dnsguard.wire.server import EmbeddedServer
from tests.wire.server.parts import KEYS, ZONES


async def serve(path: Path) -> None:
    server = await EmbeddedServer.start(zones=ZONES, keys=KEYS, path=path)
    print(f"listening on {server.address[1]}", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
