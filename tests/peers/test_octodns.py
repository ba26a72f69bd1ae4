"""What a peer does in the same interleaving: recorded, so that the comparison stays true."""

import asyncio
import base64
from pathlib import Path

import dns.name
import dns.tsig
import pytest

from tests.peers.octodns import KEY, SECRET, ZONE, play
from tests.servers.bind import Bind


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # octoDNS's own
async def test_without_a_prerequisite_a_stale_plan_and_a_clean_up_leave_the_name_empty(tmp_path: Path) -> None:
    key = dns.tsig.Key(KEY, base64.b64decode(SECRET), dns.tsig.HMAC_SHA256)
    async with await Bind.start(tmp_path, zones={dns.name.from_text(ZONE): [KEY]}, keys={KEY: key}) as server:
        answers = await asyncio.to_thread(play, server.address)
    assert [answer.addresses for answer in answers[:3]] == [("192.0.2.1",), ("192.0.2.1",), ("192.0.2.4",)]
    assert (answers[-2].alias, answers[-2].addresses) == (f"g2.www.{ZONE}", ("192.0.2.2",))
    assert (answers[-1].rcode, answers[-1].alias, answers[-1].addresses) == ("NOERROR", f"g2.www.{ZONE}", ())
