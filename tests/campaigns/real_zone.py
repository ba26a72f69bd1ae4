"""The real-zone campaign: a zone as real ones are, taken over, changed and restored, and not a record lost.

On each server a generated zone of many types, with records that dnspython rejects among them, is taken over,
verified, changed by set and retire, rolled back, and then all that `rrsets` prints is submitted again, in messages of
several RRsets. After each step two raw transfers are compared without the product's decoder. Whatever is left out or
refused must be named with its reason.

    python -m tests.campaigns.real_zone [--server bind|knot|powerdns|all] [--rrsets 1500] [--seed N]

Exit code 0 only if nothing is lost, nothing differs and nothing is left unnamed; 1 if not.
"""

import argparse
import json
import logging
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.name
import dns.rdatatype
import structlog

from dnsguard.core.message import Applied
from dnsguard.core.names import fence_name, is_within, name_from_wire
from dnsguard.core.records import Key, Records
from tests.campaigns.raw_transfer import Contents, raw_transfer
from tests.campaigns.real_zone_contents import ZONE, RealZone, generate, is_rejected
from tests.cases.scene import Case, open_case
from tests.wire.primaries import KEYS

SERVERS = ("bind", "knot", "powerdns")
PORTION = 100
"""RRsets in a message when the zone is filled."""
WAIT_S = "120"
NOT_STORED_MAX = 100
"""So many more RRsets are generated than are asked for: each server refuses or ignores some."""
ADDED_S = 7
"""What a changed RRset's TTL grows by."""
KEEPS_CASE = frozenset({"bind"})
"""Servers that keep and send the case of names in records."""
_TTL_KEPT = {"knot": frozenset({Key(ZONE, "NS")})}
"""RRsets whose TTL a server does not change by an update."""

Raw = Mapping[Key, Contents]


@dataclass(slots=True)
class Account:
    """What came of the campaign on one server."""

    server: str
    seed: int
    steps: list[tuple[str, str]] = field(default_factory=list)
    """Each step with its counts."""
    named: list[str] = field(default_factory=list)
    """What was left out or refused, with the reason that was given."""
    faults: list[str] = field(default_factory=list)
    """What was lost, differs, or was not named."""
    types: int = 0
    odd: int = 0
    """RRsets that dnspython rejects and the server stores."""
    taken: int = 0

    def step(self, name: str, said: str) -> None:
        """Note a step that was done."""
        self.steps.append((name, said))

    def expect_same(self, step: str, expected: Raw, found: Raw, *, exact: bool) -> None:
        """Note each RRset that is lost, came from nowhere, or differs."""
        for key in sorted(expected.keys() | found.keys()):
            before, after = expected.get(key), found.get(key)
            if before is None or after is None:
                self.faults.append(f"{step}: {key} {'is lost' if after is None else 'was not there before'}")
            elif before.folded != after.folded or before.ttls != after.ttls:
                self.faults.append(f"{step}: {key} differs: expected {before}, found {after}")
            elif exact and before.exact != after.exact:
                self.faults.append(f"{step}: {key} has other letters: expected {before.exact}, found {after.exact}")

    def __str__(self) -> str:
        head = f"{self.server} (seed {self.seed})"
        lines = [f"{head:<24}{name:<18}{said}" for name, said in self.steps]
        reasons = [f"{head:<24}{'named':<18}{said}" for said in self.named]
        return "\n".join([*lines, *reasons, *(f"{head:<24}{'FAULT':<18}{fault}" for fault in self.faults)])


class Campaign:
    """The steps on one server."""

    def __init__(self, case: Case, account: Account) -> None:
        self._case = case
        self._account = account
        self._exact = account.server in KEEPS_CASE
        self._odd: frozenset[Key] = frozenset()
        self._left_out: frozenset[Key] = frozenset()
        self._unmoved = _TTL_KEPT.get(account.server, frozenset())

    def run(self, zone: RealZone) -> None:
        """Do all steps, as far as the zone could be taken over."""
        self._fill(zone)
        before = self._look()
        generation = self._adopt(before)
        printed = self._printed()
        self._verify("verify")
        managed = {Key(each["name"], each["type"]): each for each in printed}
        chosen = _one_of_each_type(managed, self._odd)
        after_set = self._set(chosen, managed, before)
        self._retire(chosen, after_set)
        self._rollback(generation, before)
        self._submit_again(printed, before)
        self._verify("verify again")

    def _fill(self, zone: RealZone) -> None:
        """Write the zone past dnsguard; what the server does not take or does not store is counted, not a fault."""
        refused = [key for portion in zone.in_order() for key in self._put(portion)]
        stored = self._case.transferred(ZONE)
        ignored = [key for key in zone.contents if key not in stored and key not in refused]
        self._odd = frozenset(
            key for key, each in self._look().items() if any(is_rejected(key.type, octets) for octets in each.exact)
        )
        self._account.odd = len(self._odd)
        self._account.types = len({key.type for key in stored})
        said = f"{len(stored)} RRsets of {self._account.types} types, {self._account.odd} odd ones"
        self._account.step("filled", f"{said}; refused: {_types(refused)}; ignored: {_types(ignored)}")

    def _put(self, portion: Mapping[Key, Records]) -> Iterator[Key]:
        """Write RRsets, halving what is refused; yield those that are refused alone."""
        queue = [dict(list(portion.items())[at : at + PORTION]) for at in range(0, len(portion), PORTION)]
        while queue:
            some = queue.pop()
            if self._case.put(ZONE, some) == Applied():
                continue
            if len(some) == 1:
                yield from some
            else:
                items = list(some.items())
                queue += [dict(items[: len(items) // 2]), dict(items[len(items) // 2 :])]

    def _look(self) -> Raw:
        """Return the zone as a raw transfer shows it, but for the SOA and dnsguard's own names."""
        key = KEYS[dns.name.from_text("updater.")]
        found = raw_transfer(self._case.server.address, ZONE, key)
        named = {
            Key(name_from_wire(rrset.name), dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rrset.type))): contents
            for rrset, contents in found.items()
        }
        return {
            key: each for key, each in named.items() if key.type != "SOA" and not is_within(key.name, fence_name(ZONE))
        }

    def _adopt(self, before: Raw) -> int:
        """Take over all; return the last generation of it."""
        lines = self._case.run("adopt", ZONE, "--all", "--wait", WAIT_S, "--json").splitlines()
        adopted = json.loads(lines[0])
        left_out = {Key(each["name"], each["type"]): each["why"] for each in adopted["left_out"]}
        self._left_out = frozenset(key for key, why in left_out.items() if why)
        printed = {Key(each["name"], each["type"]) for each in self._printed()}
        self._account.taken = len(printed)
        self._account.named += [f"left out {key}: {why}" for key, why in left_out.items() if key.type != "SOA"]
        for key in sorted(before.keys() - printed):
            if not left_out.get(key):
                self._account.faults.append(f"adopt: {key} is neither taken over nor left out with a reason")
        for line in lines[1:]:
            if (state := json.loads(line)["state"]) != "published":
                self._account.faults.append(f"adopt: expected it published, found {state}")
        self._account.expect_same("adopt", before, self._look(), exact=True)
        self._account.step("adopt --all", f"{len(printed)} taken over, {len(left_out)} left out and named")
        return int(adopted["generations"][-1])

    def _printed(self) -> list[dict[str, Any]]:
        """Return what `rrsets` prints."""
        lines = self._case.run("rrsets", ZONE, "--json").splitlines()
        return [each for line in lines for each in json.loads(line)["rrsets"] if each["absence"] is None]

    def _verify(self, step: str) -> None:
        """Compare by the product's own verifier, and expect that it names the odd ones that it holds."""
        done = self._case.cli("verify", ZONE, "--json")
        found = json.loads(done.output)
        self._account.faults += [f"{step}: {finding}" for finding in found["findings"]]
        named = {Key(each["name"], each["type"]) for each in found["opaque"]}
        unnamed = self._odd - named - self._left_out
        self._account.faults += [f"{step}: {key} is odd and not named" for key in sorted(unnamed)]
        said = f"{found['compared']} compared, {found['finding_count']} differ, {len(named)} compared by octets"
        self._account.step(step, said)

    def _set(self, chosen: Sequence[Key], managed: Mapping[Key, Mapping[str, Any]], before: Raw) -> Raw:
        """Give RRsets one by one the records of another of their type, and another TTL; return what is to be there."""
        expected = dict(before)
        others: dict[str, list[Key]] = {}
        for key in managed:
            others.setdefault(key.type, []).append(key)
        refused = 0
        for key in chosen:
            other = others[key.type][-1] if key.type in {"TXT", "MX", "SRV", "TLSA", "A"} else key
            ttl = managed[key]["ttl"] + ADDED_S * (key not in self._unmoved)
            if self._order(key, "set", key.name, key.type, str(ttl), *managed[other]["records"]):
                expected[key] = before[other]._replace(ttls=frozenset({ttl}))
            else:
                refused += 1
        self._account.expect_same("set", expected, self._look(), exact=self._exact)
        self._account.step("set", f"{len(chosen) - refused} set one by one, {refused} refused and named")
        return expected

    def _retire(self, chosen: Sequence[Key], before: Raw) -> None:
        expected = dict(before)
        refused = 0
        # A delegation's DS goes before its NS.
        for key in sorted(chosen, key=lambda each: (each.type == "NS", each)):
            if self._order(key, "retire", key.name, key.type):
                del expected[key]
            else:
                refused += 1
        self._account.expect_same("retire", expected, self._look(), exact=self._exact)
        self._account.step("retire", f"{len(chosen) - refused} retired one by one, {refused} refused and named")

    def _order(self, key: Key, *command: str) -> bool:
        """Give an order that concerns an RRset; tell whether it was done. A refusal must name the RRset."""
        name, *arguments = command
        done = self._case.cli(name, "--wait", "30", "--", *arguments)
        if done.exit_code == 0:
            return True
        said = " ".join(done.output.split())
        if str(key) in said:
            self._account.named.append(f"{command[0]} {key}: {said[:300]}")
        else:
            self._account.faults.append(f"{command[0]}: {key} is refused and not named: {said}")
        return False

    def _rollback(self, generation: int, before: Raw) -> None:
        done = self._case.cli("rollback", str(generation), "--wait", WAIT_S)
        if done.exit_code:
            self._account.faults.append(f"rollback: {' '.join(done.output.split())}")
        self._account.expect_same("rollback", before, self._look(), exact=self._exact)
        self._account.step("rollback", f"to generation {generation}")

    def _submit_again(self, printed: Iterable[Mapping[str, Any]], before: Raw) -> None:
        """Submit what was printed: as it is (unchanged), with other TTLs, as it was, and once more by force."""
        rrsets = [{name: each[name] for name in ("name", "type", "ttl", "records")} for each in printed]
        longer = [
            each | {"ttl": each["ttl"] + ADDED_S * (Key(each["name"], each["type"]) not in self._unmoved)}
            for each in rrsets
        ]
        moved = {Key(each["name"], each["type"]): frozenset({each["ttl"]}) for each in longer}
        after = {key: each._replace(ttls=moved.get(key, each.ttls)) for key, each in before.items()}
        for step, some, expected, republish in (
            ("submit unchanged", rrsets, before, False),
            ("submit longer", longer, after, False),
            ("submit as it was", rrsets, before, False),
            ("republish", rrsets, before, True),
        ):
            done = self._case.cli(
                "submit",
                "-",
                "--zone",
                ZONE,
                "--wait",
                WAIT_S,
                stdin=json.dumps({"rrsets": some, "republish": republish}),
            )
            said = done.output.strip().splitlines()
            if done.exit_code:
                self._account.faults.append(f"{step}: {' '.join(said)}")
            self._account.expect_same(step, expected, self._look(), exact=self._exact)
            self._account.step(step, f"{len(some)} RRsets in one plan: {said[0][:60]}")


def _one_of_each_type(managed: Collection[Key], odd: Collection[Key]) -> list[Key]:
    """Choose the RRsets that are changed one by one: one of each type, a wildcard, an odd name, and all odd ones."""
    chosen: dict[object, Key] = {}
    for key in managed:
        kind = key if key in odd else (key.type, key.name.startswith("*."), "\\" in key.name, key.name == ZONE)
        chosen.setdefault(kind, key)
    return sorted(chosen.values())


def _types(keys: Iterable[Key]) -> str:
    counted = Counter(key.type for key in keys)
    return (
        ", ".join(f"{rdtype} {count}" if count > 1 else rdtype for rdtype, count in sorted(counted.items())) or "none"
    )


def run(kind: str, rrsets: int, seed: int, folder: Path, *, message_rrsets_max: int) -> Account:
    """Run the campaign on one kind of server, in a zone of at least so many RRsets as it stores them."""
    account = Account(kind, seed)
    settings = f"[policy]\nmessage_rrsets_max = {message_rrsets_max}"
    with open_case(folder, kind, {ZONE: ""}, settings) as case:
        Campaign(case, account).run(generate(rrsets + NOT_STORED_MAX, seed))
    return account


def main() -> int:
    """Run the campaign that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns.real_zone", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--server", choices=[*SERVERS, "all"], default="all")
    parser.add_argument("--rrsets", type=int, default=1_500)
    parser.add_argument("--message-rrsets", type=int, default=200, help="RRsets in one message")
    parser.add_argument("--seed", type=int, default=None, help="the zone recurs with it; a random one if absent")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    failed = False
    for kind in SERVERS if asked.server == "all" else (asked.server,):
        with tempfile.TemporaryDirectory(prefix="dnsguard-campaign-") as folder:
            account = run(kind, asked.rrsets, seed, Path(folder), message_rrsets_max=asked.message_rrsets)
        print(account, flush=True)
        failed |= bool(account.faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
