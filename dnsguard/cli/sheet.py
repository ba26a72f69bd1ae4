"""A file that is filled at the end of something long: that it can be is found out at the beginning.
It stands under its name only when it is whole; what was there before stays until then, and for good if nothing comes.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dnsguard.cli.outcome import CannotAsk


@dataclass(slots=True)
class Sheet:
    """A file to be. Leaving its context takes away what is beside it, whatever happened."""

    path: Path
    _beside: Path | None = None

    def __enter__(self) -> Self:
        """Find out whether it can be written. Raises CannotAsk, which names the file."""
        target = self.path.resolve()
        try:
            if target.exists() and not target.is_file():
                return self  # a pipe, or a device: it has no place beside it
            beside = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                beside.open("x").close()
            except OSError:
                # A folder may take no new file, and still let the one that is there be written.
                if not target.is_file():
                    raise
                target.open("r+").close()
            else:
                self._beside = beside
        except OSError as error:
            raise self._refused(error) from None
        return self

    def write(self, text: str) -> None:
        """Put the text into the file. Raises CannotAsk, which names the file."""
        target = self.path.resolve()
        try:
            (self._beside or target).write_text(text, encoding="utf-8")
            if self._beside is not None:
                self._beside.replace(target)
                self._beside = None
        except OSError as error:
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> CannotAsk:
        return CannotAsk(f"expected to write {self.path}, found: {error.strerror}; name a file that can be written")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take away what was not used."""
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)
