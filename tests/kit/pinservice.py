"""A pinning service of our own on a real socket: the IPFS Pinning Service API as it is written, and as it goes wrong.

Here lives the server: honest by default (every POST makes a pin, as at a service that bills each), and its tricks. It
pins nothing: that is for the real one (tests/kit/cluster). Not here: what Rim must make of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

TOKEN = "opensesame-0123456789"
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_BOMB = gzip.compress(b'{"count": 0, "results": []}' + b" " * (8 << 20))


@dataclass(slots=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    authorization: str
    body: Any


Trick = Callable[[web.Request], Any]


@dataclass
class PinService:
    """The server. `trick` may be changed at any time: None is honest."""

    token: str = TOKEN
    becomes: str = "pinned"  # what a new pin is at once
    trick: str | None = None
    post_trick: str | None = None  # for POST alone
    after: str = "7"  # Retry-After of the trick `limited`
    keeps_meta: bool = True
    delegates: list[str] = field(default_factory=lambda: ["/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWNode"])
    lag: int = 0  # so many lists do not know yet of a new pin
    poison: str = ""  # the CID at which lists stumble
    pins: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    posted: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _released: threading.Event = field(default_factory=threading.Event)

    # -- for plays

    def wait(self, what: str, ready: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Until this is so, looked at after each request that came."""
        with self._changed:
            assert self._changed.wait_for(ready, seconds), f"waited for {what}: {self.pins}, {self.asked[-5:]}"
            return ready()

    def standing(self) -> list[tuple[str, str]]:
        """CID and name of every pin, by name."""
        return sorted((pin["pin"]["cid"], pin["pin"].get("name", "")) for pin in self.pins.values())

    def of(self, cid: object) -> list[dict[str, Any]]:
        return [pin for pin in self.pins.values() if pin["pin"]["cid"] == str(cid)]

    def put(self, cid: object, name: str, status: str = "pinned", **more: Any) -> dict[str, Any]:
        """A pin that somebody else made."""
        number = next(self._numbers)
        pin = {
            "requestid": f"request-{number}",
            "status": status,
            "created": (_FIRST + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
            "pin": {"cid": str(cid), "name": name, **more},
            "delegates": self.delegates,
        }
        self.pins[pin["requestid"]] = pin
        return pin

    @contextlib.contextmanager
    def serving(self) -> Iterator[PinService]:
        """Serve from a thread with a loop of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()

        async def start() -> web.AppRunner:
            app = web.Application()
            app.router.add_route("*", "/{tail:.*}", self._serve)
            runner = web.AppRunner(app, shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return runner

        runner = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        try:
            yield self
        finally:
            self._released.set()
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    # -- the server

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        header = request.headers.get("Authorization", "")
        asked = Asked(request.method, request.path, dict(request.query), header, body)
        with self._changed:
            self.asked.append(asked)
        try:
            trick = (self.post_trick if request.method == "POST" else None) or self.trick
            if trick is not None:
                return await getattr(self, f"_{trick}")(request, asked)
            return self._honest(asked)
        finally:
            with self._changed:
                self._changed.notify_all()

    def _honest(self, asked: Asked) -> web.Response:
        if asked.authorization != f"Bearer {self.token}":
            return _refusal(401, "UNAUTHORIZED", f"no such token: {asked.authorization}")
        if asked.path == "/pins":
            return self._list(asked.query) if asked.method == "GET" else self._add(asked.body)
        pin = self.pins.get(asked.path.removeprefix("/pins/"))
        if pin is None:
            return _refusal(404, "NOT_FOUND", "no such pin")
        if asked.method == "DELETE":
            del self.pins[pin["requestid"]]
            return web.Response(status=202)
        return web.json_response(pin)

    def _list(self, query: dict[str, str]) -> web.Response:
        cids, statuses = query.get("cid", "").split(","), query.get("status", "pinned").split(",")
        if self.poison in cids and self.poison:
            return _refusal(500, "INTERNAL_SERVER_ERROR", "a panic")
        found = [pin for pin in self.pins.values() if pin["pin"]["cid"] in cids and pin["status"] in statuses]
        if "before" in query:
            found = [pin for pin in found if pin["created"] < query["before"]]
        if self.lag and found:
            self.lag -= 1
            found = []
        found.sort(key=lambda pin: pin["created"], reverse=True)
        return web.json_response({"count": len(found), "results": found[: int(query.get("limit", "10"))]})

    def _add(self, body: dict[str, Any]) -> web.Response:
        more = {key: body[key] for key in ("origins", "meta") if key in body and (key != "meta" or self.keeps_meta)}
        pin = self.put(body["cid"], body.get("name", ""), self.becomes, **more)
        self.posted[body["cid"]] += 1
        return web.json_response(pin, status=202)

    # -- tricks

    async def _broken(self, request: web.Request, asked: Asked) -> web.Response:
        return _refusal(500, "INTERNAL_SERVER_ERROR", "out of order")

    async def _limited(self, request: web.Request, asked: Asked) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": self.after} if self.after else {})

    async def _funds(self, request: web.Request, asked: Asked) -> web.Response:
        return _refusal(409, "INSUFFICIENT_FUNDS", "pay first\x1b[31m\n")

    async def _lost(self, request: web.Request, asked: Asked) -> web.Response:
        """It is done, and the answer never comes."""
        self._honest(asked)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _hang(self, request: web.Request, asked: Asked) -> web.Response:
        await asyncio.to_thread(self._released.wait)
        return web.Response(status=500)

    async def _drip(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        """A byte now and then, for ever."""
        response = web.StreamResponse()
        await response.prepare(request)
        while not self._released.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    async def _redirect(self, request: web.Request, asked: Asked) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{self.url}/elsewhere/pins"})

    async def _huge(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await response.write(b'{"count": 1, "results": [')
            while not self._released.is_set():
                await response.write(b" " * 65_536)
        return response

    async def _bomb(self, request: web.Request, asked: Asked) -> web.Response:
        """Compressed, though it was not asked to be."""
        return web.Response(body=_BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async def _garbage(self, request: web.Request, asked: Asked) -> web.Response:
        return web.Response(text="<html>It works!</html>")

    async def _deep(self, request: web.Request, asked: Asked) -> web.Response:
        return web.Response(text="[" * 200_000)

    async def _endless(self, request: web.Request, asked: Asked) -> web.Response:
        """Always more, always older."""
        number = len(self.asked)
        pin = {**self.put("bafkqaaa", "x"), "created": (_FIRST - timedelta(days=number)).isoformat()}
        self.pins.clear()
        return web.json_response({"count": 10**9, "results": [pin]})

    async def _circle(self, request: web.Request, asked: Asked) -> web.Response:
        """Always the same page."""
        pin = self.put("bafkqaaa", "x")
        self.pins.clear()
        return web.json_response({"count": 10**9, "results": [{**pin, "created": "2026-01-01T00:00:00Z"}]})

    async def _ancient(self, request: web.Request, asked: Asked) -> web.Response:
        """From before time can be counted, and from after."""
        pins = [self.put("bafkqaaa", "x") for _ in range(2)]
        self.pins.clear()
        pins[0]["created"], pins[1]["created"] = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
        return web.json_response({"count": 10**9, "results": pins})

    async def _timeless(self, request: web.Request, asked: Asked) -> web.Response:
        pin = {**self.put("bafkqaaa", "x"), "created": "yesterday"}
        self.pins.clear()
        return web.json_response({"count": 2, "results": [pin]})

    async def _paused(self, request: web.Request, asked: Asked) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": self.after})

    async def _other(self, request: web.Request, asked: Asked) -> web.Response:
        """Another CID's pin in answer to everything."""
        pin = self.put("bafkqaaa", "x")
        self.pins.clear()
        return web.json_response(pin if asked.method == "POST" else {"count": 1, "results": [pin]})

    async def _nonsense(self, request: web.Request, asked: Asked) -> web.Response:
        """A status that there is not, an id that would leave the path."""
        pin = {**self.put("bafkqaaa", "x"), "requestid": "..", "status": "pinned"}
        self.pins.clear()
        return web.json_response({"count": 1, "results": [pin]})

    async def _echo(self, request: web.Request, asked: Asked) -> web.Response:
        """Says the token back, in what is shown."""
        return _refusal(400, "BAD_REQUEST", f"you sent {asked.authorization}")


def _refusal(status: int, reason: str, details: str) -> web.Response:
    return web.json_response({"error": {"reason": reason, "details": details}}, status=status)
