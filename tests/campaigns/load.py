"""Planners: they submit plans over HTTP all the time, each under an Idempotency-Key of its own. Whatever is unclear,
a lost connection above all, they ask again under the same key until there is an answer, and write the answer down.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.campaigns.pacing import Bell, came
from tests.campaigns.testimony import Reply, Wish
from tests.campaigns.wishes import PLANNERS, Imagination, Names, Request

PACE_S = 0.12
ANSWER_S_MAX = 10.0
_AGAIN_S = 0.03
_IMPATIENT = 0.05
"""The share of wishes whose first sending is given up after a moment, answer or not."""
_REPEATED = 0.05
"""The share of accepted wishes that are sent once more, as by a client that forgot the answer."""
_WAITING = 0.25
"""The share of wishes that wait for their publication."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An HTTP answer."""

    status: int
    document: dict[str, Any]
    etag: str


class NoReply(Exception):
    """There was no answer: nobody can tell what became of the request."""


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = ANSWER_S_MAX,
) -> Exchange:
    """Send a request and read its answer. Raises NoReply."""
    try:
        async with (
            asyncio.timeout(timeout_s),
            session.request(method, url, headers=headers, data=body) as response,
        ):
            return Exchange(response.status, json.loads(await response.read()), response.headers.get("ETag", ""))
    except (aiohttp.ClientError, OSError, TimeoutError, json.JSONDecodeError) as error:
        raise NoReply(str(error)) from error


class Planners:
    """Several planners of one zone, and all that they were answered."""

    def __init__(
        self,
        zone: str,
        names: Names,
        doors: Callable[[], Sequence[str]],
        token: str,
        seed: int,
        *,
        pace_s: float = PACE_S,
    ) -> None:
        """Make them; ``doors`` says which daemons can be asked at the moment."""
        self.wishes: dict[int, Wish] = {}
        self.replies: list[Reply] = []
        self.statuses: Counter[int] = Counter()
        self.newest_told = 0
        self.resubmitted = 0
        self.sending_many = Bell()
        self.accepted = Bell()
        self._path = f"/v1/zones/{zone}"
        self._names = names
        self._doors = doors
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._seed = seed
        self._pace_s = pace_s
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def accepted_count(self) -> int:
        """How many wishes became a generation."""
        return len({reply.number for reply in self.replies if reply.accepted and not reply.unchanged})

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._plan(planner)) for planner in range(PLANNERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self, timeout_s: float) -> None:
        """Have them end when each has its answer. Raises what one of them died of, TimeoutError among it."""
        self._over.set()
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*self._tasks)

    async def _plan(self, planner: int) -> None:
        chance = random.Random(f"{self._seed} planner's habits {planner}")
        imagination = Imagination(planner, self._names, self._seed)
        number = planner + 1
        async with aiohttp.ClientSession() as session:
            while not self._over.is_set():
                await self._look(session, imagination, chance)
                request = imagination.wish(number)
                self.wishes[number] = request.wish
                reply = await self._until_answered(session, request, chance, impatient=chance.random() < _IMPATIENT)
                if reply.accepted and chance.random() < _REPEATED:
                    await self._until_answered(session, request, chance, impatient=False)
                number += PLANNERS
                await came(self._over, chance.expovariate(1 / self._pace_s))

    async def _look(self, session: aiohttp.ClientSession, imagination: Imagination, chance: random.Random) -> None:
        """Read the zone's newest generation, now and then and as well as it goes."""
        doors = self._doors()
        if not doors or chance.random() < 0.5:
            return
        try:
            found = await exchange(session, "GET", chance.choice(doors) + self._path, headers=self._headers)
        except NoReply:
            return
        if found.status == 200:
            imagination.learn(int(found.etag.strip('"')))

    async def _until_answered(
        self, session: aiohttp.ClientSession, request: Request, chance: random.Random, *, impatient: bool
    ) -> Reply:
        wish = request.wish
        headers = self._headers | {
            "If-Match": "*" if request.based_on is None else f'"{request.based_on}"',
            "Idempotency-Key": f"campaign-{self._seed}-{wish.number}",
        }
        if chance.random() < _WAITING:
            headers["Prefer"] = f"wait={chance.randint(1, 5)}"
        body = json.dumps(request.body).encode()
        sendings = 0
        while True:
            doors = self._doors()
            if not doors:
                await came(asyncio.Event(), _AGAIN_S)
                continue
            sendings += 1
            self.resubmitted += sendings > 1
            if wish.kind == "bulk":
                self.sending_many.ring()
            timeout_s = chance.uniform(0.001, 0.03) if impatient and sendings == 1 else ANSWER_S_MAX
            url = f"{chance.choice(doors)}{self._path}/{request.path}"
            try:
                found = await exchange(session, "POST", url, headers=headers, body=body, timeout_s=timeout_s)
            except NoReply:
                await came(asyncio.Event(), _AGAIN_S * chance.random())
                continue
            self.statuses[found.status] += 1
            if found.status in {408, 500, 503}:
                await came(asyncio.Event(), _AGAIN_S)
                continue
            return self._note(wish.number, found, sendings)

    def _note(self, number: int, found: Exchange, sendings: int) -> Reply:
        document = found.document
        settled = {"/problems/rejected": "rejected", "/problems/faulted": "faulted"}.get(document.get("type", ""))
        durable = found.status in {200, 202} or settled is not None
        reply = Reply(
            number,
            found.status,
            time.monotonic(),
            document["generation"] if durable else None,
            settled or document.get("state", ""),
            sendings,
            document.get("detail", ""),
            bool(document.get("unchanged")),
        )
        if reply.generation is not None:
            self.newest_told = max(self.newest_told, reply.generation)
            self.accepted.ring()
        self.replies.append(reply)
        return reply
