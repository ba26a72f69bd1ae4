"""The report."""

from dnsguard.lab.demo.play import Run
from dnsguard.lab.demo.verdict import Verdict


def report_page(run: Run, verdict: Verdict) -> str:
    """Return the page."""
    return f"{run.story} {verdict.as_promised}"
