"""The report: one page with the two timelines drawn to scale, what was sent, and what the server said.
It needs no network and no other file; style and script lie beside this module and are put into the page.
"""

import json
import re
from html import escape
from pathlib import Path

from dnsguard.lab.demo.journal import Sent
from dnsguard.lab.demo.narrator import Narrator, Told
from dnsguard.lab.demo.play import GUARDED_SIDE, RESCUED_SIDE, UNGUARDED_SIDE, Run
from dnsguard.lab.demo.script import MAIN, NEGATIVE_TTL_S, TTL_S
from dnsguard.lab.demo.timeline import LANES, LANES_BY_HAND, LANES_OF_COPY, Figure, draw, lane_labels
from dnsguard.lab.demo.verdict import Verdict
from dnsguard.lab.demo.wording import as_nsupdate

_HERE = Path(__file__).parent
_SVG = "http://www.w3.org/2000/svg"
_ONLY_FOR_THE_SCRIPT = re.compile(r' (?:data-m|tabindex|role|aria-label)="[^"]*"(?=[ >])|<rect class="reach"[^>]*>')
_SERVERS = {"embedded": "dnsguard's embedded name server", "bind": "BIND"}

COPY_S_MAX = 17.0
"""How much is drawn of the copy: it is healed long before, and so it fits a phone."""


def report_page(run: Run, verdict: Verdict) -> str:
    """Return the page of a run that has ended, as HTML."""
    narrator = Narrator(run)
    told = narrator.catch_up()
    marks: list[Sent] = []
    pictures = [_picture(figure, marks) for figure in figures(run, told)]
    style = (_HERE / "report.css").read_text(encoding="utf-8")
    script = (_HERE / "report.js").read_text(encoding="utf-8")
    details = json.dumps([_detail(sent) for sent in marks], separators=(",", ":"), ensure_ascii=False)
    details = details.replace("<", r"\u003c")  # Nothing in it can end the script element.
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>The incident of October 2025, played twice</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>The incident of October 2025, played twice</h1>
<p class="lead">A planner, three enactors, a clean-up by age, a lock per endpoint: the same code, the same plans, the
same delays, on real sockets, twice. Only the list of guards differs. {escape(_summary(verdict))}</p>
</header>
<main>
{_verdict(verdict)}
<p class="hint"><span class="sideways">The pictures scroll sideways. </span>
Point at a mark, tap it, or reach it with the arrow keys: the message, what it believed, and the
server's word.</p>
{_legend()}
{"".join(pictures)}
{_story(told)}
{_fine_print(run)}
</main>
<aside id="detail" role="status" aria-live="polite" hidden></aside>
<script type="application/json" id="marks">{details}</script>
<script>
{script}</script>
</body>
</html>
"""


def pictures(run: Run) -> dict[str, str]:
    """Return the timelines as SVG files of their own, by name; without what only the page's script can show."""
    style = (_HERE / "report.css").read_text(encoding="utf-8").partition("@media (max-width")[0]
    found = {}
    for figure in figures(run, Narrator(run).catch_up()):
        svg = _ONLY_FOR_THE_SCRIPT.sub("", draw(figure, 0, []))
        ground = f'<style>{style}</style><rect width="100%" height="100%" fill="var(--panel)"/>'
        head, _, rest = svg.partition("</desc>")
        found[figure.name] = head.replace("<svg", f'<svg xmlns="{_SVG}"', 1) + "</desc>\n" + ground + rest + "\n"
    return found


def figures(run: Run, told: list[Told]) -> tuple[Figure, ...]:
    """Return the three timelines of a run."""
    end = round(run.story, 1)
    copied = run.chapters.get("copied", 0.0)

    def numbers(*sides: str) -> list[tuple[int, float]]:
        return [(number, each.at) for number, each in enumerate(told, 1) if each.side in sides]

    return (
        Figure(
            UNGUARDED_SIDE,
            "Unguarded: the October system's rules",
            "Enactor C waits for a lock with an old plan in its hand, gets it, and writes the old plan over a newer "
            "one. The clean-up deletes that plan by its age; the endpoint is empty, and no plan can be installed any "
            "more.",
            run.journal(UNGUARDED_SIDE),
            LANES_BY_HAND,
            end,
            numbers(UNGUARDED_SIDE, ""),
        ),
        Figure(
            GUARDED_SIDE,
            "Guarded: every write says what it believes",
            "The same enactors at the same times. When C gets the lock, the name server refuses its message, since the "
            "fence is not what C believes. The endpoint always answers.",
            run.journal(GUARDED_SIDE),
            LANES,
            end,
            numbers(GUARDED_SIDE, ""),
        ),
        Figure(
            RESCUED_SIDE,
            "The unguarded side's wedged zone, copied, under guards",
            "Guarded enactors are started on a copy of the wedged zone and its history. They finish the publication in "
            "which it was found, and publish the newest plan.",
            run.journal(RESCUED_SIDE),
            LANES_OF_COPY,
            min(end, copied + COPY_S_MAX),
            numbers(RESCUED_SIDE),
            start=copied - 1.0,
        ),
    )


def _picture(figure: Figure, marks: list[Sent]) -> str:
    svg = draw(figure, len(marks), marks)
    return f"""<figure class="{figure.name}">
<figcaption><h2>{escape(figure.title)}</h2><p>{escape(figure.description)}</p></figcaption>
<div class="scroll" tabindex="-1"><div class="wide" style="width:{figure.width:.0f}px">{lane_labels(figure)}
{svg}
</div></div>
</figure>
"""


def _detail(sent: Sent) -> dict[str, object]:
    prerequisites, updates = as_nsupdate(sent.message)
    who = sent.lane if sent.lane == sent.site else f"{sent.lane} ({sent.site})"
    found = {
        "who": f"{sent.answered_at:.2f} s · {who}",
        "act": sent.words,
        "word": "NOERROR: applied, all of it" if sent.applied else f"{sent.outcome}: nothing of it is applied",
        "ok": sent.applied,
        "pre": prerequisites,
        "upd": updates,
    }
    return found | ({"believed": sent.failed, "found": sent.found} if sent.failed else {})


def _summary(verdict: Verdict) -> str:
    left, right = verdict.unguarded, verdict.guarded
    return (
        f"On one side the endpoint was empty for {left.empty_s:.0f} seconds and {left.queries_failed} of "
        f"{left.queries} queries failed, until people repaired it by hand; on the other, "
        f"{right.queries_failed} of {right.queries}."
    )


def _verdict(verdict: Verdict) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{escape(what)}</th><td class="left">{escape(left)}</td>'
        f'<td class="right">{escape(right)}</td><td>{escape(copy)}</td></tr>'
        for what, left, right, copy in verdict.rows()
    )
    return f"""<table>
<caption>The verdict</caption>
<thead><tr><td></td><th scope="col">unguarded</th><th scope="col">guarded</th>
<th scope="col">the wedged copy, guarded</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
"""


def _legend() -> str:
    entries = (
        ("flip", '<circle cx="9" cy="9" r="4.5"/>', "an endpoint's alias is set to a node"),
        ("flip stale", '<circle cx="9" cy="9" r="4.5"/>', "… to an older one than it had"),
        ("build", '<rect x="8" y="3" width="2" height="12"/>', "a node is built"),
        ("delete", '<path d="M5 4h8l-4 10z"/>', "a node is deleted by clean-up"),
        ("refused", '<path d="M4.5 4.5l9 9m0-9l-9 9"/>', "refused by the name server"),
    )
    items = "".join(
        f'<li><svg width="18" height="18" aria-hidden="true"><g class="mark {kind}">{shape}</g></svg>{words}</li>'
        for kind, shape, words in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _story(told: list[Told]) -> str:
    items = "\n".join(
        f'<li id="story-{number}" value="{number}" class="{each.side or "both"}"><b>{each.at:.1f} s</b> '
        f"<i>{each.side or 'both sides'}</i> {escape(each.text)}</li>"
        for number, each in enumerate(told, 1)
    )
    return f'<section class="story"><h2>What happened</h2><ol>\n{items}\n</ol></section>\n'


def _fine_print(run: Run) -> str:
    speed = "" if run.speed == 1 else f", at {run.speed:g} times real speed (seconds are those of the story)"
    return f"""<section class="fine"><h2>How it was played</h2>
<p>Seed {run.script.seed}, on {_SERVERS[run.server]}{speed}. Both sides run dnsguard's own planner, enactors and
clean-up on the versioned layout: a plan's records stand at a node of their own, the endpoint is an alias to the node,
and <code>rollback</code> names the node before. Delays are declared and drawn from the seed; while the name
server or the database is at work, the clock stands. The client asks for
<code>{MAIN.name}</code> twice a second and keeps answers by question: {TTL_S} seconds if there are addresses,
{NEGATIVE_TTL_S} if there are none (RFC 2308). Unlike in October 2025, the slow enactor gets through all four endpoints
before the clean-up comes, so all four are empty, not the regional one only.</p>
</section>
"""
