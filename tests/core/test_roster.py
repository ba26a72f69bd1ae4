from dnsguard.core.roster import rank

DAEMONS = [f"{number:016x}" for number in range(5)]
ZONES = [f"zone-{number}.test." for number in range(200)]


def test_each_zone_has_one_first_and_an_order_of_all() -> None:
    for zone in ZONES:
        assert sorted(rank(zone, daemon, DAEMONS) for daemon in DAEMONS) == list(range(5))


def test_zones_are_spread_over_the_daemons() -> None:
    first = [next(daemon for daemon in DAEMONS if rank(zone, daemon, DAEMONS) == 0) for zone in ZONES]
    assert all(20 <= first.count(daemon) <= 60 for daemon in DAEMONS)


def test_only_the_zones_of_a_daemon_that_went_get_another_first() -> None:
    left = DAEMONS[1:]
    for zone in ZONES:
        before = next(daemon for daemon in DAEMONS if rank(zone, daemon, DAEMONS) == 0)
        after = next(daemon for daemon in left if rank(zone, daemon, left) == 0)
        assert before in {after, DAEMONS[0]}


def test_a_daemon_that_knows_nobody_is_first_everywhere() -> None:
    assert {rank(zone, DAEMONS[0], ()) for zone in ZONES} == {0}
