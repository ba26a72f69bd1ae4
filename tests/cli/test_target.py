"""Which daemon is asked, and which token goes where."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsguard.cli.outcome import CannotAsk
from dnsguard.cli.target import find_target
from dnsguard.daemon.local_socket import open_local_socket

HERE = "http://127.0.0.1:8053"


def keep(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    keep(folder / "admin.token", "local-token\n")
    local = open_local_socket(folder)
    assert local is not None
    with local.socket:
        yield folder


def test_the_socket_in_the_data_folder_leads_to_the_daemon_with_the_folders_token(folder: Path) -> None:
    target = find_target(None, None, folder, {})
    assert (target.socket, target.place, target.token) == (folder / "api.sock", str(folder / "api.sock"), "local-token")


def test_an_address_in_a_file_is_not_followed(folder: Path) -> None:
    (folder / "http.address").write_text("http://127.0.0.1:8765\n")
    (folder / "api.sock").unlink()
    with pytest.raises(CannotAsk, match=r"no daemon runs in .* or with --url"):
        find_target(None, None, folder, {})


def test_the_default_data_folder_is_the_daemons_own(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "dnsguard")
    assert find_target(None, None, None, {"XDG_DATA_HOME": str(tmp_path)}).token == "local-token"


def test_a_token_file_goes_before_the_variable_and_the_variable_before_the_folder(folder: Path) -> None:
    (folder / "other").write_text("file-token\n")
    environ = {"DNSGUARD_TOKEN": "variable-token"}
    assert find_target(None, folder / "other", folder, environ).token == "file-token"
    assert find_target(None, None, folder, environ).token == "variable-token"
    assert find_target(HERE, folder / "other", folder, environ).token == "file-token"
    assert find_target(HERE, None, folder, environ).token == "variable-token"


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:8053", "https://dns.example", HERE, "http://[::1]:2", "http://localhost:3/"]
)
def test_the_folders_token_is_never_sent_over_tcp(folder: Path, url: str) -> None:
    target = find_target(url, None, folder, {})
    assert (target.token, target.socket) == (None, None)
    assert "--token-file" in target.sought


def test_a_folder_that_others_can_write_is_not_trusted(folder: Path) -> None:
    folder.chmod(0o770)
    with pytest.raises(CannotAsk, match=r"other users may write .* expected mode 0750, found 0770"):
        find_target(None, None, folder, {})


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_socket_is_not_connected_to(folder: Path, tmp_path: Path, kind: str) -> None:
    (folder / "api.sock").rename(tmp_path / "elsewhere.sock")
    if kind == "file":
        (folder / "api.sock").write_text("")
    else:
        (folder / "api.sock").symlink_to(tmp_path / "elsewhere.sock")
    with pytest.raises(CannotAsk, match=r"api\.sock is no socket"):
        find_target(None, None, folder, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
def test_a_socket_of_another_user_than_the_folders_is_not_trusted(folder: Path) -> None:
    os.lchown(folder / "api.sock", 65534, 65534)
    with pytest.raises(CannotAsk, match=r"api\.sock is no socket"):
        find_target(None, None, folder, {})


def test_a_token_that_others_can_read_is_refused_with_the_way_to_mend_it(folder: Path) -> None:
    (folder / "admin.token").chmod(0o644)
    with pytest.raises(CannotAsk, match=r"expected mode 0600, found 0644; .* chmod 0600 \S+admin\.token"):
        find_target(None, None, folder, {})


def test_a_path_too_long_for_a_socket_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir(mode=0o700)
    inside = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{inside}/api.sock")
    os.close(inside)
    with pytest.raises(CannotAsk, match="too long for a socket: expected at most"):
        find_target(None, None, folder, {})


def test_without_a_token_there_is_none_and_the_place_where_it_was_sought_is_known(folder: Path) -> None:
    (folder / "admin.token").unlink()
    target = find_target(None, None, folder, {})
    assert target.token is None
    assert target.sought == str(folder / "admin.token")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8053",
        "ftp://x",
        "http://",
        "http://x:0",
        "http://x:99999",
        "http://[::1",
        "http://a b",
        "http://ä",
    ],
)
def test_an_unusable_url_is_refused_with_an_example(tmp_path: Path, url: str) -> None:
    with pytest.raises(CannotAsk, match=r"expected a URL such as http://127\.0\.0\.1:8053"):
        find_target(url, None, tmp_path, {})


@pytest.mark.parametrize(
    "url", ["http://user:pass-word@127.0.0.1:1", "http://x/?token=pass-word", "http://x/#pass-word"]
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(CannotAsk) as refused:
        find_target(url, None, tmp_path, {})
    assert "pass-word" not in str(refused.value)


@pytest.mark.parametrize("token", ["two words", "", "line\nbreak", "t\x1bken"])
def test_a_token_that_is_none_is_refused_and_not_repeated(tmp_path: Path, token: str) -> None:
    (tmp_path / "t").write_text(token)
    with pytest.raises(CannotAsk, match="expected a token") as refused:
        find_target(HERE, tmp_path / "t", tmp_path, {})
    assert not token or token not in str(refused.value)


def test_a_named_token_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CannotAsk, match="does not exist; name another"):
        find_target(HERE, tmp_path / "none", tmp_path, {})
    with pytest.raises(CannotAsk, match="cannot read"):
        find_target(HERE, tmp_path, tmp_path, {})
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(CannotAsk, match="one line of ASCII"):
        find_target(HERE, tmp_path / "binary", tmp_path, {})


def test_a_token_is_not_in_the_values_text(folder: Path) -> None:
    assert "local-token" not in repr(find_target(None, None, folder, {}))
