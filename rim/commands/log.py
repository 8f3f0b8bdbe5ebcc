"""`rim log`: what was committed, when and by whom. How the origin keeps it: origin/log."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from rim import output
from rim.commands.options import OriginUrl, open_origin
from rim.exits import OK

_SHORT = 12  # last characters of a CID: enough to tell releases of one site apart


def log(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help="Of this site only.", show_default=False)] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="So many lines.", min=1, max=1000)] = 50,
    since: Annotated[
        int | None, typer.Option("--since", metavar="SEQ", help="The first lines above this sequence.", min=0)
    ] = None,
    origin: OriginUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each.")] = False,
) -> int:
    """Show what was committed, newest last: publishes, rollbacks, purges, settings, keys."""
    with open_origin(origin) as open_:
        answer = open_.get("/api/v1/log", site=site, limit=limit, since=since)
    found = answer["entries"]
    if as_json:
        for entry in found:
            output.result("", entry, as_json=True)
        return OK
    rows = [
        (
            entry["sequence"],
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["time"])),
            entry["site"] or "-",
            entry["action"],
            _detail(entry["detail"]),
            entry["author"] or entry["token"],
            entry["message"],
        )
        for entry in found
    ]
    output.result(output.table(rows, ("SEQUENCE", "TIME", "SITE", "ACTION", "DETAIL", "BY", "MESSAGE")))
    return OK


def _detail(detail: dict[str, Any]) -> str:
    if "floors" in detail:
        floors = [f"{kind} {value}".strip() for kind, value in detail["floors"]]
        return ", ".join(floors[:3]) + (f" and {len(floors) - 3} more" if len(floors) > 3 else "")
    return " ".join(f"{key}={_value(value)}" for key, value in detail.items())


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) < 40 else f"…{value[-_SHORT:]}"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else json.dumps(value)
