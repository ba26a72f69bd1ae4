"""The daemon: composes stores, primaries and workers, owns loops and signals. It decides nothing about records."""
