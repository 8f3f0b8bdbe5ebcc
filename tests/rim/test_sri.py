"""`rim sri`: the integrity values of a live site, as browsers compare them."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from tests.rim.conftest import Shell, site_folder

FILES: dict[str, bytes | str] = {
    "index.html": "<h1>hi</h1>",
    "app.js": "let a = 1",
    "css/app.css": "body{}",
    "long.mjs": "x" * (1 << 20) + "y",  # two blocks: the CID says nothing of the whole
    "_headers": "/*\n  X-A: b\n",
}


def expected(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return "sha256-" + b64encode(sha256(raw).digest()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = site_folder(tmp_path_factory.mktemp("sri") / "sri", FILES)
    (made / "link.js").symlink_to("app.js")
    return made


def test_scripts_and_styles(user: Shell, folder: Path) -> None:
    """By default what browsers check: each with the hash of all its bytes, however many blocks it has."""
    published = user.result("publish", folder)
    value = user.result("sri", "sri")
    assert (value["site"], value["release"], value["root"]) == ("sri", published["release"], published["root"])
    assert {row["path"]: row["integrity"] for row in value["files"]} == {
        f"/{name}": expected(FILES[name]) for name in ("app.js", "css/app.css", "long.mjs")
    }
    assert value["files"][0] | {"integrity": ""} == {
        "path": "/app.js",
        "integrity": "",
        "type": "text/javascript; charset=utf-8",
        "size": 9,
    }
    lines = user.rim("sri", "sri").stdout.splitlines()
    assert lines[0].split() == ["PATH", "INTEGRITY"]
    assert lines[1].split() == ["/app.js", expected(FILES["app.js"])]


def test_all_and_some(user: Shell, folder: Path) -> None:
    """--all is every file that is served; paths are those files in that order, with or without a slash before."""
    user.result("publish", folder)
    assert [row["path"] for row in user.result("sri", "sri", "--all")["files"]] == [
        "/app.js",
        "/css/app.css",
        "/index.html",
        "/long.mjs",
    ]
    assert [row["path"] for row in user.result("sri", "sri", "index.html", "/app.js")["files"]] == [
        "/index.html",
        "/app.js",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sri", "/gone.js"), "no file /gone.js"),
        (("sri", "_headers"), "no file /_headers"),
        (("sri", "link.js"), "is a link to app.js"),
        (("nobody",), "nobody"),
    ],
)
def test_what_is_not_there(user: Shell, folder: Path, arguments: tuple[str, ...], words: str) -> None:
    """Exit 3, and what to do."""
    user.result("publish", folder)
    done = user.rim("sri", *arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_nothing_live(user: Shell) -> None:
    """A site without a release."""
    user.result("site", "add", "empty-sri")
    done = user.rim("sri", "empty-sri")
    assert done.returncode == 3
    assert "nothing live" in done.stderr
