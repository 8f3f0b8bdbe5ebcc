"""What each release alone holds: held against a slow, plain count."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from content.cid import CID
from content.walk import reachable
from origin import costs
from origin.reading import read
from tests.origin.play import Client, Made, make, origin, parts


def shown(client: Client, site: str) -> dict[str, int]:
    rows = client.ok("GET", f"/api/v1/sites/{site}/releases?costs=1")["releases"]
    return {row["release"]: row["alone"] for row in rows}


def plain(client: Client) -> dict[str, int]:
    """Release → bytes, by walking every release of every site whole."""
    inside = parts(client)
    reached: dict[tuple[str, CID], dict[bytes, int]] = {}
    for site in inside.catalog.world.sites.values():
        for release in {item.release for item in (site.live, site.next, *site.retained) if item is not None}:
            cids: list[CID] = []
            read(inside.store, reachable((release,), cids.append))
            reached[site.name, release] = {cid.store_key: inside.store.length(cid) for cid in cids}
    count = Counter(key for sizes in reached.values() for key in sizes)
    return {
        str(release): sum(size for key, size in sizes.items() if count[key] == 1)
        for (_, release), sizes in reached.items()
    }


def releases(rng: random.Random, count: int) -> list[Made]:
    """Releases that share some files: their own, one before's, everyone's."""
    pool = {f"f{number}": rng.randbytes(rng.randrange(10, 3000)) for number in range(12)}
    return [
        make({**{name: pool[name] for name in rng.sample(sorted(pool), 6)}, "own": f"{number}".encode() * 50})
        for number in range(count)
    ]


@pytest.mark.parametrize("kept", [costs.KEPT_MAX, 5])
def test_alone_is_what_no_other_release_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """After each commit of a random history over three sites; also when a site goes, or two have the same release."""
    monkeypatch.setattr(costs, "KEPT_MAX", kept)
    rng = random.Random(7)
    with origin(tmp_path / "state") as client:
        live: dict[str, CID | None] = {}
        for made in releases(rng, 12):
            site = rng.choice(["a", "b", "c"])
            client.publish(site, made, live.get(site))
            live[site] = made.cid
            expected = plain(client)
            for name in live:
                assert shown(client, name).items() <= expected.items()
        client.publish("b" if live.get("b") != made.cid else "c", made, live["b" if live["b"] != made.cid else "c"])
        expected = plain(client)
        assert expected[str(made.cid)] == 0
        for name in live:
            assert shown(client, name).items() <= expected.items()
        client.ok("DELETE", "/api/v1/sites/a")
        expected = plain(client)
        for name in set(live) - {"a"}:
            assert shown(client, name).items() <= expected.items()
        assert "alone" not in client.ok("GET", "/api/v1/sites/b/releases")["releases"][0]
