"""Taking a plan back from the command line, against a daemon and BIND."""

import asyncio
import json
from pathlib import Path

from tests.cli.rig import Cli
from tests.cli.site import open_site


def test_a_published_plan_is_not_withdrawn_and_the_way_out_is_named(cli: Cli) -> None:
    done = cli("set", "stays", "A", "300", "192.0.2.1", "--json")
    generation = str(json.loads(done.stdout)["generation"])
    refused = cli("withdraw", generation)
    assert refused.exit_code == 1
    assert f"generation {generation} is published" in refused.stderr
    assert f"dnsguard rollback {int(generation) - 1}" in refused.stderr
    assert cli("withdraw", "99999").exit_code == 1
    assert cli("withdraw", "0").exit_code == 2


def test_a_plan_is_withdrawn_while_the_primary_is_away_and_that_is_settled_when_it_is_back(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        site.publish("www", "192.0.2.1")
        asyncio.run(site.bind.stop())
        assert site.cli("set", "www", "A", "300", "192.0.2.2", "--no-wait").exit_code == 0
        early = site.cli("withdraw", "2", "--reason", "a typing error", "--wait", "1")
        assert early.exit_code == 1
        assert "withdrawing: example.test. generation 2, not yet confirmed by the primary" in early.stdout
        shown = site.cli("status", "example.test.").stdout
        assert "generation 2 is withdrawing: withdrawn by admin: a typing error" in shown
        asyncio.run(site.bind.restart())
        done = site.until(0, "withdraw", "2", "--wait", "10")
        assert done.stdout == "withdrawn: example.test. generation 2\n"
        listed = {plan["generation"]: plan["state"] for plan in json.loads(site.cli("plans", "--json").stdout)["plans"]}
        assert (listed[1], listed[2]) == ("published", "withdrawn")
        assert {line for line in site.shown() if "www" in line and " A " in line} == {
            "www.example.test. 300 IN A 192.0.2.1"
        }
