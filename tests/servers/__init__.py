"""Real name servers for tests, started on free ports of loopback in temporary folders.

Nothing here touches a server that was running before, and nothing is left running after a test.
"""

import os
import shutil
from pathlib import Path

import pytest

REQUIRED = "DNSGUARD_TESTS_REQUIRE_SERVERS"
_FOLDERS = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/local/bin")
_POSTGRESQL = Path("/usr/lib/postgresql")
"""Debian keeps each version's programs in a folder of its own."""


def require(program: str) -> str:
    """The path of a server's program; skip the test on a machine without it, or fail when servers are required."""
    versions = sorted((str(found) for found in _POSTGRESQL.glob("*/bin")), reverse=True)
    path = shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS, *versions)))
    if path is not None:
        return path
    reason = f"{program} is not installed"
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{reason}, and {REQUIRED}=1 says that it must be: install it or unset the variable")
    pytest.skip(reason)
