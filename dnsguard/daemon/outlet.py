"""Where a program says what it does: a stream that takes every line, whether or not anybody can read it. A full disk
or a closed pipe loses lines, which are counted, and never stops what was only being told. Nothing is kept for later:
each line is tried for itself, so that what can be written again is.
"""

import io
import os
from typing import TextIO


class Outlet(io.RawIOBase):
    """A file descriptor to which writing never fails."""

    lost = 0
    """Writes, one for each line, of which not everything got out; of all outlets of this process."""

    def __init__(self, descriptor: int) -> None:
        """Write to a descriptor, which stays open."""
        super().__init__()
        self._descriptor = self.name = descriptor
        self._is_torn = False

    def write(self, octets: bytes) -> int:  # type: ignore[override]  # whatever is like bytes, as its caller gives it
        """Write as much as can be; all of it counts as written."""
        sent = memoryview(b"\n" + octets if self._is_torn else octets)
        at = 0
        try:
            while at < len(sent):
                at += os.write(self._descriptor, sent[at:])
        except OSError:
            # What comes next must not stand on the same line as half of this.
            self._is_torn = self._is_torn if at == 0 else sent[at - 1] != ord("\n")
            Outlet.lost += 1
        else:
            self._is_torn = False
        return len(octets)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether somebody looks at it."""
        return os.isatty(self._descriptor)


def unfailing(stream: TextIO) -> TextIO:
    """Return a stream to the same place that never fails, or the stream itself if it is no file."""
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, ValueError):  # `fileno` raises both at once, where there is none
        return stream
    # Each text is one write: lines of two processes on one file do not mix.
    return io.TextIOWrapper(
        Outlet(descriptor), encoding=stream.encoding, errors="backslashreplace", newline="\n", write_through=True
    )
