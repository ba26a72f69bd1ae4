"""`dnsguard simulate`: the real workers in many simulated worlds, each drawn from a seed.
It prints and exits; what a world is made of, and what must hold in it, is the laboratory's.
"""

import json
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dnsguard.cli.asking import Verb
from dnsguard.cli.outcome import DONE, REFUSED
from dnsguard.core.guards import GUARDED, UNGUARDED, Guards


def guards_without(names: tuple[str, ...], guards: Guards) -> Guards:
    """Return guards with some taken out by name. Raises click.BadParameter for a name that is none of them."""
    for name in names:
        fields = {
            field: tuple(rule for rule in getattr(guards, field) if rule.__name__ != name)
            for field in guards.__dataclass_fields__
        }
        if all(len(rules) == len(getattr(guards, field)) for field, rules in fields.items()):
            known = sorted(rule.__name__ for field in fields for rule in getattr(guards, field))
            raise click.BadParameter(f"expected one of {', '.join(known)}, found {name!r}", param_hint="--without")
        guards = replace(guards, **fields)
    return guards


@click.command(
    cls=Verb,
    examples=(
        "dnsguard simulate --seeds 1000",
        "dnsguard simulate --seeds 1 --start 4711 --story",
        "dnsguard simulate --seeds 1000 --without fence_as_seen",
    ),
)
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True, help="How many worlds.")
@click.option("--start", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--unguarded", is_flag=True, help="With the October system's rules.")
@click.option("--without", "without", multiple=True, metavar="GUARD", help="Take a guard out; may be repeated.")
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
    cores: int | None,
    keep_going: bool,
    story: bool,
    as_json: bool,
) -> None:
    """Run the real workers in many simulated worlds with virtual time.

    Each seed draws what goes wrong in its world: crashes, pauses of hours, lost, late and doubled messages, a
    primary that is away, refuses or is restored from a backup, a store that fails before or after it wrote, clocks
    that jump, several planners, operators that go back. The invariants are asked after every effect, and when the
    faults stop the world must converge. Exit code 1 if any world was violated; its seed replays it.
    """
    # Late: nothing else of the command line needs the laboratory.
    from dnsguard.lab.seeds import Tally, campaign, shortest_story

    guards = guards_without(without, UNGUARDED if unguarded else GUARDED)
    tally, seconds = Tally(), 0.0
    console = Console(stderr=True)
    columns = (TextColumn("worlds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    stop = None if keep_going else (lambda total: bool(total.bad))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("worlds", total=seeds)
        for tally, seconds in campaign(start, seeds, guards, cores=cores, stop=stop):  # noqa: B007  the last ones count
            progress.update(task, completed=tally.seeds)
    found = shortest_story(tally.bad[0].seed, guards, 3_000 if story else 300) if tally.bad else None
    figures = {
        "seeds": tally.seeds,
        "start": start,
        "effects": tally.moves,
        "seconds": round(seconds, 3),
        "seeds_per_second": round(tally.seeds / seconds, 1) if seconds else None,
        "violated": len(tally.bad),
        "violations": dict(tally.by_name),
        "first": None
        if not tally.bad
        else {"seed": tally.bad[0].seed, "name": tally.bad[0].violation.name, "detail": tally.bad[0].violation.detail},
    }
    if as_json:
        steps = None if found is None else json.loads(found[1].to_json())
        click.echo(json.dumps(figures | {"story": steps}))
    else:
        click.echo(
            f"{tally.seeds} worlds from seed {start}, {tally.moves} effects in {seconds:.1f} s "
            f"({tally.seeds / max(seconds, 1e-9):.0f} worlds/s): {len(tally.bad)} violated"
        )
        for name, count in sorted(tally.by_name.items()):
            click.echo(f"  {name}: {count}")
        if found is not None:
            violation, schedule = found
            bad = tally.bad[0]
            click.echo(f"seed {bad.seed}: {violation.name}: {violation.detail}")
            click.echo(f"the shortest story found has {len(schedule)} steps:")
            for step in schedule.steps:
                click.echo(f"  {step.actor:8} {step.label}" + ("" if step.turn == "go" else f"  ({step.turn})"))
            rules = "".join([" --unguarded"] * unguarded + [f" --without {name}" for name in without])
            click.echo(f"replay: dnsguard simulate --seeds 1 --start {bad.seed}{rules}")
    ctx.exit(REFUSED if tally.bad else DONE)


COMMANDS = (simulate,)
