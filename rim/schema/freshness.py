"""Cache-Control as a publisher writes it: known directives, each once, with a number where one belongs.

Here lives RFC 9111 §5.2.2 with RFC 5861 and RFC 8246. Not here: what an edge sends by itself (edge/http/answer).
"""

from __future__ import annotations

from rim.schema.near import meant

_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_PLAIN = frozenset(
    {
        "public",
        "private",
        "no-cache",
        "no-store",
        "no-transform",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
    }
)
_SECONDS_MAX = 1 << 31  # RFC 9111 §1.2.2: what a cache must take


def check_cache_control(text: str) -> str:
    """The directives, in one spelling. Raises ValueError naming the one that cannot be meant."""
    seen: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.strip().partition("="))
        name = name.lower()
        if name not in _SECONDS | _PLAIN:
            raise ValueError(f"has no directive {name!r}{meant(name, sorted(_SECONDS | _PLAIN))}")
        if name in seen:
            raise ValueError(f"says {name} twice")
        if name in _SECONDS and not (value.isascii() and value.isdecimal() and int(value) <= _SECONDS_MAX):
            raise ValueError(f"wants {name}=SECONDS, not {part.strip()!r}")
        if name in _PLAIN and equals:
            raise ValueError(f"wants {name} without a value, not {part.strip()!r}")
        seen[name] = value
    if "public" in seen and "private" in seen:
        raise ValueError("says both public and private")
    return ", ".join(f"{name}={value}" if value else name for name, value in seen.items())
