"""Ten real releases of npm packages, each with the one before it: what a returning visitor's browser has, and needs.

Here live which file of each package a site serves, and its name as a bundler writes it. Not here: who serves them, and
what is measured (tests/browser/test_deltas, bench/returning).

One file per pair: the smallest build for production that a page can load as it is. Nothing is left out for being
unlikely to shrink: lodash's 4.17.21 was minified anew under other names and shrinks least.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.kit.npm import package


@dataclass(frozen=True, slots=True)
class Pair:
    """Two releases of a package, and the file of it that is served."""

    package: str
    old: str
    new: str
    file: str
    stem: str  # of its name: the bundle's or chunk's own

    def read(self, version: str) -> bytes:
        """The file as that release has it."""
        return (package(f"{self.package}@{version}") / self.file).read_bytes()

    def path(self, body: bytes) -> str:
        """`/assets/vue-BQk3xY9z.js`: where a bundler puts these bytes."""
        return f"/assets/{self.stem}-{content_hash(body)}{PurePosixPath(self.file).suffix}"

    def __str__(self) -> str:
        return f"{self.package} {self.old} → {self.new}"


PAIRS = (
    Pair("bootstrap", "5.3.2", "5.3.3", "dist/js/bootstrap.bundle.min.js", "bootstrap"),
    Pair("jquery", "3.7.0", "3.7.1", "dist/jquery.min.js", "jquery"),
    Pair("vue", "3.5.12", "3.5.13", "dist/vue.runtime.global.prod.js", "vue"),
    Pair("react-dom", "18.2.0", "18.3.1", "umd/react-dom.production.min.js", "react-dom"),
    Pair("chart.js", "4.4.3", "4.4.4", "dist/chart.umd.js", "chart"),
    Pair("three", "0.151.0", "0.152.0", "build/three.min.js", "three"),
    Pair("htmx.org", "1.9.11", "1.9.12", "dist/htmx.min.js", "htmx"),
    Pair("moment", "2.29.4", "2.30.1", "min/moment.min.js", "moment"),
    Pair("d3", "7.8.5", "7.9.0", "dist/d3.min.js", "d3"),
    Pair("lodash", "4.17.20", "4.17.21", "lodash.min.js", "lodash"),
)
# Over 1 MiB, so of more than one block; in no sum, as it is three once more.
LARGE = Pair("three", "0.151.0", "0.152.0", "build/three.module.js", "three.module")


def content_hash(body: bytes) -> str:
    """The eight characters that Rollup takes of a hash in base64url. (Its own hash is another one; it is as random.)"""
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest())[:8].decode()


def fill(folder: Path, new: bool, pairs: tuple[Pair, ...] = PAIRS) -> dict[Pair, str]:
    """Write the site of one deploy below `folder`: these files, and a page that loads them all in turn. Returns their
    paths. Needs npm the first time."""
    (folder / "assets").mkdir(parents=True, exist_ok=True)
    paths = {}
    for pair in pairs:
        body = pair.read(pair.new if new else pair.old)
        paths[pair] = pair.path(body)
        (folder / paths[pair].lstrip("/")).write_bytes(body)
    scripts = "".join(f'<script src="{path}"></script>\n' for path in paths.values())
    page = f'<!doctype html>\n<html lang="en"><title>pairs</title><link rel="icon" href="data:,">\n{scripts}</html>\n'
    (folder / "index.html").write_text(page)
    return paths
