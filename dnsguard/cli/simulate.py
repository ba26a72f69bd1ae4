"""`dnsguard simulate`: the real workers in many simulated worlds, each drawn from a seed.
It prints and exits; what a world is made of, and what must hold in it, is the laboratory's.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dnsguard.cli.asking import Verb
from dnsguard.cli.findings import counted
from dnsguard.cli.outcome import DONE, INTERRUPTED, REFUSED
from dnsguard.cli.patience import heeding
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards

if TYPE_CHECKING:
    from dnsguard.lab.simulate.seeds import Bad, Needed, Tally
    from dnsguard.lab.simulate.shortening import Told

LINE_EVERY_S = 30.0
"""How often a long campaign says how far it is where there is no terminal to draw on."""
SAID_MAX = 120
FIRST_TOLD, LAST_TOLD = 60, 20
"""How much of a story is shown: one of a world that never comes to rest would run on for pages."""


def guards_without(names: tuple[str, ...], guards: Guards) -> Guards:
    """Return guards with some taken out by name. Raises click.BadParameter for a name that is none of them."""
    from dnsguard.lab.explore.variants import GuardUnknown, without

    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"expected each guard once, found {name} more than once", param_hint="--without")
        try:
            guards = without(guards, name)
        except GuardUnknown as unknown:
            raise click.BadParameter(str(unknown), param_hint="--without") from None
    return guards


@dataclass
class Lines:
    """Says how far a campaign is where there is no terminal: each violated seed at once, and a line now and then."""

    seeds: int
    _told_at: float = 0.0
    _told: int = 0

    def due(self, tally: "Tally", seconds: float) -> str | None:
        """Return what is to be said now."""
        news = [f"seed {bad.seed}: {bad.violation.name}: {bad.violation.detail}" for bad in tally.bad[self._told :]]
        self._told = len(tally.bad)
        if seconds - self._told_at >= LINE_EVERY_S:
            self._told_at = seconds
            left_s = (self.seeds - tally.seeds) * seconds / tally.seeds
            news.append(
                f"{tally.seeds} of {self.seeds} worlds in {seconds:.0f} s, {len(tally.bad)} violated; "
                f"about {left_s:.0f} s left"
            )
        return "\n".join(news) or None


@click.command(
    cls=Verb,
    examples=(
        "dnsguard simulate --seeds 1000",
        "dnsguard simulate --seeds 1 --start 4711 --story",
        "dnsguard simulate --seeds 1000 --without fence_as_seen",
        "dnsguard simulate --each-guard",
    ),
)
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True, help="How many worlds.")
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--unguarded", is_flag=True, help="With the October system's rules.")
@click.option("--without", "without", multiple=True, metavar="GUARD", help="Take a guard out; may be repeated.")
@click.option("--each-guard", is_flag=True, help="Take out one guard after the other, and show what breaks first.")
@click.option("--cores", type=click.IntRange(min=1), help="How many processes; all cores without it.")
@click.option("--keep-going", is_flag=True, help="Go on after the first violated world.")
@click.option("--story", is_flag=True, help="Tell the shortest story even if it takes many runs to find.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def simulate(
    ctx: click.Context,
    seeds: int,
    start: int,
    unguarded: bool,
    without: tuple[str, ...],
    each_guard: bool,
    cores: int | None,
    keep_going: bool,
    story: bool,
    as_json: bool,
) -> None:
    """Run the real workers in many simulated worlds with virtual time.

    Each seed draws what goes wrong in its world: crashes, pauses of hours, lost, late and doubled messages, a
    primary that is away, refuses or is restored from a backup, a store that fails before or after it wrote, clocks
    that jump, several planners, plans that no planner should submit, operators, strangers, and verifiers that report
    or repair what these changed. The invariants are asked after every effect, what a yes at the door says beside them
    ("the door's word"), and that strangers' records are let be ("strangers"); when the faults stop the world must
    converge. Exit code 1 if any world was violated (with --each-guard: if any guard could be left out unpunished);
    its seed replays it. Ctrl-C ends it with the tally so far, and 130.
    """
    # Late: nothing else of the command line needs the laboratory.
    from dnsguard.lab.simulate import seeds as laboratory
    from dnsguard.lab.simulate.shortening import STORY_RUNS_MAX, shortest_story

    if each_guard and (without or unguarded):
        raise click.UsageError(
            "expected --each-guard with all guards but one at a time, found "
            f"{'--without' if without else '--unguarded'}: what two left out break is laid to one then; leave one of "
            "the two options out"
        )
    if each_guard and (story or keep_going):
        raise click.UsageError(
            f"expected --each-guard, which tells no story and looks for one world, found "
            f"{'--story' if story else '--keep-going'}: take --without with one guard for that"
        )
    guards = guards_without(without, UNGUARDED if unguarded else GUARDED)
    if each_guard:
        with heeding() as halted:
            needed = laboratory.each_guard(start, seeds, guards, cores=cores, halted=halted)
            all_missed = _show_needed(needed, as_json=as_json)
        if halted():
            click.echo("interrupted: these are the guards so far", err=True)
        ctx.exit(INTERRUPTED if halted() else DONE if all_missed else REFUSED)
    with heeding() as halted:
        tally, seconds = _lived(seeds, start, guards, cores, lambda bad: halted() or (bad and not keep_going))
        runs_max = 3_000 if story else STORY_RUNS_MAX
        told = shortest_story(tally.bad[0].seed, guards, runs_max, halted) if tally.bad else None
    if as_json:
        click.echo(json.dumps(_as_document(tally, start, seconds, told, interrupted=halted())))
    else:
        options = ["--unguarded"] * unguarded + [f"--without {name}" for name in without] + ["--story"] * story
        rules = "".join(f" {option}" for option in options)
        _show(tally, start, seconds, told, rules)
    if halted():
        click.echo(f"interrupted: this is the tally so far, of {tally.seeds} of {seeds} worlds", err=True)
        ctx.exit(INTERRUPTED)
    ctx.exit(REFUSED if tally.bad else DONE)


def _lived(
    seeds: int, start: int, guards: Guards, cores: int | None, enough: Callable[[bool], bool]
) -> "tuple[Tally, float]":
    """Live through the worlds, and say how far it is; return what they came to, in how many seconds.

    ``enough`` tells whether to stop, by whether any world was violated so far.
    """
    from dnsguard.lab.simulate import seeds as laboratory

    tally, seconds = laboratory.Tally(), 0.0
    console = Console(stderr=True)
    columns = (TextColumn("worlds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    lines = Lines(seeds)

    def stop(total: "Tally") -> bool:
        return enough(bool(total.bad))

    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("worlds", total=seeds)
        for tally, seconds in laboratory.campaign(start, seeds, guards, cores=cores, stop=stop):
            progress.update(task, completed=tally.seeds)
            if not console.is_terminal and (line := lines.due(tally, seconds)) is not None:
                click.echo(line, err=True)
    return tally, seconds


def _as_document(
    tally: "Tally", start: int, seconds: float, told: "Told | None", *, interrupted: bool
) -> dict[str, Any]:
    return {
        "interrupted": interrupted,
        "seeds": tally.seeds,
        "start": start,
        "effects": tally.moves,
        "seconds": round(seconds, 3),
        "seeds_per_second": round(tally.seeds / seconds, 1) if seconds else None,
        "violated": len(tally.bad),
        "violations": dict(tally.by_name),
        "bad": [_bad(bad) for bad in tally.bad],
        "story": None if told is None else list(told.sentences),
        "steps": None if told is None else told.steps,
        "breaks": None if told is None else {"name": told.violation.name, "detail": told.violation.detail},
        "schedule": None if told is None else json.loads(told.schedule.to_json()),
        "calmed": None if told is None else asdict(told.settings) | {"timed": told.timed},
    }


def _bad(bad: "Bad") -> dict[str, Any]:
    return {"seed": bad.seed, "name": bad.violation.name, "detail": bad.violation.detail, "effects": bad.moves}


def _show(tally: "Tally", start: int, seconds: float, told: "Told | None", rules: str) -> None:
    click.echo(
        f"{counted(tally.seeds, 'world')} from seed {start}, {counted(tally.moves, 'effect')} in {seconds:.1f} s "
        f"({tally.seeds / max(seconds, 1e-9):.0f} worlds/s): {len(tally.bad)} violated"
    )
    for name, count in sorted(tally.by_name.items()):
        click.echo(f"  {name}: {count}")
    for bad in tally.bad:
        click.echo(f"seed {bad.seed}: {bad.violation.name}: {bad.violation.detail}")
    if told is not None:
        seed = tally.bad[0].seed
        click.echo(f"the shortest story found of seed {seed}, in a calmer world of its kind, has {told.steps} steps:")
        for line, (number, said) in enumerate(told.lines):
            if line < FIRST_TOLD or line >= len(told.lines) - LAST_TOLD:
                click.echo(f"{number:4}. {said}")
            elif line == FIRST_TOLD:
                click.echo(f"      … {len(told.lines) - FIRST_TOLD - LAST_TOLD} lines, which --json has as well")
        click.echo(f"and so: {told.violation.name}: {told.violation.detail}")
        click.echo(f"replay: dnsguard simulate --seeds 1 --start {seed}{rules}")


def _show_needed(found: "Iterator[Needed]", *, as_json: bool) -> bool:
    """Show guard by guard what comes of leaving it out; return whether each is missed."""
    every = []
    for needed in found:
        every.append(needed)
        if as_json:
            continue
        bad = needed.bad
        said = (
            f"none of {needed.seeds} worlds breaks" if bad is None else f"{bad.violation.name}: {bad.violation.detail}"
        )
        shown = said if len(said) <= SAID_MAX else f"{said[: SAID_MAX - 1]}…"
        click.echo(f"{needed.guard:36} {'-' if bad is None else f'seed {bad.seed}':>10}  {shown}")
    missed = sum(needed.bad is not None for needed in every)
    if as_json:
        guards = {n.guard: None if n.bad is None else _bad(n.bad) for n in every}
        click.echo(json.dumps({"guards": guards, "missed": missed}))
    else:
        click.echo(f"{missed} of {len(every)} guards are missed")
    return missed == len(every)


COMMANDS = (simulate,)
