"""The HTTP door: strict requests in, one clear answer out. It decides nothing about zones and writes nothing itself."""
