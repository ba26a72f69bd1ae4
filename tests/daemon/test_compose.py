"""Secrets that stand in files of their own: read as one line, and never part of an error."""

import hashlib
from pathlib import Path

import pytest

from dnsguard.daemon import compose
from dnsguard.daemon.config import ConfigRefused, Settings, TokenSection

DATABASE = "postgresql://dnsguard@history.example/dnsguard"


def test_the_databases_password_comes_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/word\n")
    settings = Settings(database=DATABASE, database_password_file=str(tmp_path / "password"))
    assert compose.database_url(settings, tmp_path) == "postgresql://dnsguard:p%40ss%2Fword@history.example/dnsguard"


def test_a_token_in_a_file_lets_its_bearer_in(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-the-tests\n")
    settings = Settings(tokens={"ci": TokenSection(token_file=str(tmp_path / "token"), access="read")})
    held = {token.name: token for token in compose.tokens(settings, tmp_path).tokens}
    assert held["ci"].sha256 == hashlib.sha256(b"a-token-of-the-tests").hexdigest()
    assert held["ci"].access == "read"


@pytest.mark.parametrize(("contents", "said"), [(None, "cannot read"), ("\n", "found an empty file")])
def test_a_file_without_its_secret_is_named(tmp_path: Path, contents: str | None, said: str) -> None:
    path = tmp_path / "password"
    if contents is not None:
        path.write_text(contents)
    with pytest.raises(ConfigRefused, match=said) as refused:
        compose.database_url(Settings(database=DATABASE, database_password_file=str(path)), tmp_path)
    assert str(path) in str(refused.value)


def test_a_certificate_that_cannot_be_read_is_named_with_its_option(tmp_path: Path) -> None:
    here, gone = tmp_path / "ca.crt", tmp_path / "gone.crt"
    here.write_text("a certificate")
    url = f"{DATABASE}?sslmode=verify-full&sslrootcert="
    assert compose.database_url(Settings(database=f"{url}{here}"), tmp_path).startswith(DATABASE)
    with pytest.raises(ConfigRefused, match="database: sslrootcert: cannot read") as refused:
        compose.database_url(Settings(database=f"{url}{gone}"), tmp_path)
    assert str(gone) in str(refused.value)


def test_an_address_that_is_none_is_a_setting_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match="database: expected"):
        compose.database_url(Settings(database="postgresql://u:p@db:abc/x"), tmp_path)
