"""A small real site whose page tells of which release each of its parts is: pages, styles, modules, a worker script,
WebAssembly, JSON, a picture, a font, and a sound of 5 MiB.

Here live its files, what they would be if somebody lied, and what the page says of itself. Not here: publishing it
(tests/kit/ring), the browser (tests/kit/chromium).
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from playwright.sync_api import Page

# One glyph, "A", three em wide (made with fontTools 4.68): no font of a machine has that width
_FONT = base64.b64decode(
    "d09GRgABAAAAAAI8AAoAAAAAAlwAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAABPUy8yAAABZAAAACkAAABgRSBJe2NtYXAAAAGYAAAAKQAAADQADACU"
    "Z2x5ZgAAAcwAAAAYAAAAGCT7MwhoZWFkAAAA9AAAADYAAAA2L2qxNmhoZWEAAAEsAAAAIAAAACQFFhS3aG10eAAAAZAAAAAIAAAACA2sAABsb2Nh"
    "AAABxAAAAAYAAAAGAAwAAG1heHAAAAFMAAAAFgAAACAABAAGbmFtZQAAAeQAAABKAAAAV0c9cG5wb3N0AAACMAAAAAwAAAAgAAMAAAABAAAAAQAA"
    "vk82CF8PPPUAAwPoAAAAAOcwNzEAAAAA5zA3MQAAAAAB9AH0AAAAAwACAAAAAAAAeJxjYGRgYFb4b8HAwL2DgYHzCOMXBqAICmACAF70A+R4nGNg"
    "ZGBgYGJgYQDRIBYaAAABEgALAAB4nGNgZrvGOIGBlYGFgTBgRObYAwGQcmRwZFYA8YHkCTT1QHEA0T8EJwAAAAH0AAALuAAAeJxjYGBgYmBgYAZi"
    "ESDJCKZZGBSANAsQgviO//9DyP8HwHwGAFKXBp0AAAAAAAAAAAwAAAABAAAAAAH0AfQAAwAAMREhEQH0AfT+DHicLcgxCsAgEETRvyokIWCTu+Qg"
    "NtaCiwhWgvfPBhwYeDNA4EX4I2a2HYctj4TLnpN72xF5cq+atK1RJplORUnWxmJQmB/OcAleAAB4nGNgZsALAAB9AAQ="
)
PRECACHED = (".html", ".css", ".js", ".json", ".wasm", ".png", ".woff")
LONG = 5 << 20  # bytes of the sound: more than a worker verifies before it is heard

_PAGE = """<!doctype html><html lang="en" data-of="@of@"><head><meta charset="utf-8"><title>@title@ of @of@</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/app.css"><link rel="stylesheet" href="@theme@">
<script>window.whole = new Promise(done => { window.done = done; });
const broken = () => done({ html: document.documentElement.dataset.of, main: "failed" });
addEventListener("error", ({ filename }) => /(main|lib)-/.test(filename) && broken());</script>
<script src="/classic.js"></script>
<script type="module" src="@main@" onerror="broken()"></script>
@client@</head><body><h1>@title@</h1><nav><a href="/">home</a> <a href="/deep/page/">deep</a> <a href="/about">about</a>
</nav><output></output></body></html>"""
_MAIN = """import { lib } from "@lib@";
const attempt = async what => {
  window.trying = what;
  try { return await what(); } catch (error) { return `failed: ${error}`; }
};
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).replaceAll('"', "").trim();
const json = async path => (await fetch(path)).json();
const picture = async path => {
  const image = new Image();
  image.src = path;
  await image.decode();
  return String(image.naturalWidth);
};
const font = async () => {
  const [face] = await document.fonts.load("10px Wide", "A");
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "10px Wide";
  return face ? String(Math.round(pen.measureText("A").width)) : "failed";
};
const job = path => new Promise((done, failed) => {
  const worker = new Worker(path, { type: "module" });
  worker.onmessage = event => done(event.data);
  worker.onerror = () => failed(new Error("the worker's script"));
});
const wasm = async path => {
  const { instance } = await WebAssembly.instantiateStreaming(fetch(path));
  return `v${instance.exports.v()}`;
};
// What a tab asks for long after it was loaded
window.later = async () => ({
  lazy: await attempt(async () => (await import("@lazy@")).lazy),
  data: await attempt(() => json("/data.json?again")),
  css: await attempt(async () => (await (await fetch("/app.css")).text()).match(/v\\d+|lie/)[0]),
});
window.done({
  html: document.documentElement.dataset.of, main: "@of@", lib, classic: window.classic ?? "failed",
  css: style("--css"), theme: style("--theme"),
  data: await attempt(() => json("/data.json")), wasm: await attempt(() => wasm("@wasm@")),
  job: await attempt(() => job("@job@")), picture: await attempt(() => picture("/picture.png")),
  font: await attempt(font),
});
"""
_PARTS = """() => {
  const late = (_, failed) => setTimeout(() => failed(Error(`a minute for ${window.trying ?? "its scripts"}`)), 60_000);
  return Promise.race([window.whole ?? {}, new Promise(late)]);
}"""


@dataclass(frozen=True)
class Whole:
    """The folder of one version; `paths` has the URL path of each part."""

    folder: Path
    version: str
    paths: Mapping[str, str]

    @property
    def parts(self) -> dict[str, str]:
        """What the page of this version, whole, says of itself."""
        of_version = ("html", "main", "classic", "css", "theme", "data", "wasm", "job")
        return {**dict.fromkeys(of_version, self.version), "lib": "lib", "picture": "8", "font": "30"}

    @property
    def hashed(self) -> set[str]:
        """The paths under a hash of their own."""
        return {path for path in self.paths.values() if path.startswith("/assets/")}

    def precached(self) -> dict[str, bytes]:
        """What a worker fetches unasked under `toml()`, by the path that a page would ask for."""
        found = {}
        for file in self.folder.rglob("*"):
            if file.is_file() and file.suffix in PRECACHED:
                path = "/" + file.relative_to(self.folder).as_posix()
                found[path.removesuffix("index.html")] = file.read_bytes()
        return found

    def other_than(self, before: Whole) -> set[str]:
        """The paths of these whose bytes the version before had nowhere."""
        known = set(before.precached().values())
        return {path for path, data in self.precached().items() if data not in known}


def toml(check: str = "0s", globs: Sequence[str] = tuple(f"*{suffix}" for suffix in PRECACHED), more: str = "") -> str:
    """A rim.toml with a worker that fetches these unasked."""
    return f'[service_worker]\ncheck = "{check}"\n{more}\n[precache]\nglobs = {json.dumps(globs)}\n'


def make(folder: Path, number: int, toml: str = "", client: bool = True, files: Mapping[str, bytes] = {}) -> Whole:
    """Write version `number` below `folder`; `client` has pages load /.rim/client.js. `files` come on top. Between two
    versions `lib`, the picture, the font, /about.html and the sound are the same, all the rest is another."""
    of, out = f"v{number}", folder / f"v{number}"
    paths = {"css": "/app.css", "classic": "/classic.js", "data": "/data.json", "picture": "/picture.png"}
    (out / "assets").mkdir(parents=True)

    def put(path: str, data: bytes) -> None:
        file = out / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def named(part: str, suffix: str, data: bytes) -> None:
        paths[part] = f"/assets/{part}-{hashlib.sha256(data).hexdigest()[:12]}.{suffix}"
        put(paths[part], data)

    named("lib", "js", b'export const lib = "lib";\n' + b"// the library: the same in every version\n" * 50)
    named("lazy", "js", f'export const lazy = "{of}";'.encode())
    named("wasm", "wasm", wasm(number))
    named("job", "js", f'postMessage("{of}");'.encode())
    named("font", "woff", _FONT)
    face = f"@font-face {{ font-family: Wide; src: url({paths['font']}) }}"
    named("theme", "css", f':root {{ --theme: "{of}" }}\n{face}'.encode())
    named("main", "js", _filled(_MAIN, of, paths).encode())
    script = '<script type="module" src="/.rim/client.js"></script>' if client else ""
    for title, path in (("home", "/index.html"), ("deep", "/deep/page/index.html"), ("missing", "/404.html")):
        put(path, _filled(_PAGE, of, paths).replace("@title@", title).replace("@client@", script).encode())
    put("/about.html", b"<!doctype html><title>about</title><link rel=icon href=data:,><h1>about</h1>")
    put("/app.css", f':root {{ --css: "{of}" }}'.encode())
    put("/classic.js", f'window.classic = "{of}";'.encode())
    put("/data.json", f'"{of}"'.encode())
    put("/picture.png", png(8))
    put("/notes.txt", f"notes of {of}".encode())
    put("/sound.wav", wav(LONG))
    put("/rim.toml", toml.encode())
    for path, data in files.items():
        put(path, data)
    return Whole(out, of, MappingProxyType({**paths, "html": "/"}))


def lies(of: Whole) -> dict[str, tuple[str, bytes]]:
    """For each part: its path, and well-formed bytes that would have the page believe something else."""
    told = {
        "css": b':root { --css: "lie" }',
        "theme": b':root { --theme: "lie" }',
        "classic": b'window.classic = "lie";',
        "data": b'"lie"',
        "main": b"window.done({ main: 'lie' });",
        "lib": b'export const lib = "lie";',
        "job": b'postMessage("lie");',
        "wasm": wasm(63),
        "picture": png(4),
        "font": bytes(len(_FONT)),
    }
    return {part: (of.paths[part], data) for part, data in told.items()}


LYING_PAGE = b"<!doctype html><html data-of=lie><title>lie</title><script>window.whole = { html: 'lie' }</script>"


def parts(page: Page) -> dict[str, Any]:
    """What the page says of itself, once it has tried everything. A page that is none of ours says {}; one for which
    a request was lost says so after a minute, and what it waits for."""
    found: dict[str, Any] = page.evaluate(_PARTS)
    return found


def later(page: Page) -> dict[str, Any]:
    """What an open tab gets when it asks for more: its lazy chunk, and two files under fixed names."""
    found: dict[str, Any] = page.evaluate("window.later()")
    return found


def wasm(number: int) -> bytes:
    """A module whose function `v` returns this number (below 64: one byte of LEB128)."""
    head = b"\0asm\1\0\0\0" + b"\1\5\1\x60\0\1\x7f" + b"\3\2\1\0" + b"\7\5\1\1v\0\0"
    return head + b"\x0a\6\1\4\0\x41" + bytes([number]) + b"\x0b"


def png(width: int) -> bytes:
    """A black picture, one pixel high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 + width))) + chunk(b"IEND", b"")


def wav(size: int) -> bytes:
    """Silence, so long: 8 bit, mono, 48 kHz."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48_000, 48_000, 1, 8)
    data = b"data" + struct.pack("<I", size - 44) + b"\x80" * (size - 44)
    return b"RIFF" + struct.pack("<I", size - 8) + b"WAVE" + form + data


def _filled(text: str, of: str, paths: Mapping[str, str]) -> str:
    for part, path in paths.items():
        text = text.replace(f"@{part}@", path)
    return text.replace("@of@", of)
