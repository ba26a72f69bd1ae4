"""Chaos: real daemons, a real database and real name servers under faults of every kind, judged from outside.
The checker here imports nothing of dnsguard: it knows only what name servers answered and what clients were told.
"""
