"""How much an exploration may be asked for: the ranges and the choices that the command line and a saved story share.
Values only, and nothing is imported: who only says them need not load the laboratory.
"""

RANGES = {
    "enactors": (1, 5),
    "plans": (1, 9),
    "endpoints": (1, 4),
    "keep": (1, 9),
    "rrsets": (1, 4),
    "crashes": (0, 99),
    "losses": (0, 99),
}
CHOICES = {
    "guards": ("guarded", "unguarded"),
    "layout": ("inline", "versioned"),
    "store": ("memory", "sqlite", "postgresql"),
}
SWITCHES = ("cleanup", "read_back", "fresh", "withdraws")


def unfit(name: str, value: object) -> str | None:
    """Say why a value is none that an exploration can have under a name; None if it is one, or not bounded here."""
    if name in RANGES:
        least, most = RANGES[name]
        # A bool is an int to Python, and none to a reader.
        if type(value) is not int or not least <= value <= most:
            return f"expected {name} to be a number from {least} to {most}, found {_shown(value)}"
    elif name in CHOICES and value not in CHOICES[name]:
        return f"expected {name} to be one of {', '.join(CHOICES[name])}, found {_shown(value)}"
    elif name in SWITCHES and not isinstance(value, bool):
        return f"expected {name} to be true or false, found {_shown(value)}"
    return None


def _shown(value: object) -> str:
    said = repr(value)
    return said if len(said) <= 40 else f"{said[:40]}…"
