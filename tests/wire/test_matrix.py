"""The table in the docs is about the tests that there are."""

import re
import xml.etree.ElementTree as ET

from tests.wire.matrix import BEGIN, END, FILES, PAGE, ROOT, Cases, claim, read, table
from tests.wire.primaries import SERVERS

VERSIONS = dict.fromkeys(SERVERS, "1.2.3")


def case(name: str, *inside: str) -> ET.Element:
    made = ET.Element("testcase", name=name)
    for tag in inside:
        ET.SubElement(made, tag)
    return made


def test_cases_are_counted_by_claim_and_server_and_failures_are_named() -> None:
    cases = [case("test_it_holds[bind-1]"), case("test_it_holds[bind-2]", "failure"), case("test_it_holds[knot]")]
    results = read([*cases, case("test_alone"), case("test_it_holds[powerdns]", "skipped")])
    assert results == {"it holds": {"bind": Cases(1, 1), "knot": Cases(1)}}
    assert table(results, VERSIONS).splitlines()[-1] == "| it holds | - | **1 of 2 failed** | 1 | - |"


def test_a_claim_that_a_server_fulfils_in_its_own_way_says_so() -> None:
    different = case("test_it_holds[knot]", "properties")
    ET.SubElement(different[0], "property", name="own way", value="it does not")
    results = read([different])
    assert table(results, VERSIONS).splitlines()[-1] == "| it holds | - | - | 1, in its own way; it does not | - |"


def test_the_page_has_every_claim_of_the_contract_and_none_that_failed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = page[page.index(BEGIN) : page.index(END)]
    assert "failed" not in written
    claims = {line.split(" | ")[0].removeprefix("| ") for line in written.splitlines()[3:] if line}
    defined = {
        claim(name)
        for file in FILES
        for name in re.findall(
            r"^(?:async )?def (test_\w+)\(", (ROOT / "tests" / "wire" / file).read_text(), re.MULTILINE
        )
    }
    assert claims <= defined
    assert len(claims) > 40
