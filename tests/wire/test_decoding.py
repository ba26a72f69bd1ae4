"""Large messages are decoded in threads while the event loop goes on."""

import asyncio
import threading

import pytest

from dnsguard.wire.decoding import INLINE_OCTETS_MAX, decode_large, in_thread


async def test_the_event_loop_goes_on_while_a_large_message_is_decoded() -> None:
    may_end = threading.Event()
    decoding = asyncio.create_task(
        decode_large(lambda wire: (may_end.wait(60), len(wire)), bytes(INLINE_OCTETS_MAX + 1))
    )
    asyncio.get_running_loop().call_soon(may_end.set)
    assert await decoding == (True, INLINE_OCTETS_MAX + 1)


async def test_a_small_message_is_decoded_where_it_arrives() -> None:
    name = await decode_large(lambda _: threading.current_thread().name, bytes(INLINE_OCTETS_MAX))
    assert name == threading.current_thread().name


async def test_what_the_decoder_raises_is_raised() -> None:
    def decode() -> None:
        raise ValueError("no message")

    with pytest.raises(ValueError, match="no message"):
        await in_thread(decode)
