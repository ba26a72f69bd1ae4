"""Real daemons for the command line to talk to, each with its embedded name server."""

import asyncio
import hashlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.rig import READER_TOKEN, Cli, clean_environment
from tests.servers.process import Process, free_port


def serving(folder: Path, *options: str) -> Iterator[Cli]:
    """Run a daemon on a data folder, for a fixture."""
    argv = [sys.executable, "-m", "dnsguard", "serve", "--data-dir", str(folder), *options]
    process = Process(argv, ready=r"daemon\.started", folder=Path.cwd(), environment=clean_environment({}))
    asyncio.run(process.started())
    try:
        yield Cli(folder)
    finally:
        asyncio.run(process.stop())


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A daemon with no configuration at all: one zone, example.test."""
    yield from serving(tmp_path_factory.mktemp("one"), "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")


@pytest.fixture(scope="session")
def two_zones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A daemon with a zone that is published, and one whose primary never answers."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "settings.toml").write_text(
        f"""
        [http]
        listen = "127.0.0.1:0"
        wait_s_max = 1
        [dns]
        listen = "127.0.0.1:0"
        [keys."k."]
        secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
        [primaries.away]
        host = "127.0.0.1"
        port = {free_port()}
        key = "k."
        [zones."here.test."]
        [zones."away.test."]
        primary = "away"
        [tokens.reader]
        sha256 = "{hashlib.sha256(READER_TOKEN.encode()).hexdigest()}"
        access = "read"
        """
    )
    yield from serving(folder, "--config", str(folder / "settings.toml"))


@pytest.fixture
def nobody(tmp_path: Path) -> Cli:
    """A data folder of which the daemon was killed: its socket is still there, and nobody listens."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "api.sock"))
    (tmp_path / "admin.token").touch(mode=0o600)
    (tmp_path / "admin.token").write_text("a-token-of-a-daemon-that-is-gone\n")
    return Cli(tmp_path)
