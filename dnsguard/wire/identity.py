"""What a server says of itself (`version.bind`, RFC 4892's older sibling): for people, and never believed for a
decision. Many servers say nothing, on purpose.
"""

from collections.abc import Callable

import dns.exception
import dns.message

from dnsguard.core.message import Unreachable
from dnsguard.core.names import name_wire
from dnsguard.wire.primary import Primary
from dnsguard.wire.transport import Connection, Unanswered

_QUESTION = b"\0\0\0\0\0\1\0\0\0\0\0\0" + name_wire("version.bind.") + b"\0\x10\0\3"
"""TXT in class CH."""


async def version_of(primary: Primary, now: Callable[[], float]) -> str | Unreachable:
    """Return what a primary says of its name and version, empty if it says nothing."""
    connection = Connection(primary, now)
    try:
        answer = dns.message.from_wire(await connection.exchange(_QUESTION), ignore_trailing=True)
    except Unanswered as unanswered:
        return Unreachable(str(unanswered))
    except dns.exception.DNSException:
        return ""
    finally:
        await connection.close()
    texts = [b"".join(rdata.strings) for rrset in answer.answer for rdata in rrset if hasattr(rdata, "strings")]
    return b" ".join(texts).decode("ascii", "replace")
