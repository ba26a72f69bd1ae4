"""A plan of several messages is published wherever it is cut, and what no cut can publish is refused with its names."""

import json
from pathlib import Path

import pytest

from tests.cases.scene import open_case

every_server = pytest.mark.parametrize("kind", ["bind", "knot", "powerdns"])
ZONE = "shop.test."


def plan(folder: Path, *rrsets: tuple[str, str, list[str]]) -> str:
    """Write a plan's file; return its name."""
    listed = [{"name": name, "type": rdtype, "ttl": 300, "records": records} for name, rdtype, records in rrsets]
    path = folder / "plan.json"
    path.write_text(json.dumps({"zone": ZONE, "rrsets": listed}))
    return str(path)


@every_server
def test_an_mx_before_its_targets_address_is_published(tmp_path: Path, kind: str) -> None:
    with open_case(tmp_path, kind, {ZONE: ""}, "[policy]\nmessage_rrsets_max = 2") as case:
        hosts = [(name, "A", ["192.0.2.1"]) for name in ("h", "i", "zmail")]
        said = case.run("submit", plan(tmp_path, ("a", "MX", [f"10 zmail.{ZONE}"]), *hosts))
        assert f"published: {ZONE} generation 1" in said
        said = case.run("verify", ZONE)
        assert "4 RRsets compared, nothing differs" in said


def test_names_that_point_at_each_other_and_fit_no_message_are_refused_by_name(tmp_path: Path) -> None:
    text = [" ".join(['"' + "x" * 250 + '"'] * 90)]
    names = ["a", "b", "c", "d"]
    rrsets = [
        each
        for name, target in zip(names, [*names[1:], "a"], strict=True)
        for each in ((name, "A", ["192.0.2.1"]), (name, "MX", [f"10 {target}.{ZONE}"]), (name, "TXT", text))
    ]
    with open_case(tmp_path, "bind", {ZONE: ""}) as case:
        said = case.run("submit", plan(tmp_path, *rrsets), code=1)
        assert "a.shop.test., b.shop.test., c.shop.test., d.shop.test. point at each other" in said
        assert "in a plan of their own first" in said
        case.run("submit", plan(tmp_path, *(each for each in rrsets if each[1] != "MX")))
        said = case.run("submit", plan(tmp_path, *(each for each in rrsets if each[1] == "MX")))
        assert "published" in said
