"""Which daemon is asked, and which token goes where."""

from pathlib import Path

import pytest

from dnsguard.cli.outcome import CannotAsk
from dnsguard.cli.target import find_target

HERE = "http://127.0.0.1:8053"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "admin.token").write_text("local-token\n")
    (tmp_path / "http.address").write_text("http://127.0.0.1:8765\n")
    return tmp_path


def test_the_data_folder_says_where_the_daemon_is_and_with_which_token(folder: Path) -> None:
    target = find_target(None, None, folder, {})
    assert (target.url, target.token) == ("http://127.0.0.1:8765", "local-token")


def test_a_folder_of_a_daemon_that_does_not_run_leads_to_nobody_else(folder: Path) -> None:
    (folder / "http.address").unlink()
    with pytest.raises(CannotAsk, match=r"no daemon runs in .* name one with --url"):
        find_target(None, None, folder, {})
    assert find_target("http://127.0.0.1:8053", None, folder, {}).token == "local-token"


def test_the_default_data_folder_is_the_daemons_own(tmp_path: Path) -> None:
    (tmp_path / "dnsguard").mkdir()
    (tmp_path / "dnsguard" / "admin.token").write_text("xdg-token\n")
    target = find_target(None, None, None, {"XDG_DATA_HOME": str(tmp_path)})
    assert (target.url, target.token) == ("http://127.0.0.1:8053", "xdg-token")


def test_a_token_file_goes_before_the_variable_and_the_variable_before_the_folder(folder: Path) -> None:
    (folder / "other").write_text("file-token\n")
    environ = {"DNSGUARD_TOKEN": "variable-token"}
    assert find_target(None, folder / "other", folder, environ).token == "file-token"
    assert find_target(None, None, folder, environ).token == "variable-token"


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:8053", "https://dns.example", "http://127.0.0.1.example", "http://localhost.example:80"]
)
def test_the_local_token_is_never_sent_to_another_machine(folder: Path, url: str) -> None:
    assert find_target(url, None, folder, {}).token is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:2", "http://localhost:3/"])
def test_the_local_token_serves_for_this_machine(folder: Path, url: str) -> None:
    assert find_target(url, None, folder, {}).token == "local-token"


def test_the_local_token_goes_where_the_folder_itself_says(folder: Path) -> None:
    (folder / "http.address").write_text("http://192.0.2.9:8053\n")
    assert find_target(None, None, folder, {}).token == "local-token"


def test_without_a_token_there_is_none_and_the_place_where_it_was_sought_is_known(tmp_path: Path) -> None:
    target = find_target(HERE, None, tmp_path, {})
    assert target.token is None
    assert target.sought == str(tmp_path / "admin.token")


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
    if not url:
        (tmp_path / "http.address").write_text("nonsense")
    with pytest.raises(CannotAsk, match=r"expected a URL such as http://127\.0\.0\.1:8053"):
        find_target(url or None, None, tmp_path, {})


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
