"""A small disk of its own for a server: a tmpfs that a test fills up and makes room on again."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        """Write until there is no room for another octet in another page."""
        with self._filling.open("ab", buffering=0) as file:
            for octets in (65_536, 4_096):
                with contextlib.suppress(_Full):
                    while True:
                        _write(file.fileno(), b"x" * octets)

    def make_room(self) -> None:
        """Remove what was written."""
        self._filling.unlink()


class _Full(Exception):
    """There is no room left."""


def _write(file: int, octets: bytes) -> None:
    try:
        os.write(file, octets)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None


@contextlib.contextmanager
def small_disk(folder: Path, octets: int) -> Iterator[SmallDisk]:
    """Mount a tmpfs of a size; skip the test where one may not, as who is not root."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={octets},mode=0777", "tmpfs", str(folder)]
    mount = shutil.which("mount")
    if mount is None or os.geteuid():
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run([mount, *options], check=False, capture_output=True, text=True, timeout=30)
    if mounted.returncode:
        pytest.skip(f"a small disk may not be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)
