"""The contract of a primary: what exists is read as it is, and what only seems to exist is not."""

from dataclasses import replace

import pytest

from dnsguard.core.fence import fence_key
from dnsguard.core.message import (
    AddRecords,
    Applied,
    DeleteRecords,
    DeleteRRset,
    Message,
    NamesRead,
    Outcome,
    Refused,
    RRsetIs,
    Unreachable,
)
from dnsguard.core.records import Key, Records
from dnsguard.core.written import Seen
from dnsguard.wire.decode import Answer
from dnsguard.wire.existence import existing
from dnsguard.wire.publisher import DnsPublisher
from tests.wire.primaries import ZONE, Connect, OwnWay, fence_at, key, publish, read, records, seen_at

ONE = records("A", "192.0.2.1")
TEXT = records("TXT", '"some text"', ttl=0)
DELEGATION = {
    key("sub", "NS"): records("NS", "ns.sub.example.test.", "ns.elsewhere.test.", ttl=7),
    key("sub", "DS"): records("DS", "12345 13 2 " + "ab" * 32),
    key("ns.sub", "A"): ONE,
    key("ns.sub", "AAAA"): records("AAAA", "2001:db8::1", ttl=9),
}


async def put(publisher: DnsPublisher, contents: dict[Key, Records]) -> None:
    updates = tuple(AddRecords(key, some) for key, some in contents.items())
    assert await publisher.publish(Message(ZONE, (), updates)) == Applied()


async def test_every_rrset_at_the_names_is_read_and_no_other(publisher: DnsPublisher) -> None:
    contents = {
        key("www", "A"): records("A", "192.0.2.2", "192.0.2.1"),
        key("www", "MX"): records("MX", "10 Mail.Elsewhere.test."),
        key("www", "TXT"): TEXT,
        key("alias", "CNAME"): records("CNAME", "www.example.test."),
        key(r"dotted\.label", "TXT"): TEXT,
        key("www", "CAA"): records("CAA", '0 issue "ca.example"'),
        key("www", "TLSA"): records("TLSA", "3 1 1 " + "ab" * 32),
    }
    await put(publisher, contents | {key("below.www", "A"): ONE, key("other", "A"): ONE})
    names = {key.name for key in contents} | {f"nowhere.{ZONE}"}
    assert await read(publisher, names) == contents


async def test_a_type_without_a_mnemonic_is_read_where_the_server_takes_and_shows_it(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    contents = {key("www", "A"): ONE, key("www", "TYPE65280"): Records(60, (b"\1\2\3",))}
    outcome = await publisher.publish(Message(ZONE, (), tuple(AddRecords(one, some) for one, some in contents.items())))
    if kind == "powerdns":
        own_way("it takes no such type: FORMERR")
        assert isinstance(outcome, Refused)
        assert outcome.rcode == "FORMERR"
        return
    assert outcome == Applied()
    if kind == "knot":
        own_way("such a type is seen in a transfer only")
    shown = {one: some for one, some in contents.items() if kind != "knot" or one.type == "A"}
    assert await read(publisher, [f"www.{ZONE}"]) == shown
    everything = await publisher.transfer(ZONE)
    assert isinstance(everything, dict)
    assert contents.items() <= everything.items()


async def test_many_names_with_several_types_each_are_read(publisher: DnsPublisher) -> None:
    contents = {
        key(f"host{index}", kind): some
        for index in range(60)
        for kind, some in (("A", ONE), ("AAAA", records("AAAA", "2001:db8::1")), ("TXT", TEXT))
    } | {key("host7", "SSHFP"): records("SSHFP", "4 2 " + "ab" * 32)}
    await put(publisher, contents)
    assert await read(publisher, {key.name for key in contents}) == contents


async def test_reading_no_names_finds_nothing(publisher: DnsPublisher) -> None:
    assert await read(publisher, []) == {}


async def test_the_apex_is_read_with_its_soa(publisher: DnsPublisher) -> None:
    found = await read(publisher, [ZONE])
    assert isinstance(found, dict)
    assert {key.type for key in found} == {"SOA", "NS"}


async def test_names_that_only_a_wildcard_answers_for_hold_nothing(publisher: DnsPublisher) -> None:
    wild = {key("*", "A"): ONE, key("*", "TXT"): TEXT, key("*.sub", "CNAME"): records("CNAME", "www.example.test.")}
    real = {key(f"real{index}", "TXT"): TEXT for index in range(5)}
    await put(publisher, wild | real)
    made_up = [f"made-up{index}.{ZONE}" for index in range(40)]
    names = [*made_up, f"x.sub.{ZONE}", f"*.{ZONE}", *(key.name for key in real)]
    assert await read(publisher, names) == real | {k: v for k, v in wild.items() if k.name == f"*.{ZONE}"}


async def test_more_names_than_one_message_confirms_are_read(publisher: DnsPublisher) -> None:
    contents = {key(f"host{index}", "A"): ONE for index in range(201)}
    await put(publisher, contents)
    assert await read(publisher, [key.name for key in contents]) == contents


async def test_a_delegation_and_its_glue_are_read(publisher: DnsPublisher) -> None:
    await put(publisher, DELEGATION)
    assert await read(publisher, [f"sub.{ZONE}", f"ns.sub.{ZONE}", f"nowhere.sub.{ZONE}"]) == DELEGATION


async def test_what_a_delegation_hides_is_read(publisher: DnsPublisher) -> None:
    hidden = {key("sub", "TXT"): TEXT, key("ns.sub", "TXT"): TEXT, key("deep.sub", "A"): ONE}
    await put(publisher, DELEGATION | hidden)
    names = [f"sub.{ZONE}", f"ns.sub.{ZONE}", f"deep.sub.{ZONE}", f"nowhere.sub.{ZONE}"]
    assert await read(publisher, names) == DELEGATION | hidden


async def test_what_a_dname_hides_is_read_and_what_it_makes_up_is_not(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    dname = {key("moved", "DNAME"): records("DNAME", "elsewhere.test.")}
    await put(publisher, {key("old.moved", "A"): ONE})
    if kind == "knot":
        own_way("it lets no DNAME hide anything: REFUSED")
        (above,) = (AddRecords(one, some) for one, some in dname.items())
        assert isinstance(await publisher.publish(Message(ZONE, (), (above,))), Refused)
        assert await read(publisher, [f"moved.{ZONE}", f"old.moved.{ZONE}"]) == {key("old.moved", "A"): ONE}
        return
    await put(publisher, dname)
    names = [f"moved.{ZONE}", f"old.moved.{ZONE}", f"new.moved.{ZONE}"]
    assert await read(publisher, names) == dname | {key("old.moved", "A"): ONE}


async def test_a_name_that_holds_more_than_an_answer_takes_is_read(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    string = b"\xff" + b"x" * 255
    contents = {key("big", rdtype): Records(60, (string * 100,)) for rdtype in ("TXT", "SPF", "OPENPGPKEY")}
    for one, some in contents.items():
        await put(publisher, {one: some})
    if kind == "powerdns":
        own_way("it is not: the server hangs up where others truncate, and the name stays unread")
        found = await publisher.read(ZONE, [f"big.{ZONE}", f"ns1.{ZONE}"])
        assert isinstance(found, NamesRead)
        assert found.unread.keys() == {f"big.{ZONE}"}
        assert {key.name for key in found.rrsets} == {f"ns1.{ZONE}"}
        return
    assert await read(publisher, [f"big.{ZONE}"]) == contents


async def test_a_zone_that_is_not_served_is_unreachable(publisher: DnsPublisher) -> None:
    found = await publisher.read("elsewhere.test.", ["www.elsewhere.test."])
    assert isinstance(found, Unreachable)


async def test_a_wildcard_is_not_taken_for_the_fence(publisher: DnsPublisher) -> None:
    wildcard = key("*", "TXT")
    for some in (TEXT, records("TXT", f'"{fence_at(41)}"')):
        assert (
            await publisher.publish(Message(ZONE, (), (DeleteRRset(wildcard), AddRecords(wildcard, some)))) == Applied()
        )
        assert await publisher.observe(ZONE) == Seen((), None)
    fence = await publish(publisher, 1, {key("www", "A"): ONE})
    assert await publisher.observe(ZONE) == seen_at(fence)


async def test_a_fence_with_the_same_value_as_a_wildcard_is_still_the_fence(publisher: DnsPublisher) -> None:
    fence = await publish(publisher, 1, {key("www", "A"): ONE})
    await put(publisher, {key("*", "TXT"): records("TXT", f'"{fence}"')})
    assert await publisher.observe(ZONE) == seen_at(fence)


async def test_a_foreign_text_at_the_fence_is_shown_as_unreadable(publisher: DnsPublisher) -> None:
    await put(publisher, {fence_key(ZONE): TEXT})
    assert await publisher.observe(ZONE) == Seen(TEXT.rdatas, None)


async def test_a_cname_at_the_fence_is_seen_and_one_from_a_wildcard_is_not(publisher: DnsPublisher) -> None:
    cname = records("CNAME", "www.example.test.")
    await put(publisher, {key("*", "CNAME"): cname, key("www", "TXT"): TEXT})
    assert await publisher.observe(ZONE) == Seen((), None)
    at_the_fence = Key(fence_key(ZONE).name, "CNAME")
    await put(publisher, {at_the_fence: cname})
    assert await publisher.observe(ZONE) == Seen((), None, (at_the_fence,))


async def test_a_fence_below_a_dname_at_the_apex_is_read_and_compared(
    publisher: DnsPublisher, kind: str, own_way: OwnWay
) -> None:
    fence = await publish(publisher, 1, {key("", "NS"): records("NS", "ns.elsewhere.test.")})
    gone = DeleteRecords(key("", "NS"), records("NS", f"ns1.{ZONE}").rdatas)
    assert await publisher.publish(Message(ZONE, (), (gone,))) == Applied()
    dname = Key(ZONE, "DNAME")
    put_there = Message(ZONE, (), (AddRecords(dname, records("DNAME", "elsewhere.test.")),))
    if kind == "knot":
        own_way("it takes no DNAME above existing names: REFUSED")
        assert isinstance(await publisher.publish(put_there), Refused)
        return
    assert await publisher.publish(put_there) == Applied()
    seen = await publisher.observe(ZONE)
    if kind in ("embedded", "powerdns"):
        own_way("it redirects no name that exists")
        assert seen == seen_at(fence)
        return
    assert seen == replace(seen_at(fence), hidden_by=(dname,))
    for rdatas, outcome in (((b"\x05other",), Refused), (seen.rdatas, Applied)):
        removed = Message(ZONE, (RRsetIs(fence_key(ZONE), rdatas),), (DeleteRRset(dname),))
        answer = await publisher.publish(removed)
        assert isinstance(answer, outcome)
        assert not isinstance(answer, Refused) or answer.rcode == "NXRRSET"
    assert await publisher.observe(ZONE) == seen_at(fence)


async def test_a_fence_that_is_delegated_away_is_read_past_the_delegation(publisher: DnsPublisher) -> None:
    fence = await publish(publisher, 1, {key("www", "A"): ONE})
    delegation = Key(fence_key(ZONE).name, "NS")
    await put(publisher, {delegation: records("NS", "ns.elsewhere.test.")})
    assert await publisher.observe(ZONE) == replace(seen_at(fence), hidden_by=(delegation,))


async def test_a_transfer_shows_all_of_the_zone(publisher: DnsPublisher) -> None:
    contents = {key(f"host{index}", "TXT"): Records(60, (b"\x64" + b"t" * 100,)) for index in range(1500)}
    hidden = DELEGATION | {key("deep.sub", "TXT"): TEXT}
    for first in range(0, 1500, 300):
        await put(publisher, dict(list(contents.items())[first : first + 300]))
    await put(publisher, hidden)
    fence = await publish(publisher, 1, {key("www", "A"): ONE})
    everything = await publisher.transfer(ZONE)
    assert isinstance(everything, dict)
    assert everything.pop(key("", "SOA")).ttl == 300
    own = {
        key("", "NS"): records("NS", "ns1.example.test.", ttl=300),
        key("ns1", "A"): records("A", "127.0.0.1", ttl=300),
    }
    fenced = {fence_key(ZONE): Records(1, seen_at(fence).rdatas), key("www", "A"): ONE}
    assert everything == contents | hidden | own | fenced


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key_name": "stranger."}, "allow"),
        ({"key_name": "nobody."}, "does not know the TSIG key nobody."),
        ({"secret": b"another"}, "another secret"),
    ],
)
async def test_a_transfer_that_is_refused_says_why(
    connect: Connect, kind: str, own_way: OwnWay, changed: dict[str, object], said: str
) -> None:
    if kind == "powerdns":
        own_way("NOTAUTH or REFUSED is all it says of a wrong key; the message names what to compare")
    everything = await connect(**changed).transfer(ZONE)
    assert isinstance(everything, Unreachable)
    assert f"the transfer of {ZONE} was given up: " in everything.reason
    assert (said if kind != "powerdns" else "compare the TSIG key") in everything.reason
    if kind in {"bind", "powerdns", "embedded"} and "key_name" in changed and changed["key_name"] == "stranger.":
        assert f"allow the TSIG key stranger. to transfer {ZONE}" in everything.reason


async def test_a_name_that_only_a_transfer_would_show_is_unread_without_one_and_the_others_are_read(
    publisher: DnsPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(publisher, DELEGATION | {key("deep.sub", "TXT"): TEXT})

    async def refused(zone: str) -> Unreachable:
        return Unreachable(f"the transfer of {zone} was given up: REFUSED")

    monkeypatch.setattr(publisher, "transfer", refused)
    found = await existing(publisher, ZONE, [f"deep.sub.{ZONE}", f"ns1.{ZONE}", f"nowhere.{ZONE}"], 4)
    assert isinstance(found, NamesRead)
    assert found.unread.keys() == {f"deep.sub.{ZONE}"}
    assert {key.name for key in found.rrsets} == {f"ns1.{ZONE}"}
    assert "let the TSIG key transfer the zone" in found.unread[f"deep.sub.{ZONE}"]


@pytest.mark.parametrize("answered", ["SERVFAIL", "REFUSED", None])
async def test_a_name_that_the_server_does_not_answer_is_read_by_transfer_and_the_others_as_ever(
    publisher: DnsPublisher, monkeypatch: pytest.MonkeyPatch, answered: str | None
) -> None:
    contents = {key("bad", "A"): ONE, key("good", "A"): ONE, key("good", "TXT"): TEXT}
    await put(publisher, contents)
    ask = publisher.ask

    async def failing(name: str, rdtype: str) -> Answer | Unreachable:
        if not name.startswith("bad"):
            return await ask(name, rdtype)
        no_answer = Answer(answered or "", False, False, (), (), ())
        return no_answer if answered else Unreachable("no answer within 5 s")

    monkeypatch.setattr(publisher, "ask", failing)
    names = [f"bad.{ZONE}", f"good.{ZONE}", f"bad-and-new.{ZONE}"]
    assert await read(publisher, names) == contents


async def test_a_new_name_takes_one_message_and_no_transfer(
    publisher: DnsPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Message] = []
    publish = publisher.publish

    async def counted(message: Message) -> Outcome:
        sent.append(message)
        return await publish(message)

    async def never(*_: str) -> Unreachable:
        raise AssertionError

    monkeypatch.setattr(publisher, "publish", counted)
    monkeypatch.setattr(publisher, "transfer", never)
    monkeypatch.setattr(publisher, "ask", never)
    assert await read(publisher, [f"new.{ZONE}", f"newer.{ZONE}"]) == {}
    assert len(sent) == 1


async def test_a_name_that_shows_itself_is_read_without_a_transfer(
    publisher: DnsPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {key("www", "A"): ONE, key("www", "TXT"): TEXT, key("www", "MX"): records("MX", "1 a.test.")}
    contents[key("alias", "CNAME")] = records("CNAME", "www.example.test.")
    await put(publisher, contents | {key("*.wild", "A"): ONE})

    async def never(_: str) -> Unreachable:
        raise AssertionError

    monkeypatch.setattr(publisher, "transfer", never)
    assert await read(publisher, [f"www.{ZONE}", f"alias.{ZONE}", f"x.wild.{ZONE}", f"no.{ZONE}"]) == contents
