"""`rim sri`: Subresource Integrity values of the files of a site, for pages that somebody else serves or writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, SiteName, open_origin
from rim.exits import OK, Refused

if TYPE_CHECKING:
    from content.release import Asset

_KINDS = frozenset({"text/javascript", "text/css"})  # what browsers check an `integrity` of


def sri(
    site: SiteName,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="These files; else scripts and styles.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every file, not scripts and styles alone.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Print the SHA-256 of a live site's files in the form that `integrity="…"` takes (Subresource Integrity)."""
    from content.integrity import value_of
    from rim.client import site_path

    with open_origin(origin) as open_:
        live = open_.get(site_path(site))["live"]
        if live is None:
            raise Refused(f"{site} has nothing live", "publish it first: `rim publish`")
        files = _named(open_, live, paths) if paths else _listed(open_, live, everything)
    rows = [(path, value_of(bytes.fromhex(asset.sha256))) for path, asset in files]
    value = {
        "site": site,
        "release": str(live["release"]),
        "root": str(live["root"]),
        "files": [
            {"path": path, "integrity": integrity, "type": asset.media_type, "size": asset.size}
            for (path, integrity), (_, asset) in zip(rows, files, strict=True)
        ],
    }
    text = output.table(rows, ("PATH", "INTEGRITY")) if rows else f"{site} has no script or style; --all lists the rest"
    output.result(text, value, as_json=as_json)
    return OK


def _listed(origin: Any, live: dict[str, Any], everything: bool) -> list[tuple[str, Asset]]:
    """Scripts and styles, or every file that is served under its own bytes."""
    from content import tree
    from content.cid import CID
    from content.release import Asset
    from content.symlinks import NEVER_FILES
    from rim.indexes import read_index

    rows = read_index(origin, tree.rows(CID.parse(str(live["index"]))))
    files = [(path, Asset.from_row(row)) for path, row in rows if path not in NEVER_FILES]
    return [
        (path, asset)
        for path, asset in files
        if asset.link_target is None and (everything or asset.media_type.partition(";")[0] in _KINDS)
    ]


def _named(origin: Any, live: dict[str, Any], paths: Sequence[str]) -> list[tuple[str, Asset]]:
    """These files, in this order; only the branches of the Index that hold them are read. Raises Refused."""
    from content import tree
    from content.cid import CID
    from content.release import Asset
    from content.symlinks import NEVER_FILES
    from rim.indexes import read_index

    found = []
    for path in dict.fromkeys("/" + path.lstrip("/") for path in paths):
        row = read_index(origin, tree.get(CID.parse(str(live["index"])), path))
        if row is None or path in NEVER_FILES:
            raise Refused(f"the live release has no file {path}", "`rim sri SITE --all` lists them")
        asset = Asset.from_row(row)
        if asset.link_target is not None:
            raise Refused(f"{path} is a link to {asset.link_target}", "name the file that it leads to")
        found.append((path, asset))
    return found
