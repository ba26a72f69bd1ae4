"""How the program begins and ends: terminals, pipes, signals, help; always an exit code, never a traceback."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dnsguard import __version__
from dnsguard.cli.main import program
from tests.cli.rig import Cli, clean_environment

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in program.commands.items():
        below = command.commands if isinstance(command, click.Group) else None
        found += [(name, inner) for inner in below] if below is not None else [(name,)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(cli: Cli, command: tuple[str, ...]) -> None:
    done = cli(*command, "--help")
    assert done.exit_code == 0
    assert f"Examples:\n  dnsguard {' '.join(command)}" in done.stdout
    assert "--json" in done.stdout or command == ("serve",)


def test_the_promised_commands_are_there() -> None:
    promised = {"serve", "submit", "set", "retire", "diff", "rollback", "status", "plans", "show", "rrsets", "migrate"}
    assert {(name,) for name in promised} | {("version",), ("zone", "resync")} <= set(commands())


def test_the_version_is_said(nobody: Cli) -> None:
    assert nobody.process("version").stdout == nobody("--version").stdout == f"dnsguard {__version__}\n"


def test_a_terminal_gets_colours_and_a_table_in_which_nothing_is_cut_off(cli: Cli) -> None:
    text = "a-long-text-" * 15
    code, shown = cli.on_terminal("set", "wide", "TXT", "60", text)
    assert code == 0
    assert COLOUR.search(shown)
    assert "published: example.test. generation" in shown
    code, shown = cli.on_terminal("rrsets", "--name", "wide")
    letters = re.sub(r"[^a-z-]", "", re.sub(r"\x1b\[[0-9;]*m", "", shown))
    assert code == 0
    assert letters.count("a-long-text-") == 15


def test_no_colour_is_honoured(cli: Cli) -> None:
    code, shown = cli.on_terminal("set", "plain", "A", "60", "192.0.2.1", NO_COLOR="1")
    assert code == 0
    assert not COLOUR.search(shown)


def test_where_there_is_no_terminal_there_are_no_escapes(cli: Cli) -> None:
    for args in (("set", "bare", "A", "60", "192.0.2.1"), ("status",), ("plans",), ("set", "bare", "A", "60", "x")):
        done = cli.process(*args, TERM="xterm-256color")
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("args", [("submit", "--help"), ("--help",), ("status",), ("status", "--json"), ("version",)])
def test_a_reader_that_went_away_is_no_traceback(cli: Cli, args: tuple[str, ...]) -> None:
    started = cli.popen(*args)
    assert started.stdout is not None
    started.stdout.close()
    _, err = started.communicate(timeout=30)
    assert (started.returncode, err) == (141, "")


def test_an_answer_that_cannot_be_written_is_one_sentence(cli: Cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dnsguard", "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
            env=clean_environment(cli.environment),
        )
    assert done.returncode == 2
    assert done.stderr == "dnsguard: expected to write the answer, found: No space left on device\n"


def test_a_record_beyond_the_terminals_character_set_is_written_out(cli: Cli) -> None:
    done = cli.process("status", "--url", "http://ä", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2
    assert r"\xe4" in done.stderr


def test_a_fault_of_the_program_itself_is_one_sentence(nobody: Cli) -> None:
    script = "\n".join(
        [
            "from dnsguard.cli import main",
            "@main.program.command()",
            "def stumble(): raise ValueError('a-secret')",
            "main.main()",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "stumble"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=clean_environment(nobody.environment),
    )
    assert (done.returncode, done.stdout) == (70, "")
    assert done.stderr == "dnsguard: a fault of the program itself (ValueError at <string>:3); report it\n"


def test_serving_with_an_unusable_setting_is_one_sentence_and_exit_code_2(nobody: Cli) -> None:
    done = nobody.process("serve", "--http", "nonsense")
    assert done.returncode == 2
    assert "expects HOST:PORT" in done.stderr
    missing = nobody.process("migrate", "--config", "no-such-file.toml")
    assert missing.returncode == 2
    assert "no-such-file.toml" in missing.stderr


def test_who_gives_settings_to_a_command_that_asks_a_daemon_is_told_what_to_give(nobody: Cli) -> None:
    done = nobody("status", "--config", "dnsguard.toml")
    assert done.exit_code == 2
    assert "found --config: 'status' asks a running daemon" in done.stderr
    assert "--data-dir" in done.stderr
    assert "No such option" in nobody("version", "--config", "dnsguard.toml").stderr


def test_a_command_whose_errors_cannot_be_written_ends_as_it_would(nobody: Cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dnsguard", "status", "--url", "http://127.0.0.1:1"],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=30,
            check=False,
            env=clean_environment(nobody.environment),
        )
    assert (done.returncode, done.stdout) == (2, b"")


def test_migrate_makes_the_tables_and_says_so(nobody: Cli) -> None:
    done = nobody.process("migrate")
    assert (done.returncode, done.stderr) == (0, "")
    assert (nobody.folder / "dnsguard.sqlite").exists()
    assert "already" in nobody.process("migrate").stdout
