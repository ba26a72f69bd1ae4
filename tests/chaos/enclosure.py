"""An enclosure for a run: network, mounts and processes of its own, from which nothing gets out and of which nothing
is left, however the run ends: when its first process is gone, the kernel ends the others and takes down the rest.
It asks for no more than the machine allows; where that is not enough, a run has plain processes on loopback.
"""

import asyncio
import ctypes
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tests.servers.running import HERE, Place

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_NAMES = Path("/run/netns")
FOLDER = _NAMES / ".stage"
"""A folder in an enclosure's own memory: it is gone with it."""
_CLONE_NEWNET = 0x40000000
_NETWORK = "10.53.0"
_DNS_PORT = 53
_TABLE = ("inet", "faults")
Result = TypeVar("Result")


class NotAllowed(Exception):
    """The machine does not allow what an enclosure needs; the message says what."""


def allowed() -> bool:
    """Tell whether this machine lets us have an enclosure."""
    if any(shutil.which(program) is None for program in ("unshare", "nsenter", "ip", "nft", "mount")):
        return False
    done = subprocess.run([*_UNSHARE, "ip", "link", "add", "type", "bridge"], check=False, capture_output=True)
    return done.returncode == 0


def enter(argv: Sequence[str]) -> None:
    """Become a command in a new enclosure; does not return."""
    sys.stdout.flush()
    os.execvp(_UNSHARE[0], [*_UNSHARE, *argv])  # noqa: S606  no shell is wanted


class Enclosure:
    """The inside: hosts with an address each on one bridge, to which this process is connected, too."""

    def __init__(self) -> None:
        self._numbers = itertools.count(2)
        self._hosts: dict[str, Place] = {}

    async def open(self) -> None:
        """Make the bridge, and `FOLDER`, in memory. Raises NotAllowed."""
        if os.getpid() != 1:
            raise NotAllowed("expected to be the first process of an enclosure; begin with `enter`")
        await run("mkdir", "-p", str(_NAMES))
        await run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(_NAMES))
        await run("mkdir", str(FOLDER))
        await run("ip", "link", "set", "lo", "up")
        await run("ip", "link", "add", "name", "bridge0", "type", "bridge")
        await run("ip", "address", "add", f"{_NETWORK}.1/24", "dev", "bridge0")
        await run("ip", "link", "set", "bridge0", "up")

    async def host(self, name: str) -> Place:
        """Add a host."""
        address = f"{_NETWORK}.{next(self._numbers)}"
        await run("ip", "netns", "add", name)
        await run("ip", "link", "add", "name", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        await run("ip", "link", "set", f"to-{name}", "master", "bridge0", "up")
        await run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            await run("ip", "-n", name, "link", "set", device, "up")
        rules = "".join(
            f"add chain inet faults {hook} {{ type filter hook {hook} priority 0; }}\n" for hook in ("input", "output")
        )
        await self._nft(name, f"add table inet faults\n{rules}")
        place = Place(address, _DNS_PORT, ("nsenter", f"--net={_NAMES / name}", "--"))
        self._hosts[name] = place
        return place

    async def cut(self, name: str, *others: str) -> None:
        """Let nothing through between a host and others, or anybody."""
        if not others:
            rules = [
                'add rule inet faults input iifname "eth0" counter drop',
                'add rule inet faults output oifname "eth0" counter drop',
            ]
        else:
            hosts = ", ".join(self._hosts[other].host for other in others)
            rules = [
                f"add rule inet faults input ip saddr {{ {hosts} }} counter drop",
                f"add rule inet faults output ip daddr {{ {hosts} }} counter drop",
            ]
        await self._nft(name, "\n".join(rules))

    async def lose(self, name: str, percent: int) -> None:
        """Lose a share of a host's packets, coming and going."""
        lost = f"numgen random mod 100 < {percent} counter drop"
        await self._nft(
            name,
            f'add rule inet faults input iifname "eth0" {lost}\nadd rule inet faults output oifname "eth0" {lost}',
        )

    async def mend(self, name: str) -> int:
        """Let everything through again; return how many packets were not."""
        listed = json.loads(await run("nsenter", f"--net={_NAMES / name}", "--", "nft", "-j", "list", "table", *_TABLE))
        await self._nft(name, "flush chain inet faults input\nflush chain inet faults output")
        rules = [each["rule"] for each in listed["nftables"] if "rule" in each]
        return sum(part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part)

    async def _nft(self, name: str, rules: str) -> None:
        await run("nsenter", f"--net={_NAMES / name}", "--", "nft", "-f", "-", given=rules + "\n")


def inside(place: Place, act: Callable[[], Result]) -> Result:
    """Act as on a host: what sockets are made belong to it. In a thread, as a thread's network is its own."""
    if place.prefix == HERE.prefix:
        return act()
    name = next(part.removeprefix("--net=") for part in place.prefix if part.startswith("--net="))
    found: list[Result] = []
    failed: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            _join(name)
            found.append(act())
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=enter_and_act)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _join(network: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(network).open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


async def run(*argv: str, given: str = "") -> str:
    """Run a command to its end and return what it said. Raises NotAllowed with that."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(given.encode())
    if process.returncode:
        raise NotAllowed(f"{' '.join(argv)}: {said.decode(errors='replace').strip()}")
    return said.decode(errors="replace")
