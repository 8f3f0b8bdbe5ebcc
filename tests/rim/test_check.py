"""`rim check`: what it finds, how it says so, and how it ends."""

from __future__ import annotations

from pathlib import Path

from tests.rim.conftest import Shell, site_folder

PAGE = """<!doctype html>
<link rel="stylesheet" href="css/app.css?v=1"><script src="/gone.js"></script>
<img src="https://example.org/x.png"><img src="data:image/png;base64,AAAA"><img src="//example.org/y.png">
<a href="#top">top</a> <a href="about">about</a> <a href="mailto:a@b.c">mail</a> <a href="docs/">docs</a>
<a href="/old">moved</a> <a href="/a%20b.txt">a b</a> <a href="http://[">broken</a> <a href="docs">docs</a>
"""
FILES = {
    "index.html": PAGE,
    "css/app.css": "body{}",
    "docs/index.html": "<a href='../index.html'>up</a><a href='../nowhere'>x</a>",
    "a b.txt": "x",
    "_redirects": "/old /docs/\n",
    "assets/index-BQk3xY9z.js": "1",
    "assets/app.js": "1",
    "8f3a9c1e.js": "1",
}


def test_a_good_folder(shell: Shell) -> None:
    """Nothing to say: one line, exit 0; also with --strict."""
    site_folder(shell.home / "site", {"index.html": "<a href='.'>here</a>", "a-0a1b2c3d.js": "1"})
    done = shell.rim("check", "site", "--strict")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2 files, 21 B, 1 of them immutable by their names; 0 errors, 0 warnings\n"


def test_references(shell: Shell) -> None:
    """What pages of the folder ask for and is not there: with file and line, as warnings."""
    site_folder(shell.home / "site", FILES)
    report = shell.result("check", "site")
    told = [(Path(f["file"]).name, f["line"], f["level"], f["message"].split()[2]) for f in report["findings"]]
    assert told == [
        ("index.html", 1, "warning", "/nowhere,"),
        ("index.html", 2, "warning", "/gone.js,"),
        ("index.html", 4, "warning", "/about,"),
    ]
    assert (report["errors"], report["warnings"]) == (0, 3)
    assert shell.rim("check", "site", "--strict").returncode == 2


def test_routes_of_a_single_page_app(shell: Shell) -> None:
    """With `spa` a link may be a route; a script must be there all the same. With clean_urls /about is about.html."""
    site_folder(shell.home / "site", {"index.html": PAGE, "css/app.css": "", "a b.txt": "", "docs/index.html": ""})
    (shell.home / "site/rim.toml").write_text("spa = true")
    assert [f["line"] for f in shell.result("check", "site")["findings"]] == [2]
    (shell.home / "site/rim.toml").write_text("clean_urls = true")
    site_folder(shell.home / "site", {"about.html": "", "old.html": ""})
    assert [f["line"] for f in shell.result("check", "site")["findings"]] == [2]


def test_one_fault_of_a_template_is_told_three_times(shell: Shell) -> None:
    """Not once for each of a thousand pages."""
    site_folder(shell.home / "site", {f"{n}.html": "<script src=/gone.js></script>" for n in range(20)})
    assert shell.result("check", "site")["warnings"] == 3


def test_what_is_immutable(shell: Shell) -> None:
    """By name, by rule, and what a person might have meant to be."""
    site_folder(shell.home / "site", FILES)
    (shell.home / "site/rim.toml").write_text(
        'immutable = ["/assets/**", "/nothing/*"]\n[[tags]]\npath="/x"\ntags=["a"]'
    )
    report = shell.result("check", "site")
    assert report["immutable"] == {
        "by_name": ["/assets/index-BQk3xY9z.js"],
        "by_rule": ["/assets/app.js"],
        "nearly": ["/8f3a9c1e.js"],
    }
    said = [(f["line"], f["message"]) for f in report["findings"] if f["file"].endswith("rim.toml")]
    assert said == [(1, 'immutable: no file is meant by "/nothing/*"'), (2, 'tags.path: no file is meant by "/x"')]
    text = shell.rim("check", "site").stdout
    assert "immutable, as rim.toml says: /assets/app.js\n" in text
    assert "look hash-named and are revalidated; rim.toml's `immutable` takes them: /8f3a9c1e.js\n" in text


def test_a_page_that_never_changes(shell: Shell) -> None:
    """A glob that takes pages in is most likely not meant."""
    site_folder(shell.home / "site", {"index.html": "x"})
    (shell.home / "site/rim.toml").write_text('immutable = ["/**"]')
    done = shell.rim("check", "site")
    assert done.returncode == 0
    assert "means the page /index.html" in done.stdout


def test_errors(shell: Shell) -> None:
    """Each on a line of its own as compilers write it; exit 2, on stdout, and nothing else needed: no origin."""
    site_folder(shell.home / "site", {"index.html": "x", ".env": "KEY=1", "README": "", "readme": ""})
    (shell.home / "site/_redirects").write_text("/a /b\n/b /a\n")
    (shell.home / "site/_headers").write_text("/a\n  Date: now\n  X: y\n")
    (shell.home / "site/rim.toml").write_text('site = "x"\nspaa = true\n')
    done = shell.rim("check", "site")
    place = shell.home / "site"
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[0] == f"{place}/rim.toml:2: error: unknown key spaa; did you mean spa?"
    assert lines[1].startswith(f"{place}/_headers:2: error: ")
    assert lines[2].startswith(f"{place}/_redirects:1: error: redirects without end")
    assert lines[3] == f"{place}/.env: error: looks like a secret: move it away, or name it in .rimignore"
    assert lines[4].startswith(f"{place}/readme: warning: differs from /README in case alone")
    assert lines[5].endswith("4 errors, 1 warning")


def test_a_name_that_no_release_can_hold(shell: Shell) -> None:
    """Said by name, exit 2."""
    site_folder(shell.home / "site", {"/".join(["d" * 200] * 6) + ".txt": "x"})
    done = shell.rim("check", "site")
    assert done.returncode == 2
    assert "bytes of a path" in done.stdout


def test_the_folder_of_rim_toml(shell: Shell) -> None:
    """`dir` is the folder where none is given, relative to the file; without both, exit 2 says what to do."""
    none = shell.rim("check")
    assert (none.returncode, none.stdout) == (2, "")
    assert "rim init" in none.stderr
    site_folder(shell.home / "dist", {"index.html": "x"})
    (shell.home / "rim.toml").write_text('dir = "dist"')
    assert shell.result("check")["files"] == 1
    assert shell.rim("check", "nowhere").returncode == 2


def test_publish_takes_the_folder_of_rim_toml(user: Shell) -> None:
    """`rim publish` alone."""
    site_folder(user.home / "dist", {"index.html": "x"})
    (user.home / "rim.toml").write_text('dir = "dist"\nsite = "by-dir"')
    assert user.result("publish", "--no-warm")["site"] == "by-dir"
