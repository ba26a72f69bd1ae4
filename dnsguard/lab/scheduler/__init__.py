"""The deterministic loop, and who goes next on it: actors, moves, and what a run of them comes to."""
