"""Hints: what a browser can begin with before a document is there (103 Early Hints, RFC 8297).

Here lives the reading of a Link field. Pure. Not here: when hints are worth sending (edge/app), the sending
(edge/http/protocol), where Link fields come from (`_headers`, or a page's HTML at publish).
"""

from __future__ import annotations

import re
from typing import Final

_ACTED_ON: Final = frozenset({"preload", "modulepreload", "preconnect"})  # HTML standard, "early hints"
# link-value of RFC 8288 §3: a comma may stand in the URI and in a quoted parameter. No URI holds a `<`, and none may be
# looked past: of 64 KiB of them, which `_headers` may hold, each would be the begin of a look to the end.
_LINK = re.compile(r'<[^<>]*>(?:[^",]|"(?:[^"\\]|\\.)*")*')
_REL = re.compile(r';[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^ \t;,"]+))', re.IGNORECASE)  # the first one counts (§3.3)


def early(value: str) -> str:
    """Of a Link field's value, the links that a browser acts on before it has the document; "" where there are none."""
    return ", ".join(link.strip() for link in _LINK.findall(value) if _relations(link) & _ACTED_ON)


def _relations(link: str) -> frozenset[str]:
    found = _REL.search(link, link.index(">"))
    return frozenset((found[1] or found[2] or "").lower().split()) if found else frozenset()
