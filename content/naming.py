"""Hash-named paths: which names say by themselves that their bytes will never change.

Here lives the rule, as a pure function of a path. Not here: what an immutable asset answers (edge/http), or the list of
what the rule takes that a publisher reads (`rim check`).

A wrong yes costs a visitor a stale file for a year, a wrong no costs one conditional request: so the rule takes only
what bundlers write, and looks at the name's end alone. Taken from the names of Vite and Rollup (8 of base64url),
esbuild (8 of base32), webpack, Angular, Parcel and Next (8 or more of hex); tests/content/test_naming.py is the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from content import glob

_NAME = re.compile(r"(.+)\.[A-Za-z0-9]+\Z", re.DOTALL)
_TOKEN = re.compile(r".[-.]([A-Za-z0-9_]+)\Z", re.DOTALL)  # after the last separator, and something before that
_HEX = re.compile(r"(?=[0-9]*[A-Fa-f])(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{8,}\Z")
_BASE32 = re.compile(r"(?=[2-7]*[A-Z])[A-Z2-7]{8}\Z")  # not digits only
_LAST8 = re.compile(r".[-.]([A-Za-z0-9_-]{8})\Z", re.DOTALL)
_WORD = re.compile(r"[a-z]*(?:[A-Z][a-z]+)*\Z|[A-Z]+\Z")  # camelCase, CamelCase, lower or UPPER: as people write
_BOTH_CASES = re.compile(r"(?=.*[a-z]).*[A-Z]")
_DIGIT = re.compile(r"[0-9]")


def is_hash_named(path: str, declared: Iterable[str] = ()) -> bool:
    """Whether the name ends, before its extension, in `.` or `-` and a hash; or a declared glob means the path.

    A hash is 8 or more of hex with a letter and a digit; 8 of [A-Z2-7] that are not all digits; or exactly the last 8
    of [A-Za-z0-9_-] that hold both cases and either a digit or a case pattern that no one writes by hand. A whole stem
    is none: `deadbee1.js` may be anything. The extension is the last one, so `index-BQk3xY9z.js.map` is not taken:
    a bundler names the map after the code, and comments change the one without the other.
    """
    return hash_span(path) is not None or any(glob.matches(text, path) for text in declared)


def hash_span(path: str) -> tuple[int, int] | None:
    """Where in a hash-named path its hash stands, [start, stop) in characters; None for a name that holds none."""
    at = path.rfind("/") + 1
    found = _NAME.match(path, at)
    hashed = None if found is None else _hash_at_end(found[1])
    return None if hashed is None else (at + hashed.start(1), at + hashed.end(1))


def is_nearly_hash_named(path: str) -> bool:
    """Whether the name ends in what might be a hash that the rule leaves alone: for a list that a person reads."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    token = re.split(r"[-._]", stem)[-1]
    return not is_hash_named(path) and len(token) >= 6 and bool(_DIGIT.search(token) and re.search("[A-Za-z]", token))


def _hash_at_end(stem: str) -> re.Match[str] | None:
    token = _TOKEN.search(stem)
    if token and (_HEX.match(token[1]) or _BASE32.match(token[1])):
        return token
    last = _LAST8.search(stem)
    return last if last is not None and _looks_random(last[1]) else None


def _looks_random(text: str) -> bool:
    """Both cases, and a digit or letters in no pattern of words (base64url may hold `-` and `_`, as names do)."""
    if not _BOTH_CASES.match(text):
        return False
    return bool(_DIGIT.search(text)) or not all(_WORD.match(part) for part in re.split("[-_]", text))
