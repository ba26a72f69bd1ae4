"""Hostile HTTP requests over raw sockets to a running daemon. Each is answered below 500, or its connection closes."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

ZONE = "example.test."
CLIENTS = 16
ANSWER_S_MAX = 40.0
"""The daemon's own deadline for a request is 30 s."""
PATIENCE_S = 1.0
"""How long a request waits before its stream ends."""
PROBE_S = 0.05
_STATUS = "HTTP/1.1 "


@dataclass(slots=True)
class Account:
    """What was sent, and what came of it."""

    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """By shape of the request and status, or "closed"."""
    live_ms: list[float] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)

    def breach(self, what: str) -> None:
        """Note what must not happen; the first hundred are kept."""
        if len(self.breaches) < 100:
            self.breaches.append(what)


Shape = Callable[["Maker"], bytes]


class Maker:
    """Makes hostile requests from a seed."""

    def __init__(self, chance: random.Random, token: str, host: str) -> None:
        """Prepare; ``token`` may write ``ZONE``."""
        self.chance = chance
        self.token = token
        self.host = host

    def head(self, method: str = "POST", path: str = f"/v1/zones/{ZONE}/plans", *more: str) -> bytes:
        """Return a head that is well-formed up to the lines that are added."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.host}",
            f"Authorization: Bearer {self.token}",
            "If-Match: *",
        ]
        return (
            "\r\n".join([*lines, "Content-Type: application/json", *more]).encode("utf-8", "surrogateescape") + b"\r\n"
        )

    def post(self, body: bytes, *more: str) -> bytes:
        """Return a plan's request with any body."""
        return self.head("POST", f"/v1/zones/{ZONE}/plans", f"Content-Length: {len(body)}", *more) + b"\r\n" + body

    def plan(self) -> bytes:
        """Return a body that is a plan."""
        name = f"n{self.chance.randrange(50)}"
        rrset = {"name": name, "type": "A", "ttl": 60, "records": [f"192.0.2.{self.chance.randrange(1, 250)}"]}
        return json.dumps({"rrsets": [rrset]}).encode()

    def text(self, most: int = 40) -> str:
        """Return characters that mean something somewhere."""
        return "".join(
            self.chance.choices(
                "aZ09%/?#&=;:@.\\'\"<>{}[]()|*+~^` \t\0\r\n\x1b\x7f\u00e9\u4e2d", k=self.chance.randrange(1, most)
            )
        )


def _octets_changed(maker: Maker) -> bytes:
    octets, chance = bytearray(maker.post(maker.plan())), maker.chance
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(octets))
        match chance.randrange(4):
            case 0:
                octets[at] ^= 1 << chance.randrange(8)
            case 1:
                del octets[at : at + chance.randrange(1, 20)]
            case 2:
                octets[at:at] = chance.randbytes(chance.randrange(1, 8))
            case _:
                octets[at:at] = octets[at : at + chance.randrange(1, 50)]
    return bytes(octets)


def _request_line(maker: Maker) -> bytes:
    lines = (
        b"GET",
        b"GET /",
        b"GET / HTTP/9.9",
        b"GET / HTTP/1.1 x",
        b" GET / HTTP/1.1",
        b"\x16\x03\x01\x02\0\x01",
        b"\0" * 50,
        b"GET http://[::1 HTTP/1.1",
        b"GET //evil.example/ HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"OPTIONS * HTTP/1.1",
        b"GET /" + b"a" * maker.chance.randrange(20_000) + b" HTTP/1.1",
        maker.text().encode(),
        b"X" * 9_000 + b" / HTTP/1.1",
        b"GET /v1/zones HTTP/0.9",
        b"GET /v1/zones HTTP/1.0",
        b"get /v1/zones http/1.1",
    )
    tail = f"\r\nHost: {maker.host}\r\nAuthorization: Bearer {maker.token}\r\n\r\n".encode()
    return maker.chance.choice(lines) + tail


def _header(maker: Maker) -> bytes:
    text = maker.text().replace("\0", "")
    lines = (
        "Content-Length: -1",
        "Content-Length: 1e3",
        "Content-Length: 99999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity",
        "Content-Encoding: gzip\r\nContent-Length: 3",
        "Content-Encoding: br\r\nContent-Length: 3",
        "Expect: 200-ok",
        "Expect: 100-continue",
        "X: " + "a" * maker.chance.randrange(40_000),
        "A: b\r\n" * maker.chance.randrange(300) + "A: b",
        "No colon",
        " folded",
        "X\0: y",
        "X: y\0",
        f"{text}: x",
        f"X: {text}",
        f"If-Match: {text}",
        f"Prefer: wait={text}",
        "Prefer: wait=99999999999999999999",
        f"Idempotency-Key: {text}",
        "Idempotency-Key: " + "k" * 300,
        "Upgrade: websocket\r\nConnection: Upgrade",
        "Connection: close, keep-alive, " + text,
        "Content-Type: text/xml",
        "Content-Type: application/json; charset=utf-7",
        "Authorization: Basic eDp5",
        "Cookie: " + text,
        "Range: bytes=0-1,2-",
        "X-Forwarded-Host: evil.example",
        "Trailer: If-Match",
    )
    body = maker.plan() if maker.chance.random() < 0.5 else b""
    length = f"\r\nContent-Length: {len(body)}" if body and maker.chance.random() < 0.5 else ""
    return maker.head("POST", f"/v1/zones/{ZONE}/plans", maker.chance.choice(lines) + length) + b"\r\n" + body


def _chunks(maker: Maker) -> bytes:
    body = maker.plan()
    chunked = (
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        b"%x;x=%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"y" * 5_000, body),
        b"-1\r\n%b" % body,
        b"FFFFFFFFFFFFFFFFF\r\n%b" % body,
        b"%x\r\n%b" % (len(body) + 5, body),
        b"5\nhello\n0\n\n",
        b"%x\r\n%bXX0\r\n\r\n" % (len(body), body),
        b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"g\r\n",
        b"5\r\nhel",
        b"%x\r\n%b\r\n0\r\nIf-Match: 3\r\n\r\n" % (len(body), body),
        b"",
    )
    return (
        maker.head("POST", f"/v1/zones/{ZONE}/plans", "Transfer-Encoding: chunked")
        + b"\r\n"
        + maker.chance.choice(chunked)
    )


_LARGE = (
    b"[" * 100_000,
    b'{"rrsets":' * 20_000,
    b'{"rrsets":[' + b"{}," * 50_000 + b"{}]}",
    b"[" + b"1," * 300_000 + b"1]",
    b'{"rrsets":[],"reason":"' + b"x" * 2_000_000 + b'"}',
    b'{"a":1},' * 100_000,
    b" " * 1_000_000,
    b'"' + b"\\u0000" * 100_000 + b'"',
)


def _json(maker: Maker) -> bytes:
    chance, text = maker.chance, maker.text()
    if chance.random() < 0.02:
        return maker.post(chance.choice(_LARGE))
    number = chance.choice(
        ("1e400", "-0", "1" * 400, "1e-9999", "NaN", "Infinity", "0x10", "01", "2147483648", "1.5", "true", "null")
    )
    rrset = '{"name":"www","type":"A","ttl":60,"records":["192.0.2.1"]}'
    bodies = (
        f'{{"rrsets":[{{"name":"www","type":"A","ttl":{number},"records":["192.0.2.1"]}}]}}',
        f'{{"rrsets":[{rrset},{rrset}]}}',
        f'{{"rrsets":[{rrset}],"rrsets":[]}}',
        f'{{"rrsets":[{rrset}],{json.dumps(text)}:1}}',
        "[" * chance.randrange(200),
        json.dumps({"rrsets": [{"name": text, "type": "A", "ttl": 60, "records": ["192.0.2.1"]}]}),
        json.dumps({"rrsets": [{"name": "www", "type": text, "ttl": 60, "records": ["192.0.2.1"]}]}),
        json.dumps({"rrsets": [{"name": "www", "type": chance.choice(_TYPES), "ttl": 60, "records": [text]}]}),
        json.dumps(
            {"rrsets": [{"name": "www", "type": chance.choice(_TYPES), "ttl": 60, "records": [f"\\# {number} {text}"]}]}
        ),
        json.dumps({"rrsets": None}),
        json.dumps({"rrsets": {}}),
        json.dumps([]),
        "null",
        '""',
        number,
        "",
        "{",
        '{"rrsets"',
        text,
        '{"rrsets":[{"name":"' + "a." * 200 + '","type":"A","ttl":60,"records":[]}]}',
        '{"rrsets":[],"reason":"\\ud800"}',
        json.dumps(
            {
                "rrsets": [
                    {"name": ".".join(["a"] * 126), "type": "TXT", "ttl": 0, "records": ['"' + "x" * 70_000 + '"']}
                ]
            }
        ),
        json.dumps(
            {
                "rrsets": [
                    {"name": "many", "type": "A", "ttl": 60, "records": [f"192.0.2.{n % 256}" for n in range(300)]}
                ]
            }
        ),
        json.dumps({"rrsets": [], "generation": chance.choice((-1, 0, 2**63, 2**64, 1.5, "1"))}),
    )
    octets = chance.choice(bodies).encode("utf-8", "surrogatepass")
    if chance.random() < 0.2:
        at = chance.randrange(len(octets) + 1)
        octets = (
            octets[:at] + chance.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0")) + octets[at:]
        )
    return maker.post(octets)


_TYPES = (
    "A",
    "AAAA",
    "TXT",
    "MX",
    "SRV",
    "CAA",
    "SVCB",
    "NAPTR",
    "LOC",
    "APL",
    "TYPE65280",
    "ANY",
    "SOA",
    "NS",
    "OPT",
    "TSIG",
    "RRSIG",
)


def _token(maker: Maker) -> bytes:
    wrong = maker.chance.choice(("", "x", maker.token[:-1], maker.token + "x", maker.text(), "a" * 30_000, "\u00e9"))
    value = maker.chance.choice((f"Bearer {wrong}", f"bearer\t{wrong}", wrong, f"Bearer  {wrong}"))
    line = f"GET /v1/zones HTTP/1.1\r\nHost: {maker.host}\r\nAuthorization: {value}\r\n\r\n"
    return line.encode("utf-8", "surrogateescape")


def _truncated(maker: Maker) -> bytes:
    octets = maker.post(maker.plan())
    return octets[: maker.chance.randrange(len(octets))]


def _path(maker: Maker) -> bytes:
    chance, text = maker.chance, maker.text().replace(" ", "%20").replace("\r", "%0d").replace("\n", "%0a")
    paths = (
        f"/v1/zones/{text}",
        f"/v1/zones/{ZONE}/plans/{text}",
        f"/v1/zones/{ZONE}/rrsets?{text}",
        "/../../etc/passwd",
        "/%2e%2e/%00",
        f"/v1/zones/{ZONE}/rrsets?limit={chance.choice(('0', '-1', '1e9', '9' * 50, text))}",
        f"/v1/zones/{ZONE}/rrsets?after={text}",
        f"/v1/zones/{ZONE}/differences?from={chance.choice(('0', '-1', '9' * 30, text))}&to={text}",
        f"/v1/zones/{ZONE}/rrsets?name={text}",
        f"/v1/zones/{ZONE}/rrsets?at={chance.choice((str(2**63 - 1), str(2**63), '9' * 40))}",
        f"/v1/zones/{'a.' * 200}",
        "/" * 500,
        f"/v1/zones/{ZONE}/plans?below={chance.choice((str(2**63), '00', text))}",
        f"/v1/zones/{ZONE}/rrsets?type={text}",
        "//",
        "/v1//zones",
        f"/v1/zones/%{chance.choice(('', 'f', 'zz', 'ff', '00', 'c0%80'))}",
        f"/v1/zones/{ZONE}/plans/{'9' * 5_000}",
        "*",
        "http://x/v1/zones",
        f"/v1/zones/{ZONE}/rrsets?limit=1&limit=2",
        f"/v1/zones/{ZONE}/rrsets?" + "&".join(["name=a"] * 2_000),
        "/metrics",
        "/openapi.json",
    )
    return (
        maker.head(
            chance.choice(("GET", "GET", "HEAD", "DELETE", "PUT", "PATCH", "TRACE", "FROB")), chance.choice(paths)
        )
        + b"\r\n"
    )


def _host(maker: Maker) -> bytes:
    hosts = (
        "",
        "Host:",
        "Host: evil.example",
        f"Host: {maker.host}\r\nHost: evil.example",
        "Host: [::1",
        "Host: a b",
        "Host: " + "a" * 5_000,
        f"Host: {maker.host}@evil.example",
        "Host: 127.0.0.1.evil.example",
        f"Host: {maker.text()}",
        "Host: localhost:99999",
        "Host: 0x7f000001",
    )
    line = maker.chance.choice(hosts)
    lines = ["GET /v1/zones HTTP/1.1", *([line] if line else []), f"Authorization: Bearer {maker.token}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _verbs(maker: Maker) -> bytes:
    chance = maker.chance
    verb = chance.choice(("rollback", "resync", "verifications", "adoptions"))
    body = chance.choice(
        (
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"to":0}',
            b'{"to":-1}',
            b'{"to":1e99}',
            b'{"names":null}',
            b'{"keep":"wire"}',
            b'{"names":["*","@",""]}',
            maker.text().encode(),
        )
    )
    return maker.head("POST", f"/v1/zones/{ZONE}/{verb}", f"Content-Length: {len(body)}") + b"\r\n" + body


def _pipelined(maker: Maker) -> bytes:
    return b"".join(maker.post(maker.plan()) for _ in range(maker.chance.randrange(2, 12))) + maker.chance.randbytes(20)


def _sound(maker: Maker) -> bytes:
    return maker.post(maker.plan())


SHAPES: dict[str, Shape] = {
    "sound": _sound,
    "octets changed": _octets_changed,
    "request line": _request_line,
    "header": _header,
    "chunks": _chunks,
    "json": _json,
    "token": _token,
    "truncated": _truncated,
    "path": _path,
    "host": _host,
    "verbs": _verbs,
    "pipelined": _pipelined,
}


async def run(
    address: tuple[str, int], token: str, count: int, seed: int, is_over: Callable[[], bool], account: Account
) -> None:
    """Send so many hostile requests, or fewer if the time is over, and ask for health all along."""
    host = f"{address[0]}:{address[1]}"
    end, first = asyncio.Event(), account.requests

    async def client(number: int) -> None:
        maker = Maker(random.Random(f"{seed} http {first} {number}"), token, host)
        names = list(SHAPES)
        while account.requests - first < count and not is_over():
            account.requests += 1
            shape = maker.chance.choice(names)
            octets = SHAPES[shape](maker)
            outcome = await _exchange(address, octets)
            account.outcomes[f"{shape} {outcome}"] += 1
            if outcome == "no answer" or (outcome.isdigit() and int(outcome) >= 500):
                account.breach(f"{shape} was answered {outcome}: {octets[:300]!r}".replace(token, "TOKEN"))

    async def probe() -> None:
        octets = f"GET /v1/health/live HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        while not end.is_set():
            begun = time.perf_counter()
            if (outcome := await _exchange(address, octets, ANSWER_S_MAX)) != "200":
                account.breach(f"health was answered {outcome}")
            account.live_ms.append((time.perf_counter() - begun) * 1000)
            try:
                await asyncio.wait_for(end.wait(), PROBE_S)
            except TimeoutError:
                continue

    probing = asyncio.create_task(probe())
    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    end.set()
    await probing


async def _exchange(address: tuple[str, int], octets: bytes, patience_s: float = PATIENCE_S) -> str:
    """Send octets and return the first status, "closed", or "no answer" if nothing comes in time.

    The stream ends if no answer comes at once, since a request that is cut short would wait for its rest.
    """
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(octets)
                answer = asyncio.ensure_future(reader.read(20))
                await asyncio.wait((answer,), timeout=patience_s)
                if not answer.done() and not writer.transport.is_closing():
                    writer.write_eof()
                text = (await answer).decode("latin-1")
            finally:
                writer.transport.abort()
    except TimeoutError:
        return "no answer"
    except OSError:
        return "closed"  # in the middle of what was being sent
    return text[len(_STATUS) : len(_STATUS) + 3] if text.startswith(("HTTP/1.1 ", "HTTP/1.0 ")) else "closed"
