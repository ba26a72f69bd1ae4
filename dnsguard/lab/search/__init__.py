"""Which schedules are tried: strategies, what they find, and how that is made shorter."""
