"""Content coding negotiation (RFC 9110 §12.5.3): which of the codings made at publish to send.

Here lives the reading of Accept-Encoding. Not here: the codings themselves; nothing is compressed on a request.
At equal weight the first available coding wins (whoever asks lists the smallest first), and any coding wins over
identity: bytes are what visitors wait for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

IDENTITY: Final = "identity"
ELEMENTS: Final = 64  # of one list; what follows is not read. Empty ones count too (§5.6.1.2: a reasonable number)
_PARAMETERS = 8  # of one element
_MEMO_BYTES = 256  # browsers send one of a dozen values; longer ones are not worth remembering
_QVALUE = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")  # §12.4.2
_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}  # §8.4.1


def choose(accept: bytes | None, available: Sequence[str]) -> str | None:
    """The coding to send: one of `available`, or "identity"; None when the client refuses all that there is (406).

    Without the field identity is sent: the client did not say that it can decode anything (§12.5.3, rule 1, allows
    any coding, and an old tool that cannot would save compressed bytes).
    """
    if accept is None:
        return IDENTITY
    if len(accept) <= _MEMO_BYTES:
        return _remembered(accept, tuple(available))
    return _choose(accept, tuple(available))


def _choose(accept: bytes, available: tuple[str, ...]) -> str | None:
    asked = weights(accept.decode("latin-1"))
    star = asked.get("*")
    best, best_weight = None, 0.0
    for coding in available:
        weight = asked.get(coding, star or 0.0)
        if weight > best_weight:
            best, best_weight = coding, weight
    plain = asked.get(IDENTITY, star)
    if plain is None:  # not excluded by name or star: acceptable, but second to any coding that was asked for
        return best or IDENTITY
    return IDENTITY if plain > best_weight else best


_remembered = lru_cache(maxsize=512)(_choose)


def names(accept: bytes, coding: str) -> bool:
    """Whether Accept-Encoding names this coding, and does not refuse it: `*` does not do for one that needs more than
    a decoder (RFC 9842 §6.1: dcz is of no use without the dictionary)."""
    return _named(accept, coding) if len(accept) <= _MEMO_BYTES else _names(accept, coding)


def _names(accept: bytes, coding: str) -> bool:
    return weights(accept.decode("latin-1")).get(coding, 0.0) > 0


_named = lru_cache(maxsize=512)(_names)


def weights(text: str) -> dict[str, float]:
    """name → weight of an Accept-* list. An element whose weight is malformed is as if it were not there."""
    found: dict[str, float] = {}
    for element in text.lower().split(",", ELEMENTS)[:ELEMENTS]:
        name, *parameters = (part.strip(" \t") for part in element.split(";", _PARAMETERS))
        weight = _weight(parameters)
        if name and weight is not None:
            found.setdefault(_ALIASES.get(name, name), weight)
    return found


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QVALUE.match(value) else None
    return 1.0
