"""103 Early Hints: what a document will need is told while the document is still on its way to the edge."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from content.cid import CID, RAW
from content.headers import HeaderTable
from content.headers import parse as parse_headers
from content.release import Rules
from edge.http.hints import early
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import World
from tests.edge.wire import edge, fetch, wire

STYLE, SCRIPT = "</a.css>; rel=preload; as=style", '</b.js>; rel="modulepreload"'
PAGE, OTHER = b"<!doctype html><title>hinted</title>", b"<!doctype html><title>plain</title>"
HEADERS = f"/index.html\n  Link: {STYLE}\n  Link: </next>; rel=next\n  Link: {SCRIPT}\n/data.json\n  Link: {STYLE}\n"
FILES = {"index.html": PAGE, "other.html": OTHER, "data.json": b"{}"}

LINKS = [
    (STYLE, STYLE),
    (f"{STYLE}, </next>; rel=next, {SCRIPT}", f"{STYLE}, {SCRIPT}"),
    ("<https://cdn.example>; rel=preconnect", "<https://cdn.example>; rel=preconnect"),
    ("</a>; title=x; REL=Preload; as=font", "</a>; title=x; REL=Preload; as=font"),
    ('</a,b>; rel="next preload"; title="a, \\"<b>\\""', '</a,b>; rel="next preload"; title="a, \\"<b>\\""'),
    ("</a>; rel=next; rel=preload", ""),
    ('</a?rel=preload>; rel="next"', ""),
    ("</a>; title=preload", ""),
    ("preload", ""),
    ("<", ""),
]


@pytest.mark.parametrize(("value", "expected"), LINKS)
def test_the_links_that_a_browser_acts_on(value: str, expected: str) -> None:
    """RFC 8288 §3: commas in addresses and quotes, the first `rel` counts, in any case."""
    assert early(value) == expected


def test_what_was_never_closed_is_no_link() -> None:
    """64 KiB of what begins a link are looked at once, not once for each: the loop would stand still for seconds."""
    assert early("<" * 64_000 + STYLE) == STYLE


def world_of() -> World:
    world = World()
    made, _ = parse_headers(HEADERS)
    world.publish("demo", FILES, rules=Rules(headers=HeaderTable(made).to_value()))
    return world


def test_hints_come_before_the_document_is_there(tmp_path: Path) -> None:
    """The origin holds the page back: the hints are there all the same, and then the page with all its fields, on the
    same connection as what follows."""

    async def run() -> None:
        world = world_of()
        async with edge(tmp_path, world, early_hints=True) as (node, origin):
            page = CID.of(RAW, PAGE)
            gate = origin.after[page] = asyncio.Event()
            async with wire(node) as connection:
                await connection.send(connection.request("/index.html"))
                hints = await connection.reader.readuntil(b"\r\n\r\n")
                assert hints == f"HTTP/1.1 103 Early Hints\r\nlink: {STYLE}, {SCRIPT}\r\n\r\n".encode()
                assert not gate.is_set()
                gate.set()
                got = await connection.read()
                assert (got.status, got.body, got.outcome) == (200, PAGE, "origin")
                assert got.headers["link"] == f"{STYLE}, </next>; rel=next, {SCRIPT}"
                again = await connection.get("/index.html")
                assert (again.body, again.outcome) == (PAGE, "memory")
            assert node.numbers.values()["rim_early_hints_total"] == 1

    asyncio.run(run())


def test_where_no_hints_are_sent(tmp_path: Path) -> None:
    """From memory, for a HEAD, for what is no document or names nothing, in HTTP/1.0, and unless it is asked for."""

    async def act(node: Node, origin: TinyOrigin) -> None:
        page = CID.of(RAW, PAGE)
        assert (await fetch(node, "/other.html")).body == OTHER
        assert (await fetch(node, "/data.json")).body == b"{}"
        assert (await fetch(node, "/index.html", method="HEAD")).status == 200
        assert (await fetch(node, "/index.html", If_None_Match="*")).status == 304
        async with wire(node) as connection:
            await connection.send(b"GET /index.html HTTP/1.0\r\nHost: demo.localhost\r\n\r\n")
            assert (await connection.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        assert (await fetch(node, "/index.html", Connection="close")).body == PAGE
        assert node.site_app.hinted == 0
        node.site_app.early_hints = False
        node.loader.memory.drop(page)
        assert (await fetch(node, "/index.html")).body == PAGE
        assert node.site_app.hinted == 0

    async def run() -> None:
        async with edge(tmp_path, world_of(), early_hints=True) as (node, origin):
            await act(node, origin)

    asyncio.run(run())


def test_a_page_that_cannot_be_had_is_a_502_behind_its_hints(tmp_path: Path) -> None:
    """A hint promises nothing: the final answer is what counts (RFC 8297 §2)."""

    async def run() -> None:
        async with edge(tmp_path, world_of(), early_hints=True) as (node, origin):
            origin.lacking.add(CID.of(RAW, PAGE))
            async with wire(node) as connection:
                await connection.send(connection.request("/index.html") + connection.request("/other.html"))
                assert (await connection.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 103 ")
                assert (await connection.read()).status == 502
                assert (await connection.read()).body == OTHER

    asyncio.run(run())
