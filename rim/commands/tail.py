"""`rim tail`: what edges answer and do, as it happens. How an edge tells: edge/control/tap."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer

from rim import output
from rim.client import Origin, Rejected, Unreachable
from rim.commands.options import OriginUrl, open_origin
from rim.exits import OK, Usage

_LOOK_SECONDS = 10.0  # of one waiting request; a tail that nobody reads for 30 s ends
_STATUS = re.compile(r"[1-5](xx|\d\d)", re.IGNORECASE)
_TARGET_CHARS = 200  # of a path on the screen

Row = dict[str, Any]


def tail(
    site: Annotated[str | None, typer.Argument(metavar="SITE", help="Of this site only.", show_default=False)] = None,
    status: Annotated[str | None, typer.Option(metavar="404|4xx", help="Only answers of this status.")] = None,
    outcome: Annotated[
        str | None, typer.Option(metavar="O", help="Only these: hit, disk, peer, fill, stale, negative, denied, error.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="M", help="Only this method.")] = None,
    path: Annotated[str | None, typer.Option(metavar="PREFIX", help="Only paths that begin so.")] = None,
    edge: Annotated[str | None, typer.Option(metavar="NAME", help="Only this edge.")] = None,
    region: Annotated[str | None, typer.Option(metavar="R", help="Only edges of this region.")] = None,
    events: Annotated[bool, typer.Option("--events/--no-events", help="Deploys, purges, warming, faults too.")] = True,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="S", help="End after so long, with 0.", min=0)
    ] = None,
    origin: OriginUrl = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each.")] = False,
) -> int:
    """Show what edges answer, and what happens to them, until Ctrl-C."""
    if status is not None and not _STATUS.fullmatch(status):
        raise Usage(f"--status {status}", "give a status (404) or a class of them (4xx)")
    wanted = {"site": site, "status": status, "outcome": outcome, "method": method, "path": path}
    question = {"kind": "tail", **wanted, "edge": edge, "region": region, "events": events}
    end = None if seconds is None else time.monotonic() + seconds
    with open_origin(origin) as open_:
        for row in _rows(open_, question, end):
            output.result(_line(row), row, as_json=as_json)
    return OK


def _rows(origin: Origin, question: Row, end: float | None) -> Iterator[Row]:
    """Rows as they come, until the end. A restarted origin is asked anew: it has forgotten the question."""
    while end is None or time.monotonic() < end:
        path = f"/api/v1/asks/{origin.send('POST', '/api/v1/asks', question)['id']}"
        try:
            yield from _answers(origin, path, end)
        except Rejected as error:
            if error.code != "no_ask":
                raise
        finally:
            with suppress(Rejected, Unreachable):
                origin.once("DELETE", path, timeout=2.0)


def _answers(origin: Origin, path: str, end: float | None) -> Iterator[Row]:
    after, lost = 0, 0
    while end is None or time.monotonic() < end:
        left = _LOOK_SECONDS if end is None else max(0.0, min(_LOOK_SECONDS, end - time.monotonic()))
        answer = origin.get(f"{path}/answers", timeout=left + 30, after=after, wait=round(left, 3))
        yield from answer["rows"]
        after = answer["next"]
        if answer["lost"] > lost:
            output.note(f"{answer['lost'] - lost} rows were lost: more came than could be told; ask for less")
            lost = answer["lost"]


def _line(row: Row) -> str:
    begin = f"{time.strftime('%H:%M:%S', time.localtime(row['time']))}  {row['node']:<12}"
    if "event" in row:
        known = ("time", "node", "region", "event", "site")
        detail = " ".join(f"{key}={_shown(value)}" for key, value in row.items() if key not in known)
        return f"{begin}  * {row['event']} {row.get('site') or ''} {detail}".rstrip()
    target = _shown(f"{row['host']}{row['path']}")[:_TARGET_CHARS]
    client, size = _shown(row.get("client", "")), output.size(row["bytes"])
    return f"{begin}  {row['status']} {row['outcome']:<8} {size:>9}  {client:<15} {row['method']:<4} {target}"


def _shown(value: object) -> str:
    """Without characters that move a terminal's cursor: visitors wrote some of this."""
    return "".join(char if char.isprintable() else "\ufffd" for char in str(value))
