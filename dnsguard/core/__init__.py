"""The heart: what plans, fences, guards and layouts mean. Pure values and functions; no I/O, no clock, no await."""
