"""Where a primary is and how one speaks to it, as a value.
Nothing here opens a connection, and no representation of it ever shows the secret.
"""

from dataclasses import dataclass, field

from dnsguard.core.names import NameRefused, parse_name

DIGESTS = {"hmac-sha256": "sha256", "hmac-sha384": "sha384", "hmac-sha512": "sha512"}
"""The TSIG algorithms that are spoken (RFC 8945 section 6), and the hash under each."""


class PrimaryRefused(ValueError):
    """A primary is not described well; the message says what was expected and found."""


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """What a transfer may take in all. The defaults leave room for several million names. Raises PrimaryRefused."""

    duration_s_max: float = 900.0
    octets_max: int = 2**30
    records_max: int = 10_000_000

    def __post_init__(self) -> None:
        if not self.duration_s_max > 0 or self.octets_max < 1 or self.records_max < 1:
            raise PrimaryRefused(f"expected limits of a transfer above 0, found {self}")


@dataclass(frozen=True, slots=True)
class Primary:
    """One primary: its address and the TSIG key for it. Raises PrimaryRefused.

    ``timeout_s`` bounds the wait for a turn and a connection, and then again the wait for the answer;
    ``in_flight_max`` bounds how many messages are on their way at once (BIND drops updates beyond its quota
    of 100 without an answer).
    """

    host: str
    port: int
    key_name: str
    algorithm: str
    secret: bytes = field(repr=False)
    timeout_s: float = 5.0
    in_flight_max: int = 16
    transfer: TransferLimits = TransferLimits()

    def __post_init__(self) -> None:
        if self.algorithm not in DIGESTS:
            raise PrimaryRefused(f"expected a TSIG algorithm of {', '.join(DIGESTS)}, found {self.algorithm!r}")
        if not self.secret:
            raise PrimaryRefused(f"expected a secret for the TSIG key {self.key_name}, found an empty one")
        if not 1 <= self.port <= 65_535:
            raise PrimaryRefused(f"expected a port from 1 to 65535, found {self.port}")
        if not self.timeout_s > 0:
            raise PrimaryRefused(f"expected a time-out above 0 seconds, found {self.timeout_s}")
        if not 1 <= self.in_flight_max <= 1_000:
            raise PrimaryRefused(f"expected 1 to 1000 messages in flight, found {self.in_flight_max}")
        try:
            object.__setattr__(self, "key_name", parse_name(self.key_name))
        except NameRefused as refused:
            raise PrimaryRefused(f"expected a domain name as name of the TSIG key: {refused}") from None

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"
