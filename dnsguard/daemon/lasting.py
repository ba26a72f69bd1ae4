"""Tasks that are to run for as long as the daemon does. One that breaks would leave its zone, or all of them,
unattended while everything looks well; so it ends the daemon, loudly, and whoever supervises it starts it anew.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Lasting:
    """Starts such tasks, and notices when one breaks."""

    def __init__(self, end: Callable[[str], None] = lambda _: None) -> None:
        """``end`` is called with a sentence for people when the daemon cannot go on."""
        self._end = end

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something until it is cancelled, or has nothing more to do."""
        task = asyncio.create_task(work, name=name)
        self.watch(task)
        return task

    def watch(self, task: asyncio.Task[None]) -> None:
        """Take care of a task that runs already."""
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if task.cancelling():
                return
            # Nobody has cancelled it: something within it has.
            error: BaseException = asyncio.CancelledError()
        elif (broken := task.exception()) is not None:
            error = broken
        else:
            return
        log.critical("task.broken", task=task.get_name(), exc_info=error)
        self._end(
            f"expected the task {task.get_name()!r} to run on, found a fault of the program itself "
            f"({type(error).__name__}); start the daemon again, and report it"
        )
