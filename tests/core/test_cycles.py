"""Names that point at each other and fit no message are refused at the door, by name."""

from dnsguard.core.cycles import cycle_fits_a_message
from dnsguard.core.names import name_wire
from dnsguard.core.plan import Wanted
from dnsguard.core.records import Key, Records
from tests.core.test_submission import ONE, ZONE, facts, refused


def ring(count: int, octets: int) -> dict[Key, Wanted]:
    """Return names each of which has an address and points at the next one, the last at the first."""
    names = [f"r{number}.{ZONE}" for number in range(count)]
    rrsets: dict[Key, Wanted] = {}
    for name, target in zip(names, [*names[1:], names[0]], strict=True):
        mail = Records(60, (b"\0\x0a" + name_wire(target),))
        rrsets |= {
            Key(name, "A"): ONE,
            Key(name, "MX"): mail,
            Key(name, "TXT"): Records(60, (b"\x01x" * (octets // 2),)),
        }
    return rrsets


def test_names_that_point_at_each_other_and_fit_no_message_are_refused_by_name() -> None:
    refusal = cycle_fits_a_message(facts(ring(4, 16_000)))
    assert refused(refusal, "cycle_fits_a_message")
    assert refusal is not None
    assert all(f"r{number}.{ZONE}" in refusal.detail for number in range(4))
    assert "in a plan of their own first" in refusal.detail
    assert cycle_fits_a_message(facts(ring(3, 4_000))) is None
    apart = {key: wanted for key, wanted in ring(4, 16_000).items() if key.type != "MX"}
    assert cycle_fits_a_message(facts(apart)) is None
    once = {key: wanted for key, wanted in ring(4, 16_000).items() if key.type != "A"}
    assert cycle_fits_a_message(facts(once)) is None


def test_a_cycle_of_many_names_is_refused_with_ten_of_them_and_their_number() -> None:
    refusal = cycle_fits_a_message(facts(ring(300, 100)))
    assert refusal is not None
    assert "and 290 more" in refusal.detail
    assert "300 names" in refusal.found
    assert refusal.key is not None
    assert refusal.key.name == f"r0.{ZONE}"
