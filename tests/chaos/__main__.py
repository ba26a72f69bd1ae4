"""Chaos, as a command: three daemons on one database, a primary with two secondaries, planners and observers; then
faults of every kind, and a checker that judges what was seen from outside.

    python -m tests.chaos --minutes 20 [--seed N] [--unguarded] [--primary bind|knot] [--plain]
        [--without KIND] [--json FILE]

Exit code 0 only if the run counts (there was load, faults of every kind had an effect but for those that it was asked
for without, plans were told to have propagated, fenced writes were refused) and no invariant was broken; with
--unguarded, only if violations were caught. 1 if not, 2 if it could not run.
"""

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from tests.chaos.enclosure import NotAllowed, allowed, enter
from tests.chaos.kinds import ENCLOSED, KINDS
from tests.chaos.run import Options, chaos, keep_out_of
from tests.servers.process import NotStarted


def main(arguments: list[str]) -> int:
    """Run the chaos that the command line asks for, in an enclosure where the machine allows one."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long faults come")
    parser.add_argument("--seed", type=int, default=None, help="choices recur with it; a random one if absent")
    parser.add_argument("--primary", choices=["bind", "knot"], default="bind")
    parser.add_argument("--unguarded", action="store_true", help="the rules of October: expects violations")
    parser.add_argument("--plain", action="store_true", help="processes on loopback, even where more is allowed")
    parser.add_argument(
        "--without", action="append", default=[], choices=KINDS, metavar="KIND", help=f"leave out: {', '.join(KINDS)}"
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--keep", type=Path, default=None, metavar="FOLDER", help="keep the histories there")
    parser.add_argument("--enclosed", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if not asked.enclosed and not asked.plain and allowed():
        enter([sys.executable, "-m", "tests.chaos", "--enclosed", *arguments])
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    without = frozenset(asked.without) | frozenset(ENCLOSED if asked.plain else ())
    options = Options(asked.minutes, seed, asked.primary, asked.unguarded, asked.enclosed, without)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    keep_out_of()
    try:
        with tempfile.TemporaryDirectory(prefix="dnsguard-chaos-") as folder:
            Path(folder).chmod(0o711)  # PostgreSQL runs as another user below it
            histories = asked.keep or Path(folder) / "histories"
            histories.mkdir(parents=True, exist_ok=True)
            account = asyncio.run(chaos(options, Path(folder), histories))
    except (NotAllowed, NotStarted, pytest.skip.Exception, pytest.fail.Exception) as error:
        sys.stderr.write(f"the run (seed {seed}) cannot be: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything that ran was ended\n")
        return 130
    print(account.table())
    if asked.json is not None:
        figures = account.figures() | {
            "violated": [str(violation) for violation in account.violations[:1000]],
            "missing": account.missing(),
        }
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.unguarded:
        return 0 if account.violations else 1
    return (
        1
        if account.violations or account.missing() or not all(each is None for each in account.registers.values())
        else 0
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
