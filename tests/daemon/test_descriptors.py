"""Open files: as many connections as there can be, and no traceback when there are none left."""

import asyncio
import errno
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from dnsguard.daemon.loop_faults import SAID_AGAIN_S, LoopFaults

SCRIPT = """
import resource, sys
from dnsguard.api.limits import Limits
from dnsguard.daemon.descriptors import DescriptorsShort, fit
soft, hard, wanted = map(int, sys.argv[1:4])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    print(fit(Limits(connections_max=wanted), 1, 10).connections_max, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except DescriptorsShort as error:
    print(error)
"""


def fitted(soft: int, hard: int, wanted: int) -> list[str]:
    argv = [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(wanted)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_the_soft_limit_is_raised_as_far_as_is_needed() -> None:
    said, result = fitted(256, 4096, 2000)
    assert "open_files.raised" in said
    connections, soft = map(int, result.split())
    assert connections == 2000
    assert 2000 < soft < 4096


def test_where_the_hard_limit_is_in_the_way_fewer_connections_are_taken_and_that_is_said() -> None:
    *said, result = fitted(256, 256, 2000)
    connections, soft = map(int, result.split())
    assert soft == 256
    assert 16 <= connections < 256
    assert any("connections_max.lowered" in line and "found=" in line for line in said)


def test_where_hardly_anybody_could_connect_it_is_refused_with_what_to_raise() -> None:
    (said,) = fitted(64, 64, 2000)
    assert said.startswith("too few files may be open at once: expected at least ")
    assert "found a limit of 64; raise it (ulimit -n, LimitNOFILE" in said


def test_enough_is_left_as_it_is() -> None:
    assert fitted(4096, 4096, 2000) == ["2000 4096"]


def test_connections_that_cannot_be_accepted_are_said_once_in_a_while() -> None:
    at = 0.0
    faults = LoopFaults(lambda: at)
    loop = asyncio.new_event_loop()
    with capture_logs() as logs:
        for _ in range(1_000):
            faults(loop, {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "x")})
        assert [each["event"] for each in logs] == ["connections.not_accepted"]
        assert "LimitNOFILE" in logs[0]["advice"]
        at = SAID_AGAIN_S
        faults(loop, {"message": "x", "exception": OSError(errno.ENFILE, "x")})
        assert len(logs) == 2
    loop.close()


def test_another_fault_is_said_without_the_exceptions_message() -> None:
    loop = asyncio.new_event_loop()
    with capture_logs() as logs:
        LoopFaults(loop.time)(
            loop, {"message": "Task exception was never retrieved", "exception": ValueError("s3cret")}
        )
        LoopFaults(loop.time)(loop, {"message": "something else"})
    loop.close()
    assert [each["event"] for each in logs] == ["loop.fault", "loop.fault"]
    assert logs[0]["frames"] == ["ValueError"]
    assert "s3cret" not in str(logs)


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET])
def test_other_errors_of_the_system_are_no_lack_of_descriptors(number: int) -> None:
    loop = asyncio.new_event_loop()
    with capture_logs() as logs:
        LoopFaults(loop.time)(loop, {"message": "x", "exception": OSError(number, "x")})
    loop.close()
    assert logs[0]["event"] == "loop.fault"
