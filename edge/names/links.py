"""Links: what a TXT record or a row of the operator's map says. Pure, but for reading the map's file.

Here live the DNSLink format (dnslink.dev: `dnslink=/<namespace>/<identifier>`, several sorted, invalid ones passed
over) and the map `domain=path`, which stands before DNS as Kubo's IPFS_NS_MAP does. Not here: asking DNS
(edge/names/dnslink).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.names.limits import LINKS
from edge.names.spelling import content_path, domain_name

_PREFIX = "dnslink="


def best_link(texts: Iterable[bytes]) -> str | None:
    """The path of the first record, in lexicographical order, that is a DNSLink we can follow."""
    return next((path for path in links_of(texts) if content_path(path) is not None), None)


def links_of(texts: Iterable[bytes]) -> tuple[str, ...]:
    """What all DNSLinks among these records say, in that order; whether it can be followed is not looked at."""
    return tuple(sorted(text[len(_PREFIX) :] for text in map(_text, texts) if text.startswith(_PREFIX)))


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace")  # what is not ASCII is no CID and no domain, so it is passed over


def read_links(setting: str) -> Mapping[str, str]:
    """The map that the setting holds, `domain=path` comma separated, or that the file it names holds, one a line.

    Raises ValueError, naming the row, or OSError.
    """
    if not setting:
        return {}
    text = setting if "=" in setting else Path(setting).read_text(encoding="utf-8")
    rows = [row.strip() for row in re.split(r"[,\n]", text)]
    found: dict[str, str] = {}
    for row in rows:
        if not row or row.startswith("#"):
            continue
        name, equals, path = (part.strip() for part in row.partition("="))
        domain = domain_name(name)
        if domain is None or not equals or content_path(path) is None:
            raise ValueError(f"{row[:120]!r} is not DOMAIN=/ipfs/CID or DOMAIN=/ipns/NAME")
        found[domain] = path
    if len(found) > LINKS:
        raise ValueError(f"{len(found):,} domains; at most {LINKS:,} are read")
    return found
