"""Where a site can be seen: its own hosts, and `{site}.localhost` at edges of this machine.

Here live that list, and the label that a folder's name gives a site. Not here: which hosts a site has (the origin), or
what an edge answers under them (edge/site).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from content.catalog import PREVIEW_MARK

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound


def site_urls(
    site: str, hosts: Iterable[str], edges: Iterable[Mapping[str, Any]], preview: str | None = None
) -> list[str]:
    """The URLs of a site or of its preview, the one to show first."""
    before = f"{preview}{PREVIEW_MARK}" if preview else ""
    own = (f"https://{before}{host}/" for host in hosts)
    return [*own, *(local_url(site, edge, preview) for edge in edges if is_local(edge))]


def local_url(site: str, edge: Mapping[str, Any], preview: str | None = None) -> str:
    """The development URL of a site, or of its preview, at one edge."""
    parts = urlsplit(str(edge["public"]))
    port = f":{parts.port}" if parts.port else ""
    before = f"{preview}{PREVIEW_MARK}" if preview else ""
    return f"{parts.scheme}://{before}{site}.localhost{port}/"


def is_local(edge: Mapping[str, Any]) -> bool:
    """Whether this edge's public listener is on this machine, as far as its address tells."""
    return bool(edge.get("public")) and urlsplit(str(edge["public"])).hostname in _LOOPBACK


def label(name: str) -> str:
    """A folder's name as a DNS label, as good as it goes."""
    label = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    while "--" in label:
        label = label.replace("--", "-")
    return label.strip("-")[:63].strip("-")
