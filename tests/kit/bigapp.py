"""An app of 200 hashed assets, built by a real Vite in two versions: the sources are tests/kit/snippets.

Here live what is put beside the sources (icons, fonts, a module per language), the four edits of the second version,
and the build, which is kept per machine. Not here: a service worker for it (tests/kit/workbox, rim.toml).

It is a page for notes, a search, a calendar and highlighted code, of what such pages are made of: react, react-dom,
bootstrap's style, marked, fuse.js, dayjs, 126 lazy languages of highlight.js, 60 icons, Inter in six weights. Between
the versions react-dom goes from 18.2.0 to 18.3.1 and four files of the app are edited, a few lines each; Vite gives
the five chunks new names. (`main` holds the names of the others, so it would change with them; it is one of the four.)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.kit.npm import alone, cache, installed, package
from tests.kit.programs import needed
from tests.kit.vite import VITE

SOURCES = Path(__file__).parent / "snippets"
ASSETS = 200
LANGUAGES, ICONS, WEIGHTS = 126, 60, (300, 400, 500, 600, 700, 900)
_HIGHLIGHT, _BOOTSTRAP_ICONS, _INTER = "highlight.js@11.9.0", "bootstrap-icons@1.11.3", "@fontsource/inter@5.0.18"
_SAME = ("react@18.2.0", "bootstrap@5.3.3", "marked@12.0.2", "fuse.js@7.0.0", "dayjs@1.11.11")


class Version(NamedTuple):
    """What one version is built from."""

    dom: str
    scheduler: str
    edited: bool


ONE = Version("18.2.0", "0.23.0", edited=False)
TWO = Version("18.3.1", "0.23.2", edited=True)
# The second version's edits: file, what stood there, what stands there now.
EDITS = (
    ("src/main.js", 'h("h1", null, "Snippets"),', 'h("h1", { title: "Version 2" }, "Snippets"),'),
    ("src/main.js", ".slice(0, 12)", ".slice(0, 16)"),
    ("src/routes/notes.js", "value: text,", 'value: text, rows: text.split("\\n").length + 2,'),
    ("src/routes/notes.js", "Write *here*.", "Write *here*, in **Markdown**."),
    ("src/routes/search.js", "{ threshold: 0.4 }", "{ threshold: 0.3, includeScore: true }"),
    ("src/routes/search.js", "found.map(({ item })", "found.slice(0, 20).map(({ item })"),
    ("src/routes/calendar.js", '"next"),', '"next month"),'),
    ("src/routes/calendar.js", '"ddd D"', '"dddd, D MMMM"'),
)


def built(version: Version) -> Path:
    """The folder that Vite made of this version; it is kept, so do not change it. Needs npm, and node with it."""
    texts = [f"{version} {EDITS} {LANGUAGES} {ICONS}", *(file.read_text() for file in _files(SOURCES))]
    name = hashlib.sha256("\0".join([*texts, VITE, *_SAME]).encode()).hexdigest()[:16]
    kept = cache().parent / "bigapp" / name
    with alone(kept):
        if not kept.is_dir():
            work = Path(tempfile.mkdtemp(dir=kept.parent))
            try:
                shutil.copytree(SOURCES, work / "app")
                _complete(work / "app", version)
                _build(work / "app", work / "dist", version)
                os.replace(work / "dist", kept)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return kept


def assets(dist: Path) -> dict[str, bytes]:
    """The hashed files of a build, by path."""
    return {"/" + file.relative_to(dist).as_posix(): file.read_bytes() for file in _files(dist / "assets")}


def _complete(app: Path, version: Version) -> None:
    """Put beside the sources what comes out of packages, and edit them."""
    modules = (package(_HIGHLIGHT) / "es" / "languages").glob("*.js")
    found = sorted(module.stem for module in modules if "." not in module.stem)
    lines = [f'  "{name}": () => import("highlight.js/languages/{name}"),\n' for name in found[:LANGUAGES]]
    (app / "src" / "languages.js").write_text(f"export const languages = {{\n{''.join(lines)}}};\n")
    icons = sorted((package(_BOOTSTRAP_ICONS) / "icons").glob("*.svg"))
    _copy(icons[:: len(icons) // ICONS][:ICONS], app / "src" / "icons")
    fonts = [package(_INTER) / "files" / f"inter-latin-{weight}-normal.woff2" for weight in WEIGHTS]
    _copy(fonts, app / "src" / "fonts")
    faces = [
        f'@font-face {{ font-family: Inter; font-weight: {weight}; src: url("./fonts/{font.name}"); }}\n'
        for weight, font in zip(WEIGHTS, fonts, strict=True)
    ]
    rest = "body { font-family: Inter, sans-serif; }\n.icons img { width: 24px; margin: 4px; }\n"
    (app / "src" / "main.css").write_text("".join(faces) + rest)
    for name, old, new in EDITS if version.edited else ():
        text = (app / name).read_text()
        assert text.count(old) == 1, (name, old)
        (app / name).write_text(text.replace(old, new))


def _build(app: Path, dist: Path, version: Version) -> None:
    for spec in (*_SAME, f"react-dom@{version.dom}", f"scheduler@{version.scheduler}"):
        package(spec)
    vite = installed(VITE) / "vite" / "bin" / "vite.js"
    command = [needed("node"), str(vite), "build", "--outDir", str(dist), "--logLevel", "warn"]
    told = {**os.environ, "KEPT": str(cache()), "DOM": version.dom, "SCHEDULER": version.scheduler}
    done = subprocess.run(
        command, cwd=app, env=told, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"vite: {done.returncode}\n{done.stdout}\n{done.stderr}"
    made = len(list((dist / "assets").iterdir()))
    assert made == ASSETS, f"{made} assets"


def _copy(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())
