"""All of a zone by AXFR (RFC 5936), over a connection of its own, with every signature checked (RFC 8945
section 5.3.1). A transfer that does not come to its proven end is nothing: no part of it is returned.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from dnsguard.core.message import Unreachable
from dnsguard.core.records import Key, Records
from dnsguard.wire.decode import Gathering, Record, Unreadable, decode_answer
from dnsguard.wire.encode import AXFR, encode_question
from dnsguard.wire.primary import Primary
from dnsguard.wire.transport import worded
from dnsguard.wire.tsig import NotAuthentic, Responses, Signer

_RRSETS_AT_ONCE = 5_000


async def transfer(primary: Primary, zone: str, now: Callable[[], float]) -> Mapping[Key, Records] | Unreachable:
    """Return every RRset of a zone, SOA and fence included. ``timeout_s`` bounds the wait for each message."""
    reader: asyncio.StreamReader
    try:
        async with asyncio.timeout(primary.timeout_s):
            reader, writer = await asyncio.open_connection(primary.host, primary.port)
    except (OSError, TimeoutError) as error:
        return Unreachable(f"no connection to {primary}: {worded(error)}")
    try:
        return await _rrsets(await _records(primary, zone, now, reader, writer))
    except (NotAuthentic, Unreadable) as refused:
        return Unreachable(f"the transfer of {zone} was given up: {refused}")
    except TimeoutError:
        return Unreachable(f"the transfer of {zone} stood still for {primary.timeout_s:g} s")
    except (OSError, asyncio.IncompleteReadError) as error:
        return Unreachable(f"the connection was lost in the transfer of {zone}: {worded(error)}")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _records(
    primary: Primary,
    zone: str,
    now: Callable[[], float],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> Gathering:
    signer = Signer(primary)
    request = signer.sign(encode_question(zone, AXFR), now())
    responses = Responses(signer, request)
    writer.write(len(request.wire).to_bytes(2, "big") + request.wire)
    gathering = Gathering()
    first: Record | None = None
    last: Record | None = None
    while first is last or last is None or last.type != "SOA":
        async with asyncio.timeout(primary.timeout_s):
            wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        answer = decode_answer(responses.open(wire, now()))
        if answer.rcode != "NOERROR":
            raise Unreadable(f"expected the zone, found {answer.rcode}")
        if not answer.answer or (first is None and (answer.answer[0].name, answer.answer[0].type) != (zone, "SOA")):
            raise Unreadable("expected the zone between two copies of its SOA, found something else")
        first, last = first or answer.answer[0], answer.answer[-1]
        gathering.take(answer.answer)
        await asyncio.sleep(0)
    if first != last:
        raise Unreadable("expected the same SOA at both ends, found two: the zone changed meanwhile")
    if not responses.proven:
        raise Unreadable("expected a signature over the last message, found none")
    return gathering


async def _rrsets(gathering: Gathering) -> Mapping[Key, Records]:
    """Return what was gathered; others get their turns meanwhile, as they do after each message of a transfer."""
    found: dict[Key, Records] = {}
    for piece in gathering.pieces(_RRSETS_AT_ONCE):
        found |= piece
        await asyncio.sleep(0)
    return found
