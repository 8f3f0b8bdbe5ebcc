"""The bases of a site: what they are by definition, whatever happened to it, and what a commit costs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import bases, tree
from content.asking import drive
from content.block import Block
from content.catalog import Alias, Site
from content.cid import CID, DAG_PB, RAW
from content.deltas import BASE_RELEASES, control_for, is_delta_coded, is_fresh
from content.headers import HeaderTable, parse
from content.limits import PATH_BYTES
from content.release import Asset, Release, Rules
from origin import bases as following
from origin import changes, trials
from tests.content.folders import Blocks
from tests.kit.nodes import until
from tests.origin.play import make, origin, parts

ROOT = CID.of(DAG_PB, b"root")
FRESH = "/kept/*\n  Cache-Control: max-age=60\n"
PATHS = ("/a-3f9a1c0b.js", "/b-3f9a1c0b.js", "/kept/c.js", "/page.html", "/logo-3f9a1c0b.png")


def asset(content: str, path: str) -> Asset:
    data = content.encode() * 600
    media_type = {"js": "text/javascript", "html": "text/html", "png": "image/png"}[path.rpartition(".")[2]]
    cid = CID.of(RAW, data)
    tags = ("even",) if path < "/b" else ()
    return Asset(cid, len(data), cid.digest.hex(), media_type, immutable="3f9a1c0b" in path, tags=tags)


def release(files: Mapping[str, str], headers: str, number: int, blocks: Blocks) -> CID:
    """Paths and what their content is a repetition of."""
    rows = [(path, asset(content, path).to_row()) for path, content in sorted(files.items())]
    rules = Rules(headers=[rule.to_value() for rule in parse(headers)[0]])
    made = Release(ROOT, tree.build(rows, blocks.emit), rules, message=str(number)).to_block()
    blocks.emit(made)
    return made.cid


def by_definition(site: Site, blocks: Blocks) -> dict[str, Any]:
    """Slow and plain: every row of live and of the five newest releases beside it, live first, then by age."""
    assert site.live is not None
    beside = [item for item in site.retained if item.release != site.live.release][:BASE_RELEASES]
    found: dict[str, Any] = {}
    for item in (site.live, *sorted(beside, key=lambda item: item.generation, reverse=True)):
        read = Release.from_block(blocks[item.release])
        table = HeaderTable.from_value(read.rules.headers or [])
        for path, row in drive(tree.rows(read.index), blocks.get_block):
            file = Asset.from_row(row)
            is_live = item.release == site.live.release
            fresh = is_fresh(control_for(table, path, file.immutable), file.immutable)
            if is_delta_coded(file, fresh) and (is_live or site.floor_of(path, file.tags) <= item.generation):
                found.setdefault(file.sha256 + path, row if is_live else {**row, "gen": item.generation})
    return found


def held(site: Site, blocks: Blocks) -> dict[str, Any]:
    return {} if site.bases is None else dict(drive(tree.rows(site.bases), blocks.get_block))


def follow(old: Site, new: Site, blocks: Blocks) -> Site:
    return replace(new, bases=drive(following.follow(old, new, blocks.emit), blocks.get_block))


contents = st.dictionaries(st.sampled_from(PATHS), st.sampled_from("xyz"), max_size=5)
deeds = st.one_of(
    st.tuples(st.just("publish"), contents, st.sampled_from(["", FRESH, "/*\n  X-A: b\n", FRESH + "  X-A: b\n"])),
    st.tuples(st.just("rollback"), st.integers(0, 9), st.just("")),
    st.tuples(st.just("rollout"), contents, st.just("")),
    st.tuples(st.just("purge"), st.sampled_from(["path", "prefix", "tag", "site"]), st.sampled_from([*PATHS, "even"])),
    st.tuples(st.just("forget"), st.just(""), st.just("")),
    st.tuples(st.just("republish"), st.integers(0, 9), st.just("")),
)


def act(site: Site, deed: tuple[str, Any, str], step: int, blocks: Blocks) -> Site:
    what, which, more = deed
    if what == "publish" or site.live is None:
        files, headers = (which, more) if what == "publish" else ({PATHS[0]: "x"}, "")
        return go_live(site, release(files, headers, step, blocks), step)
    if what == "republish":
        return go_live(site, site.retained[which % len(site.retained)].release, step)
    if what == "rollback":
        return changes.rollback(site, str(site.retained[which % len(site.retained)].release), step)
    if what == "rollout":
        shown = trials.preview(site, "next", Alias(release(which, "", step, blocks), 0, step))
        return trials.roll_out(shown, "next", 500, step)
    if what == "purge":
        value = {"site": "", "prefix": more[:3], "path": more, "tag": more}[which]
        return changes.purge(site, [(which, value)])
    return replace(site, bases=None)  # an older version had it meanwhile


def go_live(site: Site, cid: CID, step: int) -> Site:
    site = replace(site, rollout=None)
    live = changes.live_of(site)
    return site if live == cid else changes.activate(changes.stage(site, cid, live, step), cid, live, step)


@settings(deadline=None, max_examples=150)
@given(st.lists(deeds, max_size=16), st.integers(3, 20))
def test_bases_kept_from_differences_are_those_by_definition(deeds: list[tuple[str, Any, str]], last: int) -> None:
    """Publishes with other files and other `_headers`, rollbacks, rollouts, purges, an origin of an older version in
    between: after each, what is kept is what a look at every row of every release gives."""
    blocks, site = Blocks(), Site("demo", settings={"retention": {"last": last, "days": 0}})
    for step, deed in enumerate(deeds):
        site = follow(site, act(site, deed, step, blocks), blocks)
        if site.live is not None:
            assert held(site, blocks) == by_definition(site, blocks)


def publish(site: Site, files: Mapping[str, str], blocks: Blocks, headers: str = "") -> Site:
    number = site.generation
    return follow(site, go_live(site, release(files, headers, number, blocks), number), blocks)


def paths(site: Site, blocks: Blocks) -> list[tuple[str, int | None]]:
    assert site.bases is not None
    found = drive(bases.rows(site.bases), blocks.get_block)
    return sorted(((base.path, base.generation) for base in found), key=lambda row: (row[0], row[1] or 0))


def test_copies_are_found_while_one_of_them_is_there() -> None:
    """The same content under two paths is two rows; when one goes, the digest still leads to the other."""
    blocks = Blocks()
    a, b = PATHS[:2]
    digest = asset("x", a).sha256
    site = publish(Site("demo", settings={"retention": {"last": 1, "days": 0}}), {a: "x", b: "x"}, blocks)
    assert site.bases is not None
    assert drive(bases.find(site.bases, digest), blocks.get_block) == bases.Base(a, asset("x", a))
    site = publish(site, {a: "y", b: "x"}, blocks)
    assert site.bases is not None
    assert drive(bases.find(site.bases, digest), blocks.get_block) == bases.Base(b, asset("x", b))
    site = publish(site, {a: "y"}, blocks)
    assert site.bases is not None
    assert drive(bases.find(site.bases, digest), blocks.get_block) is None
    assert drive(bases.find(site.bases, "f" * 64), blocks.get_block) is None


def test_the_last_five_releases_lend() -> None:
    """Live, and five beside it. Where nothing is fit for it there is the empty tree, which says that they are made."""
    blocks, site = Blocks(), Site("demo")
    for content in "abcdefgh":
        site = publish(site, {PATHS[0]: content}, blocks)
    generations = [item.generation for item in site.retained]
    assert paths(site, blocks) == [(PATHS[0], None), *((PATHS[0], number) for number in sorted(generations[1:6]))]
    assert publish(Site("pages"), {"/page.html": "x"}, blocks).bases == tree.EMPTY.cid


def test_a_purge_takes_what_it_covers_and_live_lacks() -> None:
    """Under the same path and under another: what live holds there stays, the same bytes of an old release go."""
    blocks = Blocks()
    a, b = PATHS[:2]
    site = publish(Site("demo"), {a: "x", b: "x"}, blocks)
    site = publish(site, {a: "y", b: "x"}, blocks)
    assert [path for path, _ in paths(site, blocks)] == [a, a, b]
    site = follow(site, changes.purge(site, [("path", a)]), blocks)
    assert paths(site, blocks) == [(a, None), (b, None)]
    site = publish(site, {a: "z", b: "z"}, blocks)
    assert [path for path, _ in paths(site, blocks)] == [a, b, b]  # a's y is from before the floor
    site = follow(site, changes.purge(site, [("site", "")]), blocks)
    assert paths(site, blocks) == [(a, None), (b, None)]


def test_a_path_that_no_key_holds_is_no_base() -> None:
    blocks = Blocks()
    fits, long = (
        "/" + "é" * ((PATH_BYTES - 64 - len("/-3f9a1c0b.js") - less) // 2) + "-3f9a1c0b.js" for less in (1, -2)
    )
    assert (bases.key("f" * 64, fits), bases.key("f" * 64, long)) == ("f" * 64 + fits, None)
    site = publish(Site("demo"), {fits: "x", long: "x"}, blocks)
    assert paths(site, blocks) == [(fits, None)]


@pytest.mark.parametrize("kept", [2, 20])
def test_a_commit_costs_what_changed(kept: int) -> None:
    """One file of three thousand: the nodes on its way in the few releases, however many are kept and however large
    the site is."""
    blocks, many = Blocks(), {f"/assets/{n:04}-3f9a1c0b.js": "x" for n in range(3_000)}
    site = Site("demo", settings={"retention": {"last": kept, "days": 0}})
    for number in range(8):
        site = publish(site, {**many, PATHS[0]: str(number)}, blocks)
    blocks.asked.clear()
    made: list[Block] = []
    new = go_live(site, release({**many, PATHS[0]: "new"}, "", 99, blocks), 99)
    drive(following.follow(site, new, made.append), blocks.get_block)
    assert len(set(blocks.asked)) < 60
    assert len(made) < 10


def rows_of(client: Any, name: str = "demo") -> Iterable[tuple[str, int | None]]:
    store, site = parts(client).store, parts(client).catalog.world.sites[name]
    return [(base.path, base.generation) for base in drive(bases.rows(site.bases), store.get)]


def version(number: int) -> Any:
    name = f"app-3f9a1c0{number}.js"
    return make({name: b"%d" % number * 999, "index.html": b"%d" % number}, immutable=[name])


def test_an_origin_keeps_them_and_plans_them(tmp_path: Path) -> None:
    """Through publishes, rollbacks that were worked out before, a purge, garbage collections and a restart. An older
    version's site, that has none, gets them with the next commit of whatever kind."""
    made = [version(number) for number in range(3)]
    back = "/api/v1/sites/demo/rollback"
    with origin(tmp_path / "state") as client:
        for before, one in zip([None, *made], made, strict=False):
            client.publish("demo", one, before.cid if before else None)
        until("the plans are made", lambda: not parts(client).staging.planning)
        plans, used = parts(client).catalog.plans, parts(client).catalog.plans.used
        client.ok("POST", back, {})
        assert plans.used == used + 1
        found = dict(rows_of(client))
        assert [found[f"/app-3f9a1c0{number}.js"] is None for number in range(3)] == [False, True, False]
        client.ok("POST", "/api/v1/gc", {})
    with origin(tmp_path / "state") as client:
        assert dict(rows_of(client)) == found
        client.ok("POST", "/api/v1/sites/demo/purge", {"paths": ["/app-3f9a1c00.js"]})
        assert sorted(path for path, _ in rows_of(client)) == ["/app-3f9a1c01.js", "/app-3f9a1c02.js"]
        world = parts(client).catalog.world
        world.sites["demo"] = replace(world.sites["demo"], bases=None)
        client.ok("PATCH", "/api/v1/sites/demo", {"settings": {"max_stale": 60}})
        assert sorted(path for path, _ in rows_of(client)) == ["/app-3f9a1c01.js", "/app-3f9a1c02.js"]


def test_what_is_large_is_worked_out_before_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of all sites stand in one line: also where no plan was made in time, the first one of a site too, its
    trees are made by who asks for it and not by the one who writes."""
    with origin(tmp_path / "state") as client:
        plans = parts(client).catalog.plans
        made_in: list[str] = []
        follow = plans._follow

        def watched(old: Site, new: Site, emit: Any) -> Site:
            if old.live != new.live:
                made_in.append(threading.current_thread().name)
            return follow(old, new, emit)

        monkeypatch.setattr(plans, "_follow", watched)
        monkeypatch.setattr(plans, "prepare", lambda *arguments: None)
        made = [version(number) for number in range(2)]
        client.publish("demo", made[0])
        client.publish("demo", made[1], made[0].cid)
        assert (len(made_in), plans.used) == (2, 2)
        assert not [name for name in made_in if name.startswith("commit")]
