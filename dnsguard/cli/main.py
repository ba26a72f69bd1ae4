"""The `dnsguard` program: its commands, and the one place where it ends.
However it ends, it is an exit code and at most a sentence: never a traceback, never a token.
"""

import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any, NoReturn

import click

from dnsguard import __version__
from dnsguard.cli import adopt, demo, doctor, explore, local, reads, simulate, verify, writes
from dnsguard.cli.outcome import BROKEN, BROKEN_PIPE, CANNOT_ASK, DONE, INTERRUPTED, TERMINATED
from dnsguard.daemon.outlet import unfailing


class PipeClosed(Exception):
    """Nobody reads the output any more. Not an OSError, since click would end those with the code of a refusal."""


class Program(click.Group):
    """The commands as a whole."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the commands in the order in which they are met, not by the alphabet."""
        return list(self.commands)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401  whatever click passes on
        """Read the command line; --help is printed here."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            raise PipeClosed from None

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that is named."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise PipeClosed from None


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="dnsguard %(version)s")
def program() -> None:
    """Publish DNS records safely: never an old, an empty or a half-made record set.

    Start a daemon with 'dnsguard serve'; the other commands find it by themselves.

    Exit codes: 0 done; 1 refused, with the reason; 2 wrong usage, or no daemon could be asked; 70 a fault of the
    program itself. 'serve' and 'migrate' end with 75 where what they lack may come by itself, such as the database.
    """


for command in (
    *local.COMMANDS,
    *writes.COMMANDS,
    *reads.COMMANDS,
    *verify.COMMANDS,
    *adopt.COMMANDS,
    *doctor.COMMANDS,
    *demo.COMMANDS,
    *explore.COMMANDS,
    *simulate.COMMANDS,
):
    program.add_command(command)


def main() -> NoReturn:
    """Run the command line; always ends in SystemExit."""
    signal.signal(signal.SIGTERM, _terminate)
    # A record may hold what the terminal's character set does not.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a text stream here
    # What is only said beside the answer must not decide how a command, or a daemon, ends.
    sys.stderr = unfailing(sys.stderr)
    code = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _cannot_write(error)
    sys.exit(code)


def _run() -> int:
    try:
        code: object = program.main(prog_name="dnsguard", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return CANNOT_ASK
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except PipeClosed:
        return _cannot_write(BrokenPipeError())
    except OSError as error:
        return _cannot_write(error)
    except Exception as error:  # noqa: BLE001  the last line of defence: a fault of ours is one sentence, no traceback
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"  # noqa: PTH119  only the last part is meant
        sys.stderr.write(f"dnsguard: a fault of the program itself ({type(error).__name__} at {where}); report it\n")
        return BROKEN
    return code if isinstance(code, int) else DONE


def _cannot_write(error: OSError) -> int:
    # Python flushes once more at its end; what cannot be written must not be tried again there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    sys.stderr.write(f"dnsguard: expected to write the answer, found: {error.strerror}\n")
    return CANNOT_ASK


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not the default way of dying, so that the terminal's cursor comes back.
    raise SystemExit(TERMINATED)
