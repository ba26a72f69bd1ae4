"""The laboratory: the real workers over ends in memory, under a scheduler that decides who goes next."""
