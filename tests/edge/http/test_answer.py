"""One asset, all that it can answer: status, headers and bytes, by RFC 9110."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from content.cid import CID, RAW
from content.release import Asset, Encoding
from edge.http.answer import Answer, Asking, Choice, Delta

PLAIN, BR, GZIP, ZSTD = (CID.of(RAW, text) for text in (b"plain", b"br", b"gzip", b"zstd"))
CSS = Asset(
    PLAIN, 1000, PLAIN.digest.hex(), "text/css; charset=utf-8", {"br": Encoding(BR, 300), "gzip": Encoding(GZIP, 400)}
)
PNG = Asset(PLAIN, 1000, PLAIN.digest.hex(), "image/png")
DATE = b"Wed, 21 Oct 2015 07:28:00 GMT"
NO_IDENTITY = b"br, identity;q=0"
TAG, BR_TAG = (b'"%s"' % str(cid).encode() for cid in (PLAIN, BR))


def ask(answer: Answer, method: str = "GET", **fields: bytes) -> tuple[Choice, dict[str, str]]:
    choice = answer.choose(Asking(method, **fields))
    return choice, {name.decode(): value.decode() for name, value in choice.headers}


CASES: list[tuple[str, str, dict[str, bytes], int, CID | None, tuple[int, int]]] = [
    ("9.3.1 GET", "GET", {}, 200, PLAIN, (0, 1000)),
    ("9.3.2 HEAD", "HEAD", {}, 200, None, (0, 0)),
    ("12.5.3 br", "GET", {"accept_encoding": b"br"}, 200, BR, (0, 300)),
    ("12.5.3 identity;q=0", "GET", {"accept_encoding": b"identity;q=0, gzip"}, 200, GZIP, (0, 400)),
    ("15.5.7 nothing acceptable", "GET", {"accept_encoding": b"*;q=0"}, 406, None, (0, 0)),
    ("13.1.2 same tag", "GET", {"if_none_match": TAG}, 304, None, (0, 0)),
    ("13.1.2 HEAD too", "HEAD", {"if_none_match": TAG}, 304, None, (0, 0)),
    ("13.1.2 tag of another coding", "GET", {"if_none_match": BR_TAG}, 200, PLAIN, (0, 1000)),
    ("13.1.2 tag of this coding", "GET", {"if_none_match": BR_TAG, "accept_encoding": b"br"}, 304, None, (0, 0)),
    ("13.1.1 If-Match holds", "GET", {"if_match": BR_TAG}, 200, PLAIN, (0, 1000)),
    ("13.1.1 If-Match fails", "GET", {"if_match": b'"old"'}, 412, None, (0, 0)),
    ("13.2.2 If-Match before If-None-Match", "GET", {"if_match": b'"old"', "if_none_match": TAG}, 412, None, (0, 0)),
    ("14.2 one range", "GET", {"range": b"bytes=10-19"}, 206, PLAIN, (10, 20)),
    ("14.2 a range is of identity", "GET", {"range": b"bytes=10-19", "accept_encoding": b"br"}, 206, PLAIN, (10, 20)),
    ("14.2 HEAD has none", "HEAD", {"range": b"bytes=10-19"}, 200, None, (0, 0)),
    ("15.3.7 several that are one", "GET", {"range": b"bytes=10-14,15-19"}, 206, PLAIN, (10, 20)),
    ("14.2 too many: the whole", "GET", {"range": b"bytes=" + b"0-0," * 17}, 200, PLAIN, (0, 1000)),
    ("14.2 malformed: the whole, negotiated", "GET", {"range": b"x", "accept_encoding": b"br"}, 200, BR, (0, 300)),
    ("15.5.17 past the end", "GET", {"range": b"bytes=1000-"}, 416, None, (0, 0)),
    ("13.1.5 If-Range holds", "GET", {"range": b"bytes=0-0", "if_range": TAG}, 206, PLAIN, (0, 1)),
    ("13.1.5 If-Range fails", "GET", {"range": b"bytes=0-0", "if_range": b'"old"'}, 200, PLAIN, (0, 1000)),
    ("13.1.5 If-Range with a date", "GET", {"range": b"bytes=0-0", "if_range": DATE}, 200, PLAIN, (0, 1000)),
    ("13.2.2 304 before 206", "GET", {"range": b"bytes=0-0", "if_none_match": TAG}, 304, None, (0, 0)),
    ("13.2.2 304 before 416", "GET", {"range": b"bytes=1000-", "if_none_match": TAG}, 304, None, (0, 0)),
    ("12.5.3 no identity", "GET", {"range": b"bytes=0-0", "accept_encoding": NO_IDENTITY}, 200, BR, (0, 300)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "fields", "status", "body", "span"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_case(method: str, fields: dict[str, bytes], status: int, body: CID | None, span: tuple[int, int]) -> None:
    """The status, and which bytes of which file, are those that RFC 9110 asks for."""
    choice, _ = ask(Answer(CSS), method, **fields)
    assert (choice.status, choice.body, (choice.start, choice.stop)) == (status, body, span)


def test_headers_of_a_whole() -> None:
    """A 200 says type, length, tag, freshness, what it varies with, and that nobody should sniff."""
    _, headers = ask(Answer(CSS), accept_encoding=b"br")
    assert headers == {
        "content-type": "text/css; charset=utf-8",
        "content-length": "300",
        "content-encoding": "br",
        "etag": BR_TAG.decode(),
        "accept-ranges": "bytes",
        "cache-control": "public, max-age=0, must-revalidate",
        "x-content-type-options": "nosniff",
        "vary": "Accept-Encoding",
        "access-control-allow-origin": "*",
    }


ACCEPTED: list[tuple[str, bytes | None, CID | None]] = [
    ("12.5.3 compress, gzip", b"compress, gzip", GZIP),
    ("12.5.3 empty", b"", PLAIN),
    ("12.5.3 star", b"*", BR),
    ("12.5.3 weights", b"compress;q=0.5, gzip;q=1.0", GZIP),
    ("12.5.3 weights and identity", b"gzip;q=1.0, identity; q=0.5, *;q=0", GZIP),
    ("12.5.3 no field", None, PLAIN),
    ("12.5.3 identity;q=0 alone", b"identity;q=0", None),
    ("12.5.3 identity;q=0, a coding", b"identity;q=0, gzip", GZIP),
    ("12.5.3 star;q=0", b"*;q=0", None),
    ("12.5.3 star;q=0, identity", b"*;q=0, identity", PLAIN),
    ("12.5.3 star;q=0, a coding we have not", b"*;q=0, zstd", None),
]


@pytest.mark.parametrize(("accept", "body"), [c[1:] for c in ACCEPTED], ids=[c[0] for c in ACCEPTED])
def test_negotiation(accept: bytes | None, body: CID | None) -> None:
    """Weights are respected down to the 406 of who takes nothing."""
    choice = Answer(CSS).choose(Asking(accept_encoding=accept))
    assert (choice.status, choice.body) == (200 if body else 406, body)


@pytest.mark.parametrize(
    ("sizes", "best"),
    [
        ({"zstd": 310, "br": 300, "gzip": 400}, BR),
        ({"zstd": 290, "br": 300, "gzip": 400}, ZSTD),
        ({"zstd": 300, "br": 300, "gzip": 300}, ZSTD),
        ({"br": 300, "gzip": 300}, BR),
        ({"br": 310, "gzip": 300}, GZIP),
    ],
)
def test_of_equal_weight_the_smallest_wins(sizes: dict[str, int], best: CID) -> None:
    """What a browser takes equally it gets at its smallest; of equal size, by CODINGS. Weights go first."""
    cids = {"zstd": ZSTD, "br": BR, "gzip": GZIP}
    asset = Asset(PLAIN, 1000, "", "text/css", {coding: Encoding(cids[coding], size) for coding, size in sizes.items()})
    assert ask(Answer(asset), accept_encoding=b"gzip, deflate, br, zstd")[0].body == best
    assert ask(Answer(asset), accept_encoding=b"*")[0].body == best
    assert ask(Answer(asset), accept_encoding=b"*;q=0.5, gzip")[0].body == GZIP


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("accept", [b"", b"br", b"gzip", b"*;q=0"])
@pytest.mark.parametrize("tag", [None, b"*", b'"old"'])
@pytest.mark.parametrize("held", [None, TAG, b'"old"'])
def test_head_equals_get(status: int, accept: bytes, tag: bytes | None, held: bytes | None) -> None:
    """HEAD has the status and header lines of GET, every one (§9.3.2), and no bytes."""
    answer = Answer(CSS, status=status)
    fields = {"accept_encoding": accept, "if_none_match": tag, "if_match": held}
    got, head = answer.choose(Asking("GET", **fields)), answer.choose(Asking("HEAD", **fields))
    assert (head.status, head.head, head.body) == (got.status, got.head, None)


SAID = [
    ("Vary", "Origin"),
    ("Access-Control-Allow-Origin", "https://app.example"),
    ("Access-Control-Expose-Headers", "Content-Range"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Timing-Allow-Origin", "*"),
    ("Cache-Control", "public, max-age=60"),
    ("CDN-Cache-Control", "max-age=3600"),
    ("Content-Security-Policy", "default-src 'self'"),
]
OF_REFUSALS = [
    "vary",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cross-origin-resource-policy",
    "timing-allow-origin",
    "x-content-type-options",
]
OF_A_BODY = ("content-type", "content-length", "accept-ranges")
REFUSED: list[tuple[int, dict[str, bytes]]] = [
    (406, {"accept_encoding": b"*;q=0"}),
    (412, {"if_match": b'"old"'}),
    (416, {"range": b"bytes=1000-"}),
]


def test_a_304_says_what_the_200_does() -> None:
    """All of it, for a cache renews what it holds from it (§15.4.5), but for what describes a body."""
    answer = Answer(CSS, fields=SAID)
    _, whole = ask(answer)
    _, unchanged = ask(answer, if_none_match=TAG)
    assert unchanged == {name: value for name, value in whole.items() if name not in OF_A_BODY}
    assert unchanged["cache-control"] == "public, max-age=60"


@pytest.mark.parametrize(("status", "fields"), REFUSED)
@pytest.mark.parametrize("said", [[], SAID])
def test_a_refusal_can_be_read_by_whom_the_200_can(status: int, fields: dict[str, bytes], said: Any) -> None:
    """A 406, 412 or 416 has the 200's Vary and CORS, is kept by nobody, and says nothing that is of the page."""
    answer = Answer(CSS, fields=said)
    choice, headers = ask(answer, **fields)
    _, whole = ask(answer)
    kept = {name: value for name, value in whole.items() if name in OF_REFUSALS}
    headers.pop("content-range", None)
    assert (choice.status, headers) == (status, {"content-length": "0", "cache-control": "no-store", **kept})


@pytest.mark.parametrize("options", [{"status": 404}, {"personal": True}])
def test_no_rule_lets_a_cache_keep_what_nobody_may(options: dict[str, Any]) -> None:
    """Neither Cache-Control nor what caches in front read before it (RFC 9213)."""
    _, headers = ask(Answer(CSS, fields=SAID, **options))
    assert headers["cache-control"] in ("no-store", "private, max-age=0, must-revalidate")
    assert "cdn-cache-control" not in headers
    assert headers["content-security-policy"] == "default-src 'self'"


def test_dates_are_no_conditions() -> None:
    """If-Modified-Since and If-Unmodified-Since are not looked at, alone or beside a tag (§13.1.3, §13.1.4)."""
    dates = [(b"if-modified-since", DATE), (b"if-unmodified-since", DATE)]
    assert Asking.read("GET", dates) == Asking("GET")
    assert Asking.read("GET", [*dates, (b"if-none-match", b'"old"')]) == Asking("GET", if_none_match=b'"old"')


def test_a_304_keeps_what_a_cache_needs() -> None:
    """A 304 keeps Cache-Control, Vary, ETag and CORS (RFC 9110 §15.4.5), and says nothing of a body."""
    _, headers = ask(Answer(CSS, immutable=True), if_none_match=b"*")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (headers["vary"], headers["etag"]) == ("Accept-Encoding", TAG.decode())
    assert headers["access-control-allow-origin"] == "*"
    assert not {"content-type", "content-length", "content-encoding"} & headers.keys()


def test_headers_of_a_part() -> None:
    """A 206 says which part of how much, and keeps tag and freshness (§15.3.7)."""
    _, headers = ask(Answer(PNG), range=b"bytes=-10")
    assert (headers["content-range"], headers["content-length"]) == ("bytes 990-999/1000", "10")
    assert headers["etag"] == TAG.decode()
    assert "cache-control" in headers


def test_several_ranges() -> None:
    """Several ranges are parts of one body (§14.6): each says which it is, the answer itself does not (§15.3.7.2)."""
    choice, headers = ask(Answer(PNG), range=b"bytes=0-0,-1,5-6")
    boundary = sha256(PLAIN).hexdigest()
    assert headers["content-type"] == f"multipart/byteranges; boundary={boundary}"
    assert "content-range" not in headers
    assert (headers["etag"], headers["accept-ranges"]) == (TAG.decode(), "bytes")
    assert (choice.status, choice.body, choice.size) == (206, PLAIN, 1000)
    assert [(part.start, part.stop) for part in choice.parts] == [(0, 1), (999, 1000), (5, 7)]
    first, second, third = (part.prefix.decode() for part in choice.parts)
    assert first == f"--{boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes 0-0/1000\r\n\r\n"
    assert second.startswith(f"\r\n--{boundary}\r\n")
    assert third.endswith("Content-Range: bytes 5-6/1000\r\n\r\n")
    assert choice.tail == f"\r\n--{boundary}--\r\n".encode()
    sent = sum(len(part.prefix) + part.stop - part.start for part in choice.parts) + len(choice.tail)
    assert headers["content-length"] == str(sent)


def test_headers_of_an_unsatisfiable_range() -> None:
    """A 416 names the size, with the unit (§14.4)."""
    _, headers = ask(Answer(PNG), range=b"bytes=1000-")
    assert headers["content-range"] == "bytes */1000"
    assert headers["cache-control"] == "no-store"


def test_an_asset_without_encodings_varies_with_nothing() -> None:
    """No Vary where there is one variant: caches in front keep one copy. No CORS for a picture."""
    _, headers = ask(Answer(PNG), accept_encoding=b"br")
    assert "vary" not in headers
    assert "access-control-allow-origin" not in headers
    assert "content-encoding" not in headers


def test_the_shell_varies_with_what_chose_it() -> None:
    """An answer chosen by more than its path says by what."""
    _, headers = ask(Answer(CSS, vary=("Sec-Fetch-Mode", "Accept")))
    assert headers["vary"] == "Accept-Encoding, Sec-Fetch-Mode, Accept"


@pytest.mark.parametrize("fields", [{}, {"if_none_match": b"*"}, {"range": b"bytes=0-1"}, {"if_match": b'"x"'}])
def test_a_404_page_is_whole_and_never_stored(fields: dict[str, bytes]) -> None:
    """Conditions and ranges are of 200s only; a missing page has no tag and is not kept."""
    choice, headers = ask(Answer(CSS, status=404), "GET", **fields)
    assert (choice.status, choice.start, choice.stop) == (404, 0, 1000)
    assert headers["cache-control"] == "no-store"
    assert "etag" not in headers


@pytest.mark.parametrize("media_type", ["text/html\r\nset-cookie: a=b", "", "text/é", "a\x7fb"])
def test_a_media_type_never_splits_the_header(media_type: str) -> None:
    """What a publisher wrote cannot become a header line of its own."""
    _, headers = ask(Answer(Asset(PLAIN, 5, "", media_type)))
    assert headers["content-type"] == "application/octet-stream"


def test_fields_are_read_from_pairs() -> None:
    """List fields sent twice are one list; a Range sent twice is many ranges, and so none; others change nothing."""
    pairs: list[tuple[bytes, Any]] = [
        (b"accept-encoding", b"gzip;q=0.1"), (b"x-forwarded-host", b"evil"), (b"accept-encoding", b"br"),
        (b"range", b"bytes=0-0"), (b"range", b"bytes=1-1"),
    ]  # fmt: skip
    asking = Asking.read("GET", pairs)
    assert asking == Asking("GET", accept_encoding=b"gzip;q=0.1, br", range=b"bytes=0-0, bytes=1-1")
    assert Answer(CSS).choose(asking).body == BR


# RFC 9842: one asset, an old file that the client has, and the delta from it.

SCRIPT = Asset(PLAIN, 1000, PLAIN.digest.hex(), "text/javascript", {"br": Encoding(BR, 300)}, immutable=True)
DELTA, BASE = CID.of(RAW, b"delta"), sha256(b"base").digest()
HAS = b":" + b64encode(BASE) + b":"
ALL = b"gzip, br, zstd, dcz"


def coded(**fields: Any) -> Answer:
    return Answer(SCRIPT, immutable=True, dictionary_for="/a/app-8f3a9c1e.js", **fields)


def test_a_pair_is_awaited_until_it_is_known() -> None:
    """Who names a dictionary and takes dcz may be worth a delta; what is known, for good or not, is awaited no more."""
    answer = coded()
    asking = Asking(accept_encoding=ALL, available_dictionary=HAS)
    assert answer.awaited(asking) == BASE
    assert answer.awaited(asking._replace(method="HEAD", range=b"bytes=0-0")) == BASE
    for other in (
        asking._replace(available_dictionary=None),
        asking._replace(available_dictionary=b":AAAA:"),
        asking._replace(accept_encoding=None),
        asking._replace(accept_encoding=b"br, *"),
        asking._replace(accept_encoding=b"br, dcz;q=0"),
        asking._replace(accept_encoding=b"br, dcz;q=0.9"),
        asking._replace(range=b"bytes=0-0"),
    ):
        assert answer.awaited(other) is None
        assert answer.choose(other).body in (BR, PLAIN)
    assert answer.choose(asking).body == BR
    for delta in (None, Delta(DELTA, 50)):
        answer.deltas = {BASE: delta}
        assert answer.awaited(asking) is None
        assert answer.choose(asking).body == (BR if delta is None else DELTA)


def test_the_fields_of_a_delta() -> None:
    """As those of every variant, but for its length, its coding and its tag, which names both files."""
    answer = coded()
    answer.deltas = {BASE: Delta(DELTA, 50)}
    plain = ask(answer)[1]
    choice, fields = ask(answer, accept_encoding=ALL, available_dictionary=HAS)
    tag = f'"{PLAIN}.{BASE.hex()[:16]}.dcz"'
    assert (choice.status, choice.body, choice.stop, choice.size) == (200, DELTA, 50, 50)
    assert fields == {**plain, "content-length": "50", "content-encoding": "dcz", "etag": tag}
    assert plain["vary"] == "Accept-Encoding, Available-Dictionary"
    assert plain["use-as-dictionary"] == 'match="/a/app-*.js"'
    choice, fields = ask(answer, accept_encoding=ALL, available_dictionary=HAS, if_none_match=tag.encode())
    assert (choice.status, fields["vary"], fields["etag"]) == (304, plain["vary"], tag)
    refused = ask(answer, accept_encoding=b"*;q=0")[1]
    assert refused["vary"] == plain["vary"]
    assert "use-as-dictionary" not in refused


@pytest.mark.parametrize(
    "answer",
    [
        Answer(SCRIPT, immutable=True),
        coded(personal=True),
        coded(status=404),
        coded(fields=[("Cache-Control", "public, max-age=0")]),
        coded(fields=[("Cache-Control", "no-store")]),
        Answer(PNG, immutable=True, dictionary_for="/a-8f3a9c1e.png"),
        Answer(SCRIPT, dictionary_for="/app.js"),
    ],
)
def test_what_is_not_fresh_or_not_alike_says_nothing_of_dictionaries(answer: Answer) -> None:
    """A browser would not keep it, or nothing would come of it."""
    assert answer.deltas is None
    assert b"dictionary" not in answer.choose(Asking()).head.lower()
    assert answer.awaited(Asking(accept_encoding=ALL, available_dictionary=HAS)) is None


def test_a_site_may_say_its_own_pattern() -> None:
    """What `_headers` says of Use-As-Dictionary stands; or that there is to be none."""
    said = coded(fields=[("Use-As-Dictionary", 'match="/x/*"')])
    assert ask(said)[1]["use-as-dictionary"] == 'match="/x/*"'
    none = coded(fields=[("Use-As-Dictionary", None)])
    assert "use-as-dictionary" not in ask(none)[1]
    assert none.deltas is not None  # it is no dictionary, and may still come as a delta
