"""`dnsguard explore`: search the schedules of the real workers in memory, and tell the shortest that breaks something.
It asks no daemon and opens no port; a database is asked only if it is named.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dnsguard.cli.asking import Verb
from dnsguard.cli.display import Display
from dnsguard.cli.findings import figures, show, show_table, tell, told
from dnsguard.cli.outcome import CANNOT_ASK, DONE, INTERRUPTED, REFUSED
from dnsguard.cli.patience import heeding
from dnsguard.core.history import StoreUnavailable
from dnsguard.lab.explore.bounds import CHOICES, RANGES

STRATEGIES = ("states", "dpor", "plain", "random", "pct", "delays")
FAULTS = {"crashes", "losses"}
FAULTS_DIGITS_MAX = len(str(RANGES["crashes"][1]))
UNORDERED = frozenset({"plain", "random", "pct", "delays"})
"""Strategies that have no say in what is tried first."""
UNCOUNTED = frozenset({"states", "dpor", "plain"})
"""Strategies that try all there is, however many."""
HEEDS = {
    "replay": ("store", "database"),
    "table": ("enactors", "plans", "endpoints", "keep", "layout", "rrsets", "read_back", "faults", "seconds_max"),
    "all_": ("seconds_max",),
}
"""What each of the commands within the command listens to, beside --json: everything else it would pass over."""
SECONDS_MAX = 600.0
TABLE = {"plans": 5, "endpoints": 1, "keep": 2, "read_back": False}
"""The table's size, where nothing else is asked for."""
TABLE_ENACTORS = (2, 3)
TABLE_SECONDS_MAX = 1_800.0
"""For each row, where nothing else is asked for: the longest takes some minutes, more on a busy machine."""


def _read_faults(_ctx: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for part in filter(None, ",".join(texts).split(",")):
        name, _, count = part.partition("=")
        if name not in FAULTS or not count.isascii() or not count.isdigit() or len(count) > FAULTS_DIGITS_MAX:
            raise click.BadParameter(
                f"expected crashes=N,losses=N with N from 0 to {RANGES['crashes'][1]}, found {part[:40]!r}"
            )
        if name in counts:
            raise click.BadParameter(f"expected {name}=N once, found it twice: leave one out")
        counts[name] = int(count)
    return counts


_SETTING: tuple[Callable[..., Any], ...] = (
    click.option(
        "--guards", type=click.Choice(CHOICES["guards"]), default="guarded", show_default=True, help="The rules."
    ),
    click.option("--without", multiple=True, metavar="GUARD", help="Leave a guard out; may be repeated."),
    click.option(
        "--enactors", type=click.IntRange(*RANGES["enactors"]), default=2, show_default=True,
        help="Daemons that publish and clean up.",
    ),
    click.option(
        "--plans", type=click.IntRange(*RANGES["plans"]), default=4, show_default=True,
        help="Full plans in all; the first is published before the search begins.",
    ),
    click.option(
        "--endpoints", type=click.IntRange(*RANGES["endpoints"]), default=1, show_default=True,
        help="Names in each plan.",
    ),
    click.option(
        "--keep", type=click.IntRange(*RANGES["keep"]), default=2, show_default=True,
        help="Generations that are kept.",
    ),
    click.option(
        "--layout", type=click.Choice(CHOICES["layout"]), default="versioned", show_default=True,
        help="How records lie in the zone.",
    ),
    click.option(
        "--store",
        type=click.Choice(CHOICES["store"]),
        default="memory",
        show_default=True,
        help="The history in memory, or in SQL as the daemon has it (slower).",
    ),
    click.option(
        "--database", metavar="URL",
        help="For --store postgresql: postgresql://USER@HOST/NAME, a database in which no daemon keeps its history. "
        "What is made there is removed at the end. The password can be in PGPASSWORD or ~/.pgpass.",
    ),
    click.option(
        "--rrsets", type=click.IntRange(*RANGES["rrsets"]), default=1, show_default=True,
        help="Endpoints in one message at most.",
    ),
    click.option(
        "--read-back/--no-read-back", default=True, show_default=True,
        help="Whether enactors read back what they published, as daemons do.",
    ),
    click.option("--withdraws", is_flag=True, help="Withdraw the newest plan as soon as it is accepted."),
    click.option("--fresh", is_flag=True, help="Begin with new names: no plan is published, or even made, before."),
    click.option(
        "--faults", callback=_read_faults, multiple=True, metavar="crashes=N,losses=N", help="Faults at any effect."
    ),
)  # fmt: skip


def _setting(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SETTING):
        command = option(command)
    return command


@click.command(
    cls=Verb,
    examples=(
        "dnsguard explore --guards unguarded",
        "dnsguard explore --guards unguarded --enactors 1",
        "dnsguard explore --enactors 2 --plans 3 --faults crashes=1",
        "dnsguard explore --without fence_as_seen --save story.json",
        "dnsguard explore --replay story.json",
        "dnsguard explore --plans 2 --store postgresql --database postgresql://me@localhost/scratch",
        "dnsguard explore --table --enactors 2",
        "dnsguard explore --all --seconds-max 300",
    ),
)
@_setting
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="states",
    show_default=True,
    help="The first three try all there is: states with sleep sets and a table of states, dpor with dynamic "
    "partial-order reduction and sleep sets, plain every order (only for very small ones). delays: the fair order "
    "first, then one delay more at a time.",
)
@click.option(
    "--order",
    type=click.Choice(("october", "neutral")),
    default="october",
    show_default=True,
    help="What is tried first: a slow first enactor, as in October, or whoever was there first.",
)
@click.option("--rerun", is_flag=True, help="Run every schedule in truth from its beginning; remember nothing.")
@click.option("--seeds", type=click.IntRange(min=1), default=1_000, show_default=True, help="For random, pct, delays.")
@click.option("--schedules-max", type=click.IntRange(min=1), help="Stop after so many schedules.")
@click.option(
    "--seconds-max", type=click.FloatRange(min=0.1), default=SECONDS_MAX, show_default=True, help="Stop after so long."
)
@click.option("--keep-going", is_flag=True, help="Go on after the first schedule that breaks something.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the story down.")
@click.option("--replay", type=click.Path(path_type=Path), metavar="FILE", help="Play a story that was saved.")
@click.option("--table", is_flag=True, help="Fill the table of what each stage of guards lets through.")
@click.option("--all", "all_", is_flag=True, help="Exhaust all scenarios that are listed, and print their figures.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def explore(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401  click's own values
    """Try all orders in which the real planner, enactors and clean-ups can meet; the name server is in memory.

    After every effect the invariants are asked. What breaks one is told as a story, the shortest that is found.

    Exit codes: 0 nothing is broken; 1 something is; 2 wrong usage, or no database; 130 interrupted, with what was
    counted so far. With --table, 1 says that a row is not what it is known to be at the size that it has by itself
    (one enactor alone, or few plans, show less); with --all, that a scenario breaks something or was not exhausted.
    """  # fmt: skip
    display = Display(as_json=given["as_json"])
    try:
        ctx.exit(_explore(ctx, display, given))
    except StoreUnavailable as error:
        display.note(f"dnsguard: {error}", "red")
        ctx.exit(CANNOT_ASK)


def _explore(ctx: click.Context, display: Display, given: dict[str, Any]) -> int:
    # Late: nothing else of the command line needs the laboratory.
    from dnsguard.lab.explore.exploring import Exploration, gravest
    from dnsguard.lab.explore.exploring import explore as search
    from dnsguard.lab.explore.variants import GuardUnknown

    _check_heeded(ctx, given)
    if given["replay"] is not None:
        return _replay(display, given["replay"], given["store"] if _asked(ctx, "store") else None, given["database"])
    _check_database(given["store"], given["database"])
    with heeding() as halted:
        if given["table"]:
            return _table(display, ctx, given, halted)
        if given["all_"]:
            return _all(display, given["seconds_max"], halted)
        names = (
            "guards", "without", "enactors", "plans", "endpoints", "keep", "layout", "rrsets", "store", "read_back",
            "fresh",
            "withdraws",
        )  # fmt: skip
        exploration = Exploration(
            **{name: given[name] for name in names}, **given["faults"], database=given["database"] or ""
        )
        try:
            with display.waiting(f"searching, for {given['seconds_max']:.0f} s at most"):
                findings = search(
                    exploration,
                    given["strategy"],
                    order=given["order"],
                    seeds=given["seeds"],
                    schedules_max=given["schedules_max"],
                    seconds_max=given["seconds_max"],
                    stop_at_first=not given["keep_going"],
                    rerun=given["rerun"],
                    halted=halted,
                )
        except GuardUnknown as error:
            raise click.BadParameter(str(error), param_hint="--without") from None
        story = gravest(exploration, findings, halted=halted)
    if story is None and given["save"] is not None:
        display.note(f"nothing is broken, so there is no story: {given['save']} was not written")
    if story is not None and given["save"] is not None:
        try:
            given["save"].write_text(story.to_json(), encoding="utf-8")
        except OSError as error:
            display.note(f"dnsguard: cannot write {given['save']}: {error.strerror}", "red")
            return CANNOT_ASK
    order = "" if given["strategy"] in UNORDERED else given["order"]
    show(display, exploration, given["strategy"], order, findings, story)
    if halted():
        return INTERRUPTED
    return REFUSED if findings.violations else DONE


def _asked(ctx: click.Context, name: str) -> bool:
    """Tell whether an option was given, rather than left to its default."""
    from click.core import ParameterSource

    return ctx.get_parameter_source(name) is not ParameterSource.DEFAULT


def _check_heeded(ctx: click.Context, given: dict[str, Any]) -> None:
    """Refuse what would be passed over in silence."""
    spelled = {each.name or "": each.opts[0] for each in ctx.command.params}
    asked = [name for name in spelled if _asked(ctx, name)]
    for mode in (name for name in HEEDS if given[name]):
        for name in asked:
            if name not in {mode, "as_json", *HEEDS[mode]}:
                heeded = ", ".join(spelled[each] for each in HEEDS[mode])
                raise click.UsageError(
                    f"expected nothing but --json, {heeded} with {spelled[mode]}, found {spelled[name]}: "
                    "leave one of the two out"
                )
    strategy = given["strategy"]
    for name, strategies in (("order", UNORDERED), ("seeds", UNCOUNTED)):
        if name in asked and strategy in strategies:
            others = ", ".join(each for each in STRATEGIES if each not in strategies)
            raise click.UsageError(
                f"expected --{name} with one of the strategies {others}, found {strategy}: leave one of the two out"
            )


def _check_database(store: str, database: str | None) -> None:
    if store == "postgresql" and not database:
        raise click.UsageError(
            "expected --database postgresql://USER@HOST/NAME for histories in PostgreSQL, found none: name a database "
            "in which no daemon keeps its history, such as a new one ('createdb NAME')"
        )
    if database and store != "postgresql":
        raise click.UsageError(f"expected --store postgresql with --database, found {store}: give both, or neither")


def _replay(display: Display, path: Path, store: str | None, database: str | None) -> int:
    from dnsguard.lab.explore.exploring import Story
    from dnsguard.lab.scheduler.moves import ScheduleUnreadable
    from dnsguard.lab.search.strategies import ScheduleDoesNotFit

    try:
        story = Story.from_json(path.read_text(encoding="utf-8"))
        store = store or story.exploration.store
        _check_database(store, database)
        story = replace(story, exploration=replace(story.exploration, store=store, database=database or ""))
        found = told(story)
    except OSError as error:
        display.note(f"dnsguard: cannot read {path}: {error.strerror}", "red")
        return CANNOT_ASK
    except UnicodeDecodeError:
        said = "expected a story that 'dnsguard explore --save' wrote, found no text (UTF-8): save it anew"
        display.note(f"dnsguard: {path}: {said}", "red")
        return CANNOT_ASK
    except (ScheduleUnreadable, ScheduleDoesNotFit) as error:
        display.note(f"dnsguard: {path}: {error}", "red")
        return CANNOT_ASK
    if display.as_json:
        display.raw(json.dumps({"exploration": str(story.exploration), "story": found}, ensure_ascii=False).encode())
    else:
        display.line(str(story.exploration))
        tell(display, found, "the story")
    return DONE if found["violation"] is None else REFUSED


def _table(display: Display, ctx: click.Context, given: dict[str, Any], halted: Callable[[], bool]) -> int:
    from dnsguard.lab.explore.setting import Setting
    from dnsguard.lab.explore.table import Row, rows
    from dnsguard.lab.scheduler.moves import Faults

    size: dict[str, Any] = {name: given[name] if _asked(ctx, name) else value for name, value in TABLE.items()}
    layout, message = given["layout"], given["rrsets"]
    faults = Faults(given["faults"].get("crashes", 0), given["faults"].get("losses", 0))
    seconds_max = given["seconds_max"] if _asked(ctx, "seconds_max") else TABLE_SECONDS_MAX
    found: list[tuple[int, Row]] = []
    for enactors in (given["enactors"],) if _asked(ctx, "enactors") else TABLE_ENACTORS:
        if halted():
            break
        setting = replace(Setting(), enactors=enactors, layout=layout, message_rrsets_max=message, **size)
        display.note(
            f"{enactors} enactors, {size['plans']} plans, {size['endpoints']} endpoints, the last {size['keep']} kept, "
            f"{layout}{'' if size['read_back'] else ', not read back'}; a 'no' is an exhausted search"
        )
        for row in rows(setting, faults, seconds_max, halted):
            found.append((enactors, row))
            display.note(
                f"{row.variant.check}, {row.variant.cleanup}: {row.schedules} schedules in {row.seconds:.1f} s"
            )
    show_table(display, size, found)
    if halted():
        return INTERRUPTED
    return DONE if all(row.as_expected for _, row in found) else REFUSED


def _all(display: Display, seconds_max: float, halted: Callable[[], bool]) -> int:
    from dnsguard.lab.explore.exploring import SCENARIOS, explore

    table, clean = [], True
    for exploration in SCENARIOS:
        if halted():
            break
        findings = explore(exploration, seconds_max=seconds_max, halted=halted)
        clean &= findings.exhausted and not findings.violations
        table.append({"exploration": str(exploration), **figures(findings)})
        display.note(f"{exploration}: {findings.schedules} schedules in {findings.seconds:.1f} s")
    if display.as_json:
        display.raw(json.dumps({"scenarios": table}).encode())
    else:
        columns = (
            "exploration", "schedules", "moves", "states", "exhausted", "seconds", "processor_seconds",
            "schedules_per_second", "violations",
        )  # fmt: skip
        rows = [(*(str(row[name]) for name in columns[:-1]), str(sum(row["violations"].values()))) for row in table]
        display.table(tuple(name.replace("_", " ").upper() for name in columns), rows)
    if halted():
        return INTERRUPTED
    return DONE if clean else REFUSED


COMMANDS = (explore,)
