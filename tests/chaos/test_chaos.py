"""Slices of chaos: faults of every kind break no invariant, whatever the primary is. Under the rules of October
the same checker finds broken ones at once. The whole of it: `python -m tests.chaos --minutes 20`.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.enclosure import allowed
from tests.servers import REQUIRED, require

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("named", "knotd", "nsd", "postgres")
SLICE_S_MAX = 240
NO_LOAD = "a second before the first fault"


async def chaos(folder: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command; return its status, what it wrote, and its figures."""
    for program in PROGRAMS:
        require(program)
    figures = folder / "figures.json"
    argv = [sys.executable, "-m", "tests.chaos", "--json", str(figures), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, argv, check=False, cwd=ROOT, capture_output=True, text=True, timeout=SLICE_S_MAX
    )
    assert figures.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr, json.loads(figures.read_text())


def counts_on_a_busy_machine(figures: dict[str, Any]) -> bool:
    """Tell whether nothing but speed kept a run from counting: how fast a machine is, no test can ask."""
    return all(NO_LOAD in missing for missing in figures["missing"])


@pytest.mark.campaign
async def test_chaos_breaks_no_invariant(tmp_path: Path) -> None:
    if os.environ.get(REQUIRED) == "1" and not os.geteuid():
        assert allowed(), "namespaces are needed for partitions, and root may have them"
    _, said, figures = await chaos(tmp_path, "--minutes", "0.75", "--seed", "7")
    assert figures["violations"] == 0, said
    assert figures["fences are linearizable registers"], said
    assert figures["fenced writes refused"] > 0, said
    assert figures["plans told to have propagated"] > 0, said
    assert counts_on_a_busy_machine(figures), said


@pytest.mark.campaign
async def test_chaos_breaks_no_invariant_with_knot_as_the_primary(tmp_path: Path) -> None:
    _, said, figures = await chaos(tmp_path, "--minutes", "0.25", "--seed", "8", "--primary", "knot")
    assert figures["violations"] == 0, said
    assert figures["fences are linearizable registers"], said
    assert figures["faults"] > 0, said
    assert figures["plans accepted"] > 0, said


@pytest.mark.campaign
async def test_under_the_rules_of_october_the_checker_finds_broken_invariants(tmp_path: Path) -> None:
    status, said, figures = await chaos(tmp_path, "--minutes", "0.25", "--seed", "7", "--unguarded")
    assert status == 0, said
    assert figures["violations by invariant"]["2 forward"] > 0, said
    assert not figures["fences are linearizable registers"], said


async def test_without_an_enclosure_there_are_plain_processes(tmp_path: Path) -> None:
    status, said, figures = await chaos(tmp_path, "--minutes", "0.1", "--seed", "7", "--unguarded", "--plain")
    assert status == 0, said
    assert figures["hosts"] == "processes on loopback", said
