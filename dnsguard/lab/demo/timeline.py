"""One side's timeline as SVG, to scale: a lane for each enactor, clean-up, zone and client.
Every message is a mark that can be pointed at and reached by keyboard; pure string building.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from dnsguard.lab.demo.journal import CLEANUP, CLIENT, OPERATOR, PLAN, PLANNER, ZONE_LANE, Journal, Sent, Span, Work
from dnsguard.lab.demo.verdict import stale

PX_PER_S = 12.0
LEFT = 92
RIGHT = 16
TOP = 62
LANE = 38
_BAR = 20
_TEXT_PX = 7.5
"""How wide a letter is, at most."""
_GAP_S = 1.2
"""Work closer together than this is drawn as one bar."""
_SHORT_S = 40
"""In a picture shorter than this every fifth second has its number."""
_BAD = frozenset({"publication.questioned", "publication.narrowed", "plan.rejected", "primary.refusing"})


@dataclass(frozen=True, slots=True)
class Figure:
    """What a timeline shows: which side, from when to when, with which lanes and which sentences' numbers."""

    name: str
    title: str
    description: str
    journal: Journal
    lanes: tuple[str, ...]
    end: float
    numbers: Sequence[tuple[int, float]]
    start: float = 0.0

    @property
    def height(self) -> float:
        """Of the picture, in pixels."""
        return TOP + LANE * len(self.lanes) + 26

    @property
    def width(self) -> float:
        """Of the picture, in pixels."""
        return LEFT + (self.end - self.start) * PX_PER_S + RIGHT

    def x(self, at: float) -> float:
        """Return where a story second is."""
        return round(LEFT + (at - self.start) * PX_PER_S, 1)

    def shows(self, at: float) -> bool:
        """Tell whether a story second is in the picture."""
        return self.start <= at < self.end


def draw(figure: Figure, first_mark: int, marks: list[Sent]) -> str:
    """Return the SVG; the messages that it shows are appended to ``marks``, which has ``first_mark`` already."""
    journal = figure.journal
    tops = {lane: TOP + LANE * index for index, lane in enumerate(figure.lanes)}
    ident = f"{figure.name}-timeline"
    wide, high = f"{figure.width:.0f}", f"{figure.height:.0f}"
    size = f'viewBox="0 0 {wide} {high}" width="{wide}" height="{high}"'
    parts = [
        f'<svg class="timeline" {size} role="group" aria-labelledby="{ident}-title {ident}-desc">',
        f'<title id="{ident}-title">{escape(figure.title)}</title>',
        f'<desc id="{ident}-desc">{escape(figure.description)}</desc>',
        _hatches(figure.name),
        _axis(figure),
    ]
    for lane, top in tops.items():
        parts.append(f'<text class="lane" x="8" y="{top + 24}">{escape(_lane_title(lane))}</text>')
        parts.append(f'<line class="rule" x1="0" x2="{figure.width:.0f}" y1="{top + LANE}" y2="{top + LANE}"/>')
    for lane in (ZONE_LANE, CLIENT):
        if lane in tops:
            spans = [span for span in journal.spans.get(lane, ()) if figure.shows(span.start)]
            parts += [_span(figure, span, tops[lane], newest) for span, newest in _with_newest(spans)]
    shown = [sent for sent in journal.sent if figure.shows(sent.answered_at) and sent.lane in tops]
    shown = [sent for sent in shown if sent.act != "control"]
    for work in _joined([work for work in journal.works if figure.shows(work.start)]):
        if work.lane in tops:
            marked = [figure.x(sent.answered_at) for sent in shown if sent.lane == work.lane]
            parts.append(_work(figure, work, journal.label(work.generation), tops[work.lane], marked))
    if OPERATOR in tops:
        parts.append(_switched_off(figure, tops[OPERATOR]))
    if PLANNER in tops:
        parts += [_plan(figure, at, number, tops[PLANNER]) for at, number, _ in journal.accepted if figure.shows(at)]
    old = {id(sent) for sent in stale([sent for sent in journal.sent if sent.answered_at < figure.end])}
    for index, sent in enumerate(sorted(shown, key=lambda each: each.answered_at)):
        parts.append(
            _mark(figure, sent, first_mark + index, tops[sent.lane], is_first=index == 0, is_old=id(sent) in old)
        )
        marks.append(sent)
    parts += _numbers(figure)
    return "\n".join((*parts, "</svg>"))


def lane_labels(figure: Figure) -> str:
    """Return the lanes' names as an overlay for narrow screens, where the picture scrolls under them."""
    rows = "".join(
        f'<span style="top:{TOP + LANE * index + 9}px">{escape(_lane_title(lane))}</span>'
        for index, lane in enumerate(figure.lanes)
    )
    return f'<div class="labels" aria-hidden="true">{rows}</div>'


def _lane_title(lane: str) -> str:
    return f"enactor {lane}" if lane in {"A", "B", "C"} else lane


def _hatches(name: str) -> str:
    return (
        f'<defs><pattern id="{name}-old" width="7" height="7" patternTransform="rotate(45)" '
        'patternUnits="userSpaceOnUse">'
        '<rect class="old-ground" width="7" height="7"/><rect class="old-line" width="2" height="7"/></pattern></defs>'
    )


def _axis(figure: Figure) -> str:
    bottom = figure.height - 20
    parts = []
    for second in range(-5 * int(-figure.start // 5), int(figure.end) + 1, 5):
        x = figure.x(second)
        major = second % 10 == 0 or figure.end - figure.start < _SHORT_S
        parts.append(
            f'<line class="{"grid" if major else "grid minor"}" x1="{x}" x2="{x}" y1="{TOP - 6}" y2="{bottom}"/>'
        )
        if major:
            parts.append(f'<text class="tick" x="{x}" y="{bottom + 14}">{second} s</text>')
    return "".join(parts)


def _with_newest(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Give each span the newest plan that had been answered before it."""
    newest, found = 0, []
    for span in spans:
        found.append((span, newest))
        newest = max(newest, span.plan)
    return found


def _span(figure: Figure, span: Span, top: float, newest: int) -> str:
    if span.answer in {"absent", "silent"} and span.start < 3:
        return ""
    x, width = figure.x(span.start), max(1.5, (min(span.end, figure.end) - span.start) * PX_PER_S)
    is_old = 0 < span.plan < newest
    kind = "empty" if span.answer == "empty" else "old" if is_old else "live"
    fill = f' style="fill:url(#{figure.name}-old)"' if kind == "old" else ""
    length = f"{span.start:.1f} to {span.end:.1f} s"
    words = (
        f"{length}: {span.said}"
        + (f", the addresses of {span.answer}" if span.plan else "")
        + (", older than before" if is_old else "")
    )
    label = "NOERROR, no address" if kind == "empty" and width > 150 else "empty" if kind == "empty" else span.answer
    if kind == "old" and width > 90:
        label = f"{span.answer}, old"
    if span.plan and width <= _TEXT_PX * len(label) + 6:
        label = span.answer.removeprefix(PLAN)
    fits = width > _TEXT_PX * len(label) + 6
    text = f'<text class="in {kind}" x="{x + 5}" y="{top + 24}">{label}</text>' if fits else ""
    return (
        f'<g><title>{escape(words)}</title><rect class="span {kind}"{fill} x="{x}" y="{top + 8}" width="{width:.1f}" '
        f'height="{_BAR + 2}" rx="2"/>{text}</g>'
    )


def _joined(works: Sequence[Work]) -> list[Work]:
    """Join a worker's refused tries that follow each other into one bar."""
    joined: list[Work] = []
    for work in sorted(works, key=lambda each: (each.lane, each.start)):
        last = joined[-1] if joined else None
        if (
            last
            and last.lane == work.lane
            and work.event in _BAD
            and last.event in _BAD
            and work.start - last.end < _GAP_S * 2
        ):
            joined[-1] = Work(last.lane, last.site, last.start, work.end, last.event, last.generation)
        else:
            joined.append(work)
    return joined


def _room(start: float, end: float, marked: Sequence[float], width: float) -> float | None:
    """Return where a text of a width fits between marks; None if it does nowhere."""
    edges = [start, *sorted(x for x in marked if start <= x <= end), end]
    return next((a + 9 for a, b in pairwise(edges) if b - a > width + 18), None)


def _work(figure: Figure, work: Work, plan: str, top: float, marked: Sequence[float]) -> str:
    x, width = figure.x(work.start), max(2.0, (min(work.end, figure.end) - work.start) * PX_PER_S)
    kind = "failing" if work.event in _BAD else "overtaken" if work.event == "publication.overtaken" else "working"
    if work.lane == CLEANUP:
        kind, label, words = "listing", f"started by {work.site}", f"clean-up started by {work.site}: {work.event}"
    elif kind == "failing":
        label, words = "", f"{work.site} tries to install plans, and is refused each time"
    else:
        label = plan + (", checked once, at its start" if width > 200 else "")
        words = f"{work.site} publishes {plan}: {work.event}"
    y, height = top + 8, _BAR + 2
    if work.lane == CLEANUP:
        y, height = top + 4 + 10 * "ABC".index(work.site), 9
        room = _room(x - 5, x + width, marked, 4.6 * len(label))
        text = "" if room is None else f'<text class="in small" x="{room:.1f}" y="{y + 8}">{label}</text>'
    else:
        room = _room(x, x + width, marked, 6.4 * len(label)) if label else None
        text = "" if room is None else f'<text class="in quiet" x="{room:.1f}" y="{top + 24}">{label}</text>'
    return (
        f"<g><title>{escape(f'{work.start:.1f} to {work.end:.1f} s: {words}')}</title>"
        f'<rect class="work {kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}" rx="2"/>{text}</g>'
    )


def _switched_off(figure: Figure, top: float) -> str:
    """Draw for how long people kept the automation switched off."""
    times = {event.kind: event.at for event in figure.journal.events if event.lane == OPERATOR}
    start = times.get("automation.stopped")
    if start is None:
        return ""
    x, width = figure.x(start), (times.get("automation.started", figure.end) - start) * PX_PER_S
    return (
        f"<g><title>{escape(f'from {start:.1f} s on people keep the automation switched off')}</title>"
        f'<rect class="work off" x="{x}" y="{top + 8}" width="{width:.1f}" height="{_BAR + 2}" rx="2"/>'
        f'<text class="in quiet" x="{x + 40}" y="{top + 24}">automation off</text></g>'
    )


def _plan(figure: Figure, at: float, number: int, top: float) -> str:
    x = figure.x(at)
    shift = 14 if number == 10 else 0
    return (
        f"<g><title>{escape(f'{at:.1f} s: plan {number} is accepted')}</title>"
        f'<line class="plan" x1="{x}" x2="{x}" y1="{top + 22}" y2="{top + 32}"/>'
        f'<text class="plan" x="{x + shift}" y="{top + 18}">{number}</text></g>'
    )


def _mark(figure: Figure, sent: Sent, index: int, top: float, *, is_first: bool, is_old: bool) -> str:
    x, y = figure.x(sent.answered_at), top + 19
    if not sent.applied:
        shape = f'<path d="M{x - 4.5} {y - 4.5}l9 9m0-9l-9 9"/>'
        kind = "refused"
    elif sent.act == "build":
        shape, kind = f'<rect x="{x - 1}" y="{y - 6}" width="2" height="12"/>', "build"
    elif sent.act == "delete":
        shape, kind = f'<path d="M{x - 4} {y - 5}h8l-4 10z"/>', "delete"
    else:
        shape, kind = f'<circle cx="{x}" cy="{y}" r="4.5"/>', "flip"
    if is_old:
        kind += " stale"
    words = f"{sent.answered_at:.1f} s, {sent.lane}: {sent.words}: {sent.outcome}"
    tab = "0" if is_first else "-1"
    return (
        f'<g class="mark {kind}" data-m="{index}" tabindex="{tab}" role="button" aria-label="{escape(words)}">'
        f'<rect class="reach" x="{x - 7}" y="{top + 4}" width="14" height="{LANE - 8}"/>{shape}</g>'
    )


def _numbers(figure: Figure) -> list[str]:
    """Draw the numbers of the story's sentences above the lanes, in two rows where they are close."""
    parts = []
    last = [-1e9, -1e9]
    for number, at in ((number, at) for number, at in figure.numbers if figure.shows(at)):
        x = figure.x(at)
        row = 1 if x - last[1] >= 19 else 0
        last[row] = x
        y = 14 + 23 * row
        parts.append(
            f'<a href="#story-{number}" class="number" aria-label="story, sentence {number}">'
            f'<line x1="{x}" x2="{x}" y1="{y + 9}" y2="{figure.height - 20}"/><circle cx="{x}" cy="{y}" r="9"/>'
            f'<text x="{x}" y="{y + 4}">{number}</text></a>'
        )
    return parts


LANES = (PLANNER, "A", "B", "C", CLEANUP, ZONE_LANE, CLIENT)
LANES_BY_HAND = (PLANNER, "A", "B", "C", CLEANUP, OPERATOR, ZONE_LANE, CLIENT)
LANES_OF_COPY = ("A", "B", "C", ZONE_LANE)
