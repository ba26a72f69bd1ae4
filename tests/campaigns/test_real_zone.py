"""A slice of the real-zone campaign: a zone as real ones are is taken over, changed and restored, and nothing is lost.

The whole of it: `python -m tests.campaigns.real_zone`.
"""

from pathlib import Path

import pytest

from dnsguard.core.records import Key
from tests.campaigns.raw_transfer import Contents
from tests.campaigns.real_zone import SERVERS, Account, run
from tests.campaigns.real_zone_contents import ODD, ZONE, generate, is_rejected


@pytest.mark.campaign
@pytest.mark.parametrize("kind", SERVERS)
def test_nothing_of_a_real_zone_is_lost_or_left_unnamed(kind: str, tmp_path: Path) -> None:
    account = run(kind, 250, 1, tmp_path, message_rrsets_max=50)
    assert account.faults == []
    assert account.odd >= 20, account
    assert account.types >= 45, account
    assert account.taken >= 230, account


@pytest.mark.parametrize(("rdtype", "octets", "why"), ODD)
def test_each_odd_record_is_one_that_dnspython_rejects(rdtype: str, octets: str, why: str) -> None:
    assert is_rejected(rdtype, bytes.fromhex(octets)), why


def test_a_seed_makes_the_same_zone_again() -> None:
    assert generate(600, 3).contents == generate(600, 3).contents
    assert generate(600, 3).contents != generate(600, 4).contents


def test_the_comparison_finds_what_is_lost_new_or_different() -> None:
    one, other = (Contents(frozenset({60}), (each,), (each,)) for each in (b"a", b"b"))
    longer, capitals = one._replace(ttls=frozenset({61})), one._replace(exact=(b"A",))
    keys = [Key(f"{letter}.{ZONE}", "TXT") for letter in "abcdef"]
    before = dict(zip(keys, (one, one, one, one, one), strict=False))
    after = dict(zip(keys[1:], (one, other, longer, capitals, one), strict=True))
    account = Account("none", 1)
    account.expect_same("step", before, after, exact=True)
    said = ["is lost", "differs", "differs", "has other letters", "was not there before"]
    expected = [f"step: {key} {word}" for key, word in zip([keys[0], *keys[2:]], said, strict=True)]
    assert [fault.split(": expected")[0] for fault in account.faults] == expected
