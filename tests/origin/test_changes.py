"""What commits do to a site, without sockets: retention, floors; attic and check against slow, plain versions."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content import tree
from content.asking import drive
from content.block import Block
from content.catalog import Alias, Retained, Site
from content.cid import CID, DAG_CBOR
from content.limits import FLOORS_MAX, RETAINED_MAX
from content.release import Release
from origin import attic, changes, check, retention, trials
from origin.errors import Unprocessable
from origin.reading import read
from origin.store.embedded import Embedded
from tests.origin.play import Made, make

DAY = 86_400


def releases(count: int, age: int = 0) -> list[Retained]:
    """So many, newest first, one per second, the newest `age` seconds before the moment 10,000 days."""
    now = 10_000 * DAY - age
    return [Retained(CID.of(DAG_CBOR, b"%d" % number), count - number, now - number) for number in range(count)]


@pytest.mark.parametrize(
    ("count", "age", "kept"),
    [(5, 0, 5), (20, 40 * DAY, 20), (21, 40 * DAY, 20), (200, DAY, 200), (201, DAY, 200), (250, 40 * DAY, 20)],
)
def test_what_is_retained(count: int, age: int, kept: int) -> None:
    """Among the last 20, or younger than 30 days, never more than 200."""
    have = releases(count, age)
    assert retention.retain(have, have[0].release, 10_000 * DAY) == tuple(have[:kept])


@pytest.mark.parametrize(("count", "age", "kept"), [(25, 40 * DAY, 21), (RETAINED_MAX + 20, DAY, RETAINED_MAX)])
def test_live_is_retained_wherever_it_stands(count: int, age: int, kept: int) -> None:
    """After a rollback to the oldest it stays, and the limit holds all the same."""
    have = releases(count, age)
    left = retention.retain(have, have[-1].release, 10_000 * DAY)
    assert left[-1] == have[-1]
    assert len(left) == kept
    assert left[:-1] == tuple(have[: kept - 1])


def test_too_many_floors_fold_into_one_for_the_whole_site() -> None:
    """At the limit each is kept; one past it the site is purged: never less than was asked."""
    site = changes.purge(Site("demo"), [("path", f"/{number}") for number in range(FLOORS_MAX)])
    assert len(site.floors) == FLOORS_MAX
    assert site.floor_of("/other") == 0
    site = changes.purge(site, [("path", "/one more")])
    assert [(floor.kind, floor.generation) for floor in site.floors] == [("site", 2)]
    assert site.floor_of("/other") == 2
    site.to_block()


def put(store: Embedded, made: Made) -> None:
    store.put(made.blocks)


def slow_attic(store: Embedded, site: Site) -> dict[str, CID]:
    """By definition: of every path that live lacks, the newest retained row, if immutable and not purged since."""

    def rows(item: Retained) -> dict[str, Any]:
        block = store.get(item.release)
        assert block is not None
        return dict(read(store, tree.rows(Release.from_block(block).index)))

    assert site.live is not None
    found: dict[str, Any] = {}
    for item in site.kept:
        for path, row in rows(item).items():
            if path not in found:
                found[path] = row if row.get("imm") and site.floor_of(path) <= item.generation else None
    live = rows(site.live)
    return {path: row["cid"] for path, row in found.items() if row is not None and path not in live}


@pytest.mark.parametrize("seed", range(25))
def test_the_attic_kept_from_differences_is_the_one_by_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Random publishes, rollbacks, rollouts and purges with a short retention; compared after each."""
    monkeypatch.setattr(retention, "RETAINED_LAST", 4)
    monkeypatch.setattr(retention, "RETAINED_DAYS", 0)
    monkeypatch.setattr(trials, "TRIED_DAYS", 0)
    chance = random.Random(seed)
    store = Embedded(tmp_path)
    site = Site("demo")
    names = [f"app-{number}.js" for number in range(30)]
    for step in range(40):
        old = site
        deed = chance.random()
        if site.live is None or deed < 0.6:
            if site.rollout is not None:
                site = trials.abort(site)
            chosen = chance.sample(names, chance.randrange(len(names)))
            files = {**{name: name.encode() for name in chosen}, "index.html": b"%d" % step}
            made = make(files, immutable=chosen, message=str(step))
            put(store, made)
            live = changes.live_of(site)
            site = changes.activate(changes.stage(site, made.cid, live, step), made.cid, live, step)
        elif deed < 0.75:
            site = changes.rollback(site, str(chance.choice(site.retained).release), step)
        elif deed < 0.85:
            chosen = chance.sample(names, chance.randrange(len(names)))
            made = make({name: name.encode() for name in chosen}, immutable=chosen, message=str(step))
            put(store, made)
            shown = trials.preview(site, "next", Alias(made.cid, 0, step))
            site = trials.roll_out(shown, "next", 500, step)
        elif deed < 0.9:
            site = trials.expire(site, step + 1)
        else:
            site = changes.purge(site, [("path", "/" + name) for name in chance.sample(names, 3)])
        blocks: list[Block] = []
        site = replace(site, attic=read(store, attic.follow(old, site, blocks.append)))
        store.put(blocks)
        kept = {} if site.attic is None else dict(read(store, tree.rows(site.attic)))
        assert {path: row["cid"] for path, row in kept.items()} == slow_attic(store, site), (seed, step)


def random_files(chance: random.Random, base: dict[str, bytes]) -> dict[str, bytes]:
    """A few edits of a folder; a path that is a file never has another below it."""
    files = dict(base)
    for _ in range(chance.randrange(1, 6)):
        depth = chance.randrange(1, 4)
        path = "/".join(chance.choice("abc") for _ in range(depth))
        below = [other for other in files if other.startswith(path + "/")]
        above = [other for other in files if path.startswith(other + "/")]
        for other in (*below, *above):
            del files[other]
        if chance.random() < 0.3:
            files.pop(path, None)
        else:
            files[path] = chance.choice((b"1", b"2", b"3"))
    return files


@pytest.mark.parametrize("seed", range(20))
def test_the_check_by_differences_lets_through_what_is_true_and_nothing_else(tmp_path: Path, seed: int) -> None:
    """Random folders: the Root of one with the Index of another passes exactly when their files are equal."""
    chance = random.Random(seed)
    store = Embedded(tmp_path)
    base_files = random_files(chance, {f"{x}/{y}": b"0" for x in "xyz" for y in "xyz"})
    base = make(base_files)
    put(store, base)
    truths = 0
    for _ in range(30):
        one, two = (random_files(chance, base_files) for _ in range(2))
        two = chance.choice((one, two))
        root_of, index_of = make(one, dirs=["empty"]), make(two)
        put(store, root_of)
        put(store, index_of)
        mixed = replace(index_of.release, root=root_of.release.root)
        for before in (None, base.release, index_of.release):
            if one == two:
                assert check.compare(store, before, mixed) == drive(
                    tree.diff(before.index if before else tree.EMPTY.cid, mixed.index),
                    lambda cid: store.get(cid) or tree.EMPTY,
                )
            else:
                with pytest.raises(Unprocessable, match="not the tree") as refused:
                    check.compare(store, before, mixed)
                path = str(refused.value.extra["path"])[1:]
                assert one.get(path) != two.get(path)
        truths += one == two
    assert 0 < truths < 30
