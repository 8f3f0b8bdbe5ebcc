"""`rim edges`: which nodes are known, and taking one off the roll. What being known means: origin/edges."""

from __future__ import annotations

from typing import Annotated

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, open_origin
from rim.exits import OK

edges_app = typer.Typer(help="Look after the roll of known edges.", no_args_is_help=True)


@edges_app.command("list")
def edges_list(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List the edges that are known: present (joining or draining), away (still waited for), or left; their weight in
    the ring, their version, and the sequence that they serve."""
    from rim.commands.look import ring_table

    with open_origin(origin) as open_:
        found = open_.get("/api/v1/edges")
    output.result(ring_table(found["sequence"], found["edges"]), found, as_json=as_json)
    return OK


@edges_app.command("forget")
def edges_forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `rim status` shows it.", show_default=False)],
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Wait no more for an edge that will not come back, and let its name be taken anew."""
    from urllib.parse import quote

    with open_origin(origin) as open_:
        open_.send("DELETE", f"/api/v1/edges/{quote(name, safe='')}")
    output.result(f"forgot {name}", {"edge": name, "forgotten": True}, as_json=as_json)
    return OK
