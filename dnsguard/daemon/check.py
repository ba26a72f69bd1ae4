"""What one look of `dnsguard doctor` came to: a value, which the command line prints."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a check came to."""

    GOOD = "good"
    NOTE = "note"
    """Nothing is wrong, and somebody should know."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was expected and found, and what to do where that differs."""

    about: str
    verdict: Verdict
    expected: str
    found: str
    advice: str = ""
