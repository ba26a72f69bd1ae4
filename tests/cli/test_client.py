"""What the command line says when the way to the daemon is bad, or what is at its end is no daemon."""

import json
import signal

import pytest

from tests.cli.rig import READER_TOKEN, Between, Cli, between, stranger


def plans_of(cli: Cli) -> int:
    return len(json.loads(cli("plans", "--json", "--limit", "500").stdout)["plans"])


def test_a_lost_answer_is_asked_for_again_and_never_makes_two_plans(cli: Cli) -> None:
    before = plans_of(cli)
    with between(Between(cli.url, answers_to_lose=1)) as way:
        done = cli("set", "lost1", "A", "60", "192.0.2.1", "--url", way.url)
    assert (done.stderr, done.exit_code) == ("", 0)
    assert "accepted before, under the same key" in done.stdout
    assert len(way.keys) == 2
    assert way.keys[0] == way.keys[1] is not None
    assert plans_of(cli) == before + 1


def test_an_outcome_that_stays_unclear_is_said_with_the_way_to_find_out(cli: Cli) -> None:
    before = plans_of(cli)
    with between(Between(cli.url, answers_to_lose=2)) as way:
        done = cli("set", "lost2", "A", "60", "192.0.2.1", "--url", way.url, "--if-match", "any")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"unclear: repeat it with '--idempotency-key {way.keys[0]} --if-match any'" in done.stderr
    again = cli("set", "lost2", "A", "60", "192.0.2.1", "--idempotency-key", str(way.keys[0]), "--if-match", "any")
    assert (again.exit_code, plans_of(cli)) == (0, before + 1)


def test_a_resync_has_no_key_and_is_never_repeated(cli: Cli) -> None:
    with between(Between(cli.url, answers_to_lose=1)) as way:
        done = cli("zone", "resync", "example.test.", "--keep", "store", "--url", way.url)
    assert (done.exit_code, way.keys) == (2, [None])
    assert "unclear: look with 'dnsguard status ZONE'" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_interrupts_a_write_learns_how_to_find_out(cli: Cli, number: signal.Signals, code: int) -> None:
    with between(Between(cli.url, holding=True)) as way:
        started = cli.popen("set", "held", "A", "60", "192.0.2.1", "--url", way.url)
        assert way.arrived.wait(30)
        started.send_signal(number)
        try:
            out, err = started.communicate(timeout=30)
        finally:
            started.kill()
    assert (started.returncode, out) == (code, "")
    assert f"unclear: repeat it with '--idempotency-key {way.keys[0]}" in err
    assert "Traceback" not in err


def test_without_a_daemon_one_sentence_says_what_was_tried_and_what_to_do(nobody: Cli) -> None:
    done = nobody.process("status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"dnsguard: no daemon answers at {nobody.folder / 'api.sock'} (connection refused); "
        "start one with 'dnsguard serve', or name another with --url\n"
    )


def test_without_a_daemon_json_is_a_problem_document(nobody: Cli) -> None:
    done = nobody("status", "--json")
    assert (done.exit_code, done.stderr) == (2, "")
    assert json.loads(done.stdout)["detail"].startswith("no daemon answers at ")


def test_a_missing_token_is_refused_with_where_it_was_sought(cli: Cli, nobody: Cli) -> None:
    done = nobody("status", "--url", cli.url, DNSGUARD_TOKEN_FILE="")
    assert done.exit_code == 1
    assert "the token was sought in --token-file and DNSGUARD_TOKEN" in done.stderr


def test_a_wrong_token_is_refused_and_not_repeated(cli: Cli) -> None:
    done = cli("status", DNSGUARD_TOKEN="wrong-token")
    assert done.exit_code == 1
    assert "the token was sought in DNSGUARD_TOKEN" in done.stderr
    assert "wrong-token" not in done.stderr


def test_a_token_for_reading_may_read_and_not_write(two_zones: Cli) -> None:
    assert two_zones("status", DNSGUARD_TOKEN=READER_TOKEN).exit_code == 0
    done = two_zones("set", "www", "A", "60", "192.0.2.1", "--zone", "here.test.", DNSGUARD_TOKEN=READER_TOKEN)
    assert done.exit_code == 1
    assert done.stderr.startswith("refused: ")


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html>"),
        (200, "application/json", b"not json"),
        (200, "application/json", b'{"zones": 1}'),
        (200, "application/json", b"\xff"),
        (404, "text/plain", b"404: Not Found"),
        (500, "application/problem+json", b"{"),
        (500, "application/problem+json", b"[]"),
        (204, "application/json", b""),
    ],
)
def test_what_is_no_daemon_is_said_to_be_none(cli: Cli, status: int, kind: str, body: bytes) -> None:
    with stranger(status, {"Content-Type": kind}, body) as (url, _):
        done = cli("status", "--url", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"expected dnsguard's API at {url}, found " in done.stderr
    assert "name the daemon's address with --url" in done.stderr


def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(cli: Cli) -> None:
    with (
        stranger(200, {"Content-Type": "application/json"}, b'{"mode": "guarded", "zones": []}') as (elsewhere, seen),
        stranger(307, {"Location": elsewhere + "/v1/zones"}, b"") as (url, _),
    ):
        done = cli("status", "--url", url)
    assert (done.exit_code, seen) == (2, [])


def test_a_foreign_text_cannot_steer_the_terminal(cli: Cli) -> None:
    body = json.dumps({"status": 422, "detail": "a\x1b]0;title\x07b", "guard": "\x1b[2J"}).encode()
    with stranger(422, {"Content-Type": "application/problem+json"}, body) as (url, _):
        done = cli("status", "--url", url)
    assert done.exit_code == 1
    assert r"a\x1b]0;title\x07b" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_fault_of_the_daemon_is_exit_code_2_since_nothing_was_judged(cli: Cli) -> None:
    body = json.dumps({"status": 503, "detail": "not now", "missing": {"store": "it is away"}}).encode()
    with stranger(503, {"Content-Type": "application/problem+json"}, body) as (url, _):
        done = cli("set", "www", "A", "60", "192.0.2.1", "--if-match", "1", "--zone", "z.", "--url", url)
    assert done.exit_code == 2
    assert "dnsguard: not now" in done.stderr
    assert "store: it is away" in done.stderr
    assert "repeat it with '--idempotency-key " in done.stderr


def test_a_body_beyond_the_daemons_bounds_is_refused_in_words(cli: Cli) -> None:
    plan = json.dumps({"rrsets": [], "reason": "x" * 17 * 2**20})
    # A process of its own, since what is left of the body unsent goes away only with it.
    done = cli.process("submit", "-", stdin=plan)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: ")
