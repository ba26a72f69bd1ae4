"""The fence: a TXT record in the zone itself that says at which generation the zone stands.
Every UPDATE names the fence that it believes in as prerequisite and writes the next one, so that the name
server is the arbiter. Lower case and digits only: PowerDNS compares TXT without regard to case.
"""

import re
from dataclasses import dataclass

from dnsguard.core.names import fence_name
from dnsguard.core.records import Key

FENCE_TTL = 1
GENERATION_MAX = 10**18 - 1
"""The largest generation: it fits a 64-bit integer of every database with room to spare."""
GENERATION_STATED_MAX = 9 * 10**17
"""The largest generation that a planner may state: a slip must leave room for the plans that follow."""

_ORDER_UNIT = 10**9
"""``of`` on the wire is this many times the order's version, plus the number of RRsets. Daemons that know of no order
read a total that is none of theirs, so they publish from the base again. A new field would make them halt the zone.
"""

_FORM = re.compile(
    r"v=1 h=(?P<history>[0-9a-f]{16}) g=(?P<generation>[1-9][0-9]{0,17}) d=(?P<digest>[0-9a-f]{16})"
    r"(?: base=(?P<base>0|[1-9][0-9]{0,17}) done=(?P<done>[1-9][0-9]{0,9}) of=(?P<of>[1-9][0-9]{0,9}))?"
)


class FenceUnreadable(ValueError):
    """What stands at the fence's name is not a fence of ours."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A publication under way: ``done`` of ``of`` RRsets of the change from ``base`` are on the wire.

    They are the first ones in the order with the version ``order`` (`publication_order.ORDERS`).
    """

    base: int
    done: int
    of: int
    order: int = 0


@dataclass(frozen=True, slots=True)
class Fence:
    """Where a zone stands: the generation, which history it belongs to, and the part if under way."""

    history: str
    generation: int
    digest: str
    progress: Progress | None = None

    @property
    def base(self) -> int:
        """The newest generation that is completely on the wire."""
        return self.generation if self.progress is None else self.progress.base

    def __str__(self) -> str:
        text = f"v=1 h={self.history} g={self.generation} d={self.digest}"
        if (part := self.progress) is not None:
            text += f" base={part.base} done={part.done} of={part.order * _ORDER_UNIT + part.of}"
        return text


def fence_key(zone: str) -> Key:
    """Return the key of a zone's fence record."""
    return Key(fence_name(zone), "TXT")


def fence_rdata(fence: Fence) -> bytes:
    """Encode a fence as the rdata of one TXT record with one string (RFC 1035 section 3.3.14)."""
    text = str(fence).encode("ascii")
    return bytes((len(text),)) + text


def parse_fence(rdatas: tuple[bytes, ...]) -> Fence:
    """Read the fence from the TXT RRset at its name. Raises FenceUnreadable."""
    if len(rdatas) != 1:
        raise FenceUnreadable(f"expected one TXT record at the fence's name, found {len(rdatas)}")
    text = rdatas[0][1:].decode("ascii", "replace") if rdatas[0] else ""
    if len(rdatas[0]) != len(text) + 1 or rdatas[0][0] != len(text) or (match := _FORM.fullmatch(text)) is None:
        raise FenceUnreadable(f"expected a fence such as 'v=1 h=… g=42 d=…', found {text[:120]!r}")
    part = None
    if match["base"]:
        order, of = divmod(int(match["of"]), _ORDER_UNIT)
        part = Progress(int(match["base"]), int(match["done"]), of, order)
    fence = Fence(match["history"], int(match["generation"]), match["digest"], part)
    if fence.progress is not None and not (
        fence.progress.base < fence.generation and fence.progress.done < fence.progress.of
    ):
        raise FenceUnreadable(f"expected progress below its end and base below the generation, found {text!r}")
    return fence


def fence_from_text(text: str | None) -> Fence | None:
    """Read a fence that was recorded as text, None for none. Raises FenceUnreadable."""
    return None if text is None else parse_fence((bytes((len(text),)) + text.encode("ascii"),))
