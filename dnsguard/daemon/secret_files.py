"""Secrets that the settings keep in files of their own: read with a look at who else can read or write them.

One that others can write is refused. One that others can read is used and said, since containers are often given
secrets that way.
"""

import hashlib
import os
import stat
import string
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

from dnsguard.daemon.config import ConfigRefused, Settings
from dnsguard.daemon.files import OTHERS_WRITE, user_name

PRIVATE_EXPECTED = "a file of dnsguard's user or root that others can neither read nor write (mode 0600 or 0640)"
SECRET_OCTETS_MAX = 64 * 2**10
TOKEN_CHARACTERS_MIN = 16
_GUESSED_CHARACTERS = 2


def read_secret_line(path: str, where: str, what: str) -> str:
    """Return a secret that stands alone in a file, without the white space around it.

    Raises ConfigRefused, without the secret, also for a file that others can write.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(SECRET_OCTETS_MAX).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigRefused(f"{where}: cannot read the {what} from {path}") from None
    if found.st_mode & OTHERS_WRITE:
        allowed = stat.S_IMODE(found.st_mode) & ~OTHERS_WRITE
        raise ConfigRefused(
            f"{where}: other users may write {path}: expected mode {allowed:04o}, found "
            f"{stat.S_IMODE(found.st_mode):04o}; see that nobody has changed it, then run: chmod {allowed:04o} {path}"
        )
    if not text:
        raise ConfigRefused(f"{where}: expected a {what} in {path}, found an empty file")
    return text


def read_token(path: str, where: str) -> str:
    """Return a token from its file. Raises ConfigRefused, also for one that can be guessed."""
    token = read_secret_line(path, where, "token")
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise ConfigRefused(
            f"{where}: the token in {path} is too short: expected at least {TOKEN_CHARACTERS_MIN} characters, found "
            f"{len(token)}; make one with: openssl rand -hex 32"
        )
    return token


def expect_unguessed(sha256: str, where: str) -> None:
    """Raise ConfigRefused for the digest of no token at all, or of one of one or two characters.

    A digest does not tell how long its token is; these few can be tried.
    """
    if sha256.lower() in _guessed_digests():
        raise ConfigRefused(
            f"{where}: sha256 is that of a token of at most {_GUESSED_CHARACTERS} characters: expected at least "
            f"{TOKEN_CHARACTERS_MIN}; make one with: openssl rand -hex 32"
        )


@cache
def _guessed_digests() -> frozenset[str]:
    alphabet = string.printable
    words = ("".join(word) for count in range(_GUESSED_CHARACTERS + 1) for word in product(alphabet, repeat=count))
    # Hashing a file's line, or what `echo` prints, is the usual slip.
    texts = (text for word in words for text in (word, f"{word}\n"))
    return frozenset(hashlib.sha256(text.encode("ascii")).hexdigest() for text in texts)


def exposed_secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the path of each secret's file that others can read, or that is another user's, with what was found."""
    for path in _secret_files(settings):
        try:
            found = Path(path).stat()
        except OSError:
            continue  # whoever reads it says so
        if found.st_uid not in (0, os.geteuid()):
            yield path, f"owner {user_name(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"
        elif found.st_mode & (stat.S_IROTH | OTHERS_WRITE):
            yield path, f"mode {stat.S_IMODE(found.st_mode):04o}"


def _secret_files(settings: Settings) -> list[str]:
    named = [
        settings.database_password_file,
        *(key.secret_file for key in settings.keys.values()),
        *(token.token_file for token in settings.tokens.values()),
    ]
    return list(dict.fromkeys(path for path in named if path is not None))
