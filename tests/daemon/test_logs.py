"""Logs: one line for each event, on standard error, as much as the newest settings want."""

import json
import subprocess
import sys

SCRIPT = """
import structlog
from dnsguard.daemon.logs import configure_logs
log = structlog.get_logger()
for level in ("info", "debug", "error"):
    configure_logs(level, "json")
    log.debug("detail.seen", under=level)
    log.info("thing.seen", under=level)
"""


def test_a_new_level_holds_for_loggers_that_were_used_before() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30, check=True)
    said = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["event"], each["under"]) for each in said] == [
        ("thing.seen", "info"),
        ("detail.seen", "debug"),
        ("thing.seen", "debug"),
    ]
    assert done.stdout == ""
