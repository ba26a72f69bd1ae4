"""`dnsguard simulate`: seeded worlds in which everything goes wrong at once."""
