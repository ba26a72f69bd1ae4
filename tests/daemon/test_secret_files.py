"""Secrets in files of their own, and tokens that could be guessed."""

import hashlib
import os
from pathlib import Path

import pytest

from dnsguard.daemon import compose
from dnsguard.daemon.config import ConfigRefused, KeySection, Settings, TokenSection
from dnsguard.daemon.secret_files import exposed_secrets, read_secret_line, read_token

TOKEN = "0123456789abcdef"


def secret(tmp_path: Path, text: str, mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("token", ["a", "admin", TOKEN[:-1]])
def test_a_token_that_can_be_guessed_is_refused_and_not_repeated(tmp_path: Path, token: str) -> None:
    with pytest.raises(ConfigRefused, match=rf"at least 16 characters, found {len(token)}; make one with") as refused:
        read_token(secret(tmp_path, token + "\n"), "[tokens.weak]")
    assert f" {token} " not in str(refused.value)
    assert read_token(secret(tmp_path, TOKEN), "[tokens.good]") == TOKEN


@pytest.mark.parametrize("token", ["", "\n", "a", "a\n", "Z9", " "])
def test_the_digest_of_a_token_of_a_few_letters_is_refused(tmp_path: Path, token: str) -> None:
    digest = hashlib.sha256(token.encode()).hexdigest().upper()
    (tmp_path / "data").mkdir(mode=0o700)
    with pytest.raises(ConfigRefused, match=r"\[tokens.weak\]: sha256 is that of a token of at most 2 characters"):
        compose.tokens(Settings(tokens={"weak": TokenSection(sha256=digest)}), tmp_path / "data")


@pytest.mark.parametrize(("mode", "mended"), [(0o666, "0644"), (0o620, "0600"), (0o602, "0600")])
def test_a_secret_that_others_can_write_is_refused_with_the_way_to_mend_it(
    tmp_path: Path, mode: int, mended: str
) -> None:
    path = secret(tmp_path, TOKEN, mode)
    with pytest.raises(
        ConfigRefused, match=rf"expected mode {mended}, found {mode:04o}; .* run: chmod {mended} {path}"
    ):
        read_secret_line(path, "[tokens.x]", "token")


def test_a_secret_may_be_reached_by_a_link_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    secret(tmp_path, TOKEN, 0o440)
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert read_secret_line(str(tmp_path / "link"), "x", "token") == TOKEN


def test_a_fifo_in_a_secrets_place_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigRefused, match="found an empty file"):
        read_secret_line(str(tmp_path / "fifo"), "x", "token")


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o640, False), (0o440, False), (0o644, True)])
def test_secrets_that_others_can_read_are_named(tmp_path: Path, mode: int, is_exposed: bool) -> None:
    path = secret(tmp_path, TOKEN, mode)
    settings = Settings(
        database="postgresql://x@y/z",
        database_password_file=path,
        keys={"k": KeySection(secret_file=path)},
        tokens={"t": TokenSection(token_file=path)},
    )
    assert list(exposed_secrets(settings)) == ([(path, f"mode {mode:04o}")] if is_exposed else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of other users")
def test_secrets_of_another_user_are_named(tmp_path: Path) -> None:
    path = secret(tmp_path, TOKEN, 0o600)
    os.chown(path, 65534, 65534)
    settings = Settings(tokens={"t": TokenSection(token_file=path)})
    assert list(exposed_secrets(settings)) == [(path, "owner nobody, mode 0600")]
