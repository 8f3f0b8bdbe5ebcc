"""Hash-named paths: real names from real builds, and the look-alikes that a rule must leave alone."""

from __future__ import annotations

import pytest

from content.naming import is_hash_named, is_nearly_hash_named

TAKEN = {
    "Vite, Rollup: 8 of base64url": [
        "assets/index-BQk3xY9z.js",
        "assets/logo-C2rfpzNq.svg",
        "assets/react-CHdo91hT.svg",
        "assets/vendor-_pL9wXQz.js",
        "assets/index-B-x_9aZq.js",
        "assets/Home--bC1d2E3.js",
        "assets/useTheme-DqWFX0bl.js",
        "assets/KaTeX_AMS-Regular-DRggAlZN.ttf",
        "assets/inter-latin-400-normal-C38fXH4l.woff2",
        "assets/about.BKUFDhIu.js",
        "_astro/index.DBvQnLTk.css",
        "_app/immutable/entry/start.CgXZk2a0.js",
    ],
    "esbuild, Angular 17+: 8 of base32": [
        "chunk-KQZTXWPL.js",
        "main-6ZJ7WQ2F.js",
        "polyfills-FFHMD2TL.js",
        "styles-5INURTSO.css",
        "media/roboto-2FZLQ7PX.woff2",
        "app-M5VYJ3CW.js",
    ],
    "webpack: hex": [
        "static/js/main.8f3a9c1e.js",
        "static/css/main.e6c13ad2.css",
        "static/media/logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
        "main.0a1b2c3d4e5f6a7b8c9d.js",
        "787.b1e5dc3b.css",
        "vendors~main.d8b2a1f0.js",
        "runtime-main.4f1b9e2c.js",
    ],
    "Angular before 17: hex": [
        "runtime.7f95ee6b75f2b4de.js",
        "main.65e9b2a4ad41b6a1.js",
        "styles.ef46db3751d8e999.css",
    ],
    "Next: hex": [
        "_next/static/chunks/framework-2c16ac744b6cdea6.js",
        "_next/static/chunks/main-app-3f2a9c1e8b7d6c5a.js",
        "_next/static/chunks/app/layout-8d2f1c0b9e7a6f54.js",
        "_next/static/chunks/webpack-59c5c889f52620d6.js",
    ],
    "Parcel: hex": ["index.4c2e8a1f.css", "index.7ed0f1b2.js", "logo.0e1c3a5d.png"],
    "upper-case hex, base32 of letters, a long type": [
        "a.DEADBEE1.js",
        "a-ABCDEFGH.js",
        "f-BQk3xY9z.webmanifest",
    ],
}

LEFT = {
    "people's names": [
        "jquery-3.7.1.min.js",
        "bootstrap.bundle.min.js",
        "codicon.ttf",
        "CamelCaseComponent.js",
        "app-settings.js",
        "app-Settings.js",
        "my-FooBarBa.js",
        "my-fooBarBa.js",
        "x-Comp_Bar.js",
        "x-my-Title.js",
        "icon-password.svg",
        "arrow-left-circle-fill.svg",
        "file-earmark-spreadsheet.svg",
        "photo-2024.jpg",
        "index-20240101.html",
        "report.20240101.pdf",
        "build-1234567890.txt",
        "tel-22334455.html",
        "README.md",
        "LICENSE-MIT.txt",
        "roboto-v30-latin-regular.woff2",
        "Inter-SemiBold.ttf",
        "three.module.min.js",
        "editor.main.nls.zh-cn.js",
        "v1.2.3.tar",
        "lodash-4.17.21.js",
        "d3.v7.js",
        "page-facade.html",
        "a-deadbeef.js",  # hex without a digit is a word
        "a-defaced.js",
        "x.a1b2c3d.js",  # seven of hex
        "chunk-ABC2345.js",  # seven of base32
        "chunk-QRST23456.js",  # nine of it
        "chunk-QRST1890.js",  # not base32, and one case only
        "index_BQk3xY9z.js",  # underscore is no separator
        "indexBQk3xY9z.js",
        "index-BQk3xY9zz.js",  # nine
        "index-QBQk3xY9z.js",
    ],
    "a whole stem": [
        "8f3a9c1e.js",
        "BQk3xY9z.js",
        "ABCD2345.js",
        ".8f3a9c1e.js",
        "-8f3a9c1e.js",
        "3a4b5c6d7e8f9a0b.css",
    ],
    "not before the extension": [
        "index-BQk3xY9z.js.map",  # the map changes where the code does not: Rollup hashes code, comments are in the map
        "787.1c2d3e4f.chunk.js",
        "main.8f3a9c1e.js.LICENSE.txt",
        "index-BQk3xY9z.min.js",
        "main.8f3a9c1e.",
        "index-BQk3xY9z",
        "main.8f3a9c1e",
    ],
    "folders do not count": ["app-BQk3xY9z/index.html", "main.8f3a9c1e/x.js", "main.8f3a9c1e/.js"],
    "words that hash like words: a conditional request each, never a stale file": [
        "index-DiwrgTda.css",
        "index-CwbAcaIo.css",
    ],
}


@pytest.mark.parametrize("name", [name for names in TAKEN.values() for name in names])
def test_names_with_a_hash(name: str) -> None:
    """What bundlers write is known at sight, in whatever folder."""
    assert is_hash_named("/" + name)
    assert is_hash_named("/deep/er/" + name.rpartition("/")[2])


@pytest.mark.parametrize("name", [name for names in LEFT.values() for name in names])
def test_names_without_a_hash(name: str) -> None:
    """What people write, and what only resembles a hash, stays revalidated."""
    assert not is_hash_named("/" + name)


def test_newline_in_a_name_is_no_end() -> None:
    """A name is looked at whole: a line of it that would pass does not make it pass."""
    assert not is_hash_named("/main.8f3a9c1e.js\n")
    assert not is_hash_named("/main.8f3a9c1e.js\n.txt")


def test_declared_globs() -> None:
    """A site may name its own, by a glob over the whole path: `*` stays in its folder, `**` does not."""
    assert is_hash_named("/assets/app.js", ["/assets/*"])
    assert is_hash_named("/assets/x/app.js", ["/assets/**/*.js"])
    assert not is_hash_named("/assets/x/app.js", ["/assets/*.js"])
    assert not is_hash_named("/app.js", ["/assets/*"])


def test_near_misses_are_listed() -> None:
    """What a person should look at: a whole stem, a hash of seven; not plain words, nor what is taken already."""
    assert all(map(is_nearly_hash_named, ("/8f3a9c1e.js", "/x.a1b2c3d.js", "/index_BQk3xY9z.js")))
    assert not any(map(is_nearly_hash_named, ("/app-settings.js", "/main.8f3a9c1e.js", "/a-20240101.html")))
