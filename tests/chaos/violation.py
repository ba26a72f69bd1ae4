"""A broken invariant, as a value: its number in the design, what was seen, and when. It decides nothing."""

from dataclasses import dataclass

NAMES = {
    1: "prefix",
    2: "forward",
    3: "never empty",
    4: "nothing lost",
    5: "clean-up is harmless",
    6: "self-healing",
    7: "accountable",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that should always hold and does not."""

    number: int
    detail: str
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.number} ({NAMES[self.number]}) at {self.at:.3f}: {self.detail}"
