"""A slice of the campaign of hostile input, and its checks, which can say no.

The whole of it: `python -m tests.campaigns.hostile --dns 1000000 --http 100000`.
"""

import random
from pathlib import Path

import pytest

from tests.campaigns import hostile_dns
from tests.campaigns.hostile import Options, Result, Usage, figures, run, suspicious, table, verdict
from tests.campaigns.hostile_http import SHAPES, Maker


@pytest.mark.campaign
async def test_hostile_messages_and_requests_do_no_harm(tmp_path: Path) -> None:
    result = await run(Options(dns=1_500, http=300, seconds=8), tmp_path)
    assert [said for said in verdict(result) if not said.startswith("p99 ")] == [], table(result)
    assert result.readers.messages > 100
    assert result.sockets.messages > 0
    assert {shape.rpartition(" ")[0] for shape in result.http.outcomes} >= {"sound", "json", "truncated"}
    calls = figures(result)["dns"]
    for name in ("txt_answer", "decode_answer", "transfer"):
        assert calls.keys() >= {f"{name} read", f"{name} refused"}
    assert calls.keys() >= {"tsig refused", "embedded server FORMERR", "embedded server NXRRSET"}


async def test_originals_are_read_by_the_readers_that_they_are_for() -> None:
    account = hostile_dns.Account()
    readers = hostile_dns.Readers()
    for wire in hostile_dns.seeds():
        await readers.read(wire, account)
    assert account.breaches == []
    for outcome in ("txt_answer read", "decode_answer read", "transfer read", "embedded server NXRRSET"):
        assert account.calls[outcome], account.calls


def test_the_same_seed_makes_the_same_messages_and_requests() -> None:
    originals = hostile_dns.seeds()[2:3]
    one, two = ([hostile_dns.mutate(random.Random(seed), originals[0], originals) for seed in range(50)] for _ in "ab")
    assert one == two
    assert len(set(one)) > 25
    makers = (Maker(random.Random(7), "token", "127.0.0.1:1") for _ in "ab")
    first, second = ([make(maker) for make in SHAPES.values()] for maker in makers)
    assert first == second


async def test_an_exception_that_a_reader_does_not_declare_is_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise IndexError("past the end")

    monkeypatch.setattr(hostile_dns, "decode_answer", fail)
    account = hostile_dns.Account()
    await hostile_dns.Readers().read(b"\0" * 12, account)
    assert [said.split(" for ")[0] for said in account.breaches] == ["decode_answer raised IndexError('past the end')"]


def test_a_token_or_a_traceback_in_the_log_is_found_and_not_repeated() -> None:
    lines = [
        "fine",
        '{"path": "/?tok-0123456789"}',
        "Traceback (most recent call last):",
        '{"event": "request.failed"}',
    ]
    found = suspicious("\n".join(lines), "tok-0123456789")
    assert found == ['{"path": "/?TOKEN"}', *lines[2:]]


def test_growth_slow_health_and_server_errors_are_breaches() -> None:
    result = Result(usage={"warm": Usage(100, 20), "end": Usage(190, 30)})
    result.http.live_ms = [5.0] * 200
    assert verdict(result) == []
    result.usage["end"] = Usage(300, 60)
    result.http.live_ms = [5_000.0] * 200
    result.http.breach("json was answered 500")
    result.log.append("Traceback")
    assert [said.split()[0] for said in verdict(result)] == ["json", "in", "p99", "resident", "open"]
