"""`dnsguard demo`: the incident of October 2025 on real sockets, both with and without the guards.
It starts name servers of its own on loopback and leaves nothing behind.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from rich.console import Console
from rich.live import Live

from dnsguard.cli.asking import Verb
from dnsguard.cli.outcome import CANNOT_ASK, DONE, INTERRUPTED, REFUSED, TERMINATED, CannotAsk
from dnsguard.cli.sheet import Sheet

if TYPE_CHECKING:
    from dnsguard.lab.demo.play import Run
    from dnsguard.lab.demo.verdict import Verdict
    from dnsguard.lab.explore.exploring import Story

LENGTH_S = 97.0
"""How long it takes at speed 1, about."""
_LOOKS_S = 0.125
_NOT_FOR_A_STORY = ("seed", "speed", "report", "pictures")
"""What has no meaning where a recorded story is played, step by step."""


@dataclass(frozen=True, slots=True)
class Papers:
    """What is to be written when the play is over."""

    report: Sheet | None = None
    pictures: Mapping[str, Sheet] = field(default_factory=dict)
    """By the name of the side that is drawn."""


@click.command(
    cls=Verb,
    examples=(
        "dnsguard demo",
        "dnsguard demo --speed 4 --report incident.html",
        "dnsguard explore --guards unguarded --save story.json && dnsguard demo --replay story.json --server bind",
    ),
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws addresses and delays.")
@click.option(
    "--speed", type=click.FloatRange(0.5, 10.0), default=1.0, show_default=True, help="How fast the story runs."
)
@click.option(
    "--server",
    type=click.Choice(["embedded", "bind"]),
    default="embedded",
    show_default=True,
    help="The name servers: dnsguard's own, or BIND's named, started here and stopped again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print only the verdict, as a JSON object.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write the two timelines, to scale, as one HTML page.",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False, writable=True),
    metavar="DIR",
    help="Write the timelines as SVG files into a folder.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Play, instead, a story that 'dnsguard explore --save FILE' found: step by step, on real sockets.",
)
@click.pass_context
def demo(
    ctx: click.Context,
    seed: int,
    speed: float,
    server: str,
    as_json: bool,
    report: Path | None,
    pictures: Path | None,
    replay: Path | None,
) -> None:
    """Play the incident of October 2025, with and without the guards, side by side.

    Two zones on name servers on loopback, the same planner, enactors, clean-up, locks and delays; only the value
    of `Guards` differs. It takes about 95 seconds. Exit code 0 only if the unguarded side lost its records, the
    guarded side did not, and all serve the newest plan at the end; with --replay, only if the story came out as it
    was recorded.
    """
    # Late, because the other commands need neither name server nor database, and should start at once.
    from dnsguard.daemon.logs import configure_logs
    from dnsguard.lab.demo.play import Run
    from dnsguard.lab.demo.script import make_script
    from dnsguard.lab.demo.servers import ServerUnavailable

    if replay is not None:
        given = [name for name in _NOT_FOR_A_STORY if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            left_out = ", ".join(f"--{name}" for name in given)
            raise click.UsageError(f"--replay plays a recorded story as it is, effect by effect: leave out {left_out}")
    if report is not None and not report.parent.is_dir():
        raise click.BadParameter(f"expected a folder {report.parent}, found none", param_hint="--report")
    configure_logs("error", "auto")
    run = Run(make_script(seed), server, speed)
    try:
        if replay is not None:
            ctx.exit(_replay(replay, server, as_json=as_json))
        with laid_out(report, pictures) as papers:
            asyncio.run(_show(run, as_json=as_json))
            code = finish(run, papers, as_json=as_json)
    except (ServerUnavailable, CannotAsk) as refused:
        sys.stderr.write(f"dnsguard: {refused}\n")
        code = CANNOT_ASK
    ctx.exit(code)


@contextmanager
def laid_out(report: Path | None, pictures: Path | None) -> Iterator[Papers]:
    """Find out, before anything is played, whether all that is asked for can be written. Raises CannotAsk."""
    from dnsguard.lab.demo.play import SIDES

    with ExitStack() as stack:
        drawn: dict[str, Sheet] = {}
        if pictures is not None:
            try:
                pictures.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CannotAsk(f"expected a folder {pictures}, found: {error.strerror}") from None
            drawn = {name: stack.enter_context(Sheet(pictures / f"incident-{name}.svg")) for name in SIDES}
        yield Papers(None if report is None else stack.enter_context(Sheet(report)), drawn)


def finish(run: "Run", papers: Papers, *, as_json: bool) -> int:
    """Say what a run came to, and only then write what was asked for. Returns the exit code. Raises CannotAsk."""
    from dnsguard.lab.demo import report as pages
    from dnsguard.lab.demo.verdict import judge

    verdict = judge(run)
    if as_json:
        document = {"seed": run.script.seed, "speed": run.speed, "server": run.server, **verdict.document()}
        click.echo(json.dumps(document, indent=2))
    else:
        _conclude(verdict)
    if papers.pictures:
        drawn = pages.pictures(run)
        for name, sheet in papers.pictures.items():
            sheet.write(drawn[name])
    if papers.report is not None:
        papers.report.write(pages.report_page(run, verdict))
        if not as_json:
            click.echo(f"The timelines are in {papers.report.path}.")
    return DONE if verdict.as_promised else REFUSED


async def _show(run: "Run", *, as_json: bool) -> None:
    """Play, and show it: as a picture on a terminal, line by line elsewhere."""
    from dnsguard.lab.demo.narrator import Narrator
    from dnsguard.lab.demo.play import perform
    from dnsguard.lab.demo.screen import screen

    console = Console(highlight=False, emoji=False)
    narrator = Narrator(run)
    opened = asyncio.Event()
    interrupted: list[int] = []

    def begin(run: "Run") -> None:
        opened.set()
        if interrupted:
            run.hurry()

    playing = asyncio.create_task(perform(run, opened=begin))
    ready = asyncio.create_task(opened.wait())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _interrupt, number, run, interrupted)
    await asyncio.wait((playing, ready), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    if as_json or not opened.is_set():
        await asyncio.wait((playing,))
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while not (playing.done() or interrupted):
                narrator.catch_up()
                live.update(screen(run, narrator.told, LENGTH_S), refresh=True)
                await asyncio.wait((playing,), timeout=_LOOKS_S)
        narrator.catch_up()
        for told in () if interrupted else narrator.told:
            console.print(_line(told.at, told.side, told.text), soft_wrap=True, markup=False)
    else:
        for side in run.sides.values():
            click.echo(f"{side.name:<10} {side.dig}")
        while not playing.done():
            await asyncio.wait((playing,), timeout=_LOOKS_S)
            for told in narrator.catch_up():
                if not interrupted:
                    click.echo(_line(told.at, told.side, told.text))
    if interrupted:
        await asyncio.wait((playing,))
        playing.exception()  # What a play that was cut short comes to is nobody's concern.
        raise SystemExit(INTERRUPTED if signal.SIGINT in interrupted else TERMINATED)
    await playing


def _interrupt(number: int, run: "Run", interrupted: list[int]) -> None:
    """Have the play end in order: servers are stopped and folders removed. The next signal ends it at once."""
    interrupted.append(number)
    asyncio.get_running_loop().remove_signal_handler(number)
    run.hurry()


def _line(at: float, side: str, text: str) -> str:
    return f"{at:6.1f} s  {side or 'both':<10} {text}"


def _conclude(verdict: "Verdict") -> None:
    from dnsguard.lab.demo.screen import summary, verdict_table

    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        console.print(verdict_table(verdict))
    else:
        click.echo()
        rows = [("", "UNGUARDED", "GUARDED", "the wedged copy, GUARDED"), *verdict.rows()]
        widths = [max(len(row[at]) for row in rows) for at in range(4)]
        for row in rows:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        click.echo(summary(verdict))


def _read_story(path: Path) -> "Story":
    """Read a story that the explorer saved. Raises CannotAsk."""
    from dnsguard.lab.explore.exploring import Story
    from dnsguard.lab.scheduler.moves import ScheduleUnreadable

    try:
        return Story.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotAsk(f"cannot read {path}: {error.strerror}") from None
    except (ScheduleUnreadable, UnicodeDecodeError) as error:
        raise CannotAsk(f"{path}: {error}") from None


def _replay(path: Path, server: str, *, as_json: bool) -> int:
    """Play a story of the explorer on real sockets, and say what a client finds at its end.

    Returns the exit code. Raises CannotAsk.
    """
    from dnsguard.lab.demo.replayed import StoryDoesNotFit, play
    from dnsguard.lab.demo.servers import ServerUnavailable
    from dnsguard.lab.scheduler.moves import ScheduleUnreadable
    from dnsguard.lab.search.strategies import ScheduleDoesNotFit

    number = count(1)
    unsaid: list[OSError] = []

    def say(said: str) -> None:
        try:
            click.echo(f"{next(number):>4}. {said}")
        except OSError as error:
            unsaid.append(error)  # So that it is told apart from an error of the sockets.
            raise

    story = _read_story(path)
    if not as_json:
        click.echo(f"{story.exploration}, on a name server of its own ({server}), over UDP and TCP on loopback")
    try:
        played = asyncio.run(play(story, server, (lambda _: None) if as_json else say))
    except (ScheduleUnreadable, ScheduleDoesNotFit, StoryDoesNotFit, ServerUnavailable) as error:
        raise CannotAsk(f"{path}: {error}") from None
    except OSError as error:
        if error in unsaid:
            raise
        raise CannotAsk(f"expected to play {path} on sockets of loopback, found: {error.strerror}") from None
    if as_json:
        click.echo(json.dumps(played.document(), indent=2))
        return DONE if played.as_recorded else REFUSED
    for name, answer in played.answers:
        click.echo(f"a client asks for {name}: {answer.said}")
    for name, answer in played.later:
        click.echo(f"a new plan is made, an enactor has all the time it wants, and {name} is: {answer.said}")
    if played.as_recorded:
        click.echo(f"so it happens on the wire as it was found in memory: {story.violation}")
        return DONE
    click.echo(f"so it does not happen on the wire as the story says: {story.violation}, {story.detail}")
    for number_of, (found, expected) in enumerate(zip(played.sentences, played.expected, strict=False), 1):
        if found != expected:
            click.echo(f"the first difference is at step {number_of}: expected {expected!r}, found {found!r}")
            break
    return REFUSED


COMMANDS = (demo,)
