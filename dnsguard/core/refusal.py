"""A guard's no, as a value: recorded, counted and explained, never raised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A guard's no: which guard, the sentence for people, what it expected and what it found."""

    guard: str
    detail: str
    expected: str
    found: str
    about: tuple[tuple[str, str | int], ...] = ()
    """Facts for programs, by name, such as ``newest`` and its number."""
