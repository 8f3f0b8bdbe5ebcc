"""Rules: how a release answers beyond its files, ready to ask.

Here live the tables of a release's `_headers` and `_redirects`, files that are never served, and what a navigation is.
Not here: the grammar of the rules (content/headers, content/redirects), lookups (edge/site/view), or what is sent
(edge/http).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from content.headers import HeaderTable
from content.redirects import RedirectTable
from content.release import Rules
from content.symlinks import NEVER_FILES
from edge.http.negotiate import weights

__all__ = ["NEVER_FILES", "SHELL", "SHELL_VARY", "Tables", "is_navigation"]

SHELL = "/index.html"
SHELL_VARY = ("Sec-Fetch-Mode", "Accept")  # what is_navigation looks at


@dataclass(frozen=True, slots=True)
class Tables:
    """What a release's rules say, compiled once."""

    headers: HeaderTable = field(default_factory=lambda: HeaderTable(()))
    redirects: RedirectTable = field(default_factory=lambda: RedirectTable(()))

    @classmethod
    def of(cls, rules: Rules) -> Tables:
        """Raises BadNode: rules come from a publisher, and the origin that let them in may be of another version."""
        rules.check()
        return cls(HeaderTable.from_value(rules.headers or []), RedirectTable.from_value(rules.redirects or []))


def is_navigation(sec_fetch_mode: bytes | None, accept: bytes | None) -> bool:
    """Whether a person is going to a page, so that a shell may answer; a script that asks for a chunk must get a 404.

    Browsers say so in Sec-Fetch-Mode. Only where that field is absent (old Safari, plain HTTP to another host than
    localhost, curl) an Accept that names text/html counts; `*/*` names nothing.
    """
    if sec_fetch_mode is not None:
        return sec_fetch_mode.strip() == b"navigate"
    return accept is not None and weights(accept.decode("latin-1")).get("text/html", 0.0) > 0
