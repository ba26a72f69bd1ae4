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
