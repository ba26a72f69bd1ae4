"""The demo: played once, fast, on real sockets; it ends as promised, and its report is a page of its own."""

import asyncio
import inspect
import io
import json
import os
import signal
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from rich.console import Console

from dnsguard.cli.demo import Papers, finish, laid_out
from dnsguard.cli.main import program
from dnsguard.cli.outcome import CannotAsk
from dnsguard.core.guards import GUARDED, UNGUARDED
from dnsguard.core.message import Message, NameInUse, RRsetIs
from dnsguard.core.names import fence_name
from dnsguard.core.records import Records, records_text
from dnsguard.daemon.logs import configure_logs
from dnsguard.lab.demo import play, report, servers
from dnsguard.lab.demo.clock import StoryClock
from dnsguard.lab.demo.journal import CLEANUP, CLIENT, OPERATOR, ZONE_LANE, Journal, Sent
from dnsguard.lab.demo.narrator import Narrator
from dnsguard.lab.demo.play import GUARDED_SIDE, RESCUED_SIDE, SIDES, UNGUARDED_SIDE, Run, perform
from dnsguard.lab.demo.report import report_page
from dnsguard.lab.demo.screen import screen, verdict_table
from dnsguard.lab.demo.script import LAST_PLAN, MAIN, REGION, WAITING_PLAN, ZONE, make_script
from dnsguard.lab.demo.side import open_side
from dnsguard.lab.demo.verdict import judge, stale, wedged

SPEED = 8.0
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "rect", "line", "circle"}


@pytest.fixture(scope="module")
def run() -> Run:
    configure_logs("error", "json")
    run = Run(make_script(7), "embedded", SPEED)
    asyncio.run(perform(run))
    return run


def old_flips(run: Run, side: str) -> list[Sent]:
    """The flips that C sent when the lock was free at last, with plan 2."""
    return [s for s in run.journal(side).sent if s.lane == "C" and s.act == "flip" and s.generation == 2]


def test_the_unguarded_side_loses_and_the_guarded_side_does_not(run: Run) -> None:
    verdict = judge(run)
    assert (verdict.unguarded_lost, verdict.guarded_held) == (True, True), verdict.document()
    assert verdict.guarded.queries_failed == 0
    assert verdict.unguarded.queries_failed > 20


async def test_no_story_time_passes_while_a_server_is_at_work() -> None:
    clock, loop = StoryClock(8.0, "seed", 0.0), asyncio.get_running_loop()
    answered = asyncio.Event()
    loop.call_later(0.05, answered.set)
    with clock.working():
        began = clock.story
        await answered.wait()
        assert clock.story == began
        await clock.sleep(0.4)
        assert clock.story >= began + 0.4
    went_on = clock.story
    await clock.sleep(0.1)
    assert clock.story > went_on
    clock.hurry()


def test_the_endpoint_is_empty_and_not_absent(run: Run) -> None:
    journal = run.journal(UNGUARDED_SIDE)
    empty = journal.first(ZONE_LANE, "empty")
    assert empty is not None
    assert empty.said == "NOERROR, no address"
    assert not any(span.answer == "absent" for span in journal.spans[ZONE_LANE] if span.start > 5)


def test_the_clean_up_that_empties_it_is_the_fast_enactors(run: Run) -> None:
    journal = run.journal(UNGUARDED_SIDE)
    empty = run.chapters["empty"]
    deleted = next(s for s in journal.sent if s.act == "delete" and s.about == "g2.db" and s.applied)
    assert (deleted.lane, deleted.site) == (CLEANUP, "A")
    assert deleted.at < empty < deleted.answered_at + 2
    assert stale(journal.sent)[0].answered_at < deleted.at


def test_the_old_plan_waits_for_the_lock_and_then_goes_over_the_newest(run: Run) -> None:
    flips = old_flips(run, UNGUARDED_SIDE)
    assert [flip.applied for flip in flips] == [True] * 4
    before = [each for each in stale(run.journal(UNGUARDED_SIDE).sent) if each.at < run.chapters["repaired"]]
    assert [flip.about for flip in before] == [flip.about for flip in flips]
    lost = [e for e in run.journal(UNGUARDED_SIDE).events if e.lane == "C" and e.kind == "lock.lost"]
    assert sum(event.at < flips[0].at for event in lost) >= 10


def test_the_same_message_at_the_same_moment_is_refused_at_the_fence(run: Run) -> None:
    [refused] = old_flips(run, GUARDED_SIDE)
    applied = old_flips(run, UNGUARDED_SIDE)[0]
    assert (refused.outcome, refused.found) == ("NXRRSET", "g10")
    assert refused.failed.startswith("the fence is still g2")
    assert abs(refused.at - applied.at) < 2
    assert without_times(refused.message) == without_times(applied.message)
    assert fenced(refused.message)
    assert not fenced(applied.message)


def without_times(message: Message) -> list[object]:
    """What a message changes, the lock with its time of expiry left out."""
    return [update for update in message.updates if not update.key.name.startswith("_lock.")]


def fenced(message: Message) -> bool:
    return any(isinstance(p, RRsetIs) and p.key.name == fence_name(ZONE) for p in message.prerequisites)


def test_every_enactor_is_wedged_by_the_rollback_target_that_is_gone(run: Run) -> None:
    refused = wedged(run.journal(UNGUARDED_SIDE).sent)
    assert {each.lane for each in refused} == {"A", "B", "C"}
    assert "db" in {each.about for each in refused}
    for each in refused:
        assert (each.failed, each.outcome) == (f"node g2.{each.about} exists", "NXDOMAIN")
        assert NameInUse(f"g2.{each.about}.{REGION}") in each.message.prerequisites
    repaired = run.chapters["repaired"]
    flips = [s for s in run.journal(UNGUARDED_SIDE).sent if s.act == "flip" and s.applied]
    assert not [s for s in flips if run.chapters["empty"] + 2 < s.at < repaired]


def test_a_plain_update_by_hand_repairs_it_and_the_automation_can_go_on(run: Run) -> None:
    [repair] = [s for s in run.journal(UNGUARDED_SIDE).sent if s.lane == OPERATOR]
    assert repair.message.prerequisites == ()
    assert len(repair.message.updates) == 4
    later = [s for s in run.journal(UNGUARDED_SIDE).sent if s.act == "flip" and s.at > run.chapters["switched on"]]
    assert any(each.applied for each in later)


def test_the_client_suffers_longer_than_the_record_was_empty(run: Run) -> None:
    journal = run.journal(UNGUARDED_SIDE)
    assert journal.seconds(CLIENT, "empty") > journal.seconds(ZONE_LANE, "empty") + 2
    last = [span for span in journal.spans[CLIENT] if span.answer == "empty"][-1]
    assert last.end > run.chapters["repaired"] + 2


def test_guarded_enactors_heal_the_wedged_zone_by_themselves(run: Run) -> None:
    verdict = judge(run)
    assert verdict.rescued.recovered_s is not None
    assert verdict.rescued.recovered_s < 10
    assert verdict.unguarded.recovered_s is None
    assert OPERATOR not in {sent.lane for sent in run.journal(RESCUED_SIDE).sent}


def addresses(run: Run, number: int) -> str:
    """A plan's addresses for the main endpoint, as an answer has them: taken from the plan, not from any label."""
    [wanted] = [wanted for key, wanted in run.script.plan(number).rrsets if key == MAIN.key]
    assert isinstance(wanted, Records)
    return f"NOERROR, {', '.join(sorted(records_text(MAIN.type, wanted)))}"


@pytest.mark.parametrize("side", [UNGUARDED_SIDE, GUARDED_SIDE, RESCUED_SIDE])
def test_every_side_ends_on_the_newest_plans_addresses(run: Run, side: str) -> None:
    assert run.newest == LAST_PLAN == max(run.sides[side].generations)
    assert run.journal(side).spans[ZONE_LANE][-1].said == addresses(run, LAST_PLAN)
    assert run.served[side] == (LAST_PLAN,) * 4
    assert judge(run).rows()[-1] == ("serves the newest plan at the end", "yes", "yes", "yes")


def test_the_copy_serves_the_plan_that_waited_when_the_zone_was_copied(run: Run) -> None:
    waited = {number: at for at, number, _ in run.journal(UNGUARDED_SIDE).accepted}[WAITING_PLAN]
    assert waited < run.chapters["copied"]
    assert WAITING_PLAN not in run.lost_before[RESCUED_SIDE]
    said = [span for span in run.journal(RESCUED_SIDE).spans[ZONE_LANE] if span.said == addresses(run, WAITING_PLAN)]
    assert said
    assert said[0].start < run.chapters["switched on"]
    current_s = judge(run).rescued.current_s
    assert current_s is not None
    assert run.chapters["copied"] + current_s == pytest.approx(said[0].start, abs=1)


@pytest.mark.parametrize(
    ("side", "promised"), [(UNGUARDED_SIDE, "repaired"), (GUARDED_SIDE, "guarded_held"), (RESCUED_SIDE, "guarded_held")]
)
def test_a_side_that_does_not_end_on_the_newest_plan_everywhere_costs_the_exit_code(
    run: Run, side: str, promised: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(run, served={**run.served, side: (*(LAST_PLAN,) * 3, WAITING_PLAN)})
    assert finish(other, Papers(), as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document[promised], document["sides"][side]["newest_at_end"]) == (False, False)


def test_plans_that_were_lost_before_the_copy_are_counted_apart_from_those_that_it_loses(run: Run) -> None:
    lost = replace(run, lost_before={RESCUED_SIDE: (11, 12)}, lost={**run.lost, RESCUED_SIDE: (11, 12)})
    assert ("plans thrown away", str(len(run.lost[UNGUARDED_SIDE])), "0", "0 (2 before it)") in judge(lost).rows()
    assert judge(lost).guarded_held
    worse = judge(replace(lost, lost={**run.lost, RESCUED_SIDE: (11, 12, 14)}))
    assert "1 (2 before it)" in {row[3] for row in worse.rows()}
    assert not worse.guarded_held


def test_after_the_repair_the_lanes_show_the_plan_whose_addresses_are_answered(run: Run) -> None:
    repaired = run.chapters["repaired"]
    for lane in (ZONE_LANE, CLIENT):
        span = next(each for each in run.journal(UNGUARDED_SIDE).spans[lane] if each.start > repaired and each.plan)
        assert (span.answer, span.said) == (f"plan {WAITING_PLAN}", addresses(run, WAITING_PLAN))
    for side in SIDES:
        for span in run.journal(side).spans[ZONE_LANE]:
            assert not span.plan or span.said == addresses(run, span.plan)
    drawn = report.pictures(run)[UNGUARDED_SIDE]
    assert f"the addresses of plan {WAITING_PLAN}</title>" in drawn
    assert f"the addresses of plan {WAITING_PLAN}, older" not in drawn
    assert "the addresses of plan 2, older than before</title>" in drawn


def test_a_generation_that_puts_an_older_plan_back_is_called_so() -> None:
    journal = Journal("unguarded", lambda: 0.0, accepted=[(1.0, 10, 10), (2.0, 13, 13), (3.0, 14, 15)])
    for generation, plan in ((10, 10), (13, 13), (14, 10), (15, 14)):
        journal.learn(generation, plan)
    assert [journal.label(g) for g in (10, 14, 15, 16)] == ["plan 10", "plan 10, put back", "plan 14", "generation 16"]


def flip(at: float, generation: int, plan: int) -> Sent:
    return Sent(at, at, "A", "A", "flip", "db", generation, plan, f"plan {plan}", Message(ZONE, (), ()), "applied")


def test_what_is_stale_is_judged_by_contents_and_not_by_generation() -> None:
    put_back = flip(3.0, 12, 10)
    assert stale([flip(1.0, 10, 10), flip(2.0, 11, 11), put_back, flip(4.0, 13, 12)]) == [put_back]


def test_that_plans_can_be_installed_again_is_told_when_one_is(run: Run) -> None:
    [told] = [each for each in Narrator(run).catch_up() if "plans can be installed again" in each.text]
    flips = [s for s in run.journal(UNGUARDED_SIDE).sent if s.act == "flip" and s.applied and s.plan == LAST_PLAN]
    assert told.at == pytest.approx(flips[0].answered_at, abs=0.5)
    assert f"plan {LAST_PLAN}" in told.text


def test_the_story_is_told_in_order_and_once(run: Run) -> None:
    told = Narrator(run).catch_up()
    assert [each.at for each in told] == sorted(each.at for each in told)
    assert len({each.text for each in told}) == len(told) >= 15


def test_the_sides_are_composed_by_one_function_that_is_told_nothing_but_the_guards(run: Run) -> None:
    assert list(inspect.signature(open_side).parameters) == ["name", "guards", "setting"]
    left, right = run.sides[UNGUARDED_SIDE], run.sides[GUARDED_SIDE]
    assert (left.guards, right.guards) == (UNGUARDED, GUARDED)
    assert left.setting is right.setting
    for name, site in left.sites.items():
        other = right.sites[name]
        assert site.site is other.site
        assert site.enactor.policy is other.enactor.policy is site.cleanup.policy
        assert (site.enactor.guards, other.enactor.guards) == (UNGUARDED, GUARDED)
        assert (site.cleanup.guards, other.cleanup.guards) == (UNGUARDED, GUARDED)
        assert chain(site.enactor.publisher) == chain(other.enactor.publisher)
        assert chain(site.cleanup.publisher) == chain(other.cleanup.publisher)


def chain(publisher: object) -> list[type]:
    """The kinds of what stands between a worker and the wire."""
    found = [type(publisher)]
    while (publisher := getattr(publisher, "publisher", None)) is not None:
        found.append(type(publisher))
    return found


def test_nothing_of_the_demo_but_the_play_names_a_mode() -> None:
    folder = Path(play.__file__).parent
    naming = [
        path.name for path in folder.glob("*.py") if {"GUARDED", "UNGUARDED"} & set(words(path.read_text("utf-8")))
    ]
    assert naming == ["play.py"]


def words(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.string


async def test_a_seed_draws_the_same_story_twice_and_another_seed_another() -> None:
    assert make_script(3) == make_script(3)
    assert make_script(3).plan(5) == make_script(3).plan(5) != make_script(4).plan(5)
    one, two = (StoryClock(1.0, "3", 0.0).of("A") for _ in range(2))
    assert [one.random(), one.hex_digits(8)] == [two.random(), two.hex_digits(8)]
    assert one.of("x").random() != one.of("y").random()


@dataclass
class Page(HTMLParser):
    """Whether a page's elements are closed as they were opened, and what it refers to."""

    open: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    titles: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "data"}]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.titles += tag in {"title", "desc"}
        if tag not in VOID:
            self.open.append(tag)
        assert tag != "script" or "src" not in given

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(f"</{tag}> at line {self.getpos()[0]}")


def test_the_report_is_one_well_formed_page_that_needs_nothing_from_elsewhere(run: Run) -> None:
    text = report_page(run, judge(run))
    page = Page()
    page.feed(text)
    page.close()
    assert (page.wrong, page.open) == ([], [])
    assert len(set(page.ids)) == len(page.ids)
    assert all(reference.startswith("#") and reference[1:] in page.ids for reference in page.references)
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert page.titles > 6
    details = json.loads(text.partition('id="marks">')[2].partition("</script>")[0])
    assert len(details) == text.count('data-m="')
    assert {"NXRRSET: nothing of it is applied", "NXDOMAIN: nothing of it is applied"} <= {d["word"] for d in details}


def test_the_pictures_are_files_of_their_own(run: Run) -> None:
    found = report.pictures(run)
    assert set(found) == {UNGUARDED_SIDE, GUARDED_SIDE, RESCUED_SIDE}
    for svg in found.values():
        root = ET.fromstring(svg)  # noqa: S314  our own pictures
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(svg) < 60_000
        assert "data-m" not in svg


def test_on_paper_the_short_picture_keeps_its_size_on_a_portrait_page_too() -> None:
    style = Path(report.__file__).with_name("report.css").read_text("utf-8")
    blocks = style.split("@media ")
    for block in (each for each in blocks if "svg.timeline { width: 100%" in each):
        stretched, kept = block.index("svg.timeline { width: 100%"), block.index(".rescued svg.timeline { width: auto")
        assert stretched < kept, block
    assert sum("svg.timeline { width: 100%" in each for each in blocks) == 2


def test_the_screen_shows_both_sides_the_copy_and_the_story(run: Run) -> None:
    console = Console(width=140, height=42, file=io.StringIO(), record=True)
    console.print(screen(run, Narrator(run).catch_up(), 90.0))
    console.print(verdict_table(judge(run)))
    shown = console.export_text()
    for words in ("UNGUARDED", "GUARDED", "believed", "found", "the wedged zone", "switched on again"):
        assert words in shown


def test_a_report_that_cannot_be_written_is_said_before_the_demo_is_played(tmp_path: Path) -> None:
    ended = CliRunner().invoke(program, ["demo", "--report", str(tmp_path / "nowhere" / "incident.html")])
    assert ended.exit_code == 2
    assert "expected a folder" in ended.stderr


def test_what_cannot_be_written_is_named_before_the_demo_is_played(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    unwritable = {"--report": "/proc/foo.html", "--pictures": str(tmp_path / "file" / "pictures")}
    for option, path in unwritable.items():
        ended = CliRunner().invoke(program, ["demo", option, path])
        assert ended.exit_code == 2
        assert path in ended.stderr
        assert ended.stdout == ""


def test_the_command_ends_with_0_prints_json_and_writes_the_report(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "incident.html"
    page.write_text("an older one", encoding="utf-8")
    with laid_out(page, tmp_path / "deep" / "pictures") as papers:
        assert page.read_text("utf-8") == "an older one"
        assert finish(run, papers, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["seed"], document["as_promised"]) == (7, True)
    assert document["sides"]["guarded"]["empty_s"] == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert {path.name for path in (tmp_path / "deep" / "pictures").iterdir()} == {f"incident-{n}.svg" for n in SIDES}
    assert {path.name for path in tmp_path.iterdir()} == {"incident.html", "deep"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_the_verdict_is_said_even_where_the_report_does_not_fit(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with laid_out(Path("/dev/full"), None) as papers, pytest.raises(CannotAsk, match="/dev/full"):
        finish(run, papers, as_json=False)
    assert "wedged installations" in capsys.readouterr().out


def test_the_command_ends_with_a_table_for_people(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert finish(run, Papers(), as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "wedged installations" in {line.partition("  ")[0] for line in lines}
    assert lines[-1].startswith("The unguarded side lost; the guarded side did not")


def test_the_command_ends_with_1_when_the_incident_did_not_happen(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sides = {**run.sides, UNGUARDED_SIDE: run.sides[GUARDED_SIDE]}
    assert finish(replace(run, sides=sides), Papers(), as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["unguarded_lost"] is False


def test_an_interrupted_demo_ends_in_order_and_leaves_nothing_behind(tmp_path: Path) -> None:
    program_text = "from dnsguard.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program_text, "demo", "--speed", "8"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as playing:
        assert playing.stdout is not None
        assert any("Plan 1 is published" in line for line in playing.stdout)
        assert list(tmp_path.iterdir())
        playing.send_signal(signal.SIGTERM)
        _, errors = playing.communicate(timeout=30)
    assert (playing.returncode, errors) == (143, "")
    assert not list(tmp_path.iterdir())


def test_without_bind_the_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_FOLDERS", ())
    ended = CliRunner(env={"PATH": ""}).invoke(program, ["demo", "--server", "bind", "--json"])
    assert ended.exit_code == 2
    assert "--server embedded" in ended.stderr
