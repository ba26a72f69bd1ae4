"""What a server says of itself (`version.bind`, RFC 4892's older sibling): for people, and never believed for a
decision. Many servers say nothing, on purpose.
"""

from collections.abc import Callable

from dnsguard.core.message import Unreachable
from dnsguard.core.names import name_wire
from dnsguard.wire.decode import Unreadable
from dnsguard.wire.primary import Primary
from dnsguard.wire.transport import Connection, Unanswered
from dnsguard.wire.txt_answer import read_txt_answer, texts_of

_NAME = name_wire("version.bind.")
_CHAOS = 3
_QUESTION = b"\0\0\0\0\0\1\0\0\0\0\0\0" + _NAME + b"\0\x10\0\3"
"""TXT in class CH."""


async def version_of(primary: Primary, now: Callable[[], float]) -> str | Unreachable:
    """Return what a primary says of its name and version, empty if it says nothing."""
    connection = Connection(primary, now)
    try:
        answer = read_txt_answer(await connection.exchange(_QUESTION), _NAME, _CHAOS)
    except Unanswered as unanswered:
        return Unreachable(str(unanswered))
    except Unreadable:
        return ""
    finally:
        await connection.close()
    return b" ".join(b"".join(texts_of(rdata)) for rdata in answer.rdatas).decode("ascii", "replace")
