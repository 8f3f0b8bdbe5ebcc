"""What a purge has an edge take away: live content that it covers, and what attic and bases lost with it."""

from __future__ import annotations

from dataclasses import replace

from content import bases, tree
from content.asking import drive
from content.catalog import Floor, Retained, Site
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.release import Asset, Encoding, Release
from edge.control.purge import lost, purged
from edge.site.view import Published, SiteView
from tests.content.folders import Blocks


def asset(text: str) -> Asset:
    cid, coded = CID.of(RAW, text.encode()), CID.of(RAW, text.encode() + b"br")
    return Asset(cid, len(text), cid.digest.hex(), "text/css", {"br": Encoding(coded, 1)})


def cids(*texts: str) -> set[CID]:
    return {cid for text in texts for cid in (asset(text).cid, asset(text).encodings["br"].cid)}


def test_a_purge_takes_live_attic_and_bases() -> None:
    """A base is an old file that is read here only to make deltas from: its bytes go with the others. What the trees
    lose without a purge is let lie, as eviction will have it."""
    blocks = Blocks()

    def rows(texts: dict[str, str]) -> CID:
        return tree.build(sorted((path, asset(text).to_row()) for path, text in texts.items()), blocks.emit)

    def based(texts: dict[str, str]) -> CID:
        keyed = {bases.key(asset(text).sha256, path) or "": asset(text).to_row() for path, text in texts.items()}
        return tree.build(sorted(keyed.items()), blocks.emit)

    release = Release(CID.of(DAG_PB, b"root"), rows({"/a.css": "now", "/b.css": "b"}))
    live = Published(release.to_block().cid, release)
    both = based({"/a.css": "old", "/b.css": "b"})
    site = Site("demo", 3, Retained(live.cid, 1, 0), attic=rows({"/gone.css": "gone"}), bases=both)
    after = replace(site, generation=4, attic=None, bases=based({"/b.css": "b"}))
    epoch = CID.of(DAG_CBOR, b"2")
    floors = (Floor("path", "/a.css", 4),)
    new = SiteView(epoch, replace(after, floors=floors), live)
    assert drive(purged(site, new), blocks.get_block) == cids("now")
    assert drive(lost(site, new), blocks.get_block) == cids("old", "gone")
    none = SiteView(epoch, replace(after, floors=floors, bases=None), live)
    assert drive(lost(site, none), blocks.get_block) == cids("old", "gone", "b")
    for walk in (purged, lost):
        assert drive(walk(site, SiteView(epoch, after, live)), blocks.get_block) == set()
