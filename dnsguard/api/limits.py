"""What the HTTP door lets one client, or all of them together, take of the daemon.
Values only: units and bounds are in the names, and nothing here enforces them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the HTTP API. All can be replaced while it serves, except ``parse_concurrency``, ``reads_max``,
    ``changes_max`` and ``decoding_octets_max``.
    """

    body_octets_max: int = 16 * 2**20
    bodies_octets_max: int = 128 * 2**20
    """Of all request bodies together that are being received or read; each one's first 64 KiB are free."""
    decoding_octets_max: int = 32 * 2**20
    """Of all request bodies beyond 64 KiB that are being decoded, or of which the plan is being accepted. A body takes
    several times its size in memory then; others wait.
    """
    depth_max: int = 32
    """How deep JSON may be nested."""
    connections_max: int = 512
    connections_reserved: int = 32
    """On top of ``connections_max``, for health and metrics only."""
    changes_max: int = 64
    """POST requests in work at once. More wait for a place, which go round among identities. Waiting for publication
    and receiving a body takes no place.
    """
    reads_max: int = 2
    """GET requests in work at once, apart from health and metrics: a lane of their own, so that however many there are
    they keep only so many connections and threads from publishing.
    """
    deadline_s: float = 30.0
    """Receiving the body and answering, together; a wait for publication comes on top."""
    head_s_max: float = 10.0
    """From a connection's, or a further request's, first sign of life to the end of the request's head."""
    idle_s_max: float = 30.0
    """How long a kept-alive connection may stay silent."""
    wait_s_max: int = 300
    page_max: int = 500
    """Entries in one page of a listing."""
    parse_concurrency: int = 2
    """Large bodies and answers being read or written at once, each on a thread of its own."""

    @property
    def values_max(self) -> int:
        """Values in the JSON of one body, counted before any of them takes memory: one takes about 60 octets."""
        return max(10_000, self.body_octets_max // 32)
