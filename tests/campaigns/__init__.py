"""Campaigns: real daemons and a real name server under load, killed again and again, and judged from outside."""
