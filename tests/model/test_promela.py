"""What spin shows of `dnsguard.pml`: the incident without guards; with them no broken promise in any state, and that
the zone converges. Spin writes a checker in C, which is compiled and run in a temporary folder.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import require

MODEL = Path(__file__).with_name("dnsguard.pml")
SECONDS_MAX = 120


class Checker:
    """Spin's checker of the model for some settings."""

    def __init__(self, folder: Path, settings: str, how: str) -> None:
        spin, gcc = require("spin"), require("gcc")
        self.folder = folder
        self.spin = [spin, *settings.split()]
        shutil.copy(MODEL, folder / MODEL.name)
        self.call(*self.spin, "-a", MODEL.name)
        self.call(gcc, "-O1", "-o", "checker", *how.split(), "pan.c")

    def call(self, *command: str) -> str:
        ran = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
        assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def check(self, *options: str) -> int:
        """Return how many errors there are: 0, or 1 since the checker stops at the first."""
        said = self.call("./checker", "-m200000", *options)
        print("\n".join(line for line in said.splitlines() if re.search(r"errors:|stored|elapsed", line)))
        assert "max search depth too small" not in said
        errors = re.search(r"errors: (\d+)", said)
        assert errors is not None, said
        assert errors[1] != "0" or "search not completed" not in said.lower()
        return int(errors[1])

    def story(self) -> list[str]:
        """Return what happened on the way to the error."""
        said = self.call(*self.spin, "-t", MODEL.name)
        return [line.strip() for line in said.splitlines() if re.match(r"\s*(latest|build|flip|clean) ", line)]


SAFETY = "-DNOCLAIM -DSAFETY"
FAIR = "-DNFAIR=3"


def test_spin_finds_the_incident_by_the_shortest_way(tmp_path: Path) -> None:
    checker = Checker(tmp_path, "-DGUARDED=0 -DFORWARD=0 -DKEEP=2 -DCRASHES=0 -DLATE=0", f"{SAFETY} -DBFS")
    assert checker.check() == 1
    story = checker.story()
    print("\n".join(story))
    assert story[-2:] == ["clean 1", "clean 2"]
    assert story.index("flip 1 to 4") < story.index("flip 4 to 2")


def test_spin_finds_an_older_plan_over_a_newer_one(tmp_path: Path) -> None:
    checker = Checker(tmp_path, "-DGUARDED=0 -DCRASHES=0 -DLATE=0", f"{SAFETY} -DBFS")
    assert checker.check() == 1
    assert re.fullmatch(r"flip (\d) to (\d)", checker.story()[-1])


def test_no_state_of_the_guarded_protocol_breaks_a_promise(tmp_path: Path) -> None:
    assert Checker(tmp_path, "-DPLANS=3", SAFETY).check() == 0


@pytest.mark.parametrize("world", ["-DPLANS=2 -DCRASHES=1 -DLATE=1", "-DPLANS=3 -DCRASHES=1 -DLATE=0"])
def test_the_guarded_protocol_converges_under_every_fair_schedule(tmp_path: Path, world: str) -> None:
    assert Checker(tmp_path, world, FAIR).check("-a", "-f") == 0


def test_the_october_system_does_not_converge(tmp_path: Path) -> None:
    assert Checker(tmp_path, "-DGUARDED=0 -DFORWARD=0 -DCRASHES=0", FAIR).check("-a", "-f") == 1
