"""Clients: planners that submit plans to whichever daemon answers, and a chronicler that reads the history through the
API as it grows, before clean-up takes of it what nothing needs. All that they are told goes into the history; what
is unclear, a lost connection above all, is asked again under the same Idempotency-Key until there is an answer.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from tests.campaigns.load import Exchange, NoReply, exchange
from tests.campaigns.pacing import came
from tests.campaigns.wishes import PLANNERS, WEIGHTS, Imagination, Names, Request
from tests.chaos.history import UNCOVERED, Answered, Contents, Listed, Said, Stood, Submitted, Writer, contents_of

ANSWER_S_MAX = 4.0
_AGAIN_S = 0.15
_WEIGHTS = {**WEIGHTS, "bulk": 4}
"""Large plans cost all the others their time on a small machine."""
_WAITING = 0.2
"""The share of plans whose planner waits for their publication."""
_EVERYWHERE = 0.25
"""The share of those whose planner waits until all name servers serve it."""
_REPEATED = 0.03
"""The share of accepted plans that are sent once more, as by a client that forgot the answer."""
_UNCLEAR = {408, 500, 502, 503, 504}
_STATES = {"/problems/rejected": "rejected", "/problems/faulted": "faulted"}


@dataclass(frozen=True, slots=True)
class Doors:
    """Where daemons answer at the moment, and with which token."""

    urls: Callable[[], Sequence[str]]
    token: str
    session: aiohttp.ClientSession

    async def ask(
        self,
        chance: random.Random,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Exchange:
        """Ask one of the daemons. Raises NoReply, also if none seems to be up."""
        urls = self.urls()
        if not urls:
            raise NoReply("no daemon is up")
        usual = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return await exchange(
            self.session,
            method,
            chance.choice(urls) + path,
            headers=usual | dict(headers or {}),
            body=body,
            timeout_s=ANSWER_S_MAX,
        )


class Planners:
    """The planners of one zone."""

    def __init__(
        self, zone: str, doors: Doors, writer: Writer, seed: int, *, pace_s: float, count: int = PLANNERS
    ) -> None:
        self.zone = zone
        self.accepted = 0
        self._unclear: dict[int, str] = {}
        self.turned_away = 0
        """Requests answered as not to be taken at the moment."""
        self.rollbacks: set[int] = set()
        """Plans of which only the history says what they cover."""
        self.pace_s = pace_s
        self._zone, self._doors, self._writer, self._seed = zone, doors, writer, seed
        self._count = count
        self._names = Names(zone)
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._plan(planner)) for planner in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def unanswered(self) -> list[str]:
        """Plans without a final answer, and what there was instead at last."""
        return [f"plan {plan} of {self.zone}: {said}" for plan, said in self._unclear.items()]

    def stop(self) -> None:
        """Have them submit nothing new."""
        self._over.set()

    async def finish(self) -> None:
        """Wait until each has its answer. Raises what one of them died of."""
        await asyncio.gather(*self._tasks)

    async def _plan(self, planner: int) -> None:
        chance = random.Random(f"{self._seed} {self._zone} {planner}")
        among = planner % PLANNERS  # names of one's own are shared by some, where there are more
        imagination = Imagination(among, self._names, self._seed + planner // PLANNERS, _WEIGHTS)
        number = planner + 1
        while not self._over.is_set():
            if chance.random() < 0.3:
                await self._look(imagination, chance)
            request = imagination.wish(number)
            self._writer.write(_submitted(self._zone, request))
            if request.wish.to is not None:
                self.rollbacks.add(number)
            accepted = await self._until_answered(request, chance)
            if accepted and chance.random() < _REPEATED:
                await self._until_answered(request, chance)
            number += self._count
            await came(self._over, chance.expovariate(1 / self.pace_s))

    async def _look(self, imagination: Imagination, chance: random.Random) -> None:
        """Read the zone's newest generation, as well as it goes."""
        try:
            found = await self._doors.ask(chance, "GET", f"/v1/zones/{self._zone}")
        except NoReply:
            return
        if found.status == 200:
            imagination.learn(int(found.document["newest"]))

    async def _until_answered(self, request: Request, chance: random.Random) -> bool:
        headers = {
            "If-Match": "*" if request.based_on is None else f'"{request.based_on}"',
            "Idempotency-Key": f"chaos-{self._seed}-{self._zone}-{request.wish.number}",
        }
        if chance.random() < _WAITING:
            everywhere = ", wait-for=propagated" if chance.random() < _EVERYWHERE else ""
            headers["Prefer"] = f"wait={chance.randint(1, 4)}{everywhere}"
        body = json.dumps(request.body).encode()
        path = f"/v1/zones/{self._zone}/{request.path}"
        retried = False
        while True:
            sent = time.monotonic()
            try:
                found = await self._doors.ask(chance, "POST", path, headers, body)
            except NoReply as error:
                self._unclear[request.wish.number], retried = f"no answer: {error}", True
                await came(asyncio.Event(), _AGAIN_S * chance.random())
                continue
            if found.status in _UNCLEAR:
                self.turned_away += 1
                self._unclear[request.wish.number] = f"{found.status} {found.document.get('detail')}"
                retried = True
                await came(asyncio.Event(), _AGAIN_S)
                continue
            self._unclear.pop(request.wish.number, None)
            return self._note(request.wish.number, found, sent, retried=retried)

    def _note(self, plan: int, found: Exchange, sent: float, *, retried: bool) -> bool:
        document = found.document
        settled = _STATES.get(document.get("type", ""))
        durable = found.status in {200, 202} or settled is not None
        generation = int(document["generation"]) if durable else None
        state = settled or document.get("state", "")
        propagated = durable and bool(document.get("propagated"))
        at = time.monotonic()
        unchanged = bool(document.get("unchanged"))
        answered = Answered(self._zone, plan, sent, at, found.status, generation, state, propagated, retried, unchanged)
        self._writer.write(answered)
        if generation is not None and not document.get("repeated") and not unchanged:
            self.accepted += 1
        return generation is not None


class Chronicler:
    """Reads one zone's history as it grows, and what is told to have stood at older generations."""

    PAGE = 200
    PACE_S = 1.0
    SAMPLE = 0.05

    def __init__(
        self, zone: str, doors: Doors, writer: Writer, seed: int, *, kept: int, rollbacks: Collection[int]
    ) -> None:
        """``kept`` is how many generations back a rollback is promised to reach; of ``rollbacks`` all are read."""
        self.unread = 0
        self._zone, self._doors, self._writer = zone, doors, writer
        self._chance = random.Random(f"{seed} {zone} chronicler")
        self._kept = kept
        self._rollbacks = rollbacks
        self._seen: dict[int, str] = {}
        self._unsettled: set[int] = set()
        self._to_read: set[int] = set()

    @property
    def settled(self) -> bool:
        """Whether every plan was listed as settled, and what should be read was."""
        return not self._unsettled and not self._to_read

    async def follow(self, over: asyncio.Event) -> None:
        """Read on until it is over."""
        while not over.is_set():
            try:
                await self.read()
                await self._look_back()
            except NoReply:
                pass  # whoever answers next is asked next
            await came(over, self.PACE_S)

    async def read(self) -> None:
        """Read what is new since the last time, and what has changed. Raises NoReply."""
        newest_known = max(self._seen, default=0)
        until = min(self._unsettled, default=newest_known)
        path: str | None = f"/v1/zones/{self._zone}/plans?limit={self.PAGE}"
        while path is not None:
            page = await self._get(path)
            for plan in page["plans"]:
                self._list(plan)
            path = page["next"] if page["plans"] and page["plans"][-1]["generation"] > until else None
        for generation in sorted(self._to_read):
            await self._read_plan(generation)

    async def _read_plan(self, generation: int) -> None:
        """Read what a plan covers; leave it be if clean-up was faster."""
        found = await self._doors.ask(self._chance, "GET", f"/v1/zones/{self._zone}/plans/{generation}")
        if found.status >= 500:
            raise NoReply(f"{found.status}")
        self._to_read.discard(generation)
        if found.status != 200 or found.document["rrset_count"] != len(found.document["rrsets"]):
            self.unread += 1
            return
        self._writer.write(Said(self._zone, generation, _contents(found.document["rrsets"])))

    def _list(self, plan: Mapping[str, Any]) -> None:
        generation, state = int(plan["generation"]), str(plan["state"])
        if self._seen.get(generation) == state:
            return
        listed = Listed(
            self._zone,
            generation,
            time.monotonic(),
            plan["reason"],
            plan["actor"],
            state,
            plan["why"],
            plan["reverts"],
        )
        if generation not in self._seen and (
            listed.plan is None or listed.plan in self._rollbacks or self._chance.random() < self.SAMPLE
        ):
            self._to_read.add(generation)
        self._seen[generation] = state
        if state == "accepted":
            self._unsettled.add(generation)
        else:
            self._unsettled.discard(generation)
        self._writer.write(listed)

    async def _look_back(self) -> None:
        """Ask what stood at a generation to which a rollback is promised."""
        newest = max(self._seen, default=0)
        if not newest or self._to_read:
            return
        at = self._chance.randint(max(1, newest - self._kept), newest)
        contents: dict[str, Contents] = {}
        path: str | None = f"/v1/zones/{self._zone}/rrsets?at={at}&limit=500"
        while path is not None:
            found = await self._doors.ask(self._chance, "GET", path)
            if found.status >= 500:
                raise NoReply(f"{found.status}")
            if found.status != 200:
                if at < await self._newest() - self._kept:
                    return  # plans came while this was asked: it may have been forgotten by right
                contents = {}
                break
            contents |= _contents(found.document["rrsets"])
            path = found.document["next"]
        self._writer.write(Stood(self._zone, at, contents))

    async def _newest(self) -> int:
        """Return the newest generation. Raises NoReply."""
        page = await self._get(f"/v1/zones/{self._zone}/plans?limit=1")
        return int(page["plans"][0]["generation"])

    async def _get(self, path: str) -> dict[str, Any]:
        found = await self._doors.ask(self._chance, "GET", path)
        if found.status != 200:
            raise NoReply(f"{found.status}: {found.document}")
        return found.document


def keys_of(zone: str) -> list[str]:
    """Return every RRset that a planner may name."""
    return [f"{key.name} {key.type}" for key in Names(zone).keys]


def path_of(zone: str) -> str:
    """Return the API's path of a zone."""
    return f"/v1/zones/{quote(zone, safe='')}"


def _submitted(zone: str, request: Request) -> Submitted:
    body: Any = request.body
    wanted: dict[str, Contents] | None = None
    if request.wish.to is None:
        wanted = {f"{each['name']} {each['type']}": None for each in body.get("retire", ())}
        for each in body["rrsets"]:
            wanted[f"{each['name']} {each['type']}"] = contents_of(each["ttl"], each["records"])
    return Submitted(zone, request.wish.number, time.monotonic(), request.wish.kind, wanted, request.wish.to)


def _contents(rrsets: Sequence[Mapping[str, Any]]) -> dict[str, Contents]:
    found: dict[str, Contents] = {}
    for rrset in rrsets:
        key = f"{rrset['name']} {rrset['type']}"
        match rrset["absence"]:
            case None:
                found[key] = contents_of(rrset["ttl"], rrset["records"])
            case "uncovered":
                found[key] = UNCOVERED
            case _:
                found[key] = None
    return found
