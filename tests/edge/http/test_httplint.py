"""Every kind of answer that an edge sends, as httplint judges it: no error is left.

httplint is Mark Nottingham's reading of the HTTP RFCs as code. It sees the answer as it stood on the wire and the
request that it was given to. Here lives the list of kinds; a new kind of answer belongs in it.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

from httplint.message import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

from content.catalog import WHOLE, Alias, Retained, Rollout
from content.cid import CID, DAG_CBOR, RAW
from content.headers import HeaderTable
from content.headers import parse as parse_headers
from content.password import Password
from content.redirects import RedirectTable
from content.redirects import parse as parse_redirects
from content.release import Rules
from edge.http.limits import Limits
from edge.node import Node
from edge.site.browser import scripts
from tests.edge.origin import TOKEN, TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, wire
from tests.edge.workers import publish

CSS = b"body { color: black }\n" * 50
LARGE = bytes(range(256)) * 5000
SCRIPT = b"".join(b"let v%d = %d;\n" % (number, number * number) for number in range(200))
GONE = b"the origin has lost this"
FILES: dict[str, File] = {
    "index.html": b"<!doctype html><title>home</title>",
    "style-BQk3xY9z.css": CSS,
    "style.css": CSS + b"/**/",
    "app.js": b"import('./chunk.js');\n" * 40,
    "app-BBBBbbb2.js": SCRIPT + b"// new",
    "said.html": b"<!doctype html><title>rules</title>",
    "docs/index.html": b"<!doctype html><title>docs</title>",
    "docs/404.html": b"<!doctype html><title>no such doc</title>",
    "picture.png": b"\x89PNG\r\n\x1a\n",
    "large.bin": LARGE,
    "empty.txt": b"",
    "data.json": b'{"a": 1}',
    "gone.bin": GONE,
}
HEADERS = """
/said.html
  Content-Security-Policy: default-src 'self'
  Link: </style.css>; rel=preload; as=style
  Access-Control-Allow-Origin: https://other.example
  Referrer-Policy: no-referrer
  X-Frame-Options: DENY
/data.json
  Cache-Control: public, max-age=60, stale-while-revalidate=30
"""
REDIRECTS = """
/old /docs/ 301
/found /docs/ 302
/other /docs/ 303
/kept /docs/ 307
/moved https://other.example/ 308
"""
TAGS = {name: f'"{CID.of(RAW, body)}"' for name, body in FILES.items() if isinstance(body, bytes)}
NAVIGATES = {"Sec-Fetch-Mode": "navigate"}
HAS = {
    "Available-Dictionary": f":{b64encode(sha256(SCRIPT).digest()).decode()}:",
    "Accept-Encoding": "gzip, br, zstd, dcz",
}
JSON = {"Accept": "application/json"}
PREFLIGHT = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}
LOCAL, SPA, PREVIEW, TRIED = "localhost", "spa.localhost", "pr-1--demo.localhost", "tried.localhost"
WORKED = "worked.localhost"
# Wrong in httplint 2026.10.4: RFC 9110 §15.3.7.2 says of several parts that the answer MUST NOT have a Content-Range.
NOT_OF_PARTS = frozenset({"PARTIAL_WITHOUT_RANGE"})
OF_THE_REQUEST = frozenset({"STATUS_URI_TOO_LONG"})  # httplint's verdict on who asks: every 414 there can be has it


@dataclass(frozen=True)
class Kind:
    """One kind of answer: what is asked, what status comes, which notes are known to be httplint's own error."""

    status: int
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    host: str = "demo.localhost"
    waived: frozenset[str] = frozenset()
    private: bool = False

    @property
    def title(self) -> str:
        return f"{self.method} {self.host}{self.path[:40]} {dict(self.fields)} -> {self.status}"


def ranged(value: str, **more: str) -> dict[str, str]:
    return {"Range": f"bytes={value}", **more}


def coded(coding: str) -> dict[str, str]:
    return {"Accept-Encoding": coding}


KINDS = [
    Kind(200, "/"),
    Kind(200, "/", method="HEAD"),
    Kind(200, "/style-BQk3xY9z.css"),
    *(Kind(200, "/style-BQk3xY9z.css", coded(coding)) for coding in ("br", "gzip", "zstd", "gzip, deflate, br, zstd")),
    *(Kind(200, "/style.css", coded(coding), "HEAD") for coding in ("br", "gzip", "zstd")),
    Kind(200, "/app.js", coded("br")),
    Kind(200, "/picture.png"),
    Kind(200, "/large.bin"),
    Kind(200, "/empty.txt"),
    Kind(200, "/data.json"),
    Kind(200, "/said.html"),
    Kind(206, "/picture.png", ranged("0-3")),
    Kind(206, "/style-BQk3xY9z.css", ranged("-5", **{"Accept-Encoding": "br"})),
    Kind(206, "/large.bin", ranged("1048570-1048580")),
    Kind(206, "/picture.png", ranged("0-0,-1"), waived=NOT_OF_PARTS),
    Kind(206, "/large.bin", ranged("0-9,1048570-1048580,-1"), waived=NOT_OF_PARTS),
    Kind(200, "/picture.png", ranged("0-0", **{"If-Range": '"old"'})),
    Kind(304, "/picture.png", {"If-None-Match": TAGS["picture.png"]}),
    Kind(304, "/style-BQk3xY9z.css", {"If-None-Match": "*", "Accept-Encoding": "br"}),
    Kind(304, "/said.html", {"If-None-Match": "*"}, "HEAD"),
    Kind(200, "/app-BBBBbbb2.js", HAS),
    Kind(200, "/app-BBBBbbb2.js", HAS, "HEAD"),
    Kind(200, "/app-BBBBbbb2.js", {**HAS, "Accept-Encoding": "br, dcz;q=0"}),
    Kind(200, "/app-BBBBbbb2.js", {**HAS, "Accept-Encoding": "dcz, identity;q=0"}),
    Kind(206, "/app-BBBBbbb2.js", {**HAS, **ranged("0-9")}),
    Kind(304, "/app-BBBBbbb2.js", {**HAS, "If-None-Match": "*"}),
    Kind(406, "/app-BBBBbbb2.js", {**HAS, "Accept-Encoding": "dcz;q=0, identity;q=0"}),
    Kind(412, "/app-BBBBbbb2.js", {**HAS, "If-Match": '"old"'}),
    Kind(416, "/app-BBBBbbb2.js", {**HAS, **ranged("50000-")}),
    Kind(308, "/docs"),
    Kind(308, "/docs", method="HEAD"),
    Kind(301, "/old"),
    Kind(302, "/found"),
    Kind(303, "/other"),
    Kind(307, "/kept"),
    Kind(308, "/moved"),
    Kind(404, "/docs/nope"),
    Kind(404, "/docs/nope", method="HEAD"),
    Kind(404, "/nope"),
    Kind(404, "/nope", method="HEAD"),
    Kind(404, "/.rim/nope"),
    Kind(405, "/", method="POST"),
    Kind(405, "/", method="TRACE"),
    Kind(406, "/style.css", coded("*;q=0")),
    Kind(412, "/style.css", {"If-Match": '"old"'}),
    Kind(416, "/style.css", ranged("5000-")),
    Kind(204, "/style.css", PREFLIGHT, "OPTIONS"),
    Kind(204, "/picture.png", PREFLIGHT, "OPTIONS"),
    Kind(204, "/said.html", {}, "OPTIONS"),
    Kind(400, "/%2e%2e"),
    Kind(400, "/", host="a/b"),
    Kind(414, "/" + "a" * 9000, waived=OF_THE_REQUEST),
    Kind(431, "/", {"X-Long": "a" * 17_000}),
    Kind(421, "/", host="nobody.example"),
    Kind(421, "/", method="HEAD", host="nobody.example"),
    Kind(200, "/.rim/health"),
    Kind(200, "/.rim/health", method="HEAD"),
    Kind(200, "/.rim/health", JSON),
    Kind(204, "/.rim/report?kind=lie&at=else", {"Content-Length": "0"}, "POST"),
    Kind(204, "/.rim/report", PREFLIGHT, "OPTIONS"),
    Kind(400, "/.rim/report", {"Content-Length": "0"}, "POST"),
    Kind(405, "/.rim/report"),
    Kind(200, "/.rim/sw.js"),
    Kind(200, "/.rim/sw.js", host=PREVIEW, fields={"Authorization": "Basic Om9wZW4gc2VzYW1l"}),
    Kind(200, "/.rim/sw.js", host=WORKED),
    Kind(200, "/.rim/sw.js", method="HEAD", host=WORKED),
    Kind(304, "/.rim/sw.js", {"If-None-Match": "*"}, host=WORKED),
    Kind(200, scripts.worker_path(), coded("br"), host=WORKED),
    Kind(404, "/.rim/worker-0123456789ab.js", host=WORKED),
    Kind(200, "/.rim/client.js", coded("br")),
    Kind(200, "/.rim/client.d.ts"),
    Kind(200, "/.rim/manifest.json", coded("br"), host=WORKED),
    Kind(304, "/.rim/manifest.json", {"If-None-Match": "*"}, host=WORKED),
    Kind(404, "/.rim/manifest.json"),
    Kind(200, "/.rim/workbox.json", host=WORKED),
    Kind(200, "/.rim/workbox.js", host=WORKED),
    Kind(400, "/.rim/proof", host=WORKED),
    Kind(204, "/.rim/manifest.json", PREFLIGHT, "OPTIONS", WORKED),
    Kind(200, "/style.css", {"Rim-Release": str(CID.of(DAG_CBOR, b""))}, host=WORKED),
    Kind(200, "/", host=LOCAL),
    Kind(200, "/", method="HEAD", host=LOCAL),
    Kind(404, "/favicon.ico", host=LOCAL),
    Kind(200, "/route/deep", NAVIGATES, host=SPA),
    Kind(304, "/route/deep", {**NAVIGATES, "If-None-Match": "*"}, host=SPA),
    Kind(404, "/route/deep", {"Sec-Fetch-Mode": "cors"}, host=SPA),
    Kind(401, "/", host=PREVIEW),
    Kind(401, "/", {"Authorization": "Basic Om9wZW4="}, "HEAD", PREVIEW),
    Kind(200, "/", {"Authorization": "Basic Om9wZW4gc2VzYW1l"}, host=PREVIEW),
    Kind(404, "/", host="pr-2--demo.localhost"),
    Kind(200, "/", NAVIGATES, host=TRIED),
    Kind(304, "/", {**NAVIGATES, "If-None-Match": "*"}, host=TRIED),
    Kind(502, "/gone.bin"),
    Kind(503, "/", host="aged.localhost"),
    Kind(200, "/healthz", private=True),
    Kind(200, "/readyz", private=True),
    Kind(200, "/metrics", private=True),
    Kind(200, "/metrics", method="HEAD", private=True),
    Kind(404, "/nope", private=True),
    Kind(405, "/healthz", method="POST", private=True),
    Kind(200, f"/ipfs/{CID.of(RAW, CSS)}?format=raw", {"Authorization": f"Bearer {TOKEN}"}, private=True),
    Kind(400, "/ipfs/nonsense?format=raw", {"Authorization": f"Bearer {TOKEN}"}, private=True),
]


def test_every_kind_of_answer(tmp_path: Path) -> None:
    """Each kind, from where it lies the first time and from memory the second: no error, and no other status."""

    async def run() -> None:
        world = _world()
        async with edge(tmp_path, world, Limits(head_time=1.0)) as (node, origin):
            origin.lacking.add(CID.of(RAW, GONE))
            node.site_app.contact_age = lambda: 10.0
            for _ in range(2):
                for kind in KINDS:
                    await _meet(node, kind)
            await _meet_timeout(node)
            await _meet_silence(node, origin)

    asyncio.run(run())


def _world() -> World:
    """Sites with one of everything."""
    world = World()
    made, _ = parse_headers(HEADERS)
    sent, _ = parse_redirects(REDIRECTS, external=("*",))
    said = Rules(headers=HeaderTable(made).to_value(), redirects=RedirectTable(sent).to_value())
    password = str(Password.make("open sesame", b"saltsalt"))
    shown = Alias(world.store.release(FILES), 1, 0, password=password)
    world.publish("demo", {"app-AAAAaaa1.js": SCRIPT})
    world.publish("demo", FILES, rules=said, aliases={"pr-1": shown})
    world.remember_bases("demo")
    world.publish("spa", FILES, spa=True)
    publish(world, FILES, name="worked")
    world.publish("aged", FILES, settings={"max_stale": 1})
    tried = Retained(world.store.release({**FILES, "index.html": b"<!doctype html><title>new</title>"}), 2, 0)
    world.publish("tried", FILES, settings={"pin": True}, rollout=Rollout(tried, WHOLE // 2))
    return world


async def _meet(node: Node, kind: Kind) -> None:
    async with wire(node, kind.host, private=kind.private) as connection:
        await connection.send(connection.request(kind.path, kind.method, kind.fields))
        got = await connection.read(kind.method)
    assert got.status == kind.status, kind.title
    assert not errors(kind, got) - kind.waived, kind.title


async def _meet_timeout(node: Node) -> None:
    async with wire(node) as connection:
        await connection.send(b"GET / HTTP/1.1\r\nHo")
        got = await connection.read()
    assert (got.status, errors(Kind(408, "/"), got)) == (408, set())


async def _meet_silence(node: Node, origin: TinyOrigin) -> None:
    """What can be had from nobody, when nobody is there."""
    await origin.stop()
    async with wire(node) as connection:
        while (got := await connection.get("/gone.bin")).status != 504:  # the 502 is believed for a moment
            await asyncio.sleep(0.1)
    assert not errors(Kind(504, "/gone.bin"), got)


def errors(kind: Kind, got: Got) -> set[str]:
    """The names of httplint's notes of its gravest level."""
    asked = HttpRequestLinter()
    asked.process_request_topline(kind.method.encode(), kind.path.encode(), b"1.1")
    asked.process_headers([(b"host", kind.host.encode()), *((n.encode(), v.encode()) for n, v in kind.fields.items())])
    asked.finish_content(True)
    answer = HttpResponseLinter(start_time=time.time(), no_content=kind.method == "HEAD")
    answer.request = asked
    answer.is_head_response = kind.method == "HEAD"
    answer.process_response_topline(b"1.1", str(got.status).encode(), HTTPStatus(got.status).phrase.encode())
    answer.process_headers([(name.encode(), value.encode("latin-1")) for name, value in _lines(got)])
    answer.feed_content(got.body)
    answer.finish_content(got.whole)
    return {type(note).__name__ for note in answer.notes if note.level is levels.BAD}


def _lines(got: Got) -> list[tuple[str, str]]:
    return [*got.headers.items(), *(("set-cookie", cookie) for cookie in got.cookies)]
