"""Stores and primaries as the laboratory has them: in memory or over SQL, behind a gate, and what is noted of them."""
