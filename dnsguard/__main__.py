"""`python -m dnsguard` is the command `dnsguard`."""

from dnsguard.cli.main import main

main()
