"""What comes of leaving out a guard at the door: what it lets in, enacted by the real workers onto a primary, breaks an
invariant. Of some guards none of the seven invariants can speak: what these prevent is listed with the reason, and it
is shown that the invariants are silent. Simulated worlds ask for it by a name of its own, "the door's word".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from dnsguard.core.guards import GUARDED, Guards
from dnsguard.core.history import PlanState
from dnsguard.core.invariants import Violation
from dnsguard.core.message import AddRecords, Message, Outcome, octets_of
from dnsguard.core.occlusion import hidden_in
from dnsguard.core.plan import Absence, Wanted, make_plan
from dnsguard.core.policy import RRSET_OCTETS_MAX, Policy
from dnsguard.core.records import Key, Records, parse_records
from dnsguard.core.written import seen_in
from dnsguard.lab.explore.scenario import drive
from dnsguard.lab.explore.variants import without
from dnsguard.lab.simulate.verdicts import DOOR as DOORS_WORD
from tests.lab.simulate.test_seeds import FIRST
from tests.lab.stage import ALIAS, ELSEWHERE, THEIRS, WWW, Story, emptied, healed, lost, prefix, settled, taken
from tests.workers.rig import ZONE, PickyPublisher, Rig, a, key

OUTSIDE = Key("www.elsewhere.test.", "A")
FORGED = Key(f"_dnsguard.{ZONE}", "TXT")
SOA = parse_records("SOA", 60, [f"ns.{ZONE} hostmaster.{ZONE} 1 1 1 1 1"])
NEWER_SOA = parse_records("SOA", 60, [f"ns.{ZONE} hostmaster.{ZONE} 9 1 1 1 1"])
NS = parse_records("NS", 60, [f"ns.{ZONE}"])
DS = parse_records("DS", 60, [f"12345 13 2 {'00' * 32}"])
LONG = parse_records("TXT", 60, [" ".join(f'"{n:03}{"x" * 240}"' for _ in range(3)) for n in range(99)])
DNAME = parse_records("DNAME", 60, ["elsewhere.test."])
RING: dict[Key, Wanted] = {
    key(name, rdtype): records
    for name, target in zip("abcd", "bcda", strict=True)
    for rdtype, records in (
        ("A", a("192.0.2.1")),
        ("MX", parse_records("MX", 60, [f"10 {target}.{ZONE}"])),
        ("TXT", parse_records("TXT", 60, [" ".join(f'"{"x" * 240}"' for _ in range(90))])),
    )
}
TWO_CNAMES = parse_records("CNAME", 60, ["elsewhere.test.", "otherwise.test."])


class AsServersDo(PickyPublisher):
    """A primary with two manners of BIND and Knot: an older SOA is ignored, and of two CNAMEs the last one stays."""

    async def publish(self, message: Message) -> Outcome:
        """Apply one UPDATE, or nothing of it."""
        kept = tuple(
            AddRecords(update.key, replace(update.records, rdatas=update.records.rdatas[-1:]))
            if isinstance(update, AddRecords) and update.key.type == "CNAME"
            else update
            for update in message.updates
            if update.key != (ZONE, "SOA")
        )
        return await PickyPublisher.publish(self, replace(message, updates=kept))


@dataclass(frozen=True)
class Door:
    """What was published before, what somebody else put there, and the plan that is submitted and enacted then."""

    rrsets: Mapping[Key, Wanted]
    policy: Policy = field(default_factory=Policy)
    before: Mapping[Key, Wanted] = field(default_factory=dict)
    stranger: Mapping[Key, Records] = field(default_factory=dict)
    based_on: int | None = None
    stated: int | None = None
    adopt: bool = False
    checks_targets: bool = False

    async def enter(self, guards: Guards) -> Rig | None:
        """Return the zone with the plan enacted; None if the plan was not let in."""
        rig = Rig(policy=self.policy, guards=guards)
        rig.publisher = AsServersDo(rig.primary)
        rig.primary.contents = dict(self.stranger)
        rig.primary.checks_targets = self.checks_targets
        for number in range(2 if self.before else 0):
            assert await taken(rig, make_plan(ZONE, dict(self.before), reason=f"{number}"))
            await settled(rig)
        plan = make_plan(ZONE, dict(self.rrsets), based_on=self.based_on, stated=self.stated, adopt=self.adopt)
        if not await taken(rig, plan):
            return None
        await settled(rig)
        return rig


def judged(door: Door, judge: Callable[[Rig], Violation | None]) -> Story:
    def story(guards: Guards) -> Violation | None:
        rig = drive(door.enter(guards))
        return None if rig is None else judge(rig)

    return story


IN_FORCE = {WWW: a("192.0.2.1")}
DOOR: dict[str, tuple[int, Story]] = {
    "reserved_names_untouched": (1, judged(Door({FORGED: parse_records("TXT", 60, ['"forged"'])}), prefix)),
    "server_records_untouched": (
        1,
        judged(Door({key("@", "SOA"): SOA}, stranger={key("@", "SOA"): NEWER_SOA}, adopt=True), prefix),
    ),
    "apex_ns_kept": (1, judged(Door({key("@", "NS"): Absence.RETIRED}, before={key("@", "NS"): NS}), prefix)),
    "retirement_allowed": (
        3,
        judged(
            Door({WWW: Absence.RETIRED}, Policy(retire=False), before=IN_FORCE),
            lambda rig: emptied(rig, a("192.0.2.1")),
        ),
    ),
    "rrset_is_bounded": (1, judged(Door({ALIAS: TWO_CNAMES}), prefix)),
    "contents_are_stored": (1, judged(Door({key("*", "NS"): NS}), prefix)),
    "generation_forward": (4, judged(Door({WWW: a("192.0.2.2")}, before=IN_FORCE, stated=1), lost)),
}


# Guards of which none of the seven can speak.


@dataclass(frozen=True)
class Unspoken:
    """What comes of leaving a guard out, and why that is no invariant's business."""

    door: Door
    harm: Callable[[Rig], bool]
    why: str


def stands(of: Key) -> Callable[[Rig], bool]:
    return lambda rig: of in rig.primary.contents


def promised_in_vain(rig: Rig) -> bool:
    """A plan was answered with yes, and is rejected, with its reason, by the enactor."""
    entries = rig.store.histories[ZONE].entries.values()
    return any(entry.state is PlanState.REJECTED and entry.why for entry in entries)


def too_long(rig: Rig) -> bool:
    """Something was to be sent of which an UPDATE cannot hold two: as found, and as wanted."""
    sent = [update for message in rig.publisher.sent for update in message.updates]
    return any(octets_of(update) > RRSET_OCTETS_MAX for update in sent)


UNSPOKEN = {
    "plan_covers_something": Unspoken(
        Door({}),
        lambda rig: rig.store.histories[ZONE].zone.newest == 1,
        "a generation that changes nothing is published like any other: it breaks nothing, and it means nothing",
    ),
    "plan_is_bounded": Unspoken(
        Door({WWW: a("192.0.2.1"), key("b"): a("192.0.2.1")}, Policy(plan_rrsets_max=1)),
        stands(key("b")),
        "it bounds what one request may cost in disk, memory and time; 6 gives a zone time, and does not say how much "
        "(in a simulated world, which has to say it, a plan that is too large is not out in time)",
    ),
    "plan_in_zone": Unspoken(
        Door({OUTSIDE: a("192.0.2.1")}),
        lambda rig: OUTSIDE in {update.key for message in rig.publisher.sent for update in message.updates},
        "a server refuses the message (NOTZONE), and 4 lets a plan be rejected; the door says it before it promises",
    ),
    "ttl_in_bounds": Unspoken(
        Door({WWW: a("192.0.2.1", ttl=301)}, Policy(ttl_s_max=300)),
        stands(WWW),
        "what caches keep, and for how long, is outside the zone, of which the invariants speak",
    ),
    "rrset_fits_a_message": Unspoken(
        Door({key("www", "TXT"): LONG}),
        too_long,
        "what is too large is not sent (FORMERR), and 4 lets a plan be rejected; the door says it before it promises",
    ),
    "apex_not_redirected": Unspoken(
        Door({key("@", "DNAME"): DNAME}),
        lambda rig: bool(seen_in(ZONE, rig.primary.contents).hidden_by),
        "what a server answers is outside the zone's contents, of which the invariants speak; below a DNAME at the "
        "apex, where the fence stands, it answers for another zone",
    ),
    "names_not_occluded": Unspoken(
        Door({key("www", "NS"): NS}, before=IN_FORCE),
        lambda rig: WWW in hidden_in(ZONE, rig.primary.contents),
        "what a server answers is outside the zone's contents, of which the invariants speak; at a delegation it "
        "refers to others",
    ),
    "cycle_fits_a_message": Unspoken(
        Door(RING, checks_targets=True),
        promised_in_vain,
        "wherever the cycle is cut the server refuses a part, and 4 lets the plan be rejected; the door says it before",
    ),
    "made_from_what_stands": Unspoken(
        Door({WWW: a("192.0.2.2")}, before=IN_FORCE, based_on=1),
        lambda rig: rig.primary.contents.get(WWW) == a("192.0.2.2"),
        "a plan supersedes an older one lawfully (4); that its planner had not read that one, only it can say",
    ),
    "cname_alone": Unspoken(
        Door({WWW: a("192.0.2.1"), ALIAS: ELSEWHERE}),
        promised_in_vain,
        "cname_alone_on_the_wire rejects the plan later, and 4 lets it; the door says it before it promises",
    ),
    "ds_beside_ns": Unspoken(
        Door({key("child", "DS"): DS}),
        promised_in_vain,
        "ds_beside_ns_on_the_wire rejects the plan later, and 4 lets it; the door says it before it promises",
    ),
    "unmanaged_contents_kept": Unspoken(
        Door({WWW: a("192.0.2.1")}, stranger={WWW: THEIRS}),
        promised_in_vain,
        "unmanaged_as_seen keeps the contents, and 4 lets the plan be rejected; the door says it before it promises",
    ),
}


@pytest.mark.parametrize("name", UNSPOKEN)
def test_without_this_guard_there_is_harm_of_which_no_invariant_speaks(name: str) -> None:
    unspoken = UNSPOKEN[name]
    assert drive(unspoken.door.enter(GUARDED)) is None
    rig = drive(unspoken.door.enter(without(GUARDED, name)))
    assert rig is not None
    assert unspoken.harm(rig), unspoken.why
    assert [judge(rig) for judge in (prefix, lost, healed)] == [None] * 3


def test_simulated_worlds_lay_to_no_invariant_what_none_speaks_of() -> None:
    apart = {guard for guard, (_, name) in FIRST.items() if name == DOORS_WORD[1]}
    assert apart == UNSPOKEN.keys() - {"plan_is_bounded"}
    assert FIRST["plan_is_bounded"][1] == "self-healing"


@pytest.mark.parametrize("name", DOOR)
def test_what_a_guard_at_the_door_keeps_out_would_break_an_invariant(name: str) -> None:
    number, play = DOOR[name]
    assert play(GUARDED) is None
    broken = play(without(GUARDED, name))
    print(broken)
    assert broken is not None
    assert broken.number == number
