"""The frame of every command that asks a daemon: the options they share, and the one event loop.
What fails comes back as a sentence and an exit code; nothing passes through here as a traceback.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from dnsguard.cli.client import Daemon, opened
from dnsguard.cli.display import Display
from dnsguard.cli.outcome import TERMINATED, CannotAsk, Refused
from dnsguard.cli.target import Target, find_target
from dnsguard.daemon.config import DEFAULT_HTTP

P = ParamSpec("P")
Talk = Callable[Concatenate[Daemon, Display, P], Awaitable[int]]

_OPTIONS = (
    click.option(
        "--url",
        envvar="DNSGUARD_URL",
        show_envvar=True,
        metavar="URL",
        help=f"The daemon's address, such as http://{DEFAULT_HTTP}; it needs a token named by --token-file or "
        "DNSGUARD_TOKEN. By default the daemon of the data folder is asked, by the socket in it.",
    ),
    click.option(
        "--token-file",
        envvar="DNSGUARD_TOKEN_FILE",
        show_envvar=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file with the token on one line; by default DNSGUARD_TOKEN, or, without --url, the data folder's "
        "admin.token.",
    ),
    click.option(
        "--data-dir",
        envvar="DNSGUARD_DATA_DIR",
        show_envvar=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The data folder of a daemon on this machine.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the API's answer as it came, refusals too."),
)


class Verb(click.Command):
    """A command whose help ends in examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:  # noqa: ANN401  whatever click passes on
        """Take the examples beside what click takes."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; who gives the daemon's settings to a command that asks it is told what to give."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name != "--config" or not any("--url" in param.opts for param in self.params):
                raise
            raise click.UsageError(
                f"expected the daemon to ask, found --config: '{ctx.info_name}' asks a running daemon over HTTP and "
                "reads no settings; name it by --url (with --token-file), or by --data-dir, its data folder",
                ctx,
            ) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}".rstrip() + "\n")


class RecordVerb(Verb):
    """A command that takes names or records: an argument that begins with a single dash is one, and no option.

    One ACME token in 64 begins so, and names may. The command's own options may stand anywhere before ``--``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line: first the options, wherever they stand, then everything else as arguments."""
        takes_value = {
            name: not option.is_flag and not option.count
            for option in self.get_params(ctx)
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        }
        options: list[str] = []
        arguments: list[str] = []
        left = list(reversed(args))
        while left:
            arg = left.pop()
            name, has_value, _ = arg.partition("=")
            if arg == "--":
                arguments += reversed(left)
                break
            if name in takes_value and (name.startswith("--") or not has_value):
                options.append(arg)
                if takes_value[name] and not has_value and left:
                    options.append(left.pop())
            elif arg.startswith("--"):
                raise click.UsageError(
                    f"no such option: {name}; write a name or record that begins with two dashes after '--', as in "
                    f"'{ctx.info_name} … -- … {arg} …'; options go before it",
                    ctx,
                )
            else:
                arguments.append(arg)
        return super().parse_args(ctx, [*options, "--", *arguments])


def asks(talk: Talk[P]) -> Callable[P, None]:
    """Turn a coroutine that talks to a daemon into a command's body, with the shared options."""

    @wraps(talk)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        given: dict[str, Any] = {name: kwargs.pop(name) for name in ("url", "token_file", "data_dir")}
        display = Display(as_json=bool(kwargs.pop("as_json")))
        try:
            code = _converse(find_target(**given), display, lambda daemon: talk(daemon, display, *args, **kwargs))
        except (Refused, CannotAsk) as failure:
            code = display.failed(failure)
        click.get_current_context().exit(code)

    for option in reversed(_OPTIONS):
        option(command)
    return command


def _converse(target: Target, display: Display, talk: Callable[[Daemon], Awaitable[int]]) -> int:
    daemon: Daemon | None = None
    terminated = False

    def terminate(talking: asyncio.Task[Any] | None) -> None:
        nonlocal terminated
        terminated = True
        if talking is not None:
            talking.cancel()

    async def converse() -> int:
        nonlocal daemon
        # An exception out of a signal's own function could end up in any callback of the loop; a cancellation ends
        # the talk in order, as Ctrl-C does.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate, asyncio.current_task())
        session, daemon = opened(target)
        async with session:
            return await talk(daemon)

    try:
        return asyncio.run(converse())
    except (KeyboardInterrupt, asyncio.CancelledError, Refused):
        if daemon is not None and daemon.unsettled is not None:
            display.note(f"dnsguard: whether the daemon did what was asked is unclear: {daemon.unsettled}", "yellow")
        if terminated:
            raise SystemExit(TERMINATED) from None
        raise
