"""The daemon as a process: what it prints, how it ends, and what it does with what it cannot use."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.servers.process import Process, free_port

COMMAND = [sys.executable, "-m", "dnsguard", "serve", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]


async def start(folder: Path, *more: str) -> Process:
    daemon = Process([*COMMAND, "--data-dir", str(folder / "data"), *more], ready="daemon.started", folder=folder)
    await daemon.started()
    return daemon


def ask(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dnsguard", *args, "--data-dir", str(folder / "data")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def refused_start(folder: Path, *args: str, environment: dict[str, str] | None = None, code: int = 2) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dnsguard", "serve", *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=folder,
        env=os.environ | (environment or {}),
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("dnsguard: ")]
    assert done.returncode == code, done.stderr
    assert len(said) == 1
    assert "Traceback" not in done.stderr
    return said[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_in_under_two_seconds(tmp_path: Path, number: signal.Signals) -> None:
    daemon = await start(tmp_path)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert await daemon.stop(number) == 0
    assert loop.time() - begun < 2
    assert not (tmp_path / "data" / "http.address").exists()


async def test_the_lines_it_prints_work_when_they_are_pasted(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    try:
        lines = [line.strip() for line in daemon.lines if line.startswith(("  echo", "  curl"))]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        said = []
        for line in lines:
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-c", line],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
                env=environment,
            )
            said.append(done.stdout)
        assert "generation 1" in said[0]
        answer = json.loads(said[1])  # the same contents once more
        assert (answer["generation"], answer["unchanged"]) == (1, True)
        dig = next(line.strip() for line in daemon.lines if line.startswith("  dig"))
        if (
            await asyncio.to_thread(subprocess.run, ["which", "dig"], capture_output=True, check=False)
        ).returncode == 0:
            seen = await asyncio.to_thread(
                subprocess.run, ["bash", "-c", dig], capture_output=True, text=True, check=True
            )
            assert "192.0.2.1" in seen.stdout
    finally:
        await daemon.stop()


async def test_the_token_is_kept_readable_by_its_owner_only_and_survives_a_restart(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        daemon = await start(tmp_path)
        path = tmp_path / "data" / "admin.token"
        tokens.append(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not any(tokens[0].strip() in line for line in daemon.lines)
        await daemon.stop()
    assert tokens[0] == tokens[1]
    assert tokens[0].count("\n") == 1


async def test_what_was_accepted_is_served_again_after_a_restart(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    assert (await asyncio.to_thread(ask, tmp_path, "set", "www", "A", "60", "192.0.2.7")).returncode == 0
    await daemon.stop(signal.SIGKILL)
    daemon = await start(tmp_path)
    try:
        shown = await asyncio.to_thread(ask, tmp_path, "rrsets", "--json")
        assert "192.0.2.7" in shown.stdout
        status = json.loads((await asyncio.to_thread(ask, tmp_path, "status", "--json", "example.test.")).stdout)
        assert (status["newest"], status["published"]) == (1, 1)
    finally:
        await daemon.stop()


@pytest.mark.parametrize("gone", ["a full disk", "a closed pipe"])
def test_a_daemon_whose_log_cannot_be_written_publishes_and_is_counted(tmp_path: Path, gone: str) -> None:
    theirs, ours = os.pipe() if gone == "a closed pipe" else (-1, os.open("/dev/full", os.O_WRONLY))
    with subprocess.Popen(
        [*COMMAND, "--data-dir", str(tmp_path / "data")], stdout=subprocess.PIPE, stderr=ours, text=True
    ) as daemon:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
        try:
            assert daemon.stdout is not None
            assert "dnsguard" in daemon.stdout.readline()
            done = ask(tmp_path, "set", "www", "A", "60", "192.0.2.1", "--wait", "20")
            assert done.returncode == 0, done.stderr
            address = (tmp_path / "data" / "http.address").read_text().strip()
            token = (tmp_path / "data" / "admin.token").read_text().strip()
            client = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
            client.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
            shown = client.getresponse().read().decode()
            client.close()
            assert int(float(re.findall(r"^dnsguard_log_lines_lost_total (\S+)$", shown, re.MULTILINE)[0])) >= 3
            daemon.terminate()
            assert daemon.wait(20) == 0
        finally:
            daemon.kill()


def test_a_daemon_of_which_a_part_breaks_ends_and_says_so(tmp_path: Path) -> None:
    script = """
from dnsguard.cli.main import main
from dnsguard.daemon.loop import Loop
def say(*_):
    raise ZeroDivisionError
Loop._say = say
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *COMMAND[3:], "--data-dir", str(tmp_path / "data")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 70, done.stderr
    assert "dnsguard: expected the task 'example.test. " in done.stderr
    assert not (tmp_path / "data" / "http.address").exists()


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--http", "--dns"):
            other = "--dns" if option == "--http" else "--http"
            arguments = (option, address, other, "127.0.0.1:0", "--data-dir", str(tmp_path / "data"))
            said = await asyncio.to_thread(refused_start, tmp_path, *arguments, code=75)
            assert f"{address}: the port is taken" in said
            assert option in said


def test_a_database_that_is_away_may_come_and_one_that_is_named_wrongly_will_not(tmp_path: Path) -> None:
    arguments = ("--config", "dnsguard.toml", "--data-dir", "data")
    for options, code, found in (
        ("?sslmode=require", 75, "expected to reach database x"),
        ("?sslmod=require", 2, "'sslmod'; leave it out"),
    ):
        (tmp_path / "dnsguard.toml").write_text(f"database = 'postgresql://u:p@127.0.0.1:{free_port()}/x{options}'")
        assert found in refused_start(tmp_path, *arguments, code=code)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--data-dir" in refused_start(tmp_path, "--data-dir", str(tmp_path / "file" / "data"))


def test_an_unknown_setting_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "dnsguard.toml").write_text("[http]\nlitsen = 'x'")
    assert "litsen" in refused_start(tmp_path, "--config", "dnsguard.toml")
    assert "DNSGUARD_PRT" in refused_start(tmp_path, environment={"DNSGUARD_PRT": "1"})


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dnsguard.sqlite").write_text("this is no database, though it is long enough to be one" * 99)
    said = refused_start(tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
    assert "database" in said


PAGE = 4096


@pytest.mark.parametrize("file", ["dnsguard.sqlite", "embedded.sqlite"])
async def test_a_damaged_database_is_for_a_person_and_not_tried_for_ever(tmp_path: Path, file: str) -> None:
    daemon = await start(tmp_path)
    await asyncio.to_thread(ask, tmp_path, "set", "www", "A", "60", "192.0.2.1", "--wait", "20")
    await daemon.stop()
    path = tmp_path / "data" / file
    octets = path.read_bytes()
    assert len(octets) >= 2 * PAGE
    path.write_bytes(octets[:100] + b"\xa5" * (len(octets) - 100))
    said = await asyncio.to_thread(
        refused_start, tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", code=2
    )
    assert f"{file} is damaged" in said


def test_too_few_open_files_are_one_sentence(tmp_path: Path) -> None:
    argv = ["prlimit", "--nofile=64:64", *COMMAND, "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "dnsguard: too few files may be open at once" in done.stderr
    assert "Traceback" not in done.stderr


async def test_more_clients_than_open_files_leave_no_traceback_and_health_is_answered(tmp_path: Path) -> None:
    (tmp_path / "dnsguard.toml").write_text("[http]\nconnections_max = 2000\n")
    arguments = ["--data-dir", str(tmp_path / "data"), "--config", str(tmp_path / "dnsguard.toml")]
    daemon = Process(["prlimit", "--nofile=256:256", *COMMAND, *arguments], ready="daemon.started", folder=tmp_path)
    await daemon.started()
    address = (tmp_path / "data" / "http.address").read_text().strip()
    host, port = address.removeprefix("http://").split(":")
    clients = [await asyncio.open_connection(host, int(port)) for _ in range(400)]
    try:
        async with aiohttp.ClientSession(address) as client, client.get("/v1/health/live") as response:
            assert response.status == 200
    finally:
        for _, writer in clients:
            writer.transport.abort()
        assert await daemon.stop() == 0
    assert any("connections_max.lowered" in line for line in daemon.lines)
    assert not any("Traceback" in line for line in daemon.lines)


def test_an_address_beyond_loopback_is_refused_for_the_embedded_server(tmp_path: Path) -> None:
    said = refused_start(tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "0.0.0.0:0")
    assert "loopback" in said


def test_a_folder_that_somebody_else_can_write_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    (tmp_path / "data" / "admin.token").write_text("known-to-the-attacker\n")
    said = refused_start(tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
    assert "found 0777" in said
    assert f"chmod 0755 {tmp_path / 'data'}" in said
    (tmp_path / "data").chmod(0o755)
    said = refused_start(tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
    assert f"chmod 0600 {tmp_path / 'data' / 'admin.token'}" in said


@pytest.mark.parametrize("command", ["migrate", "serve"])
async def test_nobody_else_can_read_what_is_kept_whatever_the_umask(tmp_path: Path, command: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    before = os.umask(0o022)
    try:
        if command == "migrate":
            assert (await asyncio.to_thread(ask, tmp_path, "migrate")).returncode == 0
        else:
            await (await start(tmp_path)).stop(signal.SIGKILL)
    finally:
        os.umask(before)
    kept = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    assert "dnsguard.sqlite" in kept
    assert set(kept.values()) == {0o600}


async def test_after_kill_9_whoever_takes_the_port_is_told_no_token(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    address = (tmp_path / "data" / "http.address").read_text().strip()
    await daemon.stop(signal.SIGKILL)
    assert (tmp_path / "data" / "http.address").exists()
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))) as thief:
        for args in (("status",), ("set", "www", "A", "60", "192.0.2.1")):
            done = await asyncio.to_thread(ask, tmp_path, *args)
            assert done.returncode == 2
            assert f"no daemon answers at {tmp_path / 'data' / 'api.sock'}" in done.stderr
        thief.setblocking(False)
        with pytest.raises(BlockingIOError):
            thief.accept()
    daemon = await start(tmp_path)
    try:
        assert (await asyncio.to_thread(ask, tmp_path, "status")).returncode == 0
    finally:
        await daemon.stop()
    assert not (tmp_path / "data" / "api.sock").exists()


async def test_a_second_daemon_does_not_serve_the_same_embedded_zones(tmp_path: Path) -> None:
    daemon = await start(tmp_path)
    try:
        said = await asyncio.to_thread(
            refused_start, tmp_path, "--data-dir", "data", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", code=75
        )
        assert "another daemon" in said
    finally:
        await daemon.stop()


async def test_settings_are_read_again_on_sighup_and_bad_ones_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dnsguard.toml"
    path.write_text("[policy]\nttl_s_max = 1000\n[zones.'example.test']")
    daemon = await start(tmp_path, "--config", str(path))
    try:
        address = (tmp_path / "data" / "http.address").read_text().strip()
        token = (tmp_path / "data" / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        plan = {"rrsets": [{"name": "www", "type": "A", "ttl": 500, "records": ["192.0.2.1"]}]}
        async with aiohttp.ClientSession(address, headers=headers) as client:

            async def answer() -> int:
                async with client.post("/v1/zones/example.test./plans", json=plan) as response:
                    return response.status

            async def reload(text: str, said: str) -> None:
                path.write_text(text)
                before = sum(said in line for line in list(daemon.lines))
                os.kill(daemon.pid, signal.SIGHUP)
                async with asyncio.timeout(10):
                    while sum(said in line for line in list(daemon.lines)) == before:
                        async with client.get("/v1/health/live") as response:
                            await response.read()

            assert await answer() == 202
            await reload("[policy]\nttl_s_max = 100\n[zones.'example.test']", "settings.reloaded")
            assert await answer() == 422
            await reload("[policy]\nttl_s_mxa = 1000\n[zones.'example.test']", "settings.refused")
            assert await answer() == 422
            await reload("database = 'sqlite+aiosqlite:///other'\n[zones.'example.test']", "settings.refused")
            await reload("[policy]\nttl_s_max = 1000\n[zones.'example.test']", "settings.reloaded")
            assert await answer() == 200  # accepted already: unchanged
    finally:
        assert await daemon.stop() == 0


async def test_unguarded_says_so_wherever_somebody_looks(tmp_path: Path) -> None:
    daemon = await start(tmp_path, "--unguarded")
    try:
        assert any("UNGUARDED" in line for line in daemon.lines)
        address = (tmp_path / "data" / "http.address").read_text().strip()
        headers = {"Authorization": f"Bearer {(tmp_path / 'data' / 'admin.token').read_text().strip()}"}
        async with aiohttp.ClientSession(address, headers=headers) as client:
            for path in ("/v1/health/live", "/v1/health/ready", "/v1/zones", "/v1/zones/example.test.", "/metrics"):
                async with client.get(path) as response:
                    assert "unguarded" in await response.text(), path
    finally:
        await daemon.stop()


def test_unguarded_is_refused_against_a_name_server_beyond_loopback(tmp_path: Path) -> None:
    (tmp_path / "dnsguard.toml").write_text(
        "[keys.k]\nsecret = 'c2VjcmV0'\n[primaries.main]\nhost = '192.0.2.53'\nkey = 'k'\n"
        "[zones.'example.com']\nprimary = 'main'\n"
    )
    assert "loopback" in refused_start(tmp_path, "--unguarded", "--config", "dnsguard.toml", "--data-dir", "data")
