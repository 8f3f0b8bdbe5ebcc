"""Explain: what this edge would answer for a URL, and why, without answering it.

Here lives the account. It takes the same steps as edge/app and fetches Index nodes, but no bodies.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from content.cid import CID
from content.errors import ContentError
from edge.cache.loader import Loader, Unavailable
from edge.http.answer import Answer, Asking
from edge.http.target import BadTarget, host_of, path_of
from edge.site.router import Router
from edge.site.rules import SHELL_VARY
from edge.site.view import Found, Moved, SiteView


class Explainer:
    """Explains answers of one edge."""

    def __init__(self, node: str, router: Router, loader: Loader) -> None:
        self.node = node
        self.router = router
        self.loader = loader

    async def explain(self, url: str) -> dict[str, Any]:
        """The account, as JSON."""
        told: dict[str, Any] = {"edge": self.node, "url": url}
        parts = urlsplit(url)
        try:
            host, path = host_of(parts.netloc.encode()), path_of((parts.path or "/").encode())
        except (BadTarget, UnicodeEncodeError) as error:
            return told | {"status": 400, "why": str(error)}
        view = self.router.view(host)
        if view is None:
            return told | {"status": 421, "why": f"no site has the host {host}"}
        told |= {"site": view.site.name, "generation": view.site.generation, "path": path}
        told["release"] = None if view.live is None else str(view.live.cid)
        try:
            return told | await self._meaning(view, path)
        except Unavailable as error:
            return told | {"status": 502 if error.absent else 504, "why": str(error)}
        except ContentError as error:
            return told | {"status": 502, "why": str(error)}

    async def _meaning(self, view: SiteView, path: str) -> dict[str, Any]:
        meaning = await self.loader.run(view.resolve(path, navigation=True))
        match meaning:
            case Found():
                return self._found(meaning)
            case Moved():
                return {"status": 308, "location": meaning.path, "why": "a folder is asked for with its slash"}
            case _:
                return {"status": 404, "why": "the live release has no such path, and no 404.html"}

    def _found(self, found: Found) -> dict[str, Any]:
        vary = SHELL_VARY if found.is_shell else ()
        answer = Answer(found.asset, immutable=found.immutable, status=found.status, vary=vary)
        why = "the nearest 404.html" if found.status == 404 else "the shell" if found.is_shell else "a published file"
        choice = answer.choose(Asking())
        headers = {name.decode(): value.decode("latin-1") for name, value in choice.headers}
        rows = [
            {"coding": coding, "cid": str(variant.cid), "size": variant.size, "here": self._here(variant.cid)}
            for coding, variant in answer.variants.items()
        ]
        return {"status": found.status, "why": why, "headers": headers, "variants": rows}

    def _here(self, cid: CID) -> str | None:
        """Where the first block of it lies on this edge."""
        if cid in self.loader.memory:
            return "memory"
        return "disk" if cid in self.loader.disk else None
