"""Release, Asset and Rules: what is written is read, and nothing malformed is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cbor import encode
from content.cid import CID, DAG_CBOR, DAG_PB, RAW
from content.errors import BadNode, LimitExceeded
from content.limits import GATEWAY_BYTES, GATEWAYS_MAX, MESSAGE_BYTES, PASSED_MAX, PRECACHED_MAX
from content.release import Asset, Encoding, Release, Rules, is_base_url
from content.walk import links

ROOT, INDEX, OTHER = CID.of(DAG_PB, b"root"), CID.of(DAG_CBOR, b"index"), CID.of(RAW, b"other")
SHA = "ab" * 32

text = st.text(max_size=20)
sizes = st.integers(0, 2**53)
encodings = st.dictionaries(st.sampled_from(["br", "gzip", "zstd"]), st.builds(Encoding, st.just(OTHER), sizes))
tags = st.lists(text, max_size=3).map(tuple)
chunked = st.builds(Asset, st.just(ROOT), sizes, st.just(SHA), text, encodings, st.booleans(), tags, st.none() | text)
whole = st.builds(Asset, st.just(OTHER), sizes, st.just(OTHER.digest.hex()), text, encodings, st.booleans(), tags)


@given(st.one_of(chunked, whole))
def test_assets_come_back(asset: Asset) -> None:
    """Any Asset is read as it was written, through the codec."""
    assert Asset.from_row(asset.to_row()) == asset


def test_rows_are_small() -> None:
    """What a raw CID says already, and what is empty, is not written."""
    assert Asset(OTHER, 5, OTHER.digest.hex(), "text/css").to_row().keys() == {"cid", "size", "type"}
    assert "sha256" in Asset(ROOT, 5, SHA, "text/css").to_row()


def test_an_inline_file_keeps_its_digest() -> None:
    """The digest of an identity CID is the data, not its hash."""
    inline = Asset(CID(b"\x01\x55\x00\x02hi"), 2, SHA, "text/plain")
    assert Asset.from_row(inline.to_row()) == inline


GOOD: dict[str, Any] = {"cid": ROOT, "size": 1, "type": "a/b", "sha256": SHA}


@pytest.mark.parametrize(
    "change",
    [
        {"cid": None},
        {"cid": b"no"},
        {"cid": "bafy"},
        {"size": "1"},
        {"size": True},
        {"type": 5},
        {"sha256": None},
        {"sha256": ""},
        {"sha256": "AB" * 32},
        {"sha256": SHA + "a"},
        {"enc": []},
        {"enc": {"br": ROOT}},
        {"enc": {"br": [ROOT]}},
        {"enc": {"br": [ROOT, "1"]}},
        {"enc": {"br": [1, 1]}},
        {"tags": "letters"},
        {"tags": [1]},
        {"to": 5},
    ],
)
def test_malformed_rows_are_refused(change: dict[str, Any]) -> None:
    """A field of another kind is BadNode, and so is one that is not there."""
    assert Asset.from_row(GOOD).size == 1
    with pytest.raises(BadNode):
        Asset.from_row(GOOD | change)
    for key in GOOD:
        with pytest.raises(BadNode):
            Asset.from_row({k: v for k, v in GOOD.items() if k != key})


@pytest.mark.parametrize("row", [None, 5, "row", b"row", [], [1, 2]])
def test_rows_that_are_no_maps_are_refused(row: Any) -> None:
    """Any other value in a row's place is BadNode."""
    with pytest.raises(BadNode):
        Asset.from_row(row)


RELEASE = Release(
    ROOT, INDEX, Rules(spa=True, other={"later": [1]}), str(INDEX), 1_760_000_000, "Åsa", "first", files=3, size=99
)


def test_a_release_comes_back() -> None:
    """All fields, with rules that this version does not know; and the bytes never change."""
    assert Release.from_block(RELEASE.to_block()) == RELEASE
    assert Release.from_block(Release(ROOT, INDEX).to_block()) == Release(ROOT, INDEX)
    assert str(RELEASE.to_block().cid) == "bafyreiewyngfxcpyf2jaxayaskqtn7o4upd5j6unut4xm2q2n3s3tvbude"


def test_rules_that_say_nothing_are_none() -> None:
    """An empty list in a block is read as what it is written as, so that reading and writing end (found by fuzzing)."""
    read = Rules.from_value({"headers": [], "redirects": [], "error": "", "slash": ""})
    assert (read.headers, read.redirects) == (None, None)
    assert Rules.from_value(read.to_value()) == read
    assert Rules(headers=[], redirects=[]).to_value() == {}


WORKER = Rules(
    precache={"paths": ["/b.js", "/a.css", "/b.js"], "bytes": 9},
    worker={"check": 5, "gateways": ["https://g.example"], "complete": True, "later": 1},
)


def test_what_is_said_to_service_workers() -> None:
    """It comes back, with what is not known; an empty map is a worker as it is by default; without one nothing is
    written that the first version did not write."""
    assert Rules.from_value(WORKER.to_value()) == WORKER
    assert WORKER.precached == ("/a.css", "/b.js")
    assert Rules(worker={"pass": ["/api/*", 5, "/*", "/x"]}).worker_passes == ("/api/*", "/x")
    assert (WORKER.worker_check, WORKER.worker_gateways, WORKER.is_complete) == (5, ("https://g.example",), True)
    plain = Rules.from_value(Rules(worker={}).to_value())
    assert plain.worker == {}
    assert (plain.precached, plain.worker_check, plain.worker_gateways, plain.is_complete) == ((), 60, (), False)
    assert Rules().to_value() == {}
    for rules in (WORKER, plain, Rules()):
        rules.check_worker()


@pytest.mark.parametrize(
    "change",
    [
        {"precache": {"paths": [5]}},
        {"precache": {"paths": ["a.js"]}},
        {"worker": {"check": -1}},
        {"worker": {"check": True}},
        {"worker": {"check": "1m"}},
        {"worker": {"gateways": [5]}},
        {"worker": {"pass": [5]}},
        {"worker": {"pass": ["/*"]}},
        {"worker": {"gateways": ["gateway.example"]}},
    ],
)
def test_what_no_worker_is_served_by(change: dict[str, Any]) -> None:
    """The origin refuses it; who only reads goes on with what it does understand."""
    rules = Rules.from_value(change)
    assert all(isinstance(path, str) for path in rules.precached)
    assert rules.worker_check == 60
    with pytest.raises(BadNode):
        rules.check_worker()


def test_base_urls() -> None:
    """What `/ipfs/CID` can be put behind, and nothing that would swallow it or name a user."""
    for good in ("https://g.example", "http://localhost:8080", "http://[::1]:80", "https://g.example/a/b", "http://g/"):
        assert is_base_url(good), good
    for bad in (
        "",
        "g.example",
        "ftp://g",
        "https://",
        "https:///x",
        "https://u@g",
        "https://g?x",
        "https://g/#",
        "a b",
    ):
        assert not is_base_url(bad), bad
    for bad in ("https://g.example\n", "https://g example", "https://g/<", "https://gé.example", "HTTPS://g"):
        assert not is_base_url(bad), bad


def test_workers_at_their_limits() -> None:
    """1,000 files, 8 gateways, 256 bytes of a gateway; one more is refused."""
    paths = [f"/{n}.js" for n in range(PRECACHED_MAX)]
    url = "https://" + "g" * (GATEWAY_BYTES - 8)
    Rules(precache={"paths": paths}, worker={"gateways": [url] * GATEWAYS_MAX}).check_worker()
    for rules in (
        Rules(precache={"paths": [*paths, "/more.js"]}),
        Rules(worker={"gateways": [url] * (GATEWAYS_MAX + 1)}),
        Rules(worker={"gateways": [url + "g"]}),
        Rules(worker={"pass": ["/a"] * (PASSED_MAX + 1)}),
    ):
        with pytest.raises(LimitExceeded):
            rules.check_worker()


def test_a_release_links_its_content_and_not_its_past() -> None:
    """Pinning a release pins its Root and its Index; `previous` is text."""
    assert sorted(links(RELEASE.to_block())) == sorted([ROOT, INDEX])


def test_message_and_author_at_their_limit_and_one_past() -> None:
    """Bytes are counted, not letters, when written and when read."""
    Release(ROOT, INDEX, author="ü" * (MESSAGE_BYTES // 2), message="x" * MESSAGE_BYTES).to_block()
    value = {"kind": "release", "v": 1, "root": ROOT, "index": INDEX}
    for key in ("author", "message"):
        long = "ü" * (MESSAGE_BYTES // 2) + "x"
        with pytest.raises(LimitExceeded, match=key):
            Release(ROOT, INDEX, **{key: long}).to_block()  # type: ignore[arg-type]
        with pytest.raises(LimitExceeded, match=key):
            Release.from_block(encode(value | {key: long}))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "site"},
        {"v": 2},
        {"root": None},
        {"root": "bafy"},
        {"index": 5},
        {"rules": []},
        {"previous": ROOT},
        {"time": "now"},
        {"author": 5},
        {"message": None},
        {"files": True},
        {"size": 1.5},
    ],
)
def test_malformed_releases_are_refused(change: dict[str, Any]) -> None:
    """A field of another kind is BadNode; a missing optional one is its default."""
    value = {"kind": "release", "v": 1, "root": ROOT, "index": INDEX}
    assert Release.from_block(encode(value)) == Release(ROOT, INDEX)
    with pytest.raises(BadNode):
        Release.from_block(encode(value | change))
