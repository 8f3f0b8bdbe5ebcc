#!/usr/bin/env python3
"""Builds site/ from src/: names each asset by its content, writes the pages, lists the files. Standard library only.

A file of src/assets is written as site/assets/NAME.HASH.EXT, where HASH is the first twelve hex digits of the SHA-256
of the bytes written. Its text may name other assets (`/assets/style.css`); those are named first, so a change deep down
renames everything above it, and nothing else. Fonts and pictures are kept as they are: see src/README.md.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

HERE = Path(__file__).resolve().parent
SRC, SITE = HERE / "src", HERE / "site"
TEXT = {".css", ".js", ".svg", ".html"}
ASSET = re.compile(r"/assets/([a-z0-9-]+\.[a-z0-9]+)(?![\w.])")
PICTURES = {
    "atoll": "Atoll: layers of sand and turquoise round a deep lagoon.",
    "crater": "Crater: terraces from yellow to dark red, going down.",
    "iris": "Iris: blue rings that grow darker towards the middle.",
    "growth": "Growth: brown rings, as of a tree that grew on a slope.",
    "lagoon": "Lagoon: violet slopes around two pale islands.",
    "moss": "Moss: a pale green summit over dark woods.",
}


def main() -> None:
    """Write site/ anew and say how large it is."""
    shutil.rmtree(SITE, ignore_errors=True)
    (SITE / "assets").mkdir(parents=True)
    names: dict[str, str] = {}
    for source in sorted((SRC / "assets").iterdir()):
        emit(source.name, names)
    layout = (SRC / "layout.html").read_text(encoding="utf-8")
    for page in sorted((SRC / "pages").iterdir()):
        write_page(page.read_text(encoding="utf-8"), layout, names)
    for plain in ("robots.txt", "fonts-license.txt", "rim.toml"):
        shutil.copyfile(SRC / plain, SITE / plain)
    write_list(names)
    files = [p for p in SITE.rglob("*") if p.is_file()]
    print(f"site/: {len(files)} files, {sum(p.stat().st_size for p in files):,} bytes")


def emit(name: str, names: dict[str, str]) -> str:
    """Write one asset, and first those that it names. Returns its name with the hash in it."""
    if name in names:
        return names[name]
    source = SRC / "assets" / name
    data = source.read_bytes()
    if source.suffix in TEXT:
        data = name_assets(data.decode(), names).encode()
    names[name] = f"{source.stem}.{digest(data)}{source.suffix}"
    (SITE / "assets" / names[name]).write_bytes(data)
    return names[name]


def digest(data: bytes) -> str:
    """Twelve hex digits; more where those hold no letter or no digit: that would not be read as a hash."""
    whole = hashlib.sha256(data).hexdigest()
    length = 12
    while whole[:length].isdigit() or whole[:length].isalpha():
        length += 1
    return whole[:length]


def name_assets(text: str, names: dict[str, str]) -> str:
    """The text with every asset under its hashed name."""
    return ASSET.sub(lambda found: f"/assets/{emit(found[1], names)}", text)


def write_page(text: str, layout: str, names: dict[str, str]) -> None:
    """A page: the comments at its head say what goes into the layout, the rest is <main>."""
    meta = dict(re.findall(r"<!-- (\w+): (.*?) -->\n", text))
    meta["main"] = re.sub(r"<!-- (\w+): (.*?) -->\n", "", text).rstrip().replace("{{gallery}}", gallery())
    page = re.sub(r"{{(\w+)}}", lambda found: meta[found[1]], layout)
    target = SITE / meta["path"]
    target.parent.mkdir(exist_ok=True)
    target.write_text(name_assets(page, names), encoding="utf-8")


def gallery() -> str:
    """The pictures, each as AVIF with WebP behind it."""
    return "\n".join(
        f"""  <figure class="plate">
    <picture>
      <source srcset="/assets/{name}.avif" type="image/avif">
      <img src="/assets/{name}.webp" width="1200" height="900" loading="{"eager" if i < 2 else "lazy"}" alt="{text}">
    </picture>
    <figcaption data-caption><span class="mono">{name}</span> <span class="soft">asking…</span></figcaption>
  </figure>"""
        for i, (name, text) in enumerate(PICTURES.items())
    )


def write_list(names: dict[str, str]) -> None:
    """files.json: what the first page asks for. Paths are as a browser asks: a folder, not its index.html."""
    plain = {hashed: name for name, hashed in names.items()}
    rows = []
    for path in sorted(p for p in SITE.rglob("*") if p.is_file() and p.name not in ("rim.toml", "404.html")):
        url = "/" + path.relative_to(SITE).as_posix().removesuffix("index.html")
        rows.append({"path": url, "name": plain.get(path.name, url), "size": path.stat().st_size})
    (SITE / "files.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
