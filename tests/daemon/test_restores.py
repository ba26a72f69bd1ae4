"""After a restore: a name server that fell behind is brought forward by itself; a database that did stops the zone
until a person has decided, and each decision leads back to order. On a real BIND, with SQLite.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.site import Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path, "[workers]\nenactor_interval_s = 0.3\n") as site:
        yield site


def status(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.cli("status", "example.test.", "--json").stdout)
    return found


def addresses(site: Site) -> dict[str, str]:
    lines = (line.split() for line in site.shown())
    return {name.partition(".")[0]: rdata for name, _, _, rdtype, rdata, *_ in lines if rdtype == "A"}


def test_a_name_server_restored_from_a_backup_is_brought_forward_by_itself(site: Site) -> None:
    site.publish("www", "192.0.2.1")
    site.publish("old", "192.0.2.1")
    site.back_up_server()
    site.publish("www", "192.0.2.2")
    site.publish("new", "192.0.2.3")
    assert site.cli("retire", "old", "A", "--wait", "30").exit_code == 0
    site.restore_server()
    clean = site.until(0, "verify")
    assert "at generation 5: 3 RRsets compared, nothing differs" in clean.stdout
    found = addresses(site)
    assert (found["www"], found["new"], "old" in found) == ("192.0.2.2", "192.0.2.3", False)
    assert (status(site)["newest"], status(site)["halted"]) == (5, None)


def test_a_name_server_restored_from_before_dnsguard_is_filled_anew_and_that_is_said_loudly(site: Site) -> None:
    site.back_up_server()
    site.publish("www", "192.0.2.1")
    site.publish("www", "192.0.2.2")
    site.restore_server()
    assert "at generation 2: 1 RRsets compared, nothing differs" in site.until(0, "verify").stdout
    assert addresses(site)["www"] == "192.0.2.2"
    assert any("the fence was gone" in line and "error" in line for line in site.log_lines)


@pytest.fixture
def halted(site: Site) -> Site:
    """A site whose database is from before generation 3: the zone stands at 3, where www is 192.0.2.3."""
    site.publish("www", "192.0.2.1")
    site.back_up_database()
    site.publish("www", "192.0.2.2")
    site.publish("www", "192.0.2.3")
    site.stop()
    site.restore_database()
    site.start()
    site.until(1, "status", "example.test.")
    return site


def test_a_database_restored_from_a_backup_stops_the_zone_and_says_so_everywhere(halted: Site) -> None:
    shown = halted.cli("status")
    assert shown.exit_code == 1
    assert "HALTED" in shown.stdout
    assert "ahead of this database" in shown.stdout
    assert "dnsguard zone resync example.test." in shown.stdout
    assert halted.cli("status", "example.test.", "--json").exit_code == 1
    refused = halted.cli("verify")
    assert refused.exit_code == 1
    assert "ahead of this database" in refused.stderr
    assert halted.cli("adopt", "--all").exit_code == 1
    accepted = halted.cli("set", "www", "A", "300", "192.0.2.9", "--wait", "1")
    assert accepted.exit_code == 1
    assert addresses(halted)["www"] == "192.0.2.3"
    assert any("zone.halted" in line for line in halted.log_lines)


@pytest.mark.parametrize(("keep", "address"), [("wire", "192.0.2.3"), ("store", "192.0.2.1")])
def test_either_decision_leads_back_to_order_above_both_histories(halted: Site, keep: str, address: str) -> None:
    done = halted.cli("zone", "resync", "--zone", "example.test.", "--keep", keep, "--reason", "restored on Monday")
    assert (done.exit_code, done.stdout) == (0, "example.test. goes on from generation 4\n")
    clean = halted.until(0, "verify")
    assert "at generation 4: 1 RRsets compared, nothing differs" in clean.stdout
    assert addresses(halted)["www"] == address
    assert halted.until(0, "status", "example.test.").exit_code == 0
    entry = json.loads(halted.cli("show", "4", "--json").stdout)
    assert (entry["actor"], entry["reason"], entry["state"]) == ("admin", "restored on Monday", "published")
    halted.publish("www", "192.0.2.10")
    assert status(halted)["published"] == 5


def test_a_restored_database_that_went_on_by_itself_is_noticed_by_its_digest(site: Site) -> None:
    site.publish("www", "192.0.2.1")
    site.back_up_database()
    site.publish("www", "192.0.2.2")
    site.publish("lost", "192.0.2.5")
    site.stop()
    site.restore_database()
    site.start()
    site.until(1, "status")
    for address in ("192.0.2.77", "192.0.2.78"):
        assert site.cli("set", "www", "A", "300", address, "--no-wait").exit_code == 0
    shown = site.cli("status", "example.test.").stdout
    for _ in range(150):
        if "went on differently" in shown:
            break
        shown = site.cli("status", "example.test.").stdout
    assert "went on differently" in shown
    assert addresses(site)["www"] == "192.0.2.2"
    assert site.cli("zone", "resync", "example.test.", "--keep", "wire").exit_code == 0
    assert "1 RRsets compared, nothing differs" in site.until(0, "verify").stdout
    assert site.cli("adopt", "--name", "lost").exit_code == 0
    assert "2 RRsets compared, nothing differs" in site.until(0, "verify").stdout
    assert (addresses(site)["www"], addresses(site)["lost"]) == ("192.0.2.2", "192.0.2.5")
