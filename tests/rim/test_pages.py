"""Pages: what [html] inserts where, what it never touches, and the header rules that come out of HTML."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content.headers import HeaderTable, parse
from content.redirects import RedirectTable
from content.redirects import parse as parse_redirects
from rim.ignore import for_folder
from rim.memo import Memo
from rim.pages.charset import codec_of, decoded
from rim.pages.edits import applied, part_of
from rim.pages.folder import Folder, Manners
from rim.pages.hints import LINKS_MAX, hints
from rim.pages.page import look
from rim.pages.rewriting import Rewritten, rewrite
from rim.project import Html
from rim.scan import scan
from tests.rim.conftest import site_folder

BOTH = Html(integrity=True, worker=True)
CLIENT = '<script type="module" src="/.rim/client.js"></script>'
APP, CSS = b"let a = 1", b"body{}"


def sri(data: bytes, name: str = "sha256") -> str:
    return f"{name}-" + b64encode(hashlib.new(name, data).digest()).decode()


def attribute(data: bytes) -> str:
    return f' integrity="{sri(data)}"'


class Site:
    """A folder, rewritten."""

    def __init__(
        self, folder: Path, wanted: Html, memo: Memo, *, clean: bool = False, slash: str = "auto", rules: str = ""
    ) -> None:
        found = scan(str(folder), for_folder(folder), memo, lambda total: lambda count: None)
        headers = HeaderTable(parse((folder / "_headers").read_text() if (folder / "_headers").exists() else "")[0])
        redirects = RedirectTable(parse_redirects(rules)[0])
        self.folder = Folder(found, Manners(clean, slash, headers, redirects))
        self.done: Rewritten = rewrite(found.files, self.folder, wanted, memo, lambda count: None)
        self.files = {file.path: file for file in self.done.files}

    def bytes(self, path: str) -> bytes:
        """The file as it is published: its CID, hash and size must be those of these bytes."""
        file = self.files[path]
        data = part_of(self.folder.root, file, 0, file.size)
        assert (len(data), hashlib.sha256(data).digest()) == (file.size, file.sha256)
        return data

    def text(self, path: str) -> str:
        return self.bytes(path).decode()

    def links(self) -> dict[str, list[str]]:
        rules, _ = hints(self.done.seen, self.folder, [])
        return {rule.source: (rule.ops[0].value or "").split(", ") for rule in rules}


def site(tmp_path: Path, memo: Memo, pages: Mapping[str, bytes | str], wanted: Html = BOTH, **more: object) -> Site:
    files = {"app.js": APP, "css/app.css": CSS, "docs/app.js": b"let docs", **pages}
    return Site(site_folder(tmp_path / "site", files), wanted, memo, **more)  # type: ignore[arg-type]


PAGE = """<!DOCTYPE html>
<html><head><title><script src="app.js"></title>
<!-- <script src="app.js"></script> -->
<script src="app.js"></script>
<SCRIPT SRC=/app.js?v=1#x defer></SCRIPT>
<link rel="stylesheet" href='css/app.css' >
<link rel=stylesheet href=./docs/../css/app.css/>
<link rel="modulepreload" href="/docs/app.js"><link rel="preload" as="script" href="app.js">
<link rel="preload" as="font" href="a.woff2"><link rel="icon" href="/app.js">
<script src="https://cdn.example/app.js"></script><script src="//cdn.example/app.js"></script>
<script src="/gone.js"></script><script src="data:text/javascript,1"></script>
<script type="application/json" src="app.js"></script><script type=module src="&#97;pp.js"></script>
</head><body><textarea><link rel="stylesheet" href="css/app.css"></textarea>
<script>document.write('<script src="app.js"></scr' + 'ipt>')</script></body></html>
"""


def test_every_local_script_and_style_and_nothing_else(tmp_path: Path, memo: Memo) -> None:
    """Inserted behind the tag's name; comments, text, other hosts, other links, what is missing: all as it was."""
    js, css, docs = attribute(APP), attribute(CSS), attribute(b"let docs")
    expected = PAGE
    for before, after in (
        ('-->\n<script src="app.js"', f'-->\n<script{js} src="app.js"'),
        ("<SCRIPT SRC", f"<SCRIPT{js} SRC"),
        ('<link rel="stylesheet" href=\'css', f'<link{css} rel="stylesheet" href=\'css'),
        ('<link rel="modulepreload"', f'<link{docs} rel="modulepreload"'),
        ('<link rel="preload" as="script"', f'<link{js} rel="preload" as="script"'),
        ("<script type=module", f"<script{js} type=module"),
        ("</head>", CLIENT + "</head>"),
    ):
        assert expected.count(before) == 1
        expected = expected.replace(before, after)
    made = site(tmp_path, memo, {"index.html": PAGE, "a.woff2": b"f"})
    assert made.text("index.html") == expected
    assert made.bytes("app.js") == APP
    assert made.done.findings == []


def test_the_folder_is_never_changed(tmp_path: Path, memo: Memo) -> None:
    """What lies there lies there still, and a page without anything to insert is published as it is."""
    made = site(tmp_path, memo, {"index.html": PAGE, "plain.html": "<p>text"})
    assert (tmp_path / "site/index.html").read_text() == PAGE
    assert made.files["plain.html"].edits == ()
    assert made.files["plain.html"].plain is None
    assert made.files["index.html"].plain is not None


def test_relative_urls_belong_to_the_pages_address(tmp_path: Path, memo: Memo) -> None:
    """By its folder; by `<base>`, from there on; by the slash that an address ends in."""
    tag, docs, top = '<script src="app.js"></script>', attribute(b"let docs"), attribute(APP)

    def hash_in(made: Site, path: str) -> str:
        return made.text(path).partition("<script")[2].partition(" src")[0]

    pages = {"docs/page.html": tag, "docs/index.html": tag, "b.html": '<base href="/docs/">' + tag, "docs.html": tag}
    made = site(tmp_path, memo, pages, Html(integrity=True))
    assert [hash_in(made, path) for path in pages] == [docs, docs, docs, top]
    always = site(tmp_path, memo, {}, Html(integrity=True), clean=True, slash="always")
    assert hash_in(always, "docs.html") == top, "the folder has its address, so it keeps its own name"
    (tmp_path / "site/docs/index.html").unlink()
    assert hash_in(site(tmp_path, memo, {}, Html(integrity=True), clean=True, slash="always"), "docs.html") == docs
    (tmp_path / "site/docs.html").unlink()
    never = site(tmp_path, memo, {"docs/index.html": tag}, Html(integrity=True), slash="never")
    assert hash_in(never, "docs/index.html") == top


def test_another_origins_base(tmp_path: Path, memo: Memo) -> None:
    """Then every URL behind it is that origin's, the worker's script too: nothing is inserted."""
    page = '<!doctype html><head><base href="https://cdn.example/x/"><script src="app.js"></script></head>'
    assert site(tmp_path, memo, {"index.html": page}).text("index.html") == page
    before = '<!doctype html><head><script src="app.js"></script><base href="//cdn.example/"></head>'
    assert site(tmp_path, memo, {"index.html": before}).text("index.html") == before.replace(
        "<script", "<script" + attribute(APP)
    )


def test_through_symlinks_but_not_through_redirects(tmp_path: Path, memo: Memo) -> None:
    """A link answers as its target inside the folder; a forced redirect answers with something else."""
    folder = site_folder(tmp_path / "site", {"real/app.js": APP, "settings/x": "x"})
    for name, target in {"l.js": "real/app.js", "lib": "real", "out.js": "/etc/hostname", "loop.js": "loop.js"}.items():
        (folder / name).symlink_to(target)
    page = "".join(f'<script src="{u}"></script>' for u in ("l.js", "lib/app.js", "out.js", "loop.js", "_headers"))
    made = site(tmp_path, memo, {"index.html": page, "_headers": "/*\n  X-A: b\n"}, Html(integrity=True))
    assert made.text("index.html").count(attribute(APP)) == 2
    forced = site(tmp_path, memo, {}, Html(integrity=True), rules="/l.js /other.js 302!\n/lib/* /x 302\n")
    assert forced.text("index.html").count(attribute(APP)) == 1


def test_an_integrity_that_is_there(tmp_path: Path, memo: Memo) -> None:
    """Stays, whatever algorithm it names; one that browsers would refuse is an error with file and line."""
    good = [
        sri(APP),
        sri(APP, "sha384"),
        sri(APP, "sha512") + "?x=y",
        "sha256-" + "A" * 43 + "= " + sri(APP, "sha512"),  # the strongest counts
        sri(b"other") + " " + sri(APP),
        "md5-nobody-reads-it",
        "",
    ]
    page = "\n".join(f'<script src="app.js" integrity="{value}"></script>' for value in good)
    made = site(tmp_path, memo, {"index.html": page}, Html(integrity=True))
    assert (made.text("index.html"), made.done.findings) == (page, [])
    bad = [sri(b"other"), sri(b"other", "sha384"), sri(APP) + " " + sri(b"other", "sha384"), "sha256-short"]
    page = "\n".join(f"<script src=app.js integrity='{value}'></script>" for value in bad)
    page += f'\n<script src="https://cdn.example/app.js" integrity="{sri(b"theirs")}"></script>'
    made = site(tmp_path, memo, {"index.html": page}, Html(integrity=True))
    assert [(f.level, f.line) for f in made.done.findings] == [("error", n) for n in (1, 2, 3, 4)]
    assert "app.js, and browsers refuse the file" in made.done.findings[0].message
    assert made.done.findings[0].file == str(tmp_path / "site/index.html")


WORKER = [  # page, where the script goes (|), or nowhere
    ("<!doctype html><html><head><title>a</title>|</head><body></body></html>", True),
    ("<!doctype html><title>a</title><p>text</p>|", True),
    ("<html><title>a</title>|<body><p>text", True),
    ("<!doctype html><p>text|</body></html>", True),
    ("<!-- </head> --><html><head><script>'</head>'</script>|</head>", True),
    ("<p>a fragment that htmx loads</p>", False),
    ("", False),
    ('<!doctype html><head><script type="module" src="/.rim/client.js"></script></head>', False),
    ('<!doctype html><script type="module">import { on } from "/.rim/client.js"</script>', False),
    ("<!doctype html><p><textarea>open", False),
]


@pytest.mark.parametrize(("page", "is_written"), WORKER, ids=[page or "empty" for page, _ in WORKER])
def test_the_workers_script(page: str, is_written: bool, tmp_path: Path, memo: Memo) -> None:
    """At the end of the head, else before the body, else at the end; once; never in a fragment or in text."""
    made = site(tmp_path, memo, {"index.html": page.replace("|", "")}, Html(worker=True))
    assert made.text("index.html") == page.replace("|", CLIENT)
    assert ("|" in page) == is_written


CHARSETS = [  # Content-Type by _headers, bytes before and behind, codec of them
    ("", b"", "utf-8"),
    ("", b"\xef\xbb\xbf", "utf-8"),
    ("", b"\xff\xfe", "utf-16-le"),
    ("", b"\xfe\xff", "utf-16-be"),
    ("text/html; charset=shift_jis", b"", "shift_jis"),
    ("text/html; charset=ISO-2022-JP", b"", "iso2022_jp"),
    ("text/html;charset=gbk", b"", "gbk"),
    ('text/html; charset="euc-jp"', b"", "euc_jp"),
]


@pytest.mark.parametrize(("content_type", "mark", "codec"), CHARSETS, ids=[f"{c}{m!r}" for c, m, _ in CHARSETS])
def test_charsets(content_type: str, mark: bytes, codec: str, tmp_path: Path, memo: Memo) -> None:
    """Insertions are in the page's own charset, and what they leave out are the bytes as they were."""
    text = '<!doctype html><head><title>日本語</title><script src="日本/ア.js"></script></head><p>表示ソ日本'
    page = mark + text.encode(codec)
    headers = f"/\n  Content-Type: {content_type}\n" if content_type else ""
    made = site(tmp_path, memo, {"index.html": page, "日本/ア.js": APP, "_headers": headers})
    published = made.bytes("index.html")
    expected = text.replace("<script", "<script" + attribute(APP)).replace("</head>", CLIENT + "</head>")
    assert published == mark + expected.encode(codec)
    assert made.done.findings == []


def test_bytes_that_are_no_text(tmp_path: Path, memo: Memo) -> None:
    """Wrong UTF-8 is kept byte by byte; what cannot be given back, and what is sent as no page, is left alone."""
    broken = b'<!doctype html><head><p>\xff\xc3\x28<script src="app.js"></script></head>'
    odd = b"\xff\xfe<\x00p\x00>\x00!"
    made = site(
        tmp_path,
        memo,
        {
            "index.html": broken,
            "odd.html": odd,
            "text.html": PAGE,
            "unknown.html": PAGE,
            "_headers": "/text.html\n Content-Type: text/plain\n/unknown.html\n Content-Type:text/html;charset=utf-7\n",
        },
    )
    expected = broken.replace(b"<script", b"<script" + attribute(APP).encode())
    assert made.bytes("index.html") == expected.replace(b"</head>", CLIENT.encode() + b"</head>")
    assert (made.bytes("odd.html"), made.text("text.html"), made.text("unknown.html")) == (odd, PAGE, PAGE)
    assert [(Path(f.file).name, f.level) for f in made.done.findings] == [
        ("odd.html", "warning"),
        ("unknown.html", "warning"),
    ]


def test_what_a_page_says_of_itself() -> None:
    """Only where Content-Type names no charset; an unmarked utf-16 is UTF-8, as the standard has it."""
    assert codec_of(b"<meta charset='koi8-r'>", "text/html; charset=utf-8") == "utf-8"
    assert codec_of(b"<meta charset='koi8-r'>", "text/html") == "koi8-r"
    assert codec_of(b"<meta charset=utf-16>", "text/html") == "utf-8"
    assert codec_of(b"<p>", "text/html") == "cp1252"
    assert codec_of(b"<meta charset=rot13>", "text/html") is None
    assert decoded(b"\x81\x8d", "cp1252") is not None


@given(st.binary(max_size=300), st.sampled_from(["utf-8", "cp1252", "gbk", "shift_jis", "iso2022_jp", "utf-16-le"]))
@settings(max_examples=150)
def test_places_are_those_of_the_bytes(noise: bytes, codec: str) -> None:
    """Whatever stands before a tag: an insertion at its place is an insertion behind its name."""
    tag = '<script src="a.js">'.encode(codec)
    page = noise.replace(b"<", b" ") + tag + b""
    found = look(page, codec)
    for load in found.loads:
        name = "<script".encode(codec)
        assert page[load.at - len(name) : load.at] == name
        assert applied(page, ((load.at, b"!"),)).replace(b"!", b"", page[: load.at].count(b"!") + 1)


def test_the_same_again_from_the_memo(tmp_path: Path, memo: Memo) -> None:
    """Another run takes what was found from the memo; a file that changed changes the pages that load it."""
    first = site(tmp_path, memo, {"index.html": PAGE})
    again = site(tmp_path, memo, {})
    assert {path: file.cid for path, file in again.files.items()} == {
        path: file.cid for path, file in first.files.items()
    }
    assert again.text("index.html") == first.text("index.html")
    other = Memo(None)
    assert site(tmp_path, other, {}).files["index.html"].cid == first.files["index.html"].cid
    other.close()
    (tmp_path / "site/app.js").write_bytes(b"let a = 2")
    changed = Site(tmp_path / "site", BOTH, memo)
    assert changed.files["index.html"].cid != first.files["index.html"].cid
    assert attribute(b"let a = 2") in changed.text("index.html")


def test_a_page_of_many_blocks(tmp_path: Path, memo: Memo) -> None:
    """Over 1 MiB, any part of it is read with what was inserted before."""
    page = '<!doctype html><head><script src="app.js"></script></head>' + "x" * 1_500_000
    made = site(tmp_path, memo, {"index.html": page, "huge.html": b"<html>" + b" " * (8 << 20)})
    expected = made.text("index.html")
    file = made.files["index.html"]
    assert len(expected) == len(page) + len(attribute(APP)) + len(CLIENT)
    assert part_of(made.folder.root, file, 10, 100).decode() == expected[10:110]
    assert file.cid.codec == 0x70
    assert [(Path(f.file).name, f.level) for f in made.done.findings] == [("huge.html", "warning")]


def test_link_fields(tmp_path: Path, memo: Memo) -> None:
    """A page's scripts, styles, preloads and preconnects, under its address, each once, with what they ask for."""
    page = """<!doctype html><link rel=preconnect href="https://fonts.example/x" crossorigin>
<link rel=stylesheet href=/css/app.css><link rel=stylesheet href=/print.css media=print>
<script src=app.js?v=1 crossorigin=use-credentials></script><script type=module src=docs/app.js></script>
<script src=/gone.js></script><script src=https://cdn.example/app.js></script>
<link rel=preload as=font href="/a b.woff2" crossorigin><link rel=stylesheet href=/css/app.css>"""
    files = {"index.html": page, "docs/index.html": page, "none.html": "<p>", "a b.woff2": b"f", "print.css": b"p"}
    made = site(tmp_path, memo, {**files, "a*b:c.html": "<script src=/app.js></script>"}, Html(preload=True))
    links = made.links()
    assert list(links) == ["/", "/a%2Ab%3Ac.html", "/docs/"]
    assert links["/"] == [
        "<https://fonts.example>; rel=preconnect; crossorigin",
        "</css/app.css>; rel=preload; as=style",
        "</app.js?v=1>; rel=preload; as=script; crossorigin=use-credentials",
        "</docs/app.js>; rel=modulepreload",
        "</a%20b.woff2>; rel=preload; as=font; crossorigin",
    ]
    assert made.text("index.html") == page
    table = HeaderTable(hints(made.done.seen, made.folder, [])[0])
    assert [op.value for op in table.of("/a*b:c.html")] == ["</app.js>; rel=preload; as=script"]
    with_integrity = site(tmp_path, memo, {}, Html(integrity=True, preload=True)).links()
    assert with_integrity["/"][1] == f'</css/app.css>; rel=preload; as=style; integrity="{sri(CSS)}"'
    assert made.folder.address("/docs/index.html") == "/docs/"


def test_link_fields_have_limits(tmp_path: Path, memo: Memo) -> None:
    """So many of a page, and as many pages as the rules of a site have room for, those near the top first."""
    scripts = {f"s{n}.js": APP for n in range(20)}
    page = "".join(f"<script src=/{name}></script>" for name in scripts)
    pages = {f"deep/p{n}.html": "<script src=/app.js></script>" for n in range(50)}
    made = site(tmp_path, memo, {**scripts, **pages, "index.html": page}, Html(preload=True))
    assert len(made.links()["/"]) == LINKS_MAX
    given = [[f"/x{n}", [["X-A", "b" * 1_500]], 0] for n in range(43)]
    rules, findings = hints(made.done.seen, made.folder, given)
    assert rules[0].source == "/"
    assert 1 < len(rules) < 51
    HeaderTable.from_value([*(rule.to_value() for rule in rules), *given])
    assert findings[0].level == "note"
    assert f"{len(rules)} of 51 pages" in findings[0].message
