"""Where a name server is that is only asked, as a value.
Nothing here opens a connection, and no representation of it shows a secret.
"""

from dataclasses import dataclass

from dnsguard.wire.primary import Primary


@dataclass(frozen=True, slots=True)
class NameServer:
    """A server that is asked for the fence: its name in the settings, its address, and how long an answer may take."""

    name: str
    host: str
    port: int = 53
    timeout_s: float = 2.0
    signed_as: Primary | None = None
    """With a key, questions are signed and answers must be; its own bounds are not used."""

    def __str__(self) -> str:
        return f"{self.name} ({self.host} port {self.port})"
