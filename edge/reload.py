"""Reload: pages that reload themselves when another release is live. For development, and off unless `--reload` is on.

Here live the stream that says so (Server-Sent Events, WHATWG HTML §9.2), the script that listens to it, and the page
that carries the script's tag. Not here: which pages those are (edge/app), or who publishes (`rim up --watch`).

The tag is added while a page is sent and is in no block: what was published stays what it is, on every other edge too.
A page carries the release that it is of, so one that was loaded just before a flip hears of it all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from content.release import Asset
from edge.site.router import Router

EVENTS = "/.rim/reload"
SCRIPT = "/.rim/reload.js"
PAGE_MAX = 8 << 20  # bytes of a page that is held in memory to be written anew; a longer one goes out as it is
STREAMS_MAX = 256  # open pages of one edge
HEARTBEAT = 5.0  # s between two signs of life: a page that is gone is found out by the second
_DROPPED = (b"etag:", b"accept-ranges:", b"content-length:", b"cache-control:", b"last-modified:", b"vary:")
_JS = """\
const since = document.currentScript.dataset.release;
const events = new EventSource("/.rim/reload?since=" + since);
events.onmessage = () => { events.close(); location.reload(); };
addEventListener("pagehide", () => events.close());
"""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Reloads:
    """The open pages of one edge."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._pages: set[asyncio.Event] = set()  # one for each stream: there may be something to say
        self._closed = False

    @property
    def streams(self) -> int:
        return len(self._pages)

    def routes(self) -> list[Route]:
        """What the public listener serves besides."""
        return [Route(EVENTS, self._events), Route(SCRIPT, self._script)]

    def tell(self) -> None:
        """The views have been swapped: every stream looks whether its site has another release."""
        for page in self._pages:
            page.set()

    def close(self) -> None:
        """End every stream, so that no open page holds up the end of the listener."""
        self._closed = True
        self.tell()

    def takes(self, asset: Asset) -> bool:
        """Whether an answer of this asset is to carry the script."""
        return asset.media_type.startswith("text/html") and asset.size <= PAGE_MAX

    def page(self, html: bytes, release: str) -> bytes:
        """The page with the script's tag at its end: parsers put what follows `</html>` into the body."""
        return html + f'\n<script src="{SCRIPT}" data-release="{release}"></script>\n'.encode()

    def head(self, lines: bytes, size: int) -> bytes:
        """The header lines of such a page, out of those of the published one: nobody keeps it, nothing names it."""
        kept = [line for line in lines.split(b"\r\n") if line and not line.lower().startswith(_DROPPED)]
        return b"\r\n".join([*kept, b"content-length: %d" % size, b"cache-control: no-store", b""])

    async def _script(self, request: Request) -> Response:
        return Response(_JS, headers=_HEADERS, media_type="text/javascript")

    async def _events(self, request: Request) -> Response:
        """One event for each new live release of the Host's site, beginning after the one the page is of."""
        host = request.headers.get("host", "").encode("latin-1")
        if self._live(host) is None:
            return PlainTextResponse("No site is served here under this host.\n", 404, _HEADERS)
        if self.streams >= STREAMS_MAX:
            words = f"{STREAMS_MAX} pages listen already: close some.\n"
            return PlainTextResponse(words, 503, {**_HEADERS, "Retry-After": "5"})
        stream = self._stream(request, host, request.query_params.get("since") or self._live(host))
        return StreamingResponse(stream, headers=_HEADERS, media_type="text/event-stream")

    async def _stream(self, request: Request, host: bytes, seen: str | None) -> AsyncGenerator[bytes, None]:
        wake = asyncio.Event()
        self._pages.add(wake)
        gone = asyncio.create_task(_gone(request, wake))
        try:
            yield b"retry: 500\n\n"
            while not (self._closed or gone.done()):
                wake.clear()
                live = self._live(host)
                if live != seen and live is not None:
                    seen = live
                    yield f"data: {live}\n\n".encode()
                try:
                    async with asyncio.timeout(HEARTBEAT):
                        await wake.wait()
                except TimeoutError:
                    yield b":\n\n"
        finally:
            gone.cancel()
            self._pages.discard(wake)

    def _live(self, host: bytes) -> str | None:
        view = self._router.view_of_field(host)
        return None if view is None or view.live is None else str(view.live.cid)

    def __repr__(self) -> str:
        return f"<Reloads {self.streams} streams>"


async def _gone(request: Request, wake: asyncio.Event) -> None:
    """Until the connection is lost. A page that went away quietly may still read, as far as TCP tells: what is written
    to it next says otherwise."""
    while (await request.receive())["type"] != "http.disconnect":
        continue
    wake.set()
