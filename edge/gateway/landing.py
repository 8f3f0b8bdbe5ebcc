"""Landing: paths of a gateway host that name no content: its front page, and links that browsers hand over.

Here live the page at `/`, and `?uri=ipfs://…`, to which browsers send the links of registered protocols. Not here:
content paths.
"""

from __future__ import annotations

from html import escape
from urllib.parse import unquote, urlsplit

from edge.gateway import pages
from edge.gateway.answered import generated, redirect
from edge.gateway.headers import CORS
from edge.gateway.hosts import Place
from edge.gateway.wanted import read_query
from edge.http.outcome import Outcome
from edge.http.problem import Problem
from edge.http.target import quoted
from edge.replies import Asked, Reply

_SCHEMES = ("ipfs", "ipns")


def answer(asked: Asked, place: Place, path: str) -> Reply | None:
    """The answer of such a path; None: it names content. Raises Problem."""
    if path == "/":
        return generated(asked.asking, f"Gateway-{pages.VERSION}", CORS, lambda: _page(place), Outcome.HIT)
    if path in ("/ipfs/", "/ipns/") and (uri := read_query(asked.query).get("uri")) is not None:
        return redirect(301, _content_path(uri), CORS)
    return None


def _content_path(uri: str) -> str:
    """`ipfs://{cid}/path?query` as the content path it is. Raises Problem."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    name = parts.netloc
    if parts.scheme not in _SCHEMES or not name or not name.isascii() or not set(name).isdisjoint("/@:\\"):
        raise Problem(400, "uri is no ipfs://{cid} and no ipns://{name}.")
    query = f"?{quoted(unquote(parts.query))}" if parts.query else ""
    return f"/{parts.scheme}/{quoted(name)}{quoted(unquote(parts.path))}{query}"


def _page(place: Place) -> str:
    way = "{cid}.ipfs." + place.field if place.subdomains else "/ipfs/{cid}"
    return pages.frame(
        "IPFS gateway",
        "<h1>IPFS gateway</h1>\n<p>Content by its hash: <code>/ipfs/{cid}</code>, or by a name: "
        "<code>/ipns/{name}</code>.</p>\n" + f"<p>It is shown at <code>{escape(way)}</code>.</p>",
    )
