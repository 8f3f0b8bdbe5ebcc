"""Two requests with one key get one answer, whatever else they carry: what no key names can poison nothing.

The key is the host, the path, the method, the fields of Asking and, where a page may stand in for a path, what tells a
navigation. Everything else here is noise, on a real wire; before each try the edge may forget what it had at hand, so
that the noisy request is the one whose answer is kept.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from content.cid import CID, RAW
from content.redirects import RedirectTable, parse
from content.release import Rules
from edge.node import Node
from tests.edge.sites import World
from tests.edge.wire import Got, edge, wire

CSS = b"body { color: black }\n" * 50
FILES: dict[str, Any] = {
    "index.html": b"<h1>home</h1>",
    "docs/index.html": b"docs",
    "docs/404.html": b"no such doc",
    "style-BQk3xY9z.css": CSS,
    "two.bin": bytes(range(256)) * 4096 + b"the second block",
}
PATHS = [
    "/", "/docs", "/docs/", "/docs/nope", "/style-BQk3xY9z.css", "/two.bin", "/nope", "/old", "/%2e%2e", "/.rim/health"
]  # fmt: skip
HOSTS = ["demo.localhost", "spa.localhost", "nobody.example"]
TAG = f'"{CID.of(RAW, CSS)}"'
KEYED = st.fixed_dictionaries(
    {},
    optional={
        "Accept-Encoding": st.sampled_from(["br", "gzip;q=0.5, zstd", "identity", "*;q=0", ""]),
        "If-None-Match": st.sampled_from([TAG, "*", '"old"']),
        "If-Match": st.sampled_from([TAG, '"old"']),
        "Range": st.sampled_from(["bytes=0-4", "bytes=0-1,4-5", "bytes=-1", "bytes=99999999-", "x"]),
        "If-Range": st.sampled_from([TAG, '"old"']),
        "Sec-Fetch-Mode": st.sampled_from(["navigate", "cors"]),
        "Accept": st.sampled_from(["text/html", "*/*"]),
    },
)
# What may stand beside any key: not what frames a message or names a hop (test_protocol has those), nor the key itself.
_OTHERS = {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "http2-settings"}
_KNOWN = [
    "Authorization", "Cookie", "DNT", "Forwarded", "From", "If-Modified-Since", "If-Unmodified-Since",
    "Max-Forwards", "Origin", "Pragma", "Referer", "Rim-Release", "Rim-Tier", "Save-Data", "Sec-Fetch-Dest",
    "Sec-Fetch-Site", "TE", "User-Agent", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
    "X-Host", "X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "Cache-Control", "Accept-Language",
    "Accept-Charset", "Access-Control-Request-Method", "Available-Dictionary", "Dictionary-ID", "CDN-Loop",
]  # fmt: skip
_NAMES = st.sampled_from(_KNOWN) | st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name not in _OTHERS
)
_VALUES = st.sampled_from(
    ["evil.example", "host=evil.example;proto=https", "/docs/", "https", "PUT", "a=b; rim_visitor=abcdefgh", "null"]
) | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40).map(str.strip)
NOISE = st.lists(st.tuples(_NAMES, _VALUES), min_size=1, max_size=8).map(
    lambda pairs: [(name, value) for name, value in pairs if name.title() not in _KEYS]
)
_KEYS = {"Accept-Encoding", "If-None-Match", "If-Match", "Range", "If-Range", "Sec-Fetch-Mode", "Accept"}


def _world() -> World:
    world = World()
    sent, _ = parse("/old /docs/ 301")
    world.publish("demo", FILES, rules=Rules(redirects=RedirectTable(sent).to_value()))
    world.publish("spa", FILES, spa=True)
    return world


async def _ask(node: Node, first: str, host: str, fields: list[tuple[str, str]]) -> Got:
    """On a connection of its own: what has no one meaning ends it."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    async with wire(node) as connection:
        await connection.send(f"{first} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
        got = await connection.read(first.partition(" ")[0])
    for name in ("date", "cache-status"):  # when, and from where: not what
        got.headers.pop(name, None)
    return got


def test_equal_keys_get_equal_answers(tmp_path: Path) -> None:
    """Status, every field and every byte."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        node, _ = runner.run(stack.enter_async_context(edge(tmp_path, _world())))

        @settings(max_examples=80)
        @given(
            first=st.builds("{} {}".format, st.sampled_from(["GET", "GET", "HEAD"]), st.sampled_from(PATHS)),
            host=st.sampled_from(HOSTS),
            keyed=KEYED,
            noise=NOISE,
            forgets=st.booleans(),
        )
        @example("GET /docs", "demo.localhost", {}, [("X-Forwarded-Host", "evil.example")], True)
        @example("GET /", "demo.localhost", {}, [("If-Modified-Since", "Sat, 29 Oct 2050 19:43:31 GMT")], True)
        def any_request(
            first: str, host: str, keyed: dict[str, str], noise: list[tuple[str, str]], forgets: bool
        ) -> None:
            plain = list(keyed.items())
            before = runner.run(_ask(node, first, host, plain))
            if forgets:
                node.answers.clear()
                node.loader.memory.clear()
            noisy = runner.run(_ask(node, first, host, [*noise, *plain]))
            assert noisy == before
            assert runner.run(_ask(node, first, host, plain)) == before

        try:
            any_request()
        finally:
            runner.run(stack.aclose())
