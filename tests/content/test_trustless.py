"""What is asked of a trustless gateway: formats, terms, paths, tags and names, by the spec's sections."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cid import CID, DAG_PB, RAW
from content.errors import ContentError
from content.trustless import (
    Asked,
    BadQuestion,
    NotSpoken,
    Terms,
    attachment,
    is_match,
    read,
    segments_of,
)

ROOT, LEAF = CID.of(DAG_PB, b"root"), CID.of(RAW, b"leaf")
KNOWN = ("raw", "car")
RAW_TYPE, CAR = "application/vnd.ipld.raw", "application/vnd.ipld.car"
ASKED: list[tuple[str, dict[str, str], str, Asked]] = [
    ("format", {"format": "raw"}, "", Asked("raw")),
    ("format", {"format": "car"}, "", Asked("car")),
    ("format wins over Accept", {"format": "car"}, RAW_TYPE, Asked("car")),
    ("format wins over Accept", {"format": "raw"}, f"{CAR}; dups=y", Asked("raw")),
    ("Accept", {}, RAW_TYPE, Asked("raw")),
    ("Accept among others", {}, f"text/html, */*;q=0.1, {CAR};q=0.5", Asked("car")),
    ("Accept by weight", {}, f"{RAW_TYPE};q=0.3, {CAR};q=0.4", Asked("car")),
    ("Accept in order", {}, f"{RAW_TYPE}, {CAR}", Asked("raw")),
    ("Accept refuses", {}, f"{RAW_TYPE};q=0, {CAR};q=0.1", Asked("car")),
    ("Accept in any case", {}, "Application/VND.ipld.CAR; DUPS=Y", Asked("car", Terms(dups=True))),
    ("a weight that is none", {}, f"{RAW_TYPE};q=2, {CAR}", Asked("car")),
    ("dups", {}, f"{CAR}; version=1; order=dfs; dups=y", Asked("car", Terms(dups=True))),
    ("dups, quoted", {}, f'{CAR};dups="y"', Asked("car", Terms(dups=True))),
    ("order=unk", {}, f"{CAR}; order=unk; dups=n", Asked("car")),
    ("terms of Accept with format", {"format": "car"}, f"{CAR}; dups=y", Asked("car", Terms(dups=True))),
    ("car-dups over dups", {"format": "car", "car-dups": "n"}, f"{CAR}; dups=y", Asked("car")),
    ("car-dups over dups", {"car-dups": "y"}, f"{CAR}; dups=n", Asked("car", Terms(dups=True))),
    ("car-order over order", {"format": "car", "car-order": "dfs"}, f"{CAR}; order=foo", Asked("car")),
    ("car-version over version", {"car-version": "1"}, f"{CAR}; version=2", Asked("car")),
    ("an empty one is none", {"format": "car", "car-dups": "", "car-order": ""}, "", Asked("car")),
    ("the form we speak", {}, f"{CAR};order=foo, {CAR};order=dfs;dups=y;q=0.5", Asked("car", Terms(dups=True))),
    ("unknown parameters", {}, f"{CAR}; color=red", Asked("car")),
    *(("dag-scope", {"format": "car", "dag-scope": s}, "", Asked("car", Terms(s))) for s in ("all", "entity", "block")),  # type: ignore[arg-type]
    *(
        ("entity-bytes", {"format": "car", "entity-bytes": text}, "", Asked("car", Terms(bytes=found)))
        for text, found in {
            "0:*": (0, None),
            "-1024:*": (-1024, None),
            "499:-1000": (499, -1000),
            "0:0": (0, 0),
            "-9:-3": (-9, -3),
            "-5:10": (-5, 10),
        }.items()
    ),
    (
        "terms of a CAR do not matter to a block",
        {"format": "raw", "dag-scope": "x", "entity-bytes": "x"},
        "",
        Asked("raw"),
    ),
]


@pytest.mark.parametrize(("query", "accept", "asked"), [c[1:] for c in ASKED], ids=[c[0] for c in ASKED])
def test_asked(query: dict[str, str], accept: str, asked: Asked) -> None:
    """Format and terms."""
    assert read(query, accept, KNOWN) == asked


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ({}, ""),
        ({}, "*/*"),
        ({}, "text/html"),
        ({}, f"{RAW_TYPE};q=0"),
        ({"format": "tar"}, RAW_TYPE),
        ({"format": ""}, RAW_TYPE),
        ({"format": "ipns-record"}, ""),
        ({}, "application/vnd.ipfs.ipns-record"),
        ({}, f"{CAR}; version=2"),
        ({}, f"{CAR}; order=bfs"),
        ({}, f"{CAR}; dups=maybe"),
        ({"format": "car"}, f"{CAR}; version=2"),
    ],
)
def test_not_spoken(query: dict[str, str], accept: str) -> None:
    """No format, another, or a form of CAR that we do not make: 406."""
    with pytest.raises(NotSpoken):
        read(query, accept, KNOWN)


@pytest.mark.parametrize(
    "query",
    [
        *({"dag-scope": scope} for scope in ("", "ALL", "node", "alll")),
        *(
            {"entity-bytes": text}
            for text in ("", ":", "1", "1:", ":1", "a:b", "1:2:3", "*:1", "+1:2", " 1:2", "1.5:2")
        ),
        *({"entity-bytes": text} for text in ("2:1", "-1:-2", "0x1:2", "\u0661:2", f"{'9' * 30}:*", "--1:*")),
        *({"car-version": "2"}, {"car-order": "bfs"}, {"car-dups": "yes"}),
    ],
)
def test_bad_questions(query: dict[str, str]) -> None:
    """Parameters that are not well formed: 400, with the name of the parameter."""
    with pytest.raises(BadQuestion, match=next(iter(query))):
        read({"format": "car", **query}, "", KNOWN)


@given(st.text(max_size=60), st.dictionaries(st.sampled_from(["format", "dag-scope", "car-dups"]), st.text(max_size=9)))
def test_any_request_is_answered_or_refused(accept: str, query: dict[str, str]) -> None:
    """No Accept and no query crashes the reader."""
    with contextlib.suppress(ContentError):
        assert read(query, f"{CAR}, {accept}", KNOWN).format in KNOWN


def test_every_form_has_a_tag_of_its_own() -> None:
    """Format, root, path and each term: no two answers share a tag (spec, "Etag"); one of scope begins by its name."""
    terms = [
        Terms(scope, bytes_, dups)
        for scope in ("all", "entity", "block")
        for bytes_ in (None, (0, None), (0, 1), (1, None))
        for dups in (False, True)
    ]
    asked = [(Asked("car", each), ROOT, segments) for each in terms for segments in ((), ("a",), ("a", "b"), ("a/b",))]
    tags = [form.etag(root, LEAF, segments) for form, root, segments in asked]  # type: ignore[arg-type]
    tags += [Asked("raw").etag(ROOT, LEAF, ()), Asked("raw").etag(ROOT, ROOT, ()), Asked("car").etag(LEAF, LEAF, ())]
    assert len(set(tags)) == len(tags)
    assert Asked("raw").etag(ROOT, LEAF, ("a",)) == f'"{LEAF}.raw"'
    assert Asked("car", Terms("entity")).etag(ROOT, LEAF, ()).startswith(f'W/"{ROOT}.car.entity.')


def test_content_location_asks_for_the_same() -> None:
    """The query that a Content-Location carries, read back without Accept."""
    for scope, bytes_, dups in itertools.product(("all", "entity", "block"), (None, (0, None), (5, -7)), (False, True)):
        asked = Asked("car", Terms(scope, bytes_, dups))  # type: ignore[arg-type]
        pairs = dict(pair.split("=") for pair in asked.query.split("&"))
        assert read(pairs, "", KNOWN) == asked
    assert Asked("raw").query == "format=raw"


@pytest.mark.parametrize(
    ("given_", "match"),
    [
        (None, False),
        ("", False),
        ('"x"', False),
        ('"t"', True),
        ('W/"t"', True),
        ('"x", W/"t" , "y"', True),
        ("*", True),
        (" * ", True),
        ("t", False),
        ('"tt"', False),
        ('"x t"', False),
    ],
)
def test_if_none_match(given_: str | None, match: bool) -> None:
    """RFC 9110 §13.1.2: a list, compared weakly."""
    assert is_match(given_, '"t"') is match
    assert is_match(given_, 'W/"t"') is match


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/ipfs/x", ["x"]),
        (b"/ipfs/x/", ["x"]),
        (b"/ipfs/x//a///b/?format=car", ["x", "a", "b"]),
        (b"/ipfs/x/a%2Fb/%25/%20", ["x", "a/b", "%", " "]),
        (b"/ipfs/x/%C3%BCn%C3%AF", ["x", "ünï"]),
        (b"/ipfs/x/../%2e%2e", ["x", "..", ".."]),
        (b"/ipfs/x/%zz", ["x", "%zz"]),
        (b"/ipfs/x/a+b", ["x", "a+b"]),
    ],
)
def test_segments(raw: bytes, segments: list[str]) -> None:
    """Borders first, then decoding."""
    assert segments_of(raw, "/ipfs/") == segments


@pytest.mark.parametrize("raw", [b"/ipfs/x/%ff", b"/ipfs/x/\xc3\xbc", b"/ipfs/x/%ed%a0%80"])
def test_paths_that_are_no_text(raw: bytes) -> None:
    """Not UTF-8: no name of any DAG."""
    with pytest.raises(BadQuestion):
        segments_of(raw, "/ipfs/")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.car", "attachment; filename=\"a.car\"; filename*=UTF-8''a.car"),
        ("testтест.car", "attachment; filename=\"test____.car\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.car"),
        ('a"b\\c/d\r\n', "attachment; filename=\"a_b_c_d__\"; filename*=UTF-8''a%22b%5Cc%2Fd%0D%0A"),
        ("\ud800", "attachment; filename=\"_\"; filename*=UTF-8''%3F"),
    ],
)
def test_attachment(name: str, expected: str) -> None:
    """RFC 6266, and no byte of it can end the field."""
    assert attachment(name) == expected
