"""Explain: what this edge would answer for a URL, and why, without answering it.

Here lives the account. It takes the same steps as edge/app and fetches Index nodes, but no bodies.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from content.asking import ask
from content.cid import CID
from content.deltas import match_of
from content.denylists import Denied, Refusal
from content.errors import ContentError
from content.release import Release
from content.walk import Walk
from edge.browsers.deltas import Deltas
from edge.cache.loader import Loader, Unavailable
from edge.http.answer import Answer, Asking
from edge.http.target import BadTarget, host_of, path_of
from edge.site.browser.stub import standing
from edge.site.delta import bases_like, may_have_deltas
from edge.site.files import row
from edge.site.router import Router
from edge.site.rules import SHELL_VARY
from edge.site.view import Found, Lender, Moved, Refused, SiteView, Visit

_BASES = 20  # of a path, that are told of: a pattern may fit hundreds


class Explainer:
    """Explains answers of one edge."""

    def __init__(
        self, node: str, router: Router, loader: Loader, deltas: Deltas, clock: Callable[[], float] = time.time
    ) -> None:
        self.node = node
        self.router = router
        self.loader = loader
        self.deltas = deltas
        self.clock = clock

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
        if view.alias:
            told["preview"] = view.alias
        if (of := standing(view, trial=False)) is not None:
            listed = of.published.release.rules.precached
            told["worker"] = {"serial": of.signed.serial, "files": len(listed), "precached": path in listed}
        if path.startswith("/.rim/"):
            return told | {"why": "paths below /.rim/ are the edge's own, whatever is published"}
        try:
            return told | await self._meaning(view, path, Visit(True, parts.query.encode(), host))
        except Unavailable as error:
            return told | {"status": 503 if error.rest is not None else 502 if error.absent else 504, "why": str(error)}
        except ContentError as error:
            return told | {"status": 502, "why": str(error)}

    async def _meaning(self, view: SiteView, path: str, visit: Visit) -> dict[str, Any]:
        """As a navigation has it, by somebody without cookies."""
        if view.has_ended(self.clock()):
            return {"status": 404, "why": "the preview has ended", "reason": "preview-ended"}
        meaning = await self.loader.run(view.resolve(path, visit))
        match meaning:
            case Found():
                above = await self._above(view, meaning)
                return await self._found(view, path, visit, meaning) if above is None else _denied(above)
            case Moved():
                return {"status": meaning.status, "location": meaning.location, "why": meaning.why}
            case Refused():
                return _denied(meaning.refusal)
            case _:
                return {"status": 404, "why": "no release that may answer has this path", "reason": meaning.reason}

    async def _above(self, view: SiteView, found: Found) -> Refusal | None:
        """Whether a folder above the file is denied."""
        try:
            return await self.loader.run(view.refusal_above(found))
        except Denied as error:
            return error.refusal
        except (Unavailable, ContentError):
            return None

    async def _found(self, view: SiteView, path: str, visit: Visit, found: Found) -> dict[str, Any]:
        answer = Answer(
            found.asset,
            immutable=found.immutable,
            status=found.status,
            vary=SHELL_VARY if found.is_shell else (),
            fields=view.fields(path, visit),
            reason=found.reason,
            dictionary_for=path if may_have_deltas(view, found) else None,
        )
        choice = answer.choose(Asking())
        headers = {name.decode(): value.decode("latin-1") for name, value in choice.headers}
        rows = [
            {"coding": coding, "cid": str(variant.cid), "size": variant.size, "here": self._here(variant.cid)}
            for coding, variant in answer.variants.items()
        ]
        return {
            "status": found.status,
            "why": found.why,
            "from": found.lender,
            "answered": await self._answered(view, path, found),
            "headers": headers,
            "variants": rows,
            **(await self._pairs(view, path, found, answer)),
        }

    async def _pairs(self, view: SiteView, path: str, found: Found, answer: Answer) -> dict[str, Any]:
        """What a browser is told to keep this file for, and the bases that it may come as a delta from. `delta`: its
        bytes, where this edge made it; `none` where it is not worth sending."""
        match = match_of(path, found.immutable)
        if answer.deltas is None or match is None:
            return {}
        known = self.deltas.of(view, found.asset.cid)
        live = 0 if view.live is None else view.live.generation
        rows = []
        for base in (await self.loader.run(bases_like(view, match), limit=None))[:_BASES]:
            digest = bytes.fromhex(base.asset.sha256)
            generation = live if base.generation is None else base.generation
            row = {"base": base.path, "generation": generation, "size": base.asset.size, "sha256": base.asset.sha256}
            if digest in known:
                delta = known[digest]
                row["delta"] = "none" if delta is None else delta.size
            rows.append(row)
        return {"dictionary": {"match": match}, "bases": rows}

    async def _answered(self, view: SiteView, path: str, found: Found) -> str | None:
        """The release that the answer is from. The attic holds rows of many: the newest that has this one is named."""
        lent = {lender: published.cid for lender, published in view.lent}
        named = {
            Lender.ROLLOUT: view.rollout,
            Lender.NEXT: view.next,
            Lender.LIVE: view.live,
            Lender.PREVIEW: view.live,
        }
        if found.lender in lent:
            return str(lent[found.lender])
        if (published := named.get(found.lender)) is not None:
            return str(published.cid)
        release = await self.loader.run(_holder(view, path, found), limit=None)
        return None if release is None else str(release)

    def _here(self, cid: CID) -> str | None:
        """Where the first block of it lies on this edge."""
        if cid in self.loader.memory:
            return "memory"
        return "disk" if cid in self.loader.disk else None


def _denied(refusal: Refusal) -> dict[str, Any]:
    words = f"denied by {refusal.source}{': ' * bool(refusal.reason)}{refusal.reason}"
    return {"status": refusal.status, "why": words, "reason": "denied"}


def _holder(view: SiteView, path: str, found: Found) -> Walk[CID | None]:
    for item in view.site.kept:
        block = yield from ask(item.release)
        asset = yield from row(Release.from_block(block).index, path)
        if asset is not None and asset.cid == found.asset.cid:
            return item.release
    return None
