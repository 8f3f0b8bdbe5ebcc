"""Near: the word that was probably meant, for messages about one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where none is near.

    >>> meant("clean_url", ["clean_urls", "spa"])
    '; did you mean clean_urls?'
    """
    found = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
