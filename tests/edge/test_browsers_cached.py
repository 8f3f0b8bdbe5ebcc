"""Below /.rim/, and files asked for by a worker, with a shared cache in front: nobody gets what was another's.

Actors: one edge, a real nginx that caches what it may (proxy_cache).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import edge
from tests.edge.workers import publish, roll_out
from tests.kit.nginx import running
from tests.kit.nodes import Answer, fetch, free_port

pytestmark = pytest.mark.needs("nginx")
OLD: dict[str, File] = {"index.html": b"old", "docs/index.html": b"old docs", "app-BQk3xY9z.js": b"code"}
NEW: dict[str, File] = {**OLD, "index.html": b"new", "docs/index.html": b"new docs"}
FRESH = [["/docs/*", [["Cache-Control", "public, max-age=600"]], 1]]
INSIDE = {"Cookie": "rim_visitor=abcdefgh"}
CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  proxy_cache_path {work}/cache keys_zone=edge:1m use_temp_path=off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_cache edge;
      proxy_cache_revalidate on; add_header X-Cache $upstream_cache_status always;
    }}
  }}
}}
"""


class Front:
    """What a browser sees through the cache."""

    def __init__(self, port: int) -> None:
        self.url, self.host = f"http://127.0.0.1:{port}", "demo.localhost"

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await asyncio.to_thread(fetch, self.url, path, host=self.host, headers=headers)

    async def body(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        return (await self.get(path, headers)).body


async def _deploys(front: Front, node: Node, origin: TinyOrigin, world: World) -> None:
    """A tab of the release before, and everybody else, by turns; a page that the cache may give by itself too."""
    old = str(world.sites["demo"].live.release)  # type: ignore[union-attr]
    for path in ("/docs/", "/index.html", "/app-BQk3xY9z.js"):
        await front.get(path)
    assert (await front.get("/docs/")).headers["x-cache"] == "HIT"
    assert (await front.get("/app-BQk3xY9z.js", {"Rim-Release": old})).headers["x-cache"] == "HIT"
    publish(world, NEW, "/index.html", headers=FRESH)
    await origin.serving(await origin.sign())
    new = str(world.sites["demo"].live.release)  # type: ignore[union-attr]
    for _ in range(2):
        assert await front.body("/index.html") == b"new"
        assert await front.body("/index.html", {"Rim-Release": old}) == b"old"
        assert await front.body("/index.html", {"Rim-Release": new}) == b"new"
        assert await front.body("/docs/", {"Rim-Release": new}) == b"new docs"
        assert await front.body("/docs/", {"Rim-Release": old}) == b"old docs"
    assert (await front.get("/docs/", {"Rim-Release": new})).headers["x-cache"] == "HIT"


async def _rolls_out(front: Front, node: Node, origin: TinyOrigin, world: World) -> None:
    """Stub and manifest before and during a rollout, of who is in and who is not, by turns; then switched off."""
    live = str(world.sites["demo"].live.release)  # type: ignore[union-attr]

    async def releases(headers: Mapping[str, str] | None = None) -> set[str]:
        stub = (await front.body("/.rim/sw.js", headers)).decode()
        told = json.loads(stub[stub.index("{") : stub.index("}") + 1])["release"]
        return {told, json.loads(await front.body("/.rim/manifest.json", headers))["release"]}

    assert [await releases(), await releases(INSIDE)] == [{live}, {live}]
    coming = str(roll_out(world, NEW, 10_000))
    await origin.serving(await origin.sign())
    outside = {"Cookie": "rim_visitor=x"}  # no name that is one: sw.js gives none, so this stays outside
    for _ in range(2):
        assert await releases(INSIDE) == {coming}
        stub = await front.body("/.rim/sw.js", outside)
        assert live.encode() in stub
    world.change("demo", signed=(), settings={"worker": "off"})
    await origin.serving(await origin.sign())
    for headers in (INSIDE, outside, None):
        assert b"unregister" in await front.body("/.rim/sw.js", headers)
        assert (await front.get("/.rim/manifest.json", headers)).status == 404


@pytest.mark.parametrize("act", [_deploys, _rolls_out])
def test_through_a_cache(tmp_path: Path, act: object) -> None:
    """As each play says."""

    async def run() -> None:
        world = World()
        publish(world, OLD, "/index.html", headers=FRESH)
        async with edge(tmp_path, world) as (node, origin):
            port, work = free_port(), tmp_path / "nginx"
            with running(work, CONFIG.format(work=work, port=port, upstream=node.public_url), port):
                await act(Front(port), node, origin, world)  # type: ignore[operator]

    asyncio.run(run())
