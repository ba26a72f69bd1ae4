"""What a watch asks of the history: each of its questions can be answered with no."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dnsguard.lab.ends.history import MemoryHistory
from dnsguard.lab.ends.primary import MemoryPrimary
from dnsguard.lab.explore.scenario import first_look, opening
from dnsguard.lab.explore.setting import ZONE, Setting
from dnsguard.lab.explore.watch import ACCOUNTABLE, EMPTY, HARMLESS, LOST

SETTING = Setting(layout="inline")
KEY = SETTING.keys[0]


def lose(history: MemoryHistory) -> None:
    del history.entries[1]


def forget(history: MemoryHistory) -> None:
    del history.changes[KEY][1]


def anonymise(history: MemoryHistory) -> None:
    history.entries[1] = replace(history.entries[1], actor="")


@pytest.mark.parametrize(
    ("harm", "name"),
    [(lose, LOST), (forget, HARMLESS), (anonymise, ACCOUNTABLE)],
    ids=["lost", "forgotten", "nobody's"],
)
def test_what_the_history_no_longer_says_is_missed(harm: Callable[[MemoryHistory], None], name: str) -> None:
    primary = MemoryPrimary(ZONE)
    history = opening(SETTING, primary, [])
    watch, broken = first_look(SETTING, primary, history)
    assert broken == ()
    harm(history)
    _, broken = watch.after((), primary.contents, history)
    assert name in {violation.name for violation in broken}


def test_an_answer_that_goes_is_seen_once_and_the_watch_is_the_same_as_without() -> None:
    primary = MemoryPrimary(ZONE)
    history = opening(SETTING, primary, [])
    watch, _ = first_look(SETTING, primary, history)
    emptied = {key: records for key, records in primary.contents.items() if key != KEY}
    gone, broken = watch.after((), emptied, history)
    assert EMPTY in {violation.name for violation in broken}
    still, broken = gone.after((), emptied, history)
    assert still == gone
    assert EMPTY not in {violation.name for violation in broken}
