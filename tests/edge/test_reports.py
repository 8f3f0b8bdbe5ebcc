"""Reports of browsers: taken on every host, whatever is sent; counted by a few kinds, and within bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.browsers.reports import LONGEST, REPORT, Reports
from edge.node import Node
from tests.edge.sites import World
from tests.edge.wire import edge, fetch, wire

LIE = f"{REPORT}?kind=lie&path=%2Fapp.js&at=demo.localhost%3A8080"
Play = Callable[[Node], Awaitable[None]]


def play(folder: Path, act: Play) -> None:
    async def run() -> None:
        world = World()
        world.publish("demo", {"index.html": b"home"})
        async with edge(folder, world) as (node, _):
            await act(node)

    asyncio.run(run())


def test_a_report_is_counted_on_any_host(tmp_path: Path) -> None:
    """A site's, a stranger's, a gateway's; without a preflight, and after one; two on one connection."""

    async def act(node: Node) -> None:
        for host in ("demo.localhost", "nobody.example", "localhost"):
            async with wire(node, host) as connection:
                for path in (LIE, f"{REPORT}?kind=else"):
                    got = await connection.get(path, "POST", Content_Length="0")
                    assert (got.status, got.headers["access-control-allow-origin"]) == (204, "*")
                    told = (got.headers["cache-control"], got.headers["x-content-type-options"])
                    assert told == ("no-store", "nosniff")
        asked = await fetch(node, REPORT, method="OPTIONS", Access_Control_Request_Method="POST")
        assert (asked.status, asked.headers["access-control-allow-methods"]) == (204, "POST")
        assert node.numbers.values()["rim_browser_reports_total"] == {"lie": 3, "other": 3}

    play(tmp_path, act)


ROOM = LONGEST - len("kind=")
QUERIES: list[tuple[str, int]] = [
    ("", 400),
    ("path=/a", 400),
    ("kind", 204),
    ("kind=%FF&path=%00&at=%0A", 204),
    ("a&b&c&d&e&f&g&kind=lie", 204),
    ("a&b&c&d&e&f&g&h&kind=lie", 400),
    ("kind=" + "x" * ROOM, 204),
    ("kind=" + "x" * (ROOM + 1), 414),
]


def test_what_is_no_report(tmp_path: Path) -> None:
    """Refused, in words that a page of another origin may read; a body is not read, and ends the connection."""

    async def act(node: Node) -> None:
        for query, status in QUERIES:
            got = await fetch(node, f"{REPORT}?{query}", method="POST", Content_Length="0")
            assert (got.status, got.headers["access-control-allow-origin"]) == (status, "*"), query[:40]
            assert got.headers["cache-control"] == "no-store"
        for method in ("GET", "HEAD", "PUT"):
            got = await fetch(node, LIE, method=method)
            assert (got.status, got.headers["allow"]) == (405, "POST, OPTIONS")
        async with wire(node) as connection:
            assert (await connection.get(LIE, "POST", Content_Length="1000000")).status == 204
            assert await connection.is_closed()
        assert node.numbers.values()["rim_browser_reports_total"] == {"other": 3, "lie": 2}

    play(tmp_path, act)


def test_one_client_cannot_count_without_end(caplog: pytest.LogCaptureFixture) -> None:
    """Twenty at once and then one a second; of a whole household or of a machine's /64; a line in the log each second,
    in which nothing that was sent can begin another."""
    now = 0.0
    reports = Reports(lambda: now)

    async def send(client: str, kind: str = "lie") -> int:
        query = f"kind={kind}&path=/a%0AERROR%20b&at=demo".encode()
        scope = {"type": "http", "method": "POST", "query_string": query, "extensions": {"rim": {"client": client}}}
        said: list[Any] = []

        async def hear(message: Any) -> None:
            said.append(message)

        await reports(scope, hear, hear)  # type: ignore[arg-type]
        return int(said[0]["status"])

    async def run() -> None:
        nonlocal now
        assert {await send("192.0.2.1") for _ in range(25)} == {204}
        assert reports.counts == {"lie": 20, "over": 5}
        now = 1.0
        await send("192.0.2.1")
        assert {await send(f"2001:db8::{number:x}", "quota") for number in range(25)} == {204}
        assert reports.counts == {"lie": 21, "quota": 20, "over": 10}

    with caplog.at_level(logging.WARNING, "rim.edge"):
        asyncio.run(run())
    assert len(caplog.messages) == 2
    assert not any("\n" in message for message in caplog.messages)
