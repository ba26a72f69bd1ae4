"""`dnsguard explore`: the real workers of a setting, and every order in which they may go."""
