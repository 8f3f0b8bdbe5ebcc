"""Starting: a first rim.toml for a folder, with what can be guessed filled in and all else in comments.

Here live the guesses and the text. Not here: writing it, and what is said of it (rim/commands/project), or what the
keys mean (rim/schema/table).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from rim.schema.table import KEYS, TABLES, Key
from rim.urls import label

_KNOWN = ("dist", "build", "out", "public", "_site", ".output/public", "www", "site")  # build folders, by their names
_TOOLS = (  # a word of a build script, and where that tool writes unless told otherwise
    ("nuxt generate", ".output/public"),
    ("react-scripts", "build"),
    ("docusaurus", "build"),
    ("svelte-kit", "build"),
    ("next build", "out"),
    ("eleventy", "_site"),
    ("jekyll", "_site"),
    ("gatsby", "public"),
    ("hugo", "public"),
    ("mkdocs", "site"),
    ("astro", "dist"),
    ("parcel", "dist"),
    ("vite", "dist"),
    ("vue-cli-service", "dist"),
    ("webpack", "dist"),
)
_OUTPUT = re.compile(r"--(?:out-?dir|outdir|dist-dir|dest|output-path|output|out)[ =]([\w./-]+)", re.IGNORECASE)
_MODULE = re.compile(rb"<script\b[^>]*\btype\s*=\s*[\"']?module\b", re.IGNORECASE)
_LOOKED_AT = 1 << 20  # bytes of an index.html
_WIDTH = 100
_HEAD = """\
# rim.toml: how this site is published and answered. What each key means: docs/rim-toml.md.
# A line "#key = value" is a key that is not set; its value is the default, or an example. Take the # away to set it.
# For completion in an editor that reads schemas: `rim schema > rim.schema.json`, and `#:schema ./rim.schema.json` as
# the first line of this file. The origin's token is never here: set RIM_TOKEN.
"""


@dataclass(frozen=True, slots=True)
class Guess:
    """What the folder looks like. `why` says how each was told."""

    site: str
    dir: str | None
    spa: bool
    why: dict[str, str]

    @property
    def values(self) -> dict[str, str]:
        """Key → TOML, of what is filled in."""
        given = {"site": json.dumps(self.site)} if self.site else {}
        if self.dir is not None:
            given["dir"] = json.dumps(self.dir)
        return {**given, **({"spa": "true"} if self.spa else {})}


def guess(folder: Path) -> Guess:
    """Look at a project's folder: package.json, then folders by their names, then itself."""
    package = _package(folder)
    name = str(package.get("name", "")).rpartition("/")[2]
    why = {"site": "package.json" if name else "the folder's name"}
    build, how = _build_folder(folder, package)
    if build is not None:
        why["dir"] = how
    spa = build is not None and _is_spa(folder / build)
    if spa:
        why["spa"] = "one page with a module script"
    return Guess(label(name or folder.resolve().name), build, spa, why)


def written(found: Guess) -> str:
    """The file: guessed keys set, all others in comments."""
    parts = [_HEAD]
    for table in TABLES:
        lines = [f"# {table.help}"]
        if table.name:
            lines.append(f"#{table.head}")
        for key in KEYS:
            if key.table == table.name:
                lines += _lines(key, found.values.get(key.full))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _lines(key: Key, value: str | None) -> Iterator[str]:
    yield from (f"# {line}" for line in wrap(f"{key.help} ({key.kind.words.replace('`', '')})", _WIDTH))
    yield f"#{key.name} = {key.example}" if value is None else f"{key.name} = {value}"


def _package(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _build_folder(folder: Path, package: dict[str, Any]) -> tuple[str | None, str]:
    """The build folder and how it was told. A script that names it wins over folders that happen to be there."""
    scripts = package.get("scripts")
    build = scripts.get("build") if isinstance(scripts, dict) else None
    if isinstance(build, str):
        if (named := _OUTPUT.search(build)) and (inside := _inside(named[1])):
            return inside, f"package.json: {build}"
        for word, place in _TOOLS:
            if word in build:
                return place, f"package.json: {build}"
    there = [name for name in _KNOWN if (folder / name / "index.html").is_file()]
    if there:
        return there[0], "it holds an index.html"
    return (".", "index.html is here") if (folder / "index.html").is_file() else (None, "")


def _inside(text: str) -> str:
    """The folder, if it lies below this one."""
    steps = [step for step in text.split("/") if step not in ("", ".")]
    return "" if text.startswith("/") or ".." in steps else "/".join(steps)


def _is_spa(folder: Path) -> bool:
    """Whether there is one page and it is a script's: then its other paths are that script's routes."""
    pages = (path for path in folder.rglob("*.htm*") if "node_modules" not in path.parts)
    if next((page for page in pages if page != folder / "index.html"), None) is not None:
        return False
    try:
        with open(folder / "index.html", "rb") as file:
            return bool(_MODULE.search(file.read(_LOOKED_AT)))
    except OSError:
        return False
