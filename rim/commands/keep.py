"""Commands about what the origin keeps: pins, garbage, and a site as one CAR file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, SiteName, open_origin
from rim.exits import OK, Usage

Cid = Annotated[str, typer.Argument(metavar="CID", help="The CID, in any base.", show_default=False)]

At = Annotated[str | None, typer.Option("--service", metavar="NAME", help="At this remote pinning service.")]


def pin(
    cid: Annotated[
        str | None, typer.Argument(metavar="[CID]", help="The CID, in any base.", show_default=False)
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it.")] = "",
    car: Annotated[
        list[Path] | None,
        typer.Option("--car", metavar="FILE", help="Send this CAR, and keep what it holds as far as it goes. Repeat."),
    ] = None,
    service: At = None,
    wait: Annotated[bool, typer.Option("--wait", help="With --service: end when it is pinned there.")] = False,
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds to wait for that.", min=0)] = 300.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Keep a DAG whatever sites do: one that the origin holds whole, or what a CAR file brings. With --service, have it
    pinned at a remote pinning service (`rim service`)."""
    if (cid is None) == (not car):
        raise Usage("give a CID, or CAR files with --car", "rim pin CID, rim pin --car FILE")
    if wait and service is None:
        raise Usage("--wait is for --service", "a pin at the origin is done when the command ends")
    if car:
        if service is not None:
            raise Usage(
                "--car sends blocks to the origin, not to a service", "pin the file's root with --service after"
            )
        return _pin_cars(car, name, origin, as_json)
    cid = _checked(cid or "")
    with open_origin(origin) as open_:
        if service is not None:
            from rim.commands.services import pin_at

            output.result(*pin_at(open_, service, cid, name, wait, timeout), as_json=as_json)
            return OK
        answer = open_.send("PUT", f"/api/v1/pins/{cid}", {"name": name}, timeout=300)
    output.result(f"pinned {cid}", {"cid": cid, "pinned": True, **answer}, as_json=as_json)
    return OK


def _pin_cars(paths: list[Path], name: str, origin: str | None, as_json: bool) -> int:
    from rim.carfile import look
    from rim.importing import import_car

    files = [look(path) for path in paths]  # all, before anything is sent
    with open_origin(origin) as open_:
        for file in files:
            done = import_car(open_, file, name or file.path.name)
            left = "".join(f", left out {output.count(n, 'block')}: {why}" for why, n in file.left_out.items())
            partial = f", {len(done.partial)} of them in part" * bool(done.partial)
            sent = f"{output.count(done.blocks_sent, 'block')} sent, {output.size(done.bytes_sent)}"
            value = {
                "file": str(file.path),
                "pinned": list(done.tops),
                "partial": list(done.partial),
                "blocks": len(file.places),
                "blocks_sent": done.blocks_sent,
                "bytes_sent": done.bytes_sent,
                "left_out": dict(file.left_out),
            }
            text = f"{file.path}  pinned {output.count(len(done.tops), 'root')}{partial}  {sent}{left}"
            output.result(text, value, as_json=as_json)
    return OK


def unpin(cid: Cid, service: At = None, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Let a pinned DAG go; `rim gc` frees what nothing else needs."""
    with open_origin(origin) as open_:
        if service is not None:
            from rim.commands.services import unpin_at

            output.result(*unpin_at(open_, service, _checked(cid)), as_json=as_json)
            return OK
        open_.send("DELETE", f"/api/v1/pins/{_checked(cid)}")
    output.result(f"unpinned {cid}", {"cid": cid, "pinned": False}, as_json=as_json)
    return OK


def pins(service: At = None, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List the pins: the origin's own, or those at a service and how far each is."""
    with open_origin(origin) as open_:
        if service is not None:
            from rim.commands.services import pins_at

            output.result(*pins_at(open_, service), as_json=as_json)
            return OK
        found = open_.get("/api/v1/pins")["pins"]
    text = output.table([(p["cid"], p.get("name", "")) for p in found], ("CID", "NAME"))
    output.result(text, {"pins": found}, as_json=as_json)
    return OK


def gc(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Remove blocks that no release, pin or running publish needs."""
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/gc", timeout=3600)
    text = f"removed {output.count(answer['blocks_removed'], 'block')}, freed {output.size(answer['bytes_freed'])}"
    if answer["blocks_removed"] and not as_json:
        text += " (a pack is rewritten, and its space freed, once an eighth of it is dead)"
    output.result(text, answer, as_json=as_json)
    return OK


def export(
    site: SiteName,
    out: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Where to; else stdout.")] = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Write the live release as a CAR file, every block verified, for `ipfs dag import` or any IPFS tool."""
    from rim.exporting import export_site

    if as_json and out is None:
        raise Usage("--json and the CAR cannot both have stdout", "give -o FILE for the CAR")
    with open_origin(origin) as open_:
        done = export_site(open_, site, out)
    if out is not None:
        text = f"{out}  {done.root}  {output.count(done.blocks, 'block')}  {output.size(done.bytes)}"
        value = {"site": site, "root": done.root, "blocks": done.blocks, "bytes": done.bytes, "file": str(out)}
        output.result(text, value, as_json=as_json)
    return OK


def _checked(cid: str) -> str:
    from content.cid import CID
    from content.errors import BadCID

    try:
        return str(CID.parse(cid))
    except BadCID as error:
        raise Usage(str(error), "give a CID, e.g. bafybei…; `rim sites` and `rim pins` show some") from error
