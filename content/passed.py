"""Passed: the paths of a site that its service worker never touches, as `[service_worker] pass` names them.

Here live what such a path may be, and the expression by which a script knows them. Not here: who serves what lies
there, which is no node of ours.

A path stands as addresses have it, percent-encoded, since that is what a fetch event shows (URL, path percent-encode
set). It is one address, or ends in `*` and is all that begin so: a worker has to know in the event's own turn, so no
table is looked up and nothing is awaited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from content.limits import PASSED_BYTES
from content.pattern import quoted

_REFUSED = re.compile(r"[^A-Za-z0-9._~!$&'()+,;=:@%/-]")
_SPECIAL = re.compile(r"[\\^$.*+?()\[\]{}|]")
_QUERY = "a path has no ? and no #: it passes with every query"
_OWN = r"/\.rim/"  # the edge's paths are not the worker's either


class BadPassed(ValueError):
    """Text that is no such path; the message says what to write instead."""


def check_passed(text: str) -> str:
    """The path, as it was given. Raises BadPassed."""
    if not text.startswith("/"):
        raise BadPassed(f'"{text[:80]}" is no path: start it with /')
    if len(text.encode("utf-8", "replace")) > PASSED_BYTES:
        raise BadPassed(f'"{text[:40]}…" is too long: {PASSED_BYTES} bytes are the limit')
    if text == "/*":
        raise BadPassed('"/*" would pass everything: enabled = false does so')
    bare = text.removesuffix("*")
    if "*" in bare:
        raise BadPassed(f'"{text}" has a * before its end: name what stands before it')
    if found := _REFUSED.search(bare):
        raise BadPassed(f'"{text}" holds {found[0]!r}: write {quoted(found[0])}' if found[0] not in "?#" else _QUERY)
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise BadPassed(f'"{text}" has . or .. for a folder, which no address has')
    return text


def is_passed(path: str, passed: Iterable[str]) -> bool:
    """Whether a published file of this (decoded) path lies there."""
    address = quoted(path)
    return any(address.startswith(text[:-1]) if text.endswith("*") else address == text for text in passed)


def expression(passed: Iterable[str]) -> str:
    """A regular expression (ECMA-262) for the pathnames of these and of `/.rim/`."""
    bare = [escaped(text[:-1]) if text.endswith("*") else escaped(text) + "$" for text in passed]
    return "|".join(f"^{text}" for text in (_OWN, *bare))


def escaped(text: str) -> str:
    """Text that stands for itself in a regular expression (ECMA-262)."""
    return _SPECIAL.sub(r"\\\g<0>", text)
