"""Hints: `Link` header rules for pages, out of what their HTML loads (RFC 8288; HTML §4.2.4.4, "Link" headers).

Here live their values and how many there may be. Not here: when an edge sends them early (103, RFC 8297), or what else
a site's `_headers` says: these rules come before, so that it has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from content.headerrule import HeaderOp, HeaderRule
from content.limits import HEADERS_BYTES, RULE_CHARS, RULES_MAX
from rim.findings import NOTE, Finding
from rim.pages.folder import Folder
from rim.pages.page import Loaded
from rim.pages.rewriting import Meant, Seen

LINKS_MAX = 12  # of one page: more compete with each other for the line that they should keep busy
_INDEX = "/index.html"
_SCREENS = ("", "all", "screen")
_SEEN = ("https", "http")
_PATTERN_SAFE = "/-._~!$&'()+,;=@"  # all that a pattern takes for itself but `*` and `:`


def hints(seen: Iterable[Seen], folder: Folder, given: Sequence[Any]) -> tuple[list[HeaderRule], list[Finding]]:
    """Rules for as many pages as fit beside those `given` (a Release's `headers`), pages near the top first."""
    known = [HeaderRule.from_value(row) for row in given]
    room, bytes_left = RULES_MAX - len(known), HEADERS_BYTES - sum(rule.size for rule in known)
    rules: list[HeaderRule] = []
    wanted = [(page, links) for page in seen if (links := _links(page))]
    wanted.sort(key=lambda item: (item[0].path.count("/"), not item[0].path.endswith(_INDEX), item[0].path))
    for page, links in wanted:
        source = quote(folder.address(page.path), safe=_PATTERN_SAFE)
        rule = HeaderRule(source, (HeaderOp("Link", ", ".join(links)),))
        if len(source) > RULE_CHARS or len(rules) == room or rule.size > bytes_left:
            continue
        rules.append(rule)
        bytes_left -= rule.size
    if len(rules) == len(wanted):
        return rules, []
    words = f"html.preload: {len(rules)} of {len(wanted)} pages get their Link fields: the rules of a site are full"
    return rules, [Finding(folder.root, 0, NOTE, words)]


def _links(page: Seen) -> list[str]:
    """The links of one page, in its order, each URL once, as long as one field holds them."""
    found: dict[str, str] = {}
    length = 0
    for meant in page.loads:
        target, relation = _target(meant)
        link = f"<{target}>{relation}{_crossorigin(meant.load)}" if relation else ""
        if link and meant.integrity and '"' not in meant.integrity:
            link += f'; integrity="{meant.integrity}"'
        if link and target not in found and link.isascii() and length + len(link) + 2 <= RULE_CHARS:
            found[target] = link
            length += len(link) + 2
        if len(found) == LINKS_MAX:
            break
    return list(found.values())


def _target(meant: Meant) -> tuple[str, str]:
    """URL reference and relation; empty where it is nothing to fetch early."""
    load = meant.load
    if load.kind == "preconnect":
        parts = urlsplit(load.url)
        is_origin = (
            parts.scheme in _SEEN and parts.netloc and load.url.isascii() and not {"<", ">", '"'} & set(load.url)
        )
        return (f"{parts.scheme}://{parts.netloc}", "; rel=preconnect") if is_origin else ("", "")
    if meant.file is None:
        return "", ""
    relation = {
        "script": "; rel=preload; as=script",
        "module": "; rel=modulepreload",
        "modulepreload": "; rel=modulepreload",
        "style": "; rel=preload; as=style" if load.media.strip().lower() in _SCREENS else "",
        "preload": f"; rel=preload; as={load.destination}" if load.destination.isalpha() else "",
    }[load.kind]
    return meant.reference, relation


def _crossorigin(load: Loaded) -> str:
    if load.crossorigin is None:
        return ""
    return "; crossorigin=use-credentials" if load.crossorigin.lower() == "use-credentials" else "; crossorigin"
