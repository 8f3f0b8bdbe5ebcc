"""A reverse proxy on loopback between a browser and one edge: counts, holds answers back, goes away, and lies as told.

Here lives an HTTP hop that passes Host on, in a thread of its own. Untold it changes nothing that it carries. What it
is told is a *change* of some answers: a function of what was asked and what the edge said. Not here: nodes that lie to
nodes (tests/kit/evilpeer), or what a page makes of it (tests/browser).

    with Liar(up.edges[0]["public"]) as liar:
        liar.lie("/app.css", instead(b"body { display: none }"))
        with liar.hold("/assets/*") as held: ...
        liar.count("/app.css")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import TracebackType

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.kit.nodes import free_port

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length")
_CONDITIONS = ("if-none-match", "if-modified-since", "if-range", "range")
_OF_THE_BYTES = ("content-encoding", "content-range", "content-digest", "repr-digest")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in; names of headers in lower case."""

    method: str
    path: str  # percent-encoded, without the query
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer. `body` is as the edge sent it: encoded where it says so."""

    status: int
    headers: CIMultiDict[str]
    body: bytes

    def saying(self, **more: str) -> Told:
        """With these headers: `saying(Content_Type="text/html")`."""
        headers = CIMultiDict(self.headers)
        headers.update({name.replace("_", "-"): value for name, value in more.items()})
        return replace(self, headers=headers)

    def bearing(self, body: bytes, status: int = 200) -> Told:
        """With another body, unencoded, under the headers of the true one (its ETag too)."""
        headers = CIMultiDict(self.headers)
        for name in _OF_THE_BYTES:
            headers.popall(name, None)
        return Told(status, headers, body)


Change = Callable[[Asked, Told], Told | None]  # None: the connection is cut
Match = str | Callable[[Asked], bool]  # a glob over the path, or what tells


def instead(body: bytes, **headers: str) -> Change:
    """Other bytes, under the true answer's headers."""
    return lambda asked, told: told.bearing(body).saying(**headers)


def flipped(asked: Asked, told: Told) -> Told:
    """One bit of the (encoded) body is another."""
    return replace(told, body=bytes([told.body[0] ^ 1]) + told.body[1:]) if told.body else told


def cut(asked: Asked, told: Told) -> None:
    """No answer: the connection breaks."""


def gone(asked: Asked, told: Told) -> Told:
    """404, as of an edge that has nothing there."""
    return Told(404, CIMultiDict({"Content-Type": "text/plain", "Cache-Control": "no-store"}), b"no such thing")


@dataclass
class Held:
    """Answers that wait. `reached` is set when the first one does; `free` lets all go."""

    match: Match
    skip: int = 0  # so many pass first
    reached: threading.Event = field(default_factory=threading.Event)
    freed: threading.Event = field(default_factory=threading.Event)

    def free(self) -> None:
        self.freed.set()

    def wait(self, seconds: float = 30) -> None:
        assert self.reached.wait(seconds), f"nobody asked for {self.match}"


class Liar:
    """Forwards to `upstream` until the block ends. `asked` is all that came in, in order."""

    def __init__(self, upstream: str, plain: bool = False) -> None:
        """`plain`: the edge is asked for unencoded answers, so that a change is one of the bytes themselves."""
        self.upstream, self.plain, self.port = upstream.rstrip("/"), plain, free_port()
        self.asked: list[Asked] = []
        self.told: list[tuple[str, Told]] = []  # what the edge had said, by path and query: to replay
        self.sent = 0  # bytes of bodies
        self._lies: list[tuple[Match, Change]] = []
        self._holds: list[Held] = []
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address, as a gateway has it."""
        return f"http://localhost:{self.port}"

    def of(self, site: str, path: str = "/") -> str:
        """The URL of a path of this site, through here."""
        return f"http://{site}.localhost:{self.port}{path}"

    def __enter__(self) -> Liar:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for held in self._holds:
            held.free()
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def up(self) -> None:
        """Listen (again), at the same port."""
        asyncio.run_coroutine_threadsafe(self._up(), self._loop).result(10)

    def down(self) -> None:
        """Refuse connections and break those that are: to a browser, the edge is off."""
        asyncio.run_coroutine_threadsafe(self._down(), self._loop).result(10)

    def lie(self, match: Match, change: Change) -> None:
        """From now on these answers are changed, after earlier changes."""
        self._lies.append((match, change))

    def honest(self) -> None:
        """The truth about everything, from now on."""
        self._lies = []

    def honest_about(self, *paths: str) -> None:
        """The truth about these, from now on."""
        self._lies = [
            (lambda asked, match=match: asked.path not in paths and _matches(match, asked), change)
            for match, change in self._lies
        ]

    @contextmanager
    def lying(self, match: Match, change: Change) -> Iterator[None]:
        """These answers are changed inside the block."""
        mine = (match, change)
        self._lies.append(mine)
        try:
            yield
        finally:
            self._lies.remove(mine)

    @contextmanager
    def hold(self, match: Match, skip: int = 0) -> Iterator[Held]:
        """These answers wait inside the block, until freed; they are asked of the edge at once. `skip` pass."""
        held = Held(match, skip)
        self._holds.append(held)
        try:
            yield held
        finally:
            held.free()
            self._holds.remove(held)

    def count(self, match: Match = "*") -> int:
        """How many such requests came in."""
        return len([asked for asked in list(self.asked) if _matches(match, asked)])

    def paths(self, since: int = 0) -> list[str]:
        """The paths asked for, in order, from the one of this number on."""
        return [asked.path for asked in self.asked[since:]]

    def last(self, path: str) -> Told:
        """What the edge said last of this path (with its query, as asked)."""
        return next(told for of, told in reversed(self.told) if of == path)

    async def _up(self) -> None:
        assert self._runner is None
        patient, forgetful = aiohttp.ClientTimeout(total=None), aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=patient, cookie_jar=forgetful)
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def _down(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, _, query = request.raw_path.partition("?")
        asked = Asked(request.method, path, query, headers, await request.read())
        self.asked.append(asked)
        try:
            told: Told | None = await self._forward(asked, any(_matches(match, asked) for match, _ in list(self._lies)))
        except aiohttp.ClientError:
            told = None
        if told is not None:
            self.told.append((request.raw_path, told))
        for held in list(self._holds):
            if _matches(held.match, asked):
                await _wait(held)
        for match, change in list(self._lies):
            if told is not None and _matches(match, asked):
                told = change(asked, told)
        if told is None:
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway
        self.sent += len(told.body)
        return web.Response(status=told.status, headers=told.headers, body=told.body)

    async def _forward(self, asked: Asked, lying: bool) -> Told:
        """What the edge says. Where a lie follows, it is asked for all of it: a 304 has no type to lie under."""
        left_out = (*_HOP_BY_HOP, *(("accept-encoding",) if self.plain else ()), *(_CONDITIONS if lying else ()))
        headers = {name: value for name, value in asked.headers.items() if name not in left_out}
        target = self.upstream + asked.path + (f"?{asked.query}" if asked.query else "")
        async with self._session.request(
            asked.method, URL(target, encoded=True), headers=headers, data=asked.body or None, allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as got:  # fmt: skip
            body = await got.read()
            kept = CIMultiDict((k, v) for k, v in got.headers.items() if k.lower() not in _HOP_BY_HOP)
            return Told(got.status, kept, body)


async def _wait(held: Held) -> None:
    if held.skip > 0:
        held.skip -= 1
        return
    held.reached.set()
    await asyncio.to_thread(held.freed.wait)


def _matches(match: Match, asked: Asked) -> bool:
    return fnmatchcase(asked.path, match) if isinstance(match, str) else match(asked)
