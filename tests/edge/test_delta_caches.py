"""Deltas behind a cache in front: one that knows Vary mixes no two visitors, and one that does not is told how to.

Actors: an edge with two deploys, and a real nginx with proxy_cache before it, once as it is and once with the lines
that docs/http.md has for a cache that does not look at Vary.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
from pathlib import Path

import brotli
import pytest
import zstandard

from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.test_deltas import BROWSER, NEW, NEW_PATH, OLD, decoded, has, play
from tests.edge.wire import Got
from tests.kit.nginx import running
from tests.kit.nodes import free_port

pytestmark = pytest.mark.needs("nginx")
_CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  proxy_cache_path {work}/cache keys_zone=front:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{edge}; proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection "";
      proxy_cache front; add_header X-Cache $upstream_cache_status always;
      {more}
    }}
  }}
}}
"""
# docs/http.md, "Caches in front": for one that does not look at Vary
UNAWARE = 'proxy_ignore_headers Vary; proxy_set_header Available-Dictionary ""; proxy_set_header Accept-Encoding "";'
VISITORS: dict[str, tuple[dict[str, str], bytes]] = {
    "of the last deploy": (has(OLD), OLD),
    "new": ({"Accept_Encoding": BROWSER}, b""),
    "of the last deploy, an old browser": (has(OLD, "gzip"), b""),
    "of this deploy": (has(NEW), NEW),
    "a tool": ({}, b""),
}


def ask(port: int, path: str, fields: dict[str, str]) -> Got:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": "demo.localhost", **named}.items():
            connection.putheader(name, value)
        connection.endheaders()
        got = connection.getresponse()
        return Got(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
    finally:
        connection.close()


def plain(got: Got, base: bytes) -> bytes:
    match got.headers.get("content-encoding"):
        case "dcz":
            return decoded(got, base)
        case "br":
            return brotli.decompress(got.body)
        case "gzip":
            return gzip.decompress(got.body)
        case "zstd":
            return zstandard.ZstdDecompressor().decompress(got.body)
        case _:
            return got.body


def before(tmp_path: Path, node: Node, more: str) -> tuple[Path, str, int]:
    work, port = tmp_path / "nginx", free_port()
    return work, _CONFIG.format(work=work, port=port, edge=node.public_url.removeprefix("http://"), more=more), port


def test_a_cache_that_knows_vary_mixes_nobody(tmp_path: Path) -> None:
    """Each visitor gets the new file in a coding that he can read, from the edge and then from the cache."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        work, text, port = before(tmp_path, node, "")
        with running(work, text, port):
            for turn in ("MISS", "HIT"):
                for who, (fields, base) in VISITORS.items():
                    got = await asyncio.to_thread(ask, port, NEW_PATH, fields)
                    assert (got.status, plain(got, base)) == (200, NEW), who
                    assert got.headers["x-cache"] == turn, who
                    assert (got.headers.get("content-encoding") == "dcz") == bool(base), who

    play(tmp_path, act)


def test_a_cache_that_does_not_look_at_vary(tmp_path: Path) -> None:
    """With the lines that it needs no delta reaches it, so it can give none to whoever cannot read it."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        work, text, port = before(tmp_path, node, UNAWARE)
        with running(work, text, port):
            for who, (fields, _) in VISITORS.items():
                got = await asyncio.to_thread(ask, port, NEW_PATH, fields)
                assert (got.headers.get("content-encoding"), got.body) == (None, NEW), who

    play(tmp_path, act)
