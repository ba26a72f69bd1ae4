"""From the command line: how name servers follow, and waiting until a plan has propagated."""

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import serving
from tests.cli.rig import Cli
from tests.servers.process import free_port


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A daemon with a zone that its name server follows, and one of which another name server is gone."""
    folder, dns = tmp_path_factory.mktemp("followed"), free_port()
    (folder / "settings.toml").write_text(
        f"""
        [http]
        listen = "127.0.0.1:0"
        [dns]
        listen = "127.0.0.1:{dns}"
        [name_servers.here]
        host = "127.0.0.1"
        port = {dns}
        [name_servers.gone]
        host = "127.0.0.1"
        port = {free_port()}
        timeout_s = 0.5
        [zones."whole.test."]
        name_servers = ["here"]
        [zones."part.test."]
        name_servers = ["here", "gone"]
        """
    )
    yield from serving(folder, "--config", str(folder / "settings.toml"))


def test_a_write_waits_until_all_name_servers_serve_it(followed: Cli) -> None:
    done = followed("set", "www", "A", "60", "192.0.2.1", "--zone", "whole.test.", "--wait-for", "propagated")
    newest = json.loads(followed("status", "whole.test.", "--json").stdout)["newest"]
    assert (done.exit_code, done.stdout) == (0, f"propagated: whole.test. generation {newest}\n")
    shown = followed("show", str(newest), "--zone", "whole.test.")
    assert "propagated at" in shown.stdout
    assert "here is current: serves generation" in followed("status", "whole.test.").stdout


def test_who_keeps_a_plan_from_propagating_is_named(followed: Cli) -> None:
    wait = ("--wait", "1", "--wait-for", "propagated")
    done = followed("set", "www", "A", "60", "192.0.2.1", "--zone", "part.test.", *wait)
    assert done.exit_code == 1
    assert "not yet propagated" in done.stdout
    assert "gone is silent: nothing of this history was seen there" in done.stderr
    assert "here is" not in done.stderr
    without = followed("set", "www", "A", "60", "192.0.2.2", "--zone", "part.test.", "--wait", "30")
    assert (without.exit_code, without.stdout.split(":")[0]) == (0, "published")
    every = followed("status").stdout
    assert "part.test. gone is silent" in every
    assert "here is" not in every


def test_not_waiting_for_something_contradicts_itself(followed: Cli) -> None:
    done = followed("retire", "www", "A", "--zone", "part.test.", "--no-wait", "--wait-for", "propagated")
    assert done.exit_code == 2
    assert "found both" in done.stderr
