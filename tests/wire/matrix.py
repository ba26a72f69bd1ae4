"""Run the contract of a primary on every name server, and write the table of docs/name-servers.md:

    python -m tests.wire.matrix            (with `--check`: only say whether the table is what was found)

A test that fails is shown as such; the table says what was run, and with which versions. Nothing is averaged.
"""

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.wire.primaries import SERVERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "name-servers.md"
BEGIN, END = "<!-- the table of tests.wire.matrix begins -->", "<!-- it ends -->"
FILES = ("test_publishing.py", "test_reading.py", "test_faults.py", "test_manners.py")
PROGRAMS = {"bind": ("named", "-v"), "knot": ("knotd", "--version"), "powerdns": ("pdns_server", "--version")}
TITLES = {"embedded": "embedded", "bind": "BIND", "knot": "Knot", "powerdns": "PowerDNS"}


@dataclass
class Cases:
    """What came of a claim's cases on one server."""

    held: int = 0
    failed: int = 0
    own_ways: dict[str, None] = field(default_factory=dict)
    """How the server does it instead, where it does not do as the claim says."""

    def __str__(self) -> str:
        said = f"**{self.failed} of {self.held + self.failed} failed**" if self.failed else str(self.held)
        return "; ".join([f"{said}, in its own way", *self.own_ways]) if self.own_ways else said


Results = dict[str, dict[str, Cases]]
"""By claim and server."""


def versions() -> dict[str, str]:
    """Return the version of each server, as its program says it."""
    found = {"embedded": "dnsguard's own"}
    for server, argv in PROGRAMS.items():
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
        match = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
        found[server] = match[0] if match else "unknown"
    return found


def run() -> Results:
    """Run the contract."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        files = [str(ROOT / "tests" / "wire" / file) for file in FILES]
        argv = [sys.executable, "-m", "pytest", "-q", "-o", "junit_family=xunit1", f"--junitxml={report}", *files]
        subprocess.run(argv, check=False, cwd=ROOT, stdout=sys.stderr, timeout=900)
        return read(ET.parse(report).iter("testcase"))  # noqa: S314  pytest's own


def read(cases: Iterable[ET.Element]) -> Results:
    """Sort test cases by claim and server; those that run on no server in particular are left out."""
    results: Results = {}
    for case in cases:
        name, _, parameters = case.get("name", "").partition("[")
        server = next((server for server in SERVERS if re.match(rf"{server}\b", parameters)), None)
        if server is None or case.find("skipped") is not None:
            continue
        cases_here = results.setdefault(claim(name), {}).setdefault(server, Cases())
        if case.find("failure") is None and case.find("error") is None:
            cases_here.held += 1
        else:
            cases_here.failed += 1
        cases_here.own_ways |= {
            found.get("value", ""): None for found in case.iter("property") if found.get("name") == "own way"
        }
    return results


def claim(test: str) -> str:
    """Return a test's name as the sentence that it is."""
    return test.removeprefix("test_").replace("_", " ")


def table(results: Results, of: dict[str, str]) -> str:
    """Return the table: how many cases held, or failed, and "-" where a claim is not about a server."""
    lines = [
        "| claim | " + " | ".join(f"{TITLES[server]} {of[server]}" for server in SERVERS) + " |",
        "|---|" + "---|" * len(SERVERS),
    ]
    for sentence, by_server in results.items():
        cells = [str(by_server.get(server, "-")) for server in SERVERS]
        lines.append(f"| {sentence} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Write the table, or compare it. Return 1 if a claim failed, or the page says something else."""
    results = run()
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    new = f"{head}{BEGIN}\n{table(results, versions())}\n{END}{tail}"
    failed = any(cases.failed for by_server in results.values() for cases in by_server.values())
    if "--check" not in sys.argv:
        PAGE.write_text(new, encoding="utf-8")
    return int(failed or ("--check" in sys.argv and new != page))


if __name__ == "__main__":
    sys.exit(main())
