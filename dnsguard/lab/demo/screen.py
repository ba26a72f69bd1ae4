"""The demo on a terminal: left unguarded, right guarded, and the story below them as it happens.
Renderables are built from the journals; nothing is written from here.
"""

from collections.abc import Sequence

from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dnsguard.lab.demo.journal import CLEANUP, CLIENT, ZONE_LANE, Journal, Sent, Span
from dnsguard.lab.demo.narrator import Told
from dnsguard.lab.demo.play import GUARDED_SIDE, RESCUED_SIDE, UNGUARDED_SIDE, Run
from dnsguard.lab.demo.script import MAIN, SITES
from dnsguard.lab.demo.verdict import Verdict, stale

_STYLES = {UNGUARDED_SIDE: "dark_orange", GUARDED_SIDE: "cyan", RESCUED_SIDE: "cyan", "": "default"}
_TITLES = {
    UNGUARDED_SIDE: "UNGUARDED: the October system's rules",
    GUARDED_SIDE: "GUARDED: every write says what it believes",
}
STORY_LINES = 8


def screen(run: Run, told: Sequence[Told], length_s: float) -> RenderableType:
    """Build the whole picture."""
    layout = Layout()
    layout.split_column(
        Layout(_head(run, length_s), size=2),
        Layout(name="sides", size=17),
        Layout(_copy(run), size=3),
        Layout(_story(told), size=2 * STORY_LINES + 2),
    )
    layout["sides"].split_row(*(Layout(_side(run, name)) for name in (UNGUARDED_SIDE, GUARDED_SIDE)))
    return layout


def _head(run: Run, length_s: float) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right", width=12)
    at = min(run.story, length_s)
    title = f"The incident of October 2025, twice: same seed {run.script.seed}, plans, delays; only the guards differ"
    grid.add_row(Text(title, style="bold"), Text(f"{run.story:5.1f} s"))
    grid.add_row(ProgressBar(total=length_s, completed=at), "")
    return grid


def _side(run: Run, name: str) -> Panel:
    journal = run.journal(name)
    facts = Table.grid(padding=(0, 1), expand=True)
    facts.add_column(style="dim", width=10)
    facts.add_column(ratio=1)
    facts.add_row("answer", _answer(journal.last(ZONE_LANE)))
    facts.add_row("client", _client(journal))
    facts.add_row("", "")
    for site in SITES:
        facts.add_row(f"enactor {site.name}", Text(journal.doing.get(site.name, ""), overflow="ellipsis", no_wrap=True))
        facts.add_row("", _last_sent(journal, site.name))
    facts.add_row(CLEANUP, _last_sent(journal, CLEANUP))
    facts.add_row("", "")
    facts.add_row("refused", _last_refused(journal))
    old = len(stale(journal.sent))
    facts.add_row(
        "stale", Text(f"{old} overwrites of a newer plan by an older one", style="bold red" if old else "dim")
    )
    style = _STYLES[name]
    return Panel(
        facts,
        title=_TITLES[name],
        title_align="left",
        subtitle=run.sides[name].dig,
        subtitle_align="left",
        border_style=style,
        box=ROUNDED,
        padding=(0, 1),
    )


def _answer(span: Span | None) -> Text:
    if span is None:
        return Text("…", style="dim")
    style = "bold green" if span.plan else "bold white on red" if span.answer == "empty" else "dim"
    return Text(f"{span.answer:<7} {span.said}", style=style, overflow="ellipsis", no_wrap=True)


def _client(journal: Journal) -> Text:
    text = Text(f"{journal.failed} of {journal.asked} queries failed; now ", overflow="ellipsis", no_wrap=True)
    if journal.failed:
        text.stylize("red")
    return text.append_text(_answer(journal.last(CLIENT)))


def _last_sent(journal: Journal, lane: str) -> Text:
    sent = next((each for each in reversed(journal.sent) if each.lane == lane and each.act != "control"), None)
    if sent is None:
        return Text("", style="dim")
    style = "green" if sent.applied else "red"
    return Text(f"{sent.words}: {sent.outcome}", style=style, overflow="ellipsis", no_wrap=True)


def _last_refused(journal: Journal) -> Text:
    sent: Sent | None = next((each for each in reversed(journal.sent) if not each.applied), None)
    if sent is None:
        return Text("nothing", style="dim")
    why = f"{sent.lane}: {sent.words}: {sent.outcome}\n"
    return Text(
        f"{why}believed {sent.failed}\nfound    {sent.found}", style="yellow", overflow="ellipsis", no_wrap=True
    )


def _copy(run: Run) -> Panel:
    title = "the wedged zone, copied, under GUARDED"
    span = run.journal(RESCUED_SIDE).last(ZONE_LANE) if "copied" in run.chapters else None
    inside = Text("later", style="dim") if span is None else _answer(span)
    return Panel(inside, title=title, title_align="left", border_style="cyan" if span else "dim", box=ROUNDED)


def _story(told: Sequence[Told]) -> RenderableType:
    lines = Table.grid(padding=(0, 1), expand=True)
    lines.add_column(width=7, justify="right", style="dim")
    lines.add_column(width=10)
    lines.add_column(ratio=1)
    for each in reversed(told[-STORY_LINES:]):
        lines.add_row(f"{each.at:.1f} s", Text(each.side or "both", style=_STYLES[each.side]), Text(each.text))
    return Panel(
        lines, title=f"what happens to {MAIN.name}, newest first", title_align="left", box=ROUNDED, border_style="dim"
    )


def verdict_table(verdict: Verdict) -> RenderableType:
    """Build the table of what each side came to."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("")
    for title in ("UNGUARDED", "GUARDED", "the wedged copy, GUARDED"):
        table.add_column(title, justify="right")
    for what, left, right, copy in verdict.rows():
        table.add_row(what, Text(left, style="red" if left[0] != "0" else ""), Text(right, style="green"), copy)
    return Group(table, Text(summary(verdict), style="bold"))


def summary(verdict: Verdict) -> str:
    """Say the verdict in a sentence."""
    if verdict.as_promised:
        return "The unguarded side lost; the guarded side did not, and healed the other's wedged zone by itself."
    lost = "lost" if verdict.unguarded_lost else "did not lose as it should"
    again = "" if verdict.repaired else " and did not serve the newest plan after its repair"
    held = "held" if verdict.guarded_held else "did not hold"
    return f"Not as promised: the unguarded side {lost}{again}, the guarded side {held}."
