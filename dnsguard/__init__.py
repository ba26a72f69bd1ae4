"""dnsguard: plans for DNS zones in, fenced RFC 2136 updates out; never an old or an empty record set."""

__version__ = "0.1.0"
