"""Rules: how a release answers beyond its files. Small for now: navigations, and files that are never served.

Here live questions with a yes or no about a request and a path. Not here: lookups (edge/site/router), or what is sent
(edge/http). `_headers` and `_redirects` will be read here.
"""

from __future__ import annotations

from edge.http.negotiate import weights

NEVER_FILES = frozenset({"/_headers", "/_redirects", "/rim.toml"})  # the site's own settings, at the top of its folder
SHELL = "/index.html"
SHELL_VARY = ("Sec-Fetch-Mode", "Accept")  # what is_navigation looks at


def is_navigation(sec_fetch_mode: bytes | None, accept: bytes | None) -> bool:
    """Whether a person is going to a page, so that a shell may answer; a script that asks for a chunk must get a 404.

    Browsers say so in Sec-Fetch-Mode. Only where that field is absent (old Safari, plain HTTP to another host than
    localhost, curl) an Accept that names text/html counts; `*/*` names nothing.
    """
    if sec_fetch_mode is not None:
        return sec_fetch_mode.strip() == b"navigate"
    return accept is not None and weights(accept.decode("latin-1")).get("text/html", 0.0) > 0
