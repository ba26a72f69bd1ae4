"""Zones are taken over on real servers without a changed octet, and what changes meanwhile is refused."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dns.rcode
import pytest

from dnsguard.core.comparison import Verification
from dnsguard.core.fence import fence_key
from dnsguard.core.guards import GUARDED
from dnsguard.core.history import Accepted, PlanState, Submission
from dnsguard.core.message import Message, Outcome, Unreachable
from dnsguard.core.names import parse_name
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import Policy
from dnsguard.core.records import Key, Records, parse_records, records_text
from dnsguard.core.refusal import Refusal
from dnsguard.daemon.clock import SystemClock
from dnsguard.store.engine import make_engine
from dnsguard.store.migrate import migrate
from dnsguard.store.sql import SqlStore
from dnsguard.wire.publisher import DnsPublisher
from dnsguard.workers.adoption import Adopted, Adoption, AdoptionRefused, Wish
from dnsguard.workers.enactor import Enactor
from dnsguard.workers.planner import Planner, rollback
from dnsguard.workers.step import Step, Then
from dnsguard.workers.verifier import Verifier
from tests.servers.bind import Bind
from tests.wire.by_hand import rcode_of, shown, update
from tests.wire.primaries import HISTORY, KEYS, SERVERS, ZONE, ZONES, Server, make_publisher

SIGNING_TRIES_MAX = 2_000
RECORDS = """
Www 300 A 192.0.2.1
Www 300 A 192.0.2.2
www 60 AAAA 2001:db8::1
@ 3600 MX 10 Mail.Example.TEST.
@ 3600 TXT "v=spf1 -all" "Second String"
@ 3600 CAA 0 issue "Authority.Example"
mail 300 A 192.0.2.3
Alias 300 CNAME Www.Example.test.
*.Wild 300 A 192.0.2.4
*.Wild 300 TXT "Any"
Sub 7200 NS Ns1.Sub.example.test.
Sub 7200 NS ns2.example.TEST.
sub 7200 DS 12345 13 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE49FD46E6C4B45C55D4AC69CB
Ns1.Sub 7200 A 192.0.2.5
ns2 7200 A 192.0.2.6
_sip._TCP 300 SRV 10 20 5060 Www.Example.Test.
host 300 SSHFP 4 2 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE49FD46E6C4B45C55D4AC69CB
_443._tcp.www 300 TLSA 3 1 1 49FD46E6C4B45C55D4AC69CBD3CD34AC1AFE51DE49FD46E6C4B45C55D4AC69CB
svc 300 HTTPS 1 Www.Example.test. alpn=h2
svc 300 SVCB 1 . port=8443
naptr 300 NAPTR 100 10 "U" "E2U+sip" "!^.*$!sip:Info@Example.test!" .
ptr 300 PTR Www.Example.TEST.
loc 300 LOC 52 22 23.000 N 4 53 32.000 E -2.00m 1.00m 10000.00m 10.00m
hinfo 300 HINFO "PC" "Linux"
rp 300 RP Admin.Example.test. Www.Example.test.
afsdb 300 AFSDB 1 Www.Example.test.
uri 300 URI 10 1 "https://Www.Example.test/"
cert 300 CERT PKIX 1 RSASHA256 MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=
eui 300 EUI48 00-00-5e-00-53-2a
openpgp 300 OPENPGPKEY MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=
new 300 TYPE65280 \\# 4 c0000201
a\\.b 300 TXT "a dot in a label"
"""


async def fill(server: Server) -> None:
    """Write records of all types, as far as the server knows them."""
    taken = [line for line in RECORDS.split("\n") if line and await rcode_of(server.address, line) == dns.rcode.NOERROR]
    assert len(taken) >= 30


@dataclass
class Scene:
    """A real server, a history on SQLite, and the workers between them."""

    server: Server
    store: SqlStore
    publisher: DnsPublisher
    policy: Policy = field(default_factory=Policy)
    clock: SystemClock = field(default_factory=SystemClock)

    async def adopt(self, *names: str, dry_run: bool = False) -> Adopted:
        adoption = Adoption(self.store, self.publisher, self.clock, GUARDED, self.policy)
        chosen = frozenset(f"{name}.{ZONE}" for name in names) or None
        return await adoption.adopt(Wish(ZONE, chosen), "tests", dry_run=dry_run)

    async def enact(self, publisher: DnsPublisher | None = None) -> list[Step]:
        enactor = Enactor(ZONE, self.store, publisher or self.publisher, self.clock, GUARDED, self.policy)
        steps = []
        for _ in range(50):
            steps.append(await enactor.run_once())
            if steps[-1].then is Then.WOKEN:
                return steps
        raise AssertionError(f"the enactor comes to no end: {steps[-3:]}")

    async def verified(self) -> Verification:
        verifier = Verifier(ZONE, self.store, self.publisher, self.clock, GUARDED, self.policy)
        found = await verifier.look()
        assert isinstance(found, Verification), found
        return found


@pytest.fixture(params=SERVERS)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    server = await SERVERS[request.param](tmp_path / "server")
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    await migrate(engine)
    store = SqlStore(engine)
    await store.ensure_zone(ZONE, HISTORY)
    publisher = make_publisher(server.address)
    yield Scene(server, store, publisher)
    await publisher.close()
    await store.close()
    await server.stop()


async def test_a_zone_is_taken_over_without_a_changed_octet(scene: Scene) -> None:
    await fill(scene.server)
    before = await shown(scene.server.address)
    assert len(before) > 30
    adopted = await scene.adopt()
    assert (adopted.generations, adopted.plans) == ((1,), 1)
    await scene.enact()
    assert await shown(scene.server.address) == before
    entry, covered = await scene.store.plan(ZONE, 1)
    assert entry.state is PlanState.PUBLISHED, entry.why
    assert len(covered) == len(adopted.taken)
    found = await scene.verified()
    assert (found.total, found.unmanaged, found.compared) == (0, 0, len(adopted.taken))
    assert not {key.type for key, _ in adopted.taken} & {"SOA", "RRSIG", "NSEC"}
    assert (await scene.adopt()).taken == ()


async def test_a_large_zone_is_taken_over_in_parts_without_a_changed_octet(scene: Scene) -> None:
    scene.policy = Policy(message_rrsets_max=7, plan_rrsets_max=20)
    await fill(scene.server)
    before = await shown(scene.server.address)
    adopted = await scene.adopt()
    assert len(adopted.generations) == adopted.plans >= 2
    steps = await scene.enact()
    assert sum(step.messages for step in steps) >= 5
    assert await shown(scene.server.address) == before
    assert (await scene.verified()).unmanaged == 0


@dataclass
class Meanwhile:
    """A publisher in whose way somebody else writes, after all was read and just before its first message."""

    publisher: DnsPublisher
    server: Server
    lines: tuple[str, ...]
    sent: int = 0

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]  # whatever a publisher has
        return getattr(self.publisher, name)

    async def publish(self, message: Message) -> Outcome:
        self.sent += 1
        if self.sent == 1:
            await update(self.server.address, *self.lines)
        return await self.publisher.publish(message)


async def test_what_somebody_changes_meanwhile_is_refused_and_told_and_nothing_is_touched(scene: Scene) -> None:
    await update(scene.server.address, "www 300 A 192.0.2.1", "mail 300 A 192.0.2.2")
    await scene.adopt("www", "mail")
    interposed = Meanwhile(scene.publisher, scene.server, ("www 300 A 192.0.2.66",))
    await scene.enact(interposed)  # type: ignore[arg-type]  # it passes on whatever it does not do itself
    assert interposed.sent > 1
    entry, _ = await scene.store.plan(ZONE, 1)
    assert entry.state is PlanState.REJECTED
    assert "www.example.test. A was to be taken over as it stood" in (entry.why or "")
    wire = await scene.publisher.transfer(ZONE)
    assert not isinstance(wire, Unreachable)
    assert len(wire[Key(f"www.{ZONE}", "A")].rdatas) == 2
    assert (await scene.verified()).compared == 0
    assert (await scene.adopt("www", "mail")).generations == (3,)
    await scene.enact()
    assert {each.key.name for each in await scene.store.covered(ZONE)} == {f"www.{ZONE}", f"mail.{ZONE}"}


async def test_what_vanishes_meanwhile_is_not_brought_back(scene: Scene) -> None:
    await update(scene.server.address, "www 300 A 192.0.2.1", "mail 300 A 192.0.2.2")
    await scene.adopt("www", "mail")
    await update(scene.server.address, "www 0 - A")
    await scene.enact()
    wire = await scene.publisher.transfer(ZONE)
    assert not isinstance(wire, Unreachable)
    assert Key(f"www.{ZONE}", "A") not in wire
    assert (await scene.store.plan(ZONE, 1))[0].state is PlanState.REJECTED


async def test_what_gets_another_ttl_meanwhile_is_refused(scene: Scene) -> None:
    await update(scene.server.address, "www 300 A 192.0.2.1")
    await scene.adopt("www")
    await update(scene.server.address, "www 0 - A", "www 60 A 192.0.2.1")
    await scene.enact()
    assert (await scene.store.plan(ZONE, 1))[0].state is PlanState.REJECTED


async def test_a_signed_zone_is_taken_over_without_what_the_server_signs(tmp_path: Path) -> None:
    server = await Bind.start(tmp_path / "bind", zones=ZONES, keys=KEYS, extra_options="dnssec-policy default;")
    engine = make_engine(f"sqlite:///{tmp_path}/history.db")
    await migrate(engine)
    store = SqlStore(engine)
    await store.ensure_zone(ZONE, HISTORY)
    publisher = make_publisher(server.address)
    scene = Scene(server, store, publisher)
    try:
        await server.logged("zone_rekey done|reconfiguring zone keys")
        await update(server.address, "www 300 A 192.0.2.1", "sub 300 NS www.example.test.")
        for _ in range(SIGNING_TRIES_MAX):
            wire = await publisher.transfer(ZONE)
            if not isinstance(wire, Unreachable) and {(f"www.{ZONE}", "RRSIG"), (ZONE, "DNSKEY")} <= wire.keys():
                break
        adopted = await scene.adopt()
        assert {key.type for key, _ in adopted.taken} == {"A", "NS"}
        assert {"SOA", "RRSIG", "NSEC", "DNSKEY"} <= {key.type for key, _ in adopted.left_out}
        await scene.enact()
        assert (await store.plan(ZONE, 1))[0].state is PlanState.PUBLISHED
        found = await scene.verified()
        assert (found.total, found.unmanaged) == (0, 0)
    finally:
        await publisher.close()
        await store.close()
        await server.stop()


async def submit(scene: Scene, rrsets: Mapping[Key, Wanted]) -> None:
    planner = Planner(scene.store, scene.publisher, GUARDED, scene.policy)
    accepted = await planner.submit(Submission(make_plan(ZONE, rrsets), "tests", scene.clock.now()))
    assert isinstance(accepted, Accepted), accepted
    await scene.enact()


async def stands(scene: Scene, key: Key) -> Records | None:
    found = await scene.publisher.read(ZONE, [key.name])
    assert not isinstance(found, Unreachable)
    return found.rrsets.get(key)


async def test_names_of_any_octets_are_taken_over_and_then_set_retired_and_rolled_back(scene: Scene) -> None:
    lines = [
        'heritage.*.apps 300 TXT "owner=k8s"',
        r'a\.b 300 TXT "a dot in a label"',
        r'Front\032Desk\\x\@y 300 TXT "b"',
        r'Caf\195\169\032Printer._ipp._tcp 300 TXT "txtvers=1"',
        r'tab\009x 300 TXT "t"',
        r'\000\255\(\"\;\$ 300 TXT "q"',
    ]
    for line in lines:
        assert await rcode_of(scene.server.address, line) == dns.rcode.NOERROR, line
    keys = [Key(parse_name(line.split(" ")[0], ZONE), "TXT") for line in lines]
    adopted = await scene.adopt()
    assert set(keys) <= {key for key, _ in adopted.taken}
    await scene.enact()
    before = {key: await stands(scene, key) for key in keys}
    other = parse_records("TXT", 60, ['"other"'])
    await submit(scene, dict.fromkeys(keys, other))
    assert [await stands(scene, key) for key in keys] == [other] * len(keys)
    await submit(scene, dict.fromkeys(keys, Absence.RETIRED))
    assert [await stands(scene, key) for key in keys] == [None] * len(keys)
    then, now = await scene.store.rrsets(ZONE, at=1), await scene.store.rrsets(ZONE)
    made = rollback(ZONE, 1, then, now, frozenset(keys), based_on=None, reason="")
    assert not isinstance(made, Refusal)
    await submit(scene, dict(made[0].rrsets))
    assert {key: await stands(scene, key) for key in keys} == before
    assert (await scene.verified()).total == 0


async def test_names_in_records_are_published_with_their_case_and_a_rollback_brings_it_back(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    """Knot keeps such names in lower case; PowerDNS gives a name's end the case of what it compresses it to."""
    assert await rcode_of(scene.server.address, r"_ipp._tcp 300 PTR Front\032Desk.Else.Invalid.") == dns.rcode.NOERROR
    key, kind = Key(f"_ipp._tcp.{ZONE}", "PTR"), request.node.callspec.params["scene"]
    await scene.adopt("_ipp._tcp")
    await scene.enact()

    async def first_labels() -> list[str]:
        assert (await scene.verified()).total == 0
        found = await stands(scene, key)
        assert found is not None
        return [text.split(".")[0] for text in records_text("PTR", found)]

    def kept(*texts: str) -> list[str]:
        return [text.lower() if kind == "knot" else text for text in texts]

    assert await first_labels() == kept(r"Front\032Desk")
    both = parse_records("PTR", 60, [r"FRONT\032Desk.Else.Invalid.", r"Back\032Office.Else.Invalid."])
    await submit(scene, {key: both})
    assert await first_labels() == kept(r"FRONT\032Desk", r"Back\032Office")
    await submit(scene, {key: parse_records("PTR", 60, [r"front\032DESK.else.invalid."])})
    assert await first_labels() == kept(r"front\032DESK")
    then, now = await scene.store.rrsets(ZONE, at=1), await scene.store.rrsets(ZONE)
    made = rollback(ZONE, 1, then, now, None, based_on=None, reason="")
    assert not isinstance(made, Refusal)
    await submit(scene, dict(made[0].rrsets))
    assert await first_labels() == kept(r"Front\032Desk")


async def test_a_dry_run_stores_nothing(scene: Scene) -> None:
    await update(scene.server.address, "www 300 A 192.0.2.1")
    adopted = await scene.adopt("www", dry_run=True)
    assert (adopted.generations, [key for key, _ in adopted.taken]) == ((), [Key(f"www.{ZONE}", "A")])
    assert (await scene.store.zone(ZONE)).newest == 0


async def test_a_zone_of_another_history_is_not_taken_over(scene: Scene) -> None:
    await update(scene.server.address, '_dnsguard 1 TXT "v=1 h=ffffffffffffffff g=9 d=ffffffffffffffff"')
    wire = await scene.publisher.transfer(ZONE)
    assert not isinstance(wire, Unreachable)
    assert fence_key(ZONE) in wire
    with pytest.raises(AdoptionRefused, match="resync"):
        await scene.adopt()
