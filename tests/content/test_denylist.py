"""Denylists: what a rule denies, under every spelling of it, and what a list that is broken, huge or hostile comes to.

The sections are of the compact denylist format (IPIP-383). Double hashes are computed here, never copied.
"""

from __future__ import annotations

import random
import sys
from hashlib import sha256
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import denyfile, denylist, denylists
from content import digests as digests_
from content.cid import CID, DAG_CBOR, DAG_PB, IDENTITY, LIBP2P_KEY, RAW, base58
from content.denyfile import PROBLEMS_TOLD, BadDenylist, Reader, read
from content.denylist import GONE, Denylist
from content.denylists import NONE, OWN, Denylists, Refusal, Row, own_list
from content.denyrule import BadRule, Rule
from content.digests import Digests
from content.errors import BadNode, LimitExceeded
from content.limits import DENYLIST_LINE, DENYLISTS

A, B = CID.of(DAG_PB, b"a folder"), CID.of(RAW, b"a file")
V0, A58 = CID(A[2:]), base58(A.multihash)
KEY = CID(bytes((1, LIBP2P_KEY, IDENTITY, 36)) + b"\x08\x01\x12\x20" + bytes(range(32)))
SPELLINGS = {
    "v0": V0,
    "v1": A,
    "raw": CID.of_digest(RAW, A.digest),
    "dag-cbor": CID.of_digest(DAG_CBOR, A.digest),
    "base36": CID.parse(A.base36()),
}


def lists(text: str) -> Denylists:
    return Denylists((read(text.encode()).list,))


def modern(text: str) -> str:
    """A double hash as the format writes it: a SHA-256 multihash in base58."""
    return "//" + base58(b"\x12\x20" + sha256(text.encode()).digest())


def legacy(text: str) -> str:
    """As badbits lists have it."""
    return "//" + sha256(text.encode()).hexdigest()


# Blocks.


@pytest.mark.parametrize("asked", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("written", SPELLINGS.values(), ids=SPELLINGS)
def test_a_rule_is_about_a_multihash(written: CID, asked: CID) -> None:
    """/ipfs/CID: however the rule spells it, and however it is asked for."""
    denied = lists(f"/ipfs/{written}\n")
    assert denied.refusal(asked) == Refusal(GONE, "", "list")
    assert denied.refusal(B) is None


BLOCK_HASHES = {
    "modern, of the multihash": modern(base58(A.multihash)),
    "legacy, of the CIDv1": legacy(f"{A}/"),
    "legacy, of the CIDv1 with the other codec": legacy(f"{SPELLINGS['raw']}/"),
}


@pytest.mark.parametrize("rule", BLOCK_HASHES.values(), ids=BLOCK_HASHES)
@pytest.mark.parametrize("asked", [A, V0, SPELLINGS["raw"]], ids=["v1", "v0", "raw"])
def test_double_hashes(rule: str, asked: CID) -> None:
    """//DOUBLE-HASH: the block is recognized by what is hashed, and its name stands nowhere in the list."""
    assert str(A) not in rule
    denied = lists(f"{rule}\n")
    assert denied.refusal(asked) is not None
    assert denied.refusal_of_path(asked, ["below"]) is not None
    assert denied.refusal(B) is None


class PathCase(NamedTuple):
    rules: str
    refused: tuple[str, ...]
    allowed: tuple[str, ...]


PATHS = {
    "/ipfs/CID": PathCase(f"/ipfs/{A}", ("", "x", "x/y"), ()),
    "/ipfs/CID/*": PathCase(f"/ipfs/{A}/*", ("", "x", "x/y"), ()),
    "/ipfs/CID/PATH": PathCase(f"/ipfs/{A}/my/path", ("my/path", "my/path/"), ("", "my", "my/path/x", "my/pathx")),
    "/ipfs/CID/PATH/ is the same": PathCase(f"/ipfs/{A}/my/path/", ("my/path",), ("my/path/x",)),
    "/ipfs/CID/PATH*": PathCase(f"/ipfs/{A}/ab*", ("ab", "abc", "ab/c"), ("", "a", "b")),
    "/ipfs/CID/PATH/* is the same": PathCase(f"/ipfs/{A}/ab/*", ("ab", "abc", "ab/c"), ("a",)),
    "a path is percent-coded": PathCase(f"/ipfs/{A}/a%20b/%C3%BC", ("a b/ü",), ("a%20b/%C3%BC",)),
    "a star that is meant": PathCase(f"/ipfs/{A}/a%2A", ("a*",), ("a", "ab")),
    "modern double hash": PathCase(modern(f"{A58}/my/path"), ("my/path",), ("", "my", "my/path2")),
    "legacy double hash": PathCase(legacy(f"{A}/my/path"), ("my/path",), ("", "my", "my/path2")),
    "negated rules": PathCase(
        f"/ipfs/{A}/photo*\n!/ipfs/{A}/photo123.jpg\n!/ipfs/{A}/photos/not*\n",
        ("photo", "photo12", "photos/yes"),
        ("photo123.jpg", "photos/not", "photos/nothing"),
    ),
    "the last one wins": PathCase(f"!/ipfs/{A}/x\n/ipfs/{A}/x\n", ("x",), ()),
    "and again": PathCase(f"/ipfs/{A}/x\n!/ipfs/{A}/x\n/ipfs/{A}/x\n!/ipfs/{A}/x\n", (), ("x",)),
    "an exception below a denied folder": PathCase(f"/ipfs/{A}/*\n!/ipfs/{A}/ok\n", ("", "x"), ("ok",)),
    "an exception by double hash": PathCase(f"/ipfs/{A}/*\n!" + modern(f"{A58}/ok"), ("", "x"), ("ok",)),
}


@pytest.mark.parametrize("case", PATHS.values(), ids=PATHS)
def test_paths(case: PathCase) -> None:
    """What a rule about a path covers, under v0, v1 and another codec of the root."""
    denied = lists(case.rules + "\n")
    for root in (A, V0, SPELLINGS["raw"]):
        assert [path for path in case.refused if denied.refusal_of_path(root, path.split("/")) is None] == []
        assert [path for path in case.allowed if denied.refusal_of_path(root, path.split("/")) is not None] == []
        assert denied.refusal_of_path(B, ["x"]) is None


class NameCase(NamedTuple):
    rules: str
    refused: tuple[tuple[str, str], ...]
    allowed: tuple[tuple[str, str], ...]


K36, K32 = KEY.base36(), str(KEY)
PEER = base58(KEY.multihash)
NAMES = {
    "/ipns/DOMAIN": NameCase(
        "/ipns/domain.example",
        (("domain.example", ""), ("DOMAIN.example.", "x")),
        (("sub.domain.example", ""), ("example", "")),
    ),
    "/ipns/DOMAIN/PATH": NameCase(
        "/ipns/d.example/p", (("d.example", "p"),), (("d.example", ""), ("d.example", "p/x"))
    ),
    "/ipns/DOMAIN/PATH*": NameCase("/ipns/d.example/p*", (("d.example", "p/x"),), (("d.example", "q"),)),
    "/ipns/KEY": NameCase(f"/ipns/{K36}", ((K36, ""), (K32, "x"), (PEER, "")), (("domain.example", ""),)),
    "/ipns/KEY in base58": NameCase(f"/ipns/{PEER}", ((K36, ""), (K32, "")), ()),
    "modern double hash of a domain": NameCase(
        modern("/ipns/d.example"), (("d.example", ""), ("d.example", "x")), (("e.example", ""),)
    ),
    "legacy double hash of a DNSLink": NameCase(legacy("d.example/"), (("d.example", ""),), (("e.example", ""),)),
    "modern double hash of a key": NameCase(modern(PEER), ((K36, ""), (K32, "")), ()),
    "legacy double hash of a key": NameCase(legacy(f"{KEY}/"), ((K36, ""), (PEER, "")), ()),
    "negated": NameCase("!/ipns/my.domain\n/ipns/my.domain\n", (("my.domain", ""),), ()),
}


@pytest.mark.parametrize("case", NAMES.values(), ids=NAMES)
def test_names(case: NameCase) -> None:
    """/ipns/NAME: a key under every spelling, a domain whatever its case, and no other."""
    denied = lists(case.rules + "\n")
    for name, path in case.refused:
        assert denied.refusal_of_name(name, path.split("/")) is not None, (name, path)
    for name, path in case.allowed:
        assert denied.refusal_of_name(name, path.split("/")) is None, (name, path)
    assert denied.refusal(A) is None


def test_what_is_no_name_is_not_denied() -> None:
    """A question that no rule could be about is no error."""
    denied = lists("/ipns/domain.example\n")
    assert denied.refusal_of_name("no name, certainly") is None
    assert not denied.names_paths_of("no name, certainly")
    assert lists("/ipns/d.example/p\n").names_paths_of("d.example")
    assert not denied.names_paths_of("domain.example")


# Files.


def test_header_and_hints() -> None:
    """Header, Hints: the list's status holds where a rule has none of its own; unknown fields and hints do nothing."""
    text = f"""version: 1
name: "An example"
description: >
  several lines
  of words: with a colon
author: someone@domain.example
custom:
  - list
hints:
  gateway_status: 451
  other: "value"
---
# a comment

/ipfs/{A}
/ipfs/{B} status:410 reason:a%20court%20said%20so
/ipns/d.example gateway_status=410 unknown:x status:200
"""
    reader = read(text.encode())
    denied = Denylists((reader.list,))
    assert (reader.title, len(reader.list), reader.malformed) == ("An example", 3, 0)
    assert denied.refusal(A) == Refusal(451, "", "list")
    assert denied.refusal(B) == Refusal(410, "a court said so", "list")
    assert denied.refusal_of_name("d.example") == Refusal(410, "", "list")


HEADERS = {
    "another version": "version: 2\n---\n",
    "no YAML": "version: 1\nthis is no field\n---\n",
    "not UTF-8": "name: \udcff\n---\n",
}


@pytest.mark.parametrize("head", HEADERS.values(), ids=HEADERS)
def test_header_that_does_not_read(head: str) -> None:
    """Header: if parsing it fails, abort and say so."""
    with pytest.raises(BadDenylist):
        read(head.encode("utf-8", "surrogateescape") + f"/ipfs/{A}\n".encode())


def test_no_header() -> None:
    """Header: it may be absent, and the list may end without a line's end, or hold nothing at all."""
    assert lists(f"/ipfs/{A}\n/ipfs/{B}").refusal(B) is not None
    assert len(read(b"").list) == 0
    assert len(read(b"version: 1\n---").list) == 0
    assert len(read(f"---\r\n/ipfs/{A}\r\n".encode()).list) == 1


def test_header_past_its_size_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Header: past 1 MiB (here 64 B) it is read as rules, line by line."""
    monkeypatch.setattr(denyfile, "DENYLIST_HEADER", 64)
    reader = read(b"name: " + b"x" * 80 + f"\n---\n/ipfs/{A}\n".encode())
    assert (len(reader.list), reader.malformed) == (1, 2)


LINES = {
    "no rule": "nonsense",
    "another space": f"/ipld/{A}",
    "no CID": "/ipfs/hello",
    "another hash": "/ipfs/" + "bafk2bzacedv7m6vzj2nzmy3sg6dwdjyfjeszvskz5vwqmhbhb7zvnohmwb5yk",
    "no double hash": "//!!!",
    "a double hash of another function": "//" + base58(b"\x1e\x20" + bytes(32)),
    "63 digits": "//" + "a" * 63,
    "a letter that is no digit": "//" + "g" * 64,
    "path that is not UTF-8": f"/ipfs/{A}/%ff",
    "path past its limit": f"/ipfs/{A}/" + "x" * 4000,
    "not UTF-8": f"/ipfs/{A}/\udcff",
    "name that is no name": "/ipns/-bad-.example/",
    "only a mark": "!",
    "what Unicode takes for blank": "\x1f",
    "and between words": f"/ipfs/{A}\u2003/ipfs/{A}",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_malformed_lines_are_left_out(line: str) -> None:
    """Block item: a line that is no rule is reported by its number, and the rules around it hold."""
    text = f"version: 1\n---\n/ipfs/{A}\n{line}\n/ipfs/{B}\n"
    reader = read(text.encode("utf-8", "surrogateescape"))
    denied = Denylists((reader.list,))
    assert (reader.malformed, [number for number, _ in reader.problems]) == (1, [4])
    assert denied.refusal(A) is not None
    assert denied.refusal(B) is not None


def test_problems_that_are_told_are_few() -> None:
    """A list of nothing but nonsense is not answered with as much."""
    reader = read(b"nonsense\n" * 1000)
    assert (reader.malformed, len(reader.problems)) == (1000, PROBLEMS_TOLD)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_slices_make_no_difference(sizes: list[int]) -> None:
    """However the bytes come, they are the same list."""
    text = f"version: 1\nname: x\n---\n/ipfs/{A}/p*\nbad\n!/ipfs/{A}/pq\n{legacy(f'{B}/')}\n/ipns/d.example\n".encode()
    reader, at = Reader("list"), 0
    while at < len(text):
        size = sizes[at % len(sizes)]
        list(reader.feed(text[at : at + size]))
        at += size
    list(reader.end())
    denied = Denylists((reader.list,))
    assert (len(reader.list), reader.problems) == (4, read(text).problems)
    assert denied.refusal_of_path(A, ["px"]) is not None
    assert denied.refusal_of_path(A, ["pq"]) is None
    assert denied.refusal(B) is not None


# Limits.


def test_line_past_its_size() -> None:
    """File syntax: 2 MiB with its end; a longer one is an error, before it has come whole."""
    at_limit = b"# " + b"x" * (DENYLIST_LINE - 3) + b"\n"
    assert read(at_limit).malformed == 0
    reader = Reader("list")
    list(reader.feed(b"---\n"))
    with pytest.raises(LimitExceeded, match="line of a denylist"):
        list(reader.feed(b"#" * (DENYLIST_LINE + 1)))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("DENYLIST_ENTRIES", [legacy(str(n)) for n in range(9)]),
        ("DENYLIST_ENTRIES", [f"/ipfs/{CID.of(RAW, bytes([n]))}" for n in range(9)]),
        ("DENYLIST_PATHS", [f"/ipns/d{n}.example" for n in range(9)]),
        ("DENYLIST_TERMS", [f"/ipfs/{A} reason:{n}" for n in range(9)]),
    ],
    ids=["double hashes", "blocks", "paths and names", "terms"],
)
def test_rules_past_their_number(monkeypatch: pytest.MonkeyPatch, name: str, lines: list[str]) -> None:
    """At the limit (here 8) all hold; one more, and it is no list."""
    monkeypatch.setattr(denylist, name, 8)
    assert len(read("\n".join(lines[:8]).encode()).list) > 0
    with pytest.raises(LimitExceeded):
        read("\n".join(lines).encode())


def test_size_of_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denyfile, "DENYLIST_BYTES", 64)
    assert len(read(b"#" * 64).list) == 0
    with pytest.raises(LimitExceeded, match="size of a denylist"):
        read(b"#" * 65)


def test_hashes_that_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list made to fill one bucket is no list; a hash that stands there already is not counted again."""
    monkeypatch.setattr(digests_, "DENYLIST_ALIKE", 8)
    lines = [f"//{'ab' * 2}{n:060x}" for n in range(9)]
    assert len(read("\n".join(lines[:8] * 2).encode()).list) == 8
    with pytest.raises(LimitExceeded, match="begin alike"):
        read("\n".join(lines).encode())


def test_number_of_lists() -> None:
    Denylists(tuple(Denylist(str(n)) for n in range(DENYLISTS)))
    with pytest.raises(LimitExceeded, match="denylists"):
        Denylists(tuple(Denylist(str(n)) for n in range(DENYLISTS + 1)))


def test_digests_are_found_and_counted() -> None:
    """Many in each bucket: each is found with the number it was last put with, and no other is."""
    chosen = random.Random(6)
    heads = [bytes((n, 0)) for n in range(4)]
    known = {chosen.choice(heads) + chosen.randbytes(30): chosen.randrange(1 << 16) for _ in range(2_000)}
    digests = Digests()
    for digest, number in known.items():
        digests.put([digest], 7)
        digests.put([digest], number)
    assert len(digests) == len(known)
    assert all(digests.get(digest) == number for digest, number in known.items())
    assert all(digests.get(chosen.choice(heads) + chosen.randbytes(30)) is None for _ in range(2_000))


def test_digests_across_two_rows_are_none() -> None:
    """What the end of one row and the beginning of the next make together is in no list."""
    row = bytes(2) + bytes(range(30))
    digests = Digests()
    digests.put([row], 0x2021)
    digests.put([bytes(2) + bytes(range(40, 70))], 1)
    across = (bytes(range(30)) + b"\x20\x21" + bytes(range(40, 70)))[5:35]
    assert digests.get(bytes(2) + across) is None
    digests.put([bytes(2) + across], 3)
    assert (digests.get(bytes(2) + across), digests.get(row), len(digests)) == (3, 0x2021, 3)


def test_bytes_of_a_rule() -> None:
    """A long list of double hashes stays below 80 B a rule, objects and tables counted."""
    chosen, digests, count = random.Random(6), Digests(), 200_000
    digests.put((chosen.randbytes(32) for _ in range(count)), 1)
    held = digests._buckets
    size = sys.getsizeof(held) + sum(sys.getsizeof(key) + sys.getsizeof(value) for key, value in held.items())
    assert size / count < 80


# Several lists.


def test_later_lists_overrule_earlier_ones() -> None:
    """File extension, locations and order: rules of a later list win, whichever way."""
    deny, allow = read(f"/ipfs/{A}\n".encode(), "deny").list, read(f"!/ipfs/{A}\n".encode(), "allow").list
    assert Denylists((deny, allow)).refusal(A) is None
    assert Denylists((allow, deny)).refusal(A) == Refusal(GONE, "", "deny")


def test_marks_differ() -> None:
    """Another set has another mark, or what was kept under the old one would be found again; an empty one has none."""
    one, other = lists(f"/ipfs/{A}\n"), lists(f"/ipfs/{A}\n")
    assert len({one.mark, other.mark, NONE.mark}) == 3
    assert NONE.is_empty
    assert Denylists((Denylist("empty"),)).mark == b""
    assert NONE.refusal(A) is NONE.refusal_of_path(A, []) is NONE.refusal_of_name("d.example") is None


# The Catalog's own.

CANONICAL = {
    f"/ipfs/{A}": f"/ipfs/{base58(A.multihash)}",
    f"/ipfs/{B}/*": f"/ipfs/{base58(B.multihash)}/*",
    f"!/ipfs/{V0}/a b%2F".replace(" ", "%20"): f"!/ipfs/{V0}/a%20b",
    f"/ipfs/{A}/x*": f"/ipfs/{V0}/x*",
    f"/ipfs/{A}/x%2A": f"/ipfs/{V0}/x%2A",
    f"/ipns/{PEER}": f"/ipns/{K36}",
    "/ipns/D.Example/x/": "/ipns/d.example/x",
    legacy("x"): legacy("x"),
    modern("x"): legacy("x"),
}


@pytest.mark.parametrize(("typed", "written"), CANONICAL.items(), ids=CANONICAL)
def test_one_thing_has_one_rule(typed: str, written: str) -> None:
    """What is kept is the same text for every spelling, and reads back as the same rule."""
    rule = Rule.parse(typed)
    assert str(rule) == written
    assert Rule.parse(written) == rule


def test_own_list() -> None:
    """The Catalog's rows: status and reason stand beside the rule; what it allows comes last, whatever the texts."""
    row = Row(451, "a court said so", 7)
    rows = [(f"!/ipfs/{V0}/ok", Row(410).to_value()), (f"/ipfs/{V0}/*", row.to_value())]
    denied = Denylists((own_list(rows),))
    assert denied.refusal(A) == Refusal(451, "a court said so", OWN)
    assert denied.refusal_of_path(A, ["ok"]) is None
    assert Row.from_value(row.to_value()) == row


def test_number_of_the_catalogs_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit (10,000; here 2) it is a list; one more, and the Catalog does not read."""
    monkeypatch.setattr(denylists, "DENIED_ROWS", 2)
    rows = [(f"/ipns/{n}.example", Row(410).to_value()) for n in range(3)]
    assert len(own_list(rows[:2])) == 2
    with pytest.raises(LimitExceeded, match="rules of the catalog"):
        own_list(rows)


@pytest.mark.parametrize("value", [7, {"status": "410"}, {"reason": 1}, {"time": True}])
def test_own_list_that_does_not_read(value: object) -> None:
    with pytest.raises(BadNode):
        own_list([(f"/ipfs/{V0}", value)])
    with pytest.raises(BadRule):
        own_list([("nonsense", Row(410).to_value())])
    unread: set[str] = set()
    rows = [(f"/ipfs/{V0}", value), ("nonsense", Row(410).to_value()), (f"/ipfs/{B}", Row(410).to_value())]
    own = own_list(rows, unread)
    assert (len(own), unread) == (1, {f"/ipfs/{V0}", "nonsense"}), "an older node goes by what it can read"
