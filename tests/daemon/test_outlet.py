"""Saying something never fails: not on a full disk, not into a closed pipe; and what can be written again, is."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsguard.daemon.metrics import Metrics
from dnsguard.daemon.outlet import Outlet, unfailing


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is never waited for."""
    theirs, ours = os.pipe()
    os.set_blocking(ours, False)
    os.set_blocking(theirs, False)
    yield theirs, ours
    os.close(theirs)
    os.close(ours)


def text(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(Outlet(descriptor), encoding="ascii", errors="backslashreplace", write_through=True)


def drained(descriptor: int) -> bytes:
    read = b""
    try:
        while octets := os.read(descriptor, 1 << 20):
            read += octets
    except BlockingIOError:
        return read
    return read


def test_a_full_disk_loses_lines_and_counts_them() -> None:
    before = Outlet.lost
    with Path("/dev/full").open("w") as full:
        stream = unfailing(full)
        stream.write("one\n")
        stream.write("two\n")
        stream.flush()
    assert Outlet.lost == before + 2
    shown = Metrics("guarded").registry.get_sample_value("dnsguard_log_lines_lost_total")
    assert shown == Outlet.lost


def test_a_closed_pipe_is_no_error() -> None:
    theirs, ours = os.pipe()
    os.close(theirs)
    before = Outlet.lost
    text(ours).write("nobody reads this\n")
    os.close(ours)
    assert Outlet.lost == before + 1


def test_what_can_be_written_again_is_and_stands_on_lines_of_its_own(pipe: tuple[int, int]) -> None:
    theirs, ours = pipe
    stream, before = text(ours), Outlet.lost
    stream.write("x" * (1 << 20) + "\n")
    assert Outlet.lost == before + 1
    torn = drained(theirs)
    assert set(torn) == {ord("x")}
    stream.write("first\n")
    stream.write("second ä\n")
    assert drained(theirs) == b"\nfirst\nsecond \\xe4\n"
    assert Outlet.lost == before + 1


def test_what_is_no_file_stays_as_it_is() -> None:
    stream = io.StringIO()
    assert unfailing(stream) is stream
