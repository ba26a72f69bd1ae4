"""Who may do what: bearer tokens, known by their SHA-256 only, with an access and the zones it holds for.
The token itself is never stored, logged or shown; comparing takes the same time whatever matches.
"""

import enum
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

AccessName = Literal["read", "write", "admin"]


class Access(enum.IntEnum):
    """What a token allows; each access includes those before it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. ``name`` is the actor in the history; ``zones`` of None means all zones."""

    name: str
    sha256: str
    """Hexadecimal SHA-256 of the token, in lower case."""
    access: AccessName
    zones: frozenset[str] | None = None

    def allows(self, access: Access, zone: str | None) -> bool:
        """Tell whether this access is granted, on a zone (canonical name) or, with None, on all of them."""
        return self.reaches(access) and (self.zones is None or (zone is not None and zone in self.zones))

    def reaches(self, access: Access) -> bool:
        """Tell whether this access is granted on any zone at all."""
        return Access[self.access.upper()] >= access


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens that the door knows."""

    tokens: tuple[Token, ...]

    def find(self, presented: str) -> Token | None:
        """Return the token that was presented, or None. Every known one is compared, in constant time."""
        digest = token_digest(presented)
        found: Token | None = None
        for token in self.tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found


def token_digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make_tokens(tokens: Iterable[Token]) -> Tokens:
    """Collect tokens. Raises ValueError for two with one name or one digest, which could not be told apart."""
    known = tuple(tokens)
    if len({token.name for token in known}) != len(known) or len({token.sha256 for token in known}) != len(known):
        raise ValueError("expected every token to have a name and a digest of its own, found two alike")
    return Tokens(known)
