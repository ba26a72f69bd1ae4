"""Faults that asyncio's loop reports for want of anybody else: each is one line of this program's log.

A daemon without a free descriptor cannot accept connections, and the loop reports that a thousand times a second: it is
said once every few seconds. Messages of other exceptions are left out, since they may quote what a client sent.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Any

import structlog

from dnsguard.api.loggable import frames

SAID_AGAIN_S = 10.0

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


class LoopFaults:
    """The loop's exception handler."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is the loop's clock."""
        self._now = now
        self._said_at: float | None = None

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one fault."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED:
            if self._said_at is None or self._now() >= self._said_at + SAID_AGAIN_S:
                self._said_at = self._now()
                log.error(
                    "connections.not_accepted",
                    found=os.strerror(error.errno),
                    advice="raise the limit of open files (LimitNOFILE), or lower connections_max under [http]",
                )
            return
        where = frames(error) if isinstance(error, BaseException) else None
        log.error("loop.fault", detail=context.get("message"), frames=where)
