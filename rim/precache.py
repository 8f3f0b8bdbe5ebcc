"""Precache: which files of a site its worker fetches before it is asked for them.

Here lives the choice, by the globs of rim.toml or, without any, by what a site needs offline first. Not here: the list
as browsers get it (content/manifest), or rim.toml (rim/project).

Sizes are those of the folder: what travels is smaller (encodings), a page with inserted attributes a little larger.
Globs that mean too much are refused, because whoever names files wants all of them; the choice of ours is cut instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from content.glob import glob, matches
from content.limits import PRECACHED_MAX
from content.media import media_type
from content.symlinks import NEVER_FILES
from rim.findings import ERROR, NOTE, WARNING
from rim.output import count, size
from rim.project import Precache

_PAGES, _REST = 0, 4
_RANKS = _REST + 1
_KINDS = {
    "text/html": _PAGES,
    "text/css": 1,
    "text/javascript": 2,
    "application/wasm": 2,
    "font/woff2": 3,  # of fonts the one that every browser with workers reads
}
_OTHERS = ("image/", "application/manifest+json", "application/json")
_NO_OTHERS = (".map", ".har", ".topojson")  # for people with tools open, or too large to be loaded unasked
_FIRST = ("/index.html", "/404.html")

Said = tuple[str, str]  # level, message


def is_page(path: str) -> bool:
    """Whether this file is a document that a person opens."""
    return media_type(path).startswith("text/html")


def is_complete(paths: Iterable[str], files: Iterable[str]) -> bool:
    """Whether every document of the site is among these paths."""
    chosen = frozenset(paths)
    return all(path in chosen for path in files if is_page(path))


def choose(wanted: Precache, files: Mapping[str, int], first: Iterable[str] = ()) -> tuple[list[str], list[Said]]:
    """The paths, sorted, and what is to be said of them. `files`: path → bytes; `first`: pages to begin with."""
    if wanted.globs is None:
        return _chosen(wanted.max_bytes, files, (*_FIRST, *first))
    said: list[Said] = [
        (WARNING, f'no file is meant by "{text}"') for text in wanted.globs if not any(map(glob(text).matches, files))
    ]
    meant = (path for path in files if any(matches(text, path) for text in wanted.globs))
    paths = sorted(path for path in meant if path not in NEVER_FILES)
    total = sum(files[path] for path in paths)
    if total > wanted.max_bytes:
        words = f"{size(total)} in {len(paths)} files, and max_bytes allows {size(wanted.max_bytes)}"
        said.append((ERROR, f"{words}: name fewer, or raise it"))
    if len(paths) > PRECACHED_MAX:
        said.append((ERROR, f"{len(paths)} files, {PRECACHED_MAX} are the limit"))
    return paths, said


def _chosen(limit: int, files: Mapping[str, int], first: tuple[str, ...]) -> tuple[list[str], list[Said]]:
    """Pages up to half the room, so that a site of very many is not left without its styles; then styles, scripts and
    fonts; then the pages that are left, and the rest. Near the top comes first: it is what most visitors see."""
    kinds: dict[int, list[str]] = {rank: [] for rank in range(_RANKS)}
    for path in sorted(files, key=lambda path: (path not in first, path.count("/"), path)):
        rank = _rank(path)
        if rank is not None and files[path] and path not in NEVER_FILES:
            kinds[rank].append(path)
    taken: dict[str, None] = {}
    _take(kinds[_PAGES], files, limit // 2, taken)
    order = [path for rank in (*range(_PAGES + 1, _REST), _PAGES, _REST) for path in kinds[rank]]
    _take(order, files, limit, taken)
    every = sum(map(len, kinds.values()))
    if len(taken) == every:
        return sorted(taken), []
    words = f"{len(taken)} of {count(every, 'file')} fit into {size(limit)} and {PRECACHED_MAX} files"
    return sorted(taken), [(NOTE, f"{words}: name those that matter in precache.globs, or raise precache.max_bytes")]


def _take(paths: Iterable[str], files: Mapping[str, int], limit: int, taken: dict[str, None]) -> None:
    """Take what fits, in this order, until all that is taken has `limit` bytes."""
    room = limit - sum(files[path] for path in taken)
    for path in paths:
        if path not in taken and files[path] <= room and len(taken) < PRECACHED_MAX:
            taken[path] = None
            room -= files[path]


def _rank(path: str) -> int | None:
    """The kind's place in the order; None: never unasked (video, archives, source maps, ...)."""
    kind = media_type(path).partition(";")[0]
    if kind in _KINDS:
        return _KINDS[kind]
    return _REST if kind.startswith(_OTHERS) and not path.endswith(_NO_OTHERS) else None
