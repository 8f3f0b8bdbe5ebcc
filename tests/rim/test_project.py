"""rim.toml: what it may say, and what is said of one that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from content.limits import RETAINED_MAX
from rim.exits import Usage
from rim.project import CacheRule, Cors, Html, Precache, Project, Tagged, Worker, examine, load, read
from rim.schema import document, table
from tests.rim.conftest import Shell

HASH = f"scrypt$16384$8$1${'A' * 22}${'A' * 43}"
WHOLE = f"""
site = "docs"
origin = "https://origin.example.org/"
dir = "dist/"
encode = "best"
spa = true
hosts = ["docs.example.org", "docs.example.net", "docs.example.org"]
clean_urls = true
trailing_slash = "never"
error_page = "/oops.html"
immutable = ["/assets/**", "*.woff2"]
gate = 2

[retention]
last = 5
days = 0
bytes = "1.5 KiB"

[[cache]]
path = "/api/*"
control = "Public, max-age=60"

[[cache]]
path = "/feed.xml"
control = "no-cache"

[[tags]]
path = "/docs/**"
tags = ["docs", "v1"]

[service_worker]
enabled = true
check = "5m"
gateways = ["https://gateway.example.org/", "http://localhost:8080/ipfs-proxy"]
pass = ["/api/*", "/sign-in"]
[precache]
globs = ["/index.html"]

[html]
integrity = true
worker = true
preload = true

[cors]
origin = "https://app.example.org"

[redirects]
external = ["example.org"]

[preview]
password = "{HASH}"
expires = "30d"

[skew]
pin = true
"""


def test_a_whole_file() -> None:
    """Every key, read into its value."""
    project, findings = read(WHOLE, Path("x/rim.toml"))
    assert findings == []
    assert project == Project(
        file=Path("x/rim.toml"),
        site="docs",
        origin="https://origin.example.org",
        dir="dist",
        encode="best",
        spa=True,
        hosts=("docs.example.org", "docs.example.net"),
        clean_urls=True,
        trailing_slash="never",
        error_page="/oops.html",
        immutable=("/assets/**", "*.woff2"),
        gate=2,
        retention={"last": 5, "days": 0, "bytes": 1536},
        cache=(CacheRule("/api/*", "public, max-age=60", 19), CacheRule("/feed.xml", "no-cache", 23)),
        tags=(Tagged("/docs/**", ("docs", "v1"), 27),),
        worker=Worker(
            300, ("https://gateway.example.org", "http://localhost:8080/ipfs-proxy"), 31, ("/api/*", "/sign-in")
        ),
        precache=Precache(("/index.html",), 5 << 20, 36),
        html=Html(True, True, True, 39),
        cors=Cors("https://app.example.org", ("/*",), 44),
        external=("example.org",),
        preview={"password": HASH, "expires": 30 * 86_400},
        pin=True,
    )
    assert project.folder == Path("x/dist")
    assert project.site_settings() == {"retention": {"last": 5, "days": 0, "bytes": 1536}}
    assert set(WHOLE.split()) >= {
        key.name for key in table.KEYS if key.full not in ("precache.max_bytes", "cors.paths")
    }


def test_a_worker_is_opted_into() -> None:
    """The table alone is enough; `enabled = false` is as if it were not there; 0s asks at every page."""
    assert read("[service_worker]", Path("rim.toml"))[0].worker == Worker(60, (), 1)
    assert read('[service_worker]\ncheck = "0s"', Path("rim.toml"))[0].worker == Worker(0, (), 1)
    assert read('[service_worker]\nenabled = false\ncheck = "1h"', Path("rim.toml"))[0].worker is None
    assert read("", Path("rim.toml"))[0].worker is None


def test_an_empty_file_says_nothing() -> None:
    """Nothing given is nothing set: no settings of the site are touched."""
    project, findings = read("", Path("rim.toml"))
    assert (project, findings) == (Project(Path("rim.toml")), [])
    assert project.site_settings() == {}
    assert project.folder is None


BAD = [  # text, line, words of the message
    ('site = "Docs"', 1, "site name 'Docs'"),
    ("site = 3", 1, "site must be a text in quotes, not 3"),
    ('\n\nsiet = "docs"', 3, "unknown key siet; did you mean site?"),
    ('clean_url = true\nsite = "a"', 1, "did you mean clean_urls?"),
    ("last = 3", 1, "unknown key last; retention.last is one"),
    ("[retention]\nspa = true", 2, "unknown key retention.spa; spa is one"),
    ("frobnicate = 1", 1, "unknown key frobnicate"),
    ("[retension]\nlast = 3", 1, "unknown key retension; did you mean retention?"),
    ("[retention]\n# so many\nlats = 3", 3, "unknown key retention.lats; did you mean last?"),
    ('origin = "origin.example.org"', 1, "origin must be http://HOST:PORT or https://HOST"),
    ('dir = "/var/www"', 1, "dir must lie below"),
    ('dir = "../dist"', 1, "dir must lie below"),
    ('encode = "bset"', 1, 'encode must be one of "none", "fast", "balanced", "best", not "bset"; did you mean best?'),
    ('spa = "true"', 1, "spa must be true or false"),
    ('hosts = "docs.example.org"', 1, "hosts must be a list in brackets"),
    ('hosts = ["https://docs.example.org"]', 1, "not a lower-case DNS name"),
    ('trailing_slash = "alway"', 1, "did you mean always?"),
    ('error_page = "404.html"', 1, "error_page must be the path of a published file"),
    ('immutable = ["/a"]\nimmutable = ["/b"]', 2, "no TOML: Cannot overwrite a value"),
    ("immutable = [3]", 1, "immutable must be a text in quotes"),
    (f'immutable = ["/{"a" * 512}"]', 1, "bytes of a glob: 513 is over the limit of 512"),
    ("gate = 0", 1, 'gate must be "all" or a number'),
    ('gate = "both"', 1, 'gate must be "all" or a number'),
    ("gate = true", 1, 'gate must be "all" or a number'),
    (f"[retention]\nlast = {RETAINED_MAX + 1}", 2, "from 1 to 200, not 201"),
    ("[retention]\nlast = 0", 2, "from 1 to 200, not 0"),
    ("[retention]\ndays = -1", 2, "from 0 to 3,650"),
    ('[retention]\nbytes = "2 apples"', 2, "must be a size"),
    ("[retention]\nbytes = true", 2, "must be a size"),
    ("retention.last = 900", 1, "from 1 to 200"),
    ("retention = 3", 1, "retention is a table: write [retention]"),
    ('[cache]\npath = "/a"', 1, "write [[cache]]"),
    ('[[cache]]\npath = "/a"', 1, 'lacks control, e.g. control = "public, max-age=60"'),
    ('[[cache]]\npath = "a"\ncontrol = "no-store"', 2, "cache.path is no path pattern: 'a' is no path"),
    ('[cors]\norigin = "*"\npaths = ["/*/*"]', 3, "two * in one source"),
    ('[[cache]]\npath = "/a"\ncontrol = "public"\n[[cache]]\npath = "/b"\ncontrol = "pubic"', 6, "mean public?"),
    ('[[cache]]\npath = "/a"\ncontrol = "max-age=soon"', 3, "wants max-age=SECONDS"),
    ('[[cache]]\npath = "/a"\ncontrol = "public, private"', 3, "both public and private"),
    ('[[cache]]\npath = "/a"\ncontrol = "no-store, no-store"', 3, "says no-store twice"),
    ('[[cache]]\npath = "/a"\ncontrol = "no-store\\r\\nX: y"', 3, "cannot be printed"),
    ('[[tags]]\npath = "/a"\ntags = ["two words"]', 3, "is no tag"),
    ('[precache]\nmax_bytes = "ten"', 2, "must be a size"),
    ('[service_worker]\ncheck = "soon"', 2, 'from "0s" to "365d"'),
    ('[service_worker]\ncheck = "366d"', 2, 'from "0s" to "365d"'),
    ("[service_worker]\nenabled = 1", 2, "service_worker.enabled must be true or false"),
    ('[service_worker]\ngateways = ["dweb.link"]', 2, "must be http://HOST:PORT or https://HOST"),
    ('[service_worker]\ngateways = ["https://a.example/?x"]', 2, "scheme, host and perhaps a path"),
    (f"[service_worker]\ngateways = {[f'https://{n}.example' for n in range(9)]}", 2, "holds 9, and 8 are the limit"),
    (f'[service_worker]\ngateways = ["https://{"a" * 249}"]', 2, "256 bytes are the limit"),
    ('[service_worker]\ngateways = ["https://bücher.example"]', 2, "scheme, host and perhaps a path"),
    ('[service_worker]\npass = ["api/*"]', 2, "is no path: start it with /"),
    ('[service_worker]\npass = ["/*"]', 2, "would pass everything: enabled = false does so"),
    ('[service_worker]\npass = ["/a/*/b"]', 2, "has a * before its end"),
    ('[service_worker]\npass = ["/ä"]', 2, "holds 'ä': write %C3%A4"),
    ('[service_worker]\npass = ["/a?b=c"]', 2, "it passes with every query"),
    ('[service_worker]\npass = ["/a/../b"]', 2, "has . or .. for a folder"),
    (f'[service_worker]\npass = ["/{"a" * 128}"]', 2, "is too long: 128 bytes are the limit"),
    (f"[service_worker]\npass = {[f'/{n}' for n in range(17)]}", 2, "holds 17, and 16 are the limit"),
    ("service_worker = true", 1, "service_worker is a table: write [service_worker]"),
    ("[html]\nintegrety = true", 2, "did you mean integrity?"),
    ('[cors]\norigin = "app.example.org"', 2, "must be http://"),
    ('[cors]\norigin = "https://app.example.org/x"', 2, "one origin"),
    ('[cors]\norigin = "null"', 2, "must be http://"),
    ('[redirects]\nexternal = ["*.example.org"]', 2, "not a lower-case DNS name"),
    ('[preview]\npassword = "hunter2"', 2, "`rim password` makes one"),
    ('[preview]\npassword = "scrypt$1048576$8$1$AAAA$AAAA"', 2, "scrypt's N: 1,048,576 is over the limit"),
    ('[preview]\nexpires = "soon"', 2, 'such as "12h" or "30d"'),
    ("[skew]\npin = 1", 2, "skew.pin must be true or false"),
    ('token = "t"', 1, "set RIM_TOKEN"),
    ("site = ", 1, "no TOML"),
    ('site = "a"\nspa = yes', 2, "no TOML"),
    ("[[[", 1, "no TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "words"), BAD, ids=[repr(text[:40]) for text, _, _ in BAD])
def test_what_cannot_be_meant(text: str, line: int, words: str, tmp_path: Path) -> None:
    """File, line, what is wrong, what would do, a near word; and the command ends with 2."""
    (tmp_path / "rim.toml").write_text(text)
    _, findings = examine(tmp_path)
    assert [(finding.level, finding.line) for finding in findings] == [("error", line)], findings
    assert words in findings[0].message
    with pytest.raises(Usage) as fault:
        load(tmp_path)
    assert f"{tmp_path}/rim.toml:{line}: error: " in fault.value.message
    assert fault.value.hint


def test_a_password_is_never_repeated(tmp_path: Path) -> None:
    """Who wrote the secret itself is not shown it in a log."""
    (tmp_path / "rim.toml").write_text('[preview]\npassword = "hunter2-the-secret"')
    with pytest.raises(Usage) as fault:
        load(tmp_path)
    assert "hunter2" not in fault.value.message + fault.value.hint


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Five errors are named, the others counted."""
    (tmp_path / "rim.toml").write_text("\n".join(f"k{n} = 1" for n in range(7)))
    with pytest.raises(Usage, match=r"rim\.toml:1: .*\n(?s:.*)rim\.toml:5: .*\n     and 2 more"):
        load(tmp_path)


def test_a_wrong_file_stops_every_command(shell: Shell) -> None:
    """Exit 2, file and line on stderr, before anything is asked of anyone."""
    (shell.home / "rim.toml").write_text('site = "docs"\nspa_mode = true\n')
    done = shell.rim("sites", RIM_ORIGIN="http://127.0.0.1:9", RIM_TOKEN="t")
    assert (done.returncode, done.stdout) == (2, "")
    assert "rim.toml:2: error: unknown key spa_mode" in done.stderr


def test_the_folders_own_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file or the other, never both."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert load(tmp_path) == Project()
    Path("rim.toml").write_text('site = "here"\nspa = true')
    assert load(tmp_path).site == "here"
    (tmp_path / "rim.toml").write_text('site = "there"')
    assert (load(tmp_path).site, load(tmp_path).spa) == ("there", None)


def test_the_shipped_schema_is_the_tables() -> None:
    """rim/schema/rim.schema.json says what the reader checks; else: rim schema > rim/schema/rim.schema.json"""
    shipped = Path(document.__file__).with_name("rim.schema.json").read_text(encoding="utf-8")
    assert shipped == document.text()
    keys = json.loads(shipped)["properties"]
    assert {name for name in keys if name not in table.keys_of("")} == {t.name for t in table.TABLES if t.name}
    assert keys["cache"]["items"]["required"] == ["path", "control"]
