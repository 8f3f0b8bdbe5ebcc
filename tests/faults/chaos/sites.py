"""What sites are made of: the files of every release, out of the seed.

Here live names and bytes. Paths without a hash stay and change their bytes with each release, so that whoever reads one
knows which release it is of; hash-named ones are of one release alone, or of several that share a file. Not here: who
publishes (publishers), who judges (checker).
"""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache
from pathlib import Path

KiB = 1024
STABLE = ("/", "/about.html", "/data.json", "/style.css", "/big.bin", "/404.html")  # every release has them
PREFIX = "/assets/"
_WORDS = ("edge", "block", "ring", "head", "floor", "attic", "origin", "visitor", "release", "catalog", "hash", "owner")


@lru_cache(maxsize=256)
def release(seed: int, site: str, number: int) -> dict[str, bytes]:
    """Path as it is asked for → bytes. Number 0 is the first release."""
    rng = random.Random(f"rim-site {seed} {site} {number}")
    mark = f"{site} release {number}"
    chunks = dict(_chunk(rng, mark, n) for n in range(4))
    chunks |= _shared(seed, site, number)
    links = "".join(f'<script src="{path}"></script>\n' for path in chunks)
    page = f"<!doctype html><title>{mark}</title>\n{links}<p>{_prose(rng, 3 * KiB)}"
    return {
        "/": page.encode(),
        "/about.html": f"<!doctype html><title>{mark}</title><p>{_prose(rng, 900)}".encode(),
        "/data.json": f'{{"release": {number}, "site": "{site}", "text": "{_prose(rng, 300)}"}}'.encode(),
        "/style.css": f"/* {mark} */ body {{ color: red }} /* {_prose(rng, 9 * KiB)} */".encode(),
        "/big.bin": mark.encode() + rng.randbytes(rng.choice((40, 700, 1100, 2300)) * KiB + rng.randrange(1000)),
        "/404.html": f"<!doctype html><title>{mark}: nothing here</title>".encode(),
        **chunks,
    }


def chunks(files: dict[str, bytes]) -> list[str]:
    """The hash-named paths among these."""
    return [path for path in files if path.startswith(PREFIX)]


def write(files: dict[str, bytes], folder: Path) -> None:
    """The folder that publishes as these files."""
    for path, data in files.items():
        file = folder / (path[1:] or "index.html")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _chunk(rng: random.Random, mark: str, n: int) -> tuple[str, bytes]:
    data = f"// {mark} part {n}\n".encode() + _prose(rng, rng.randrange(100, 30 * KiB)).encode()
    return _named(f"part{n}", data, "js"), data


def _shared(seed: int, site: str, number: int) -> dict[str, bytes]:
    """Files that two or three releases in a row have in common."""
    shared: dict[str, bytes] = {}
    for of, every in (("vendor", 3), ("icons", 2)):
        rng = random.Random(f"rim-shared {seed} {site} {of} {number // every}")
        data = f"// {site} {of}\n".encode() + _prose(rng, 20 * KiB).encode()
        shared[_named(of, data, "js")] = data
    return shared


def _named(stem: str, data: bytes, kind: str) -> str:
    """With a hash in its name that the rule for such names takes: hex with a letter and a digit."""
    return f"{PREFIX}{stem}-{hashlib.sha256(data).hexdigest()[:10]}a1.{kind}"


def _prose(rng: random.Random, size: int) -> str:
    return " ".join(rng.choices(_WORDS, k=size // 6))
