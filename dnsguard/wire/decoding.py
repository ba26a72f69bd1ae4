"""Decodes large DNS messages in worker threads, so that the event loop goes on meanwhile.

A message of 64 KiB takes 50 ms to decode, and one made to be costly takes seconds: in the event loop, every zone,
client and health check would wait for it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

INLINE_OCTETS_MAX = 4_096
"""A message up to this size is decoded where it arrives, in a few milliseconds; a thread would cost more."""
THREADS_MAX = 2
"""Threads of their own: a server that keeps them busy delays other large answers, and nothing else."""

_threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="dns-decode")

Decoded = TypeVar("Decoded")


async def decode_large(decode: Callable[[bytes], Decoded], wire: bytes) -> Decoded:
    """Return what ``decode`` makes of a message; large ones are decoded in a thread. Raises what it raises."""
    if len(wire) <= INLINE_OCTETS_MAX:
        return decode(wire)
    return await in_thread(partial(decode, wire))


async def in_thread(work: Callable[[], Decoded]) -> Decoded:
    """Run work that only computes in one of the threads; when cancelled, it runs to its end unheard."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
