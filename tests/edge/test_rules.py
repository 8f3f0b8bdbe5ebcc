"""Sites with rules, over the wire: what a site says of its answers, and that nobody can say it for another visitor."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from content.catalog import WHOLE, Alias, Retained, Rollout
from content.headers import HeaderTable
from content.headers import parse as parse_headers
from content.limits import ALIASES_MAX
from content.password import Password
from content.redirects import RedirectTable
from content.redirects import parse as parse_redirects
from content.release import Rules
from edge.node import Node
from tests.edge.origin import TinyOrigin
from tests.edge.sites import File, World
from tests.edge.wire import Got, edge, fetch, wire

FILES: dict[str, File] = {
    "index.html": b"<h1>home</h1>",
    "about.html": b"<h1>about</h1>",
    "404.html": b"<h1>no such page</h1>",
    "data.json": b"{}" + b" " * 500,
    "en.html": b"english",
    "assets/app-BQk3xY9z.js": b"code();" * 60,
}
Play = Callable[[Node, TinyOrigin, World], Awaitable[None]]
NAVIGATES = {"Sec_Fetch_Mode": "navigate"}


def rules(headers: str = "", redirects: str = "", **fields: Any) -> Rules:
    """A Release's rules out of the two files."""
    made, wrong = parse_headers(headers)
    sent, bad = parse_redirects(redirects, external=("*",))
    assert not [finding for finding in (*wrong, *bad) if finding.level == "error"]
    return Rules(headers=HeaderTable(made).to_value(), redirects=RedirectTable(sent).to_value(), **fields)


def play(folder: Path, act: Play, said: Rules | None = None, files: Mapping[str, File] = FILES, **fields: Any) -> None:
    """Run a play against an edge with one site, `demo`."""
    config = {key: fields.pop(key) for key in ("memory_bytes",) if key in fields}

    async def run() -> None:
        world = World()
        world.publish("demo", files, rules=said, **fields)
        async with edge(folder, world, **config) as (node, origin):
            await act(node, origin, world)

    asyncio.run(run())


def said_by(got: Got) -> tuple[int, dict[str, str], bytes]:
    """All of an answer but who gave it and when."""
    head = {name: value for name, value in got.headers.items() if name not in ("cache-status", "connection", "date")}
    return got.status, head, got.body


HEADERS = """
/*
  X-Frame-Options: DENY
  Vary: X-Region
/data.json
  Cache-Control: public, max-age=60
  Access-Control-Allow-Origin: https://app.example
/nope
  Cache-Control: public, max-age=60
/assets/*
  ! Access-Control-Allow-Origin
  ! X-Content-Type-Options
"""


def test_headers_are_on_every_answer(tmp_path: Path) -> None:
    """200, HEAD, 304 and 206 have what the rules say, a 404 all but its Cache-Control; the edge's own stays."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        whole = await fetch(node, "/data.json")
        tag = whole.headers["etag"]
        answers = {
            200: whole,
            304: await fetch(node, "/data.json", If_None_Match=tag),
            206: await fetch(node, "/data.json", Range="bytes=0-1"),
            0: await fetch(node, "/data.json", method="HEAD"),
        }
        for status, got in answers.items():
            assert got.status == (status or 200)
            assert got.headers["x-frame-options"] == "DENY"
            assert got.headers["cache-control"] == "public, max-age=60"
            assert got.headers["access-control-allow-origin"] == "https://app.example"
            assert got.headers["vary"] == "Accept-Encoding, X-Region"
        lost = await fetch(node, "/nope")
        assert (lost.status, lost.body) == (404, b"<h1>no such page</h1>")
        assert (lost.headers["cache-control"], lost.headers["x-frame-options"]) == ("no-store", "DENY")
        assert lost.headers["rim-reason"] == "no-such-path"
        code = await fetch(node, "/assets/app-BQk3xY9z.js")
        assert "access-control-allow-origin" not in code.headers
        assert code.headers["x-content-type-options"] == "nosniff"

    play(tmp_path, act, rules(HEADERS))


REDIRECTS = """
/old         /about.html
/store       id=:id     /p/:id     302
/tr          /en.html              200
https://en.example/only  /en.html  200
/forced.html /about.html           301!
"""
SAME = [
    "/data.json",
    "/",
    "/about.html",
    "/assets/app-BQk3xY9z.js",
    "/old",
    "/tr",
    "/tr?q=1",
    "/data.json?q=1",
    "/old?a=b",
]


@pytest.mark.parametrize("path", SAME)
def test_memory_answers_as_the_app_does(tmp_path: Path, path: str) -> None:
    """What the hot path says is what the app said, field by field and byte by byte, to every kind of question."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        first = await fetch(node, path)
        tag = first.headers.get("etag", "")
        asked: list[dict[str, str]] = [{}, {"Accept_Encoding": "br"}, {"If_None_Match": tag}, {"Range": "bytes=1-2"}]
        for fields in asked:
            for method in ("GET", "HEAD"):
                hot = await fetch(node, path, method=method, **fields)
                cold = await fetch(node, path, method=method, Connection="close", **fields)  # goes to the app
                assert said_by(hot) == said_by(cold), (method, fields)
        again = await fetch(node, path)
        assert said_by(again) == said_by(first)
        assert again.outcome == "memory"

    play(tmp_path, act, rules(HEADERS, REDIRECTS))


def test_redirects_are_ready_but_not_with_a_query(tmp_path: Path) -> None:
    """A redirect waits in memory; with a query it is made anew, for the query goes along; none is kept for ever."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        await fetch(node, "/old")
        before = len(node.answers.keeping)
        got = await fetch(node, "/old?a=%0d%0aX: y".replace(" ", ""))
        assert (got.status, got.headers["location"]) == (301, "/about.html?a=%0d%0aX:y")
        assert got.headers["cache-control"] == "public, max-age=0, must-revalidate"
        assert (await fetch(node, "/old")).headers["location"] == "/about.html"
        assert len(node.answers.keeping) == before

    play(tmp_path, act, rules("", "/old /about.html"))


def test_what_reads_the_query_is_kept_by_it(tmp_path: Path) -> None:
    """Where a rule reads the query, no answer for one query is given for another."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for _ in range(2):
            assert (await fetch(node, "/page?lang=en")).body == b"english"
            assert (await fetch(node, "/page")).status == 404
            assert (await fetch(node, "/page?lang=de")).status == 404
            assert (await fetch(node, "/store?id=1")).headers["location"] == "/p/1"
            assert (await fetch(node, "/store?id=2")).headers["location"] == "/p/2"
            assert (await fetch(node, "/to?go=%2F%2Fevil.example")).headers["location"] == "/evil.example"

    play(tmp_path, act, rules("", "/page lang=en /en.html 200\n/store id=:id /p/:id 302\n/to go=:go /:go"))


def test_hosts_do_not_share_where_a_rule_reads_the_host(tmp_path: Path) -> None:
    """Two hosts of one site, a rule for one of them: memory keeps them apart, in every spelling of the Host."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for _ in range(2):
            for host in ("en.example", "EN.example:80", "en.example."):
                got = await fetch(node, "/only", host)
                assert (got.body, got.headers["x-site"]) == (b"english", "en")
            for host in ("de.example", "demo.localhost"):
                got = await fetch(node, "/only", host)
                assert (got.status, got.headers.get("x-site")) == (404, None)
                assert (await fetch(node, "/", host)).headers.get("x-site") is None

    said = rules("https://en.example/*\n  X-Site: en", "https://en.example/only /en.html 200")
    play(tmp_path, act, said, hosts=("en.example", "de.example"))


def test_queries_do_not_grow_memory(tmp_path: Path) -> None:
    """Whoever invents queries fills what ready answers may take, and no more."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        async with wire(node) as one:
            for number in range(0, 400, 10):
                await one.send(b"".join(one.request(f"/data.json?{n}{'x' * 7000}") for n in range(number, number + 10)))
                for _ in range(10):
                    assert (await one.read()).status == 200
        answers = node.answers.keeping
        assert len(answers) < 400
        assert 0 < answers.bytes <= answers.budget

    play(tmp_path, act, rules("", "/page lang=en /en.html 200"), memory_bytes=1 << 22)


UNKEYED = [
    {"X_Forwarded_Host": "evil.example"},
    {"X_Original_URL": "/en.html"},
    {"X_Rewrite_URL": "/en.html"},
    {"X_Forwarded_Proto": "http"},
    {"Cookie": "rim_visitor=aaaaaaaaaaaa; rim_release=x"},
    {"Rim_Release": "bafyreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"Authorization": "Basic Ong="},
    {"Accept": "text/html"},
    {"Sec_Fetch_Mode": "navigate"},
    {"Origin": "https://evil.example"},
]


@pytest.mark.parametrize("fields", UNKEYED, ids=lambda fields: next(iter(fields)))
def test_nothing_else_changes_a_shared_answer(tmp_path: Path, fields: dict[str, str]) -> None:
    """A field that is not in the key changes neither its own answer nor the next one's."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        for path in ("/", "/old", "/tr", "/assets/app-BQk3xY9z.js", "/nope"):
            poisoned = await fetch(node, path, **fields)
            after = await fetch(node, path)
            fresh = await fetch(node, path, Connection="close")
            assert said_by(poisoned) == said_by(after) == said_by(fresh)

    play(tmp_path, act, rules(HEADERS, REDIRECTS))


@pytest.mark.parametrize(
    ("path", "origin_said"),
    [("/data.json", "https://app.example"), ("/assets/app-BQk3xY9z.js", None), ("/about.css", "*"), ("/", None)],
)
def test_preflight_says_what_the_answer_does(tmp_path: Path, path: str, origin_said: str | None) -> None:
    """OPTIONS grants what the path's own answer grants, by rule or by type."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        asks = {"Origin": "https://x.example", "Access_Control_Request_Method": "GET"}
        got = await fetch(node, path, method="OPTIONS", **asks)
        assert got.status == 204
        assert got.headers.get("access-control-allow-origin") == origin_said
        assert got.headers.get("access-control-allow-methods") == (origin_said and "GET, HEAD, OPTIONS")

    play(tmp_path, act, rules(HEADERS))


OPEN = [
    "/go//evil.example",
    "/go/%5Cevil.example",
    "/go/%0d%0aSet-Cookie:a=b",
    "/go/%2e%2e%5C%5Cevil",
    "/go/http:%5C%5Cevil",
]


@pytest.mark.parametrize("path", OPEN)
def test_no_request_chooses_where_it_is_sent(tmp_path: Path, path: str) -> None:
    """A capture at the front of a target is a path of this site, whatever slashes and line breaks it holds."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        got = await fetch(node, path)
        assert got.status == 301
        location = got.headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))
        assert not got.cookies
        assert "\\" not in location

    play(tmp_path, act, rules("", "/go/* /:splat"))


# Visitors.

NEW: dict[str, File] = {**FILES, "index.html": b"<h1>new</h1>", "assets/new-CQk3xY9z.js": b"new();", "data.json": b"[]"}


def roll_out(world: World, share: int, files: Mapping[str, File] = NEW, said: Rules | None = None) -> Retained:
    """A release that this share of demo's visitors gets. Its chunks are in the attic, as the origin has it."""
    site = world.sites["demo"]
    item = Retained(world.store.release(files, rules=said), site.generation + 1, 0)
    attic = world.store.index({path: data for path, data in files.items() if path.startswith("assets/new")})
    world.change("demo", rollout=Rollout(item, share), tried=(item,), attic=attic)
    return item


def test_a_rollout_is_personal_and_its_chunks_are_not(tmp_path: Path) -> None:
    """Documents are private, vary by Cookie and are never in memory; hash-named files stay shared and ready."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        roll_out(world, WHOLE)
        await origin.serving(await origin.sign())
        first = await fetch(node, "/", **NAVIGATES)
        assert first.body == b"<h1>new</h1>"
        assert (first.headers["cache-control"], first.headers["vary"]) == (
            "private, max-age=0, must-revalidate",
            "Cookie",
        )
        (cookie,) = first.cookies
        assert "HttpOnly" in cookie
        came = cookie.partition(";")[0]
        again = await fetch(node, "/", Cookie=came, **NAVIGATES)
        assert (again.body, again.cookies) == (first.body, ())
        assert (await fetch(node, "/data.json", Cookie=came)).body == b"[]"
        assert (await fetch(node, "/data.json")).body == FILES["data.json"]
        part = await fetch(node, "/data.json", Cookie=came, Range="bytes=1-1")
        assert (part.status, part.body, part.headers["cache-control"][:7]) == (206, b"]", "private")
        same = await fetch(node, "/", Cookie=came, If_None_Match=first.headers["etag"])
        assert (same.status, same.headers["vary"]) == (304, "Cookie")
        bare = await fetch(node, "/", method="HEAD", **NAVIGATES)
        assert (bare.status, len(bare.cookies), bare.headers["cache-control"][:7]) == (200, 1, "private")
        for path in ("/assets/app-BQk3xY9z.js", "/assets/new-CQk3xY9z.js"):
            with_cookie, without = await fetch(node, path, Cookie=came), await fetch(node, path)
            assert said_by(with_cookie) == said_by(without)
            assert without.headers["cache-control"].startswith("public")
            assert without.outcome == "memory"
        assert len(node.answers.keeping) == 2

    play(tmp_path, act)


def test_a_redirect_gives_a_name_too(tmp_path: Path) -> None:
    """Old and new lead to each other's addresses: a visitor who came without a name is not sent to and fro."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        roll_out(world, WHOLE // 2, said=rules("", "/b /a"))
        await origin.serving(await origin.sign())
        got = await fetch(node, "/a", **NAVIGATES)
        while got.status == 404:  # by chance among those for whom /a is no redirect
            got = await fetch(node, "/a", **NAVIGATES)
        assert (got.status, got.headers["location"]) == (301, "/b")
        (cookie,) = got.cookies
        assert got.headers["cache-control"].startswith("private")
        assert got.headers["vary"] == "Cookie"
        after = await fetch(node, "/b", Cookie=cookie.partition(";")[0], **NAVIGATES)
        assert after.status == 404

    play(tmp_path, act, rules("", "/a /b"))


def test_a_trial_visitor_does_not_choose_the_header_of_shared_files(tmp_path: Path) -> None:
    """Who gets the new release asks first: hash-named files have live's header for everyone all the same."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        roll_out(world, WHOLE // 2, said=rules("/assets/*\n  Access-Control-Allow-Origin: https://new.example"))
        await origin.serving(await origin.sign())
        for name in map("visitor-{}".format, range(20)):
            got = await fetch(node, "/assets/app-BQk3xY9z.js", Cookie=f"rim_visitor={name}", Connection="close")
            assert got.headers["access-control-allow-origin"] == "*"

    play(tmp_path, act)


@pytest.mark.parametrize("by", ["pin", "rollout"])
def test_bytes_changed_by_force_do_not_poison(tmp_path: Path, by: str) -> None:
    """A hash-named path that a forced publish gave other bytes: who is on the other release gets its own, privately,
    and nobody else ever does."""
    path = "/assets/app-BQk3xY9z.js"
    first = b"code();" * 60

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        old = world.sites["demo"].retained[0].release
        other = {**FILES, "assets/app-BQk3xY9z.js": b"other();"}
        if by == "pin":
            world.publish("demo", other, rules=Rules(pin=True))
            fields, theirs, ours = {"Rim_Release": str(old)}, first, b"other();"
        else:
            roll_out(world, WHOLE, other)
            fields, theirs, ours = {"Cookie": "rim_visitor=aaaaaaaa"}, b"other();", first
        await origin.serving(await origin.sign())
        got = await fetch(node, path, **fields)
        assert (got.body, got.headers["cache-control"][:7]) == (theirs, "private")
        for connection in ("keep-alive", "close"):
            got = await fetch(node, path, Connection=connection)
            assert (got.body, got.headers["cache-control"][:6]) == (ours, "public")

    play(tmp_path, act, rules(pin=True))


def test_a_pinned_tab_keeps_its_release(tmp_path: Path) -> None:
    """Data of the release that the tab began with, by field or cookie; pages are always live's."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        page = await fetch(node, "/", **NAVIGATES)
        old = str(world.sites["demo"].retained[0].release)
        assert page.headers["server-timing"] == f'rim-release;desc="{old}"'
        (cookie,) = page.cookies
        assert cookie.startswith(f"rim_release={old}; ")
        assert page.headers["vary"] == "Cookie, Rim-Release"
        world.publish("demo", NEW, rules=Rules(pin=True))
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/data.json")).body == b"[]"
        assert (await fetch(node, "/data.json", Rim_Release=old)).body == FILES["data.json"]
        assert (await fetch(node, "/data.json", Cookie=f"rim_release={old}")).body == FILES["data.json"]
        live = str(world.sites["demo"].retained[0].release)
        assert (await fetch(node, "/data.json", Cookie=f"rim_release={old}", Rim_Release=live)).body == b"[]"
        assert (await fetch(node, "/", Rim_Release=old, **NAVIGATES)).body == b"<h1>new</h1>"
        assert (await fetch(node, "/data.json", Rim_Release="bafynonsense")).body == b"[]"

    play(tmp_path, act, rules(pin=True))


def test_browsers_are_asked_once_to_clear(tmp_path: Path) -> None:
    """After `purge --browsers` each browser gets Clear-Site-Data with its next page, once; others nothing."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        now = int(node.site_app.clock())
        world.change("demo", browsers=(7, now))
        await origin.serving(await origin.sign())
        got = await fetch(node, "/", **NAVIGATES)
        assert got.headers["clear-site-data"] == '"cache"'
        (cookie,) = got.cookies
        again = await fetch(node, "/", Cookie=cookie.partition(";")[0], **NAVIGATES)
        assert "clear-site-data" not in again.headers
        assert not again.cookies
        assert "clear-site-data" not in (await fetch(node, "/data.json")).headers
        assert "clear-site-data" not in (await fetch(node, "/nope", **NAVIGATES)).headers
        node.site_app.clock = lambda: now + 31 * 86_400
        late = await fetch(node, "/", **NAVIGATES)
        assert "clear-site-data" not in late.headers
        assert late.headers["cache-control"].startswith("public")

    play(tmp_path, act)


# Previews.


def show(world: World, name: str, files: Mapping[str, File], *, before: Any = None, **terms: Any) -> None:
    """A preview of demo."""
    site = world.sites["demo"]
    alias = Alias(world.store.release(files), site.generation + 1, 0, before=before, **terms)
    world.change("demo", aliases={**site.aliases, name: alias})


def test_a_preview_has_its_own_hosts(tmp_path: Path) -> None:
    """Under each host of its site, in every spelling; noindex; live stays as it was; the unknown ones say so."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        show(world, "pr-1", {**NEW, "only.txt": b"only"})
        await origin.serving(await origin.sign())
        spellings = ("pr-1--demo.localhost", "PR-1--Demo.LOCALHOST:8080", "pr-1--demo.localhost.", "pr-1--www.example")
        for host in spellings:
            for _ in range(2):
                got = await fetch(node, "/", host)
                assert (got.body, got.headers["x-robots-tag"]) == (b"<h1>new</h1>", "noindex")
        assert (await fetch(node, "/")).body == b"<h1>home</h1>"
        assert (await fetch(node, "/only.txt")).status == 404
        for host in (
            "pr-2--demo.localhost",
            "pr--1--demo.localhost",
            "pr-1--pr-1--demo.localhost",
            "xn--demo.localhost",
        ):
            assert (await fetch(node, "/", host)).status in (404, 421), host
        lost = await fetch(node, "/", "pr-2--demo.localhost")
        assert (lost.status, lost.headers["rim-reason"]) == (404, "no-such-preview")
        assert (await fetch(node, "/", "--demo.localhost")).status == 421

    play(tmp_path, act, hosts=("www.example",))


def test_a_preview_ends_by_the_clock(tmp_path: Path) -> None:
    """To the second, without a new Head; what was asked for before is in no memory."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        show(world, "pr-1", NEW, expires=5_000_000_000)
        await origin.serving(await origin.sign())
        for _ in range(2):
            assert (await fetch(node, "/assets/new-CQk3xY9z.js", "pr-1--demo.localhost")).status == 200
        node.site_app.clock = lambda: 5_000_000_000
        for path in ("/", "/assets/new-CQk3xY9z.js"):
            got = await fetch(node, path, "pr-1--demo.localhost")
            assert (got.status, got.headers["rim-reason"]) == (404, "preview-ended")
            assert got.headers["cache-control"] == "no-store"

    play(tmp_path, act)


def test_a_password_guards_all_of_a_preview(tmp_path: Path) -> None:
    """401 without, whatever is asked; with it all is private, hash-named files too, and nothing is in memory."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        show(world, "pr-1", NEW, password=str(Password.make("open sesame", b"saltsalt")))
        await origin.serving(await origin.sign())
        host = "pr-1--demo.localhost"
        right, wrong = "Basic Om9wZW4gc2VzYW1l", "Basic Om9wZW4="
        for path in ("/", "/assets/new-CQk3xY9z.js", "/about", "/nope", "/data.json"):
            for fields in ({}, {"Authorization": wrong}, {"Authorization": "Basic ?"}, {"Authorization": "Bearer x"}):
                for method in ("GET", "HEAD", "OPTIONS"):
                    got = await fetch(node, path, host, method, **fields)
                    assert got.status == 401
                    assert got.headers["www-authenticate"].startswith('Basic realm="pr-1--demo"')
                    assert got.headers["cache-control"] == "no-store"
            got = await fetch(node, path, host, Authorization=right)
            assert got.headers["cache-control"].startswith(("private", "no-store"))
            if got.status == 200:
                assert got.headers["vary"].endswith("Authorization")
        assert not len(node.answers.keeping)

    play(tmp_path, act)


def test_a_flood_of_passwords_is_bounded(tmp_path: Path) -> None:
    """Many wrong tries at once: some are told to come back; who is known goes on being let in."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        show(world, "pr-1", NEW, password=str(Password.make("open sesame", b"saltsalt")))
        await origin.serving(await origin.sign())
        host = "pr-1--demo.localhost"
        right = "Basic Om9wZW4gc2VzYW1l"
        assert (await fetch(node, "/", host, Authorization=right)).status == 200
        tries = [b64encode(f":{number}".encode()).decode() for number in range(40)]
        flood = [asyncio.ensure_future(fetch(node, "/", host, Authorization=f"Basic {word}")) for word in tries]
        assert (await fetch(node, "/", host, Authorization=right)).status == 200
        statuses = [got.status for got in await asyncio.gather(*flood)]
        assert set(statuses) == {401, 503}

    play(tmp_path, act)


def test_bad_rules_are_one_sites_trouble(tmp_path: Path) -> None:
    """Rules that no origin should have let in: 502 for their site, and the others are served."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        bad: list[Rules] = [
            Rules(headers=7),
            Rules(headers=[["/*", [["X", "a\r\nb: c"]], 1]]),
            Rules(redirects=[["/a", "https://evil\r\n", 301, 0, [], 1]]),
            Rules(redirects="x"),
            Rules(slash="sometimes"),
            Rules(error="x"),
        ]
        for said in bad:
            world.publish("demo", FILES, rules=said)
            world.publish("other", FILES)
            await origin.serving(await origin.sign())
            assert (await fetch(node, "/")).status == 502
            assert (await fetch(node, "/", method="OPTIONS")).status == 502
            assert (await fetch(node, "/", "other.localhost")).status == 200

    play(tmp_path, act)


def test_pipelined_answers_stay_in_order_while_the_view_swaps(tmp_path: Path) -> None:
    """Hot, app and personal answers queue on one connection while Heads come: each answer is whole, and in its turn."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        paths = ["/data.json", "/nope", "/assets/app-BQk3xY9z.js", "/old", "/about.html", "/data.json?x"]
        wanted = [200, 404, 200, 301, 200, 200]
        async with wire(node) as one:
            for turn in range(6):
                if turn % 2:
                    world.publish("demo", NEW if turn == 3 else FILES, rules=rules("", "/old /about.html"))
                else:
                    roll_out(world, WHOLE // 2, said=rules("", "/old /about.html"))
                await origin.sign()
                await one.send(b"".join(one.request(path) for path in paths * 2))
                got = [await one.read() for _ in paths * 2]
                assert [answer.status for answer in got] == wanted * 2
                assert all(answer.whole for answer in got)

    play(tmp_path, act, rules("", "/old /about.html"))


def test_two_hundred_previews(tmp_path: Path) -> None:
    """As many previews as a site may have: each has its host, and the next Head reads their releases from the last."""

    async def act(node: Node, origin: TinyOrigin, world: World) -> None:
        releases = [world.store.release({"index.html": b"%d" % number}) for number in range(ALIASES_MAX)]
        aliases = {f"pr-{number}": Alias(release, 2, 0) for number, release in enumerate(releases)}
        world.change("demo", aliases=aliases)
        await origin.serving(await origin.sign())
        last = ALIASES_MAX - 1
        assert (await fetch(node, "/", f"pr-{last}--demo.localhost")).body == b"%d" % last
        world.publish("other", FILES)
        await origin.serving(await origin.sign())
        assert (await fetch(node, "/", "pr-7--demo.localhost")).body == b"7"
        assert {origin.asked[str(release)] for release in releases} <= {0, 1}

    play(tmp_path, act)
