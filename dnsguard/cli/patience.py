"""Ctrl-C as a wish to hear what there is so far, for commands that count something for a long time."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def heeding() -> Iterator[Callable[[], bool]]:
    """Return what tells whether there was a Ctrl-C; the next one ends the command at once, as ever.

    Who has it ignored, such as a shell that runs something in the background, has it ignored here, too.
    """
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        # It may come in the middle of a simulation, where no function for signals can be set.
        if came:
            raise KeyboardInterrupt
        came.append(number)

    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGINT, before)
