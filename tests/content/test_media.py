"""Media types: by name alone, the same on every machine."""

from __future__ import annotations

import pytest

from content.media import compressible, media_type


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("/a/b.HTM", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/app.mjs", "text/javascript; charset=utf-8"),
        ("/app.js.map", "application/json"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/data.json", "application/json"),
        ("/site.webmanifest", "application/manifest+json"),
        ("/mod.wasm", "application/wasm"),
        ("/f.woff2", "font/woff2"),
        ("/f.ttf", "font/ttf"),
        ("/i.svg", "image/svg+xml"),
        ("/favicon.ico", "image/vnd.microsoft.icon"),
        ("/p.avif", "image/avif"),
        ("/feed.xml", "application/xml"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/LICENSE", "text/plain; charset=utf-8"),
        ("/clip.mp4", "video/mp4"),
        ("/scene.glb", "model/gltf-binary"),
        ("/types.d.ts", "text/plain; charset=utf-8"),
        ("/unknown.zzz", "application/octet-stream"),
        ("/none", "application/octet-stream"),
        ("/.html", "application/octet-stream"),
        ("/dir.html/none", "application/octet-stream"),
        ("/x.", "application/octet-stream"),
    ],
)
def test_type_of_a_name(path: str, expected: str) -> None:
    """The last extension decides, in any case; text says its charset; the rest are octets."""
    assert media_type(path) == expected


def test_what_is_worth_compressing() -> None:
    """Text, its structured kin, wasm and bare fonts; nothing that is packed already."""
    for extension in "html js css json map svg wasm ttf otf ico xml webmanifest gltf md".split():  # noqa: SIM905
        assert compressible(media_type(f"a.{extension}")), extension
    for extension in "woff2 woff png jpg webp avif mp4 zip gz pdf bin".split():  # noqa: SIM905
        assert not compressible(media_type(f"a.{extension}")), extension
    assert compressible("Text/HTML; charset=utf-8")
