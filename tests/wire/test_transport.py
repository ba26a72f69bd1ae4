"""One pipelined connection: answers find their questions, and no fault outlives its exchange."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable

import dns.message
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from dnsguard.core.message import Message
from dnsguard.wire.encode import MessageTooLarge, encode_question, encode_update
from dnsguard.wire.primary import Primary
from dnsguard.wire.transport import Connection, Unanswered
from tests.wire.primaries import SECRET, ZONE
from tests.wire.proxy import Answers, Proxy

SOA = encode_question(ZONE, 6)
NS = encode_question(ZONE, 2)
NOTHING = encode_update(Message(ZONE, (), ()))


def connection_to(address: tuple[str, int], *, timeout_s: float = 5.0, in_flight_max: int = 16) -> Connection:
    primary = Primary(*address, "updater.", "hmac-sha256", SECRET, timeout_s, in_flight_max)
    return Connection(primary, time.time)


@pytest_asyncio.fixture
async def connection(embedded_proxy: Proxy) -> AsyncIterator[Connection]:
    made = connection_to(embedded_proxy.address)
    yield made
    await made.close()


async def held(connection: Connection, proxy: Proxy, *messages: bytes) -> "list[asyncio.Task[bytes]]":
    """Put messages in flight, the answers to which the proxy holds back."""
    proxy.answers = Answers.HELD
    upto = proxy.answered + len(messages)
    tasks = [asyncio.create_task(connection.exchange(message)) for message in messages]
    await proxy.until(lambda: proxy.answered >= upto)
    return tasks


def release(proxy: Proxy) -> None:
    proxy.answers = Answers.PASSED
    for frame, writer in proxy.held:
        writer.write(frame)
    proxy.held.clear()


def rrtypes(answer: bytes) -> set[str]:
    return {rrset.to_text().split()[3] for rrset in dns.message.from_wire(answer).answer}


async def test_answers_find_their_questions_in_any_order(connection: Connection, embedded_proxy: Proxy) -> None:
    tasks = await held(connection, embedded_proxy, SOA, NS, SOA, NS)
    embedded_proxy.held.reverse()
    release(embedded_proxy)
    assert [rrtypes(answer) for answer in await asyncio.gather(*tasks)] == [{"SOA"}, {"NS"}, {"SOA"}, {"NS"}]
    assert embedded_proxy.connections == 1


async def test_exchanges_that_begin_together_share_one_connection(
    connection: Connection, embedded_proxy: Proxy
) -> None:
    await asyncio.gather(*(connection.exchange(SOA) for _ in range(10)))
    assert embedded_proxy.connections == 1


async def test_no_more_messages_than_allowed_are_in_flight(embedded_proxy: Proxy) -> None:
    connection = connection_to(embedded_proxy.address, in_flight_max=3)
    embedded_proxy.answers = Answers.HELD
    tasks = [asyncio.create_task(connection.exchange(SOA)) for _ in range(8)]
    for sent in (3, 4, 5):
        await embedded_proxy.until(lambda sent=sent: embedded_proxy.answered == sent)  # type: ignore[misc]  # bound now
        assert len(embedded_proxy.requests) == sent
        frame, writer = embedded_proxy.held.pop(0)
        writer.write(frame)
    await embedded_proxy.until(lambda: embedded_proxy.answered == 6)
    release(embedded_proxy)
    assert len(await asyncio.gather(*tasks)) == 8
    await connection.close()


async def test_an_answer_may_come_octet_by_octet(connection: Connection, embedded_proxy: Proxy) -> None:
    embedded_proxy.answers = Answers.DRIBBLED
    answers = await asyncio.gather(connection.exchange(SOA), connection.exchange(NS))
    assert [rrtypes(answer) for answer in answers] == [{"SOA"}, {"NS"}]


async def test_swapped_answers_are_not_believed(connection: Connection, embedded_proxy: Proxy) -> None:
    tasks = await held(connection, embedded_proxy, SOA, NS)
    (one, writer), (other, _) = embedded_proxy.held
    embedded_proxy.held = [(one[:2] + other[2:4] + one[4:], writer), (other[:2] + one[2:4] + other[4:], writer)]
    release(embedded_proxy)
    for task in tasks:
        with pytest.raises(Unanswered, match="does not hold"):
            await task


@pytest.mark.parametrize(
    ("altered", "level"),
    [
        (lambda frame: b"\0\x0c" + frame[2:4] + b"\x80\x04" + bytes(8), "debug"),
        (lambda frame: frame[:5] + bytes((frame[5] ^ 5,)) + frame[6:], "warning"),
    ],
    ids=["an unsigned NOTIMP", "a signature that does not hold"],
)
async def test_a_signature_that_does_not_hold_is_worth_a_warning_and_an_unsigned_no_is_not(
    connection: Connection, embedded_proxy: Proxy, altered: Callable[[bytes], bytes], level: str
) -> None:
    (task,) = await held(connection, embedded_proxy, SOA)
    embedded_proxy.held[:] = [(altered(frame), writer) for frame, writer in embedded_proxy.held]
    with capture_logs() as logs:
        release(embedded_proxy)
        with pytest.raises(Unanswered):
            await task
    assert [(each["event"], each["log_level"]) for each in logs] == [("answer.distrusted", level)]


async def test_connections_come_and_go_without_a_word(embedded_proxy: Proxy) -> None:
    with capture_logs() as logs:
        connection = connection_to(embedded_proxy.address)
        await connection.exchange(SOA)
        await connection.close()
    assert {each["log_level"] for each in logs} == {"debug"}


async def test_an_id_is_not_used_again_while_its_answer_may_come(connection: Connection, embedded_proxy: Proxy) -> None:
    (cancelled,) = await held(connection, embedded_proxy, SOA)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert connection._current is not None
    taken = int.from_bytes(embedded_proxy.requests[0][2:4], "big")
    connection._current._last_id = taken - 1
    (other,) = await held(connection, embedded_proxy, NS)
    assert int.from_bytes(embedded_proxy.requests[1][2:4], "big") == taken + 1
    release(embedded_proxy)
    assert rrtypes(await other) == {"NS"}
    assert connection._current._waiting == {}
    assert rrtypes(await connection.exchange(SOA)) == {"SOA"}
    assert embedded_proxy.connections == 1


async def test_ids_begin_again_after_the_last(connection: Connection, embedded_proxy: Proxy) -> None:
    await connection.exchange(SOA)
    assert connection._current is not None
    connection._current._last_id = 0xFFFE
    await asyncio.gather(*(connection.exchange(SOA) for _ in range(3)))
    assert [request[2:4] for request in embedded_proxy.requests[1:]] == [b"\xff\xff", b"\0\0", b"\0\1"]


async def test_an_overdue_answer_ends_one_exchange_and_retires_the_connection(
    connection: Connection, embedded_proxy: Proxy
) -> None:
    overdue, other = await held(connection, embedded_proxy, SOA, NS)
    retired = connection._current
    assert retired is not None
    retired._expire(int.from_bytes(embedded_proxy.requests[0][2:4], "big"))
    with pytest.raises(Unanswered, match="no answer from 127"):
        await overdue
    assert not other.done()
    embedded_proxy.answers = Answers.PASSED
    assert rrtypes(await connection.exchange(SOA)) == {"SOA"}
    assert embedded_proxy.connections == 2
    release(embedded_proxy)
    assert rrtypes(await other) == {"NS"}
    await retired.lost


async def test_an_exchange_that_nobody_waits_for_still_has_its_deadline(embedded_proxy: Proxy) -> None:
    connection = connection_to(embedded_proxy.address, timeout_s=1)
    embedded_proxy.answers = Answers.DROPPED
    tasks = [asyncio.create_task(connection.exchange(SOA)) for _ in range(16)]
    await embedded_proxy.until(lambda: embedded_proxy.answered == 16)
    retired = connection._current
    assert retired is not None
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await retired.lost
    embedded_proxy.answers = Answers.PASSED
    answers = await asyncio.gather(*(connection.exchange(SOA) for _ in range(17)))
    assert len(answers) == 17
    await connection.close()


async def test_a_lost_connection_ends_what_was_in_flight_and_nothing_later(
    connection: Connection, embedded_proxy: Proxy
) -> None:
    for answers, said in ((Answers.RESET, "closed the connection|was lost"), (Answers.GARBLED, "no DNS message")):
        for _ in range(20):
            embedded_proxy.answers = answers
            outcomes = await asyncio.gather(*(connection.exchange(SOA) for _ in range(3)), return_exceptions=True)
            for outcome in outcomes:
                with pytest.raises(Unanswered, match=said):
                    raise outcome  # type: ignore[misc]  # an answer would fail the test as well
            embedded_proxy.answers = Answers.PASSED
            assert rrtypes(await connection.exchange(SOA)) == {"SOA"}


async def test_who_is_cancelled_while_connecting_leaves_the_attempt_to_the_others(
    connection: Connection, embedded_proxy: Proxy
) -> None:
    first, second = (asyncio.create_task(connection.exchange(message)) for message in (SOA, NS))
    await asyncio.wait((first, second), timeout=0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert rrtypes(await second) == {"NS"}
    assert embedded_proxy.connections == 1


async def test_a_silent_peer_costs_each_exchange_its_time_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = connection_to(listening.getsockname(), timeout_s=0.1, in_flight_max=1)
        outcomes = await asyncio.gather(*(connection.exchange(SOA) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unanswered] * 3
        assert connection._places.free == 1
        await connection.close()


async def test_nobody_listening_is_said_with_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
    connection = connection_to(address)
    with pytest.raises(Unanswered, match=f"no connection to 127.0.0.1 port {address[1]}: Connection refused"):
        await connection.exchange(SOA)
    await connection.close()


async def test_a_message_that_is_too_large_is_not_sent(connection: Connection, embedded_proxy: Proxy) -> None:
    with pytest.raises(MessageTooLarge):
        await connection.exchange(NOTHING + b"\0" * 65_500)
    assert embedded_proxy.connections == 0


async def test_closing_ends_what_is_in_flight_and_whatever_comes_later(
    connection: Connection, embedded_proxy: Proxy
) -> None:
    (waiting,) = await held(connection, embedded_proxy, SOA)
    await connection.close()
    with pytest.raises(Unanswered, match="closed on this side"):
        await waiting
    with pytest.raises(Unanswered, match="closed on this side"):
        await connection.exchange(SOA)


async def test_closing_in_the_middle_of_connecting_ends_it(embedded_proxy: Proxy) -> None:
    connection = connection_to(embedded_proxy.address)
    waiting = asyncio.create_task(connection.exchange(SOA))
    await asyncio.wait((waiting,), timeout=0)
    await connection.close()
    with pytest.raises(Unanswered, match="closed on this side"):
        await waiting


async def test_small_messages_do_not_wait_for_one_another(connection: Connection) -> None:
    for _ in range(10):
        await connection.exchange(SOA)
        assert connection._current is not None
        assert connection._current._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_QUICKACK"):
            assert connection._current._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)


async def test_an_update_is_answered_on_the_same_connection(connection: Connection, embedded_proxy: Proxy) -> None:
    answer = await connection.exchange(NOTHING)
    assert answer[2] & 0xF8 == 0x80 | 5 << 3
    await connection.exchange(SOA)
    assert embedded_proxy.connections == 1
