"""`rim explain`: what every edge would answer for a URL, and why. How an edge finds out: edge/explain."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from rim import output
from rim.client import Origin
from rim.commands.options import AsJson, OriginUrl, open_origin
from rim.exits import OK, PARTIAL, TIMED_OUT, Failed, Usage

_AWAY_SECONDS = 1.0  # that an edge which is not present is given: it may be connecting again
_NAMES = ("node", "edge", "region", "url")  # of the asker and the asked, which differ as they should
_OWN = ("here", "delta")  # where the bytes lie, and which deltas were asked for, is every edge's own affair

Row = Mapping[str, Any]


def explain(
    url: Annotated[str, typer.Argument(metavar="URL", help="As a browser would ask for it.", show_default=False)],
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", help="Seconds to wait for edges.", min=0)] = 5.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Show what every edge would answer for a URL, and why; lines in which edges differ begin with `!`."""
    if "://" not in url:
        raise Usage(f"{url!r} is no URL", "write it as http://HOST/PATH")
    with open_origin(origin) as open_:
        rows, missing = _ask(open_, url, timeout)
    if not rows and not missing:
        raise Failed("the origin knows of no edge", "start one (`rim edge`)")
    flat = {str(row["node"]): dict(_flat(row)) for row in rows}
    differ = _differing(flat.values())
    blocks = [_block(row, flat[str(row["node"])], differ) for row in rows]
    for name in missing:
        output.note(f"{name} did not answer")
    if blocks or as_json:
        value = {"url": url, "edges": rows, "missing": missing, "differ": differ}
        output.result("\n\n".join(blocks), value, as_json=as_json)
    return (PARTIAL if rows else TIMED_OUT) if missing else OK


def _ask(origin: Origin, url: str, timeout: float) -> tuple[list[Row], list[str]]:
    """What the edges said, and who of the expected ones said nothing."""
    begun = time.monotonic()
    path = f"/api/v1/asks/{origin.send('POST', '/api/v1/asks', {'kind': 'explain', 'url': url})['id']}"
    rows: list[Row] = []
    after = 0
    while True:
        edges = [edge for edge in origin.get("/api/v1/edges")["edges"] if edge["expected"]]
        left = timeout - (time.monotonic() - begun)
        answer = origin.get(f"{path}/answers", after=after, wait=round(max(0.0, min(left, 0.5)), 3))
        rows, after = rows + answer["rows"], answer["next"]
        silent = [edge for edge in edges if edge["node"] not in answer["done"]]
        patient = time.monotonic() - begun < _AWAY_SECONDS
        if left <= 0 or not [edge for edge in silent if edge["present"] or patient]:
            break
    origin.send("DELETE", path)
    return sorted(rows, key=lambda row: str(row["node"])), sorted(str(edge["node"]) for edge in silent)


def _flat(row: Row, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The account as lines: a name, and a text. A list's items have names of their own, where they can."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if not prefix and key in _NAMES:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value):
                if "base" in item:
                    yield from _pair(item)
                else:
                    yield from _flat(item, f"{item.get('coding') or f'{name} {number}'} ")
        elif value is not None and value != []:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _pair(base: Row) -> Iterator[tuple[str, str]]:
    """A file that this one may come as a delta from, and the delta if it was asked for."""
    name = f"base {base['base']} of {base['generation']}"
    yield name, f"{base['size']} B, sha256 {str(base['sha256'])[:16]}…"
    if "delta" in base:
        yield f"{name} delta", f"{base['delta']} B" if isinstance(base["delta"], int) else "not smaller, so not sent"


def _differing(accounts: Iterable[Mapping[str, str]]) -> list[str]:
    """The lines that are not the same everywhere."""
    every = list(accounts)
    names = dict.fromkeys(name for account in every for name in account)
    return [name for name in names if not name.endswith(_OWN) and len({account.get(name) for account in every}) > 1]


def _block(row: Row, lines: Mapping[str, str], differ: list[str]) -> str:
    width = max(map(len, lines), default=0)
    told = [f"{'!' if name in differ else ' '} {name.ljust(width)}  {text}" for name, text in lines.items()]
    told += [f"! {name.ljust(width)}  -" for name in differ if name not in lines]
    return "\n".join([f"{row['node']} ({row['region']})", *told])
