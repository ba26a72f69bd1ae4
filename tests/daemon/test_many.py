"""Many daemons, each a process of its own, on one PostgreSQL and one BIND: they start together, know of each other,
and publish what another has accepted, on its word and without it.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.campaigns.daemons import Daemon
from tests.campaigns.spread import Stage, stage
from tests.cli.rig import clean_environment
from tests.servers.process import free_port
from tests.store.wire_proxy import WireProxy

HOUR = "[workers]\nenactor_interval_s = 3600.0\ncleanup_interval_s = 3600.0\n"
LOOKS_MAX = 200


def status(on: Stage, *more: str) -> str:
    """Run `dnsguard status` against the first daemon."""
    done = subprocess.run(
        [sys.executable, "-m", "dnsguard", "status", *more],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=clean_environment({"DNSGUARD_URL": on.daemons[0].url or "", "DNSGUARD_TOKEN": on.token}),
    )
    return done.stdout


def daemons_of(on: Stage) -> dict[int, dict[str, Any]]:
    """Return the daemons that status lists, by process id."""
    return {found["pid"]: found for found in json.loads(status(on, "--json"))["daemons"]}


async def start_all(on: Stage) -> None:
    await asyncio.gather(*(daemon.start() for daemon in on.daemons))
    await on.acquainted()


def divert(daemon: Daemon, before: str, after: str) -> None:
    """Change one setting of a daemon that is not started yet."""
    path = daemon.folder / "dnsguard.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


async def test_three_start_at_once_on_an_empty_database_and_one_that_is_killed_is_shown_as_gone(tmp_path: Path) -> None:
    async with stage(tmp_path, 3, 2) as on:
        await start_all(on)
        pids = [daemon.pid for daemon in on.daemons]
        listed = daemons_of(on)
        assert set(listed) == set(pids)
        assert {one["alive"] for one in listed.values()} == {True}
        assert len({one["address"] for one in listed.values()}) == 3
        assert all(one["version"] and one["revision"] and one["seen_age_s"] < 60 for one in listed.values())
        await on.daemons[2].kill()
        for _ in range(LOOKS_MAX):
            listed = daemons_of(on)
            if not listed[pids[2] or 0]["alive"]:
                break
        assert [listed[pid or 0]["alive"] for pid in pids] == [True, True, False]
        shown = [line.split() for line in status(on).splitlines()]
        states = {int(words[3]): words[1] for words in shown if len(words) > 3 and words[1] in {"alive", "gone"}}
        assert states == {pids[0]: "alive", pids[1]: "alive", pids[2]: "gone"}
        for daemon in on.daemons[:2]:
            await daemon.stop()
        logs = [line for daemon in on.daemons for line in daemon.tail if "database.migrated" in line]
        assert len(logs) == 1, logs
        assert not [word for daemon in on.daemons for word in daemon.words]


async def test_what_one_accepts_and_cannot_publish_another_publishes_on_its_word(tmp_path: Path) -> None:
    async with stage(tmp_path, 2, 1, module="tests.daemon.unhurried", settings=HOUR) as on:
        divert(on.daemons[0], f"port = {on.bind.address[1]}", f"port = {free_port()}")
        await start_all(on)
        for number in range(3):
            accepted = await on.submit(on.daemons[0], on.zones[0], number)
            plan = await on.settled(on.daemons[1], on.zones[0], accepted["generation"])
            assert plan["state"] == "published"


async def test_what_one_accepts_another_publishes_also_when_its_word_is_lost(tmp_path: Path) -> None:
    async with stage(tmp_path, 2, 1) as on, WireProxy(on.postgresql.address, deaf=True) as deaf:
        divert(on.daemons[0], f"port = {on.bind.address[1]}", f"port = {free_port()}")
        divert(on.daemons[1], on.postgresql.url(), on.postgresql.url(via=deaf.address))
        await start_all(on)
        lost = deaf.lost
        accepted = await on.submit(on.daemons[0], on.zones[0], 1)
        plan = await on.settled(on.daemons[1], on.zones[0], accepted["generation"])
        assert plan["state"] == "published"
        assert deaf.lost > lost
