"""Where a site can be seen: its own hosts, and `{site}.localhost` at edges of this machine.

Here live that list, and the label that a folder's name gives a site. Not here: which hosts a site has (the origin), or
what an edge answers under them (edge/site).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound


def site_urls(site: str, hosts: Iterable[str], edges: Iterable[Mapping[str, Any]]) -> list[str]:
    """The URLs of a site, the one to show first."""
    return [*(f"https://{host}/" for host in hosts), *(local_url(site, edge) for edge in edges if is_local(edge))]


def local_url(site: str, edge: Mapping[str, Any]) -> str:
    """The development URL of a site at one edge."""
    parts = urlsplit(str(edge["public"]))
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{site}.localhost{port}/"


def is_local(edge: Mapping[str, Any]) -> bool:
    """Whether this edge's public listener is on this machine, as far as its address tells."""
    return bool(edge.get("public")) and urlsplit(str(edge["public"])).hostname in _LOOPBACK


def label(name: str) -> str:
    """A folder's name as a DNS label, as good as it goes."""
    label = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    while "--" in label:
        label = label.replace("--", "-")
    return label.strip("-")[:63].strip("-")
