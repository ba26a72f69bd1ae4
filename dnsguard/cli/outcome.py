"""The two ways in which a command fails, and the exit codes.
What is said here is for people, and never holds a token.
"""

from typing import Any

DONE, REFUSED, CANNOT_ASK, BROKEN, INTERRUPTED, BROKEN_PIPE, TERMINATED = 0, 1, 2, 70, 130, 141, 143


class Refused(Exception):
    """The daemon said no: its problem document (RFC 9457), as a value and as it came.

    ``sought`` says where the token was looked for: the remedy when it is the token that is refused.
    """

    def __init__(self, problem: dict[str, Any], raw: bytes, status: int, sought: str) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title") or f"refused with status {status}"))
        self.problem, self.raw, self.status, self.sought = problem, raw, status, sought

    @property
    def is_unclear(self) -> bool:
        """Whether the daemon could not say what became of the request: a fault of its own, too busy, too slow."""
        return self.status >= 500 and self.problem.get("type") != "/problems/faulted"

    @property
    def exit_code(self) -> int:
        """1 for a no, 2 where nothing was judged."""
        return CANNOT_ASK if self.is_unclear else REFUSED


class CannotAsk(Exception):
    """The command is not usable as given, or no daemon could be asked; the message says what to do."""


class LostAnswer(CannotAsk):
    """The request may have been received, and no answer came: what became of it is unclear."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
