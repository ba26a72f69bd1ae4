"""What the demo's client makes of an answer: which addresses, for how long, and what it lacks."""

import dns.message
import pytest

from dnsguard.lab.demo.resolver import Answer, read_answer
from dnsguard.lab.demo.script import MAIN, ZONE

SOA = f"{ZONE} 300 IN SOA ns1.{ZONE} hostmaster.{ZONE} 1 3600 600 604800"


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        (
            f";ANSWER\n{MAIN.name} 9 IN CNAME g7.{MAIN.name}\ng7.{MAIN.name} 5 IN A 192.0.2.1\n",
            Answer("NOERROR", ("192.0.2.1",), f"g7.{MAIN.name}", 5.0, 2),
        ),
        (
            f";ANSWER\n{MAIN.name} 5 IN CNAME g7.{MAIN.name}\n;AUTHORITY\n{SOA} 15\n",
            Answer("NOERROR", (), f"g7.{MAIN.name}", 15.0, 1),
        ),
        (f";AUTHORITY\n{SOA} 900\n", Answer("NOERROR", (), None, 300.0, 0)),
    ],
)
def test_an_answer_is_kept_as_long_as_its_ttl_or_the_soa_says(sections: str, expected: Answer) -> None:
    response = dns.message.from_text(f"id 1\nopcode QUERY\nrcode NOERROR\nflags QR AA\n{sections}")
    assert read_answer(response, "A") == expected


def test_what_an_answer_lacks_is_said_in_a_word() -> None:
    node = f"g7.{MAIN.name}"
    given = (Answer("NOERROR", ("192.0.2.1",), node, 5, 2), Answer("NOERROR", (), node, 5, 1))
    assert [answer.lack for answer in given] == [None, "empty"]
    assert Answer("NXDOMAIN", (), None, 5, 0).lack == "absent"
