"""Commands that look and change nothing: the state of the ring, and whether every edge serves what it should."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, open_origin
from rim.exits import OK, Failed

_WATCH_SECONDS = 1.0
_AHEAD = """\
! Edges serve what this origin has never signed: it was put back to an older copy. They keep it until the next commit,
  which is ahead of them; what was published since the copy was made has to be published again."""
_SHOWN = 20  # differences told one by one


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second, until Ctrl-C.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Show the origin, its edges and how far each is; with --watch --json, one line each second."""
    with open_origin(origin) as open_:
        while True:
            state = open_.get("/api/v1/status")
            if watch and not as_json:
                print("\033[H\033[2J", end="")  # home, and clear: as watch(1) does
            output.result(_status_text(open_.url, state), state, as_json=as_json)
            if not watch:
                return OK
            time.sleep(_WATCH_SECONDS)


def verify(
    where: Annotated[
        str, typer.Argument(metavar="URL|SITE", help="One URL; or a site, at every edge.", show_default=False)
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What it should be.", show_default=False)],
    no_ignore: Annotated[bool, typer.Option("--no-ignore", help="Compare files that publish leaves out, too.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Fetch every file of a folder from every edge over plain HTTP, and compare the bytes."""
    from rim import verify as outsider
    from rim.commands.publish import existing
    from rim.pages.publishing import edits_of
    from rim.project import load

    place = existing(folder)
    edits = edits_of(place, load(place), ignore=not no_ignore)
    paths = _served(place, no_ignore)
    targets = [outsider.target_of(where)] if "://" in where else _edges_of(where, origin)
    results = [outsider.verify(str(place), paths, target, edits) for target in targets]
    for result in results:
        if result.unreachable:
            output.note(f"{result.target.name}: cannot be asked: {result.unreachable}")
        for path, what in result.differences[:_SHOWN]:
            output.note(f"{result.target.name}: {path}: {what}")
        if len(result.differences) > _SHOWN:
            output.note(f"{result.target.name}: and {len(result.differences) - _SHOWN} more")
    wrong = sum(len(result.differences) for result in results)
    asked = sum(not result.unreachable for result in results)
    text = f"{len(paths)} files at {asked} of {len(results)} edges: " + _found(wrong, asked)
    value = {"where": where, "files": len(paths), "differences": wrong, "edges": [result.value() for result in results]}
    output.result(text, value, as_json=as_json)
    return outsider.exit_code(results)


def _found(wrong: int, asked: int) -> str:
    if not asked:
        return "nothing compared"
    return f"{wrong} differ" if wrong else "all equal"


def _served(folder: Path, no_ignore: bool) -> list[str]:
    """The files of the folder that a site serves; a link counts where it leads to a file inside the folder."""
    from rim.ignore import for_folder
    from rim.reading import Changed
    from rim.scan import Scan, twice, walk
    from rim.verify import NEVER_FILES

    found = Scan(str(folder))
    try:
        files = walk(str(folder), for_folder(folder, ignore=not no_ignore, allow_secret=True), found)
    except Changed as error:
        raise twice(error) from error
    links = [path for path in found.links if _is_file_inside(folder, path)]
    return sorted(path for path in [*files, *links] if path not in NEVER_FILES)


def _is_file_inside(folder: Path, path: str) -> bool:
    from rim.verify import NEVER_FILES

    try:
        target = (folder / path).resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    if not target.is_file() or not target.is_relative_to(folder):
        return False
    return target.relative_to(folder).as_posix() not in NEVER_FILES


def _edges_of(site: str, url: str | None) -> list[Any]:
    """A target for every present edge; the site asked for by its first host, else in the development domain."""
    from rim.client import site_path
    from rim.urls import local_url
    from rim.verify import target_of

    with open_origin(url) as open_:
        hosts = open_.get(site_path(site))["hosts"]
        edges = [edge for edge in open_.get("/api/v1/edges")["edges"] if edge["present"] and edge.get("public")]
    if not edges:
        raise Failed("the origin knows of no edge", "start one (`rim edge`), or give the site's URL")
    if not hosts:
        return [target_of(str(e["public"]), str(e["node"]), local_url(site, e).split("/")[2]) for e in edges]
    return [target_of(str(edge["public"]), str(edge["node"]), hosts[0]) for edge in edges]


def _status_text(url: str, state: dict[str, Any]) -> str:
    held = f"{output.count(state['blocks'], 'block')}  {output.size(state['bytes'])}"
    head = f"{url}  sequence {state['sequence']}  {output.count(state['sites'], 'site')}  {held}"
    lines = [head, edges_table(state["sequence"], state["edges"])]
    if any(edge["sequence"] > state["sequence"] for edge in state["edges"]):
        lines.append(_AHEAD)
    if state.get("services"):
        from rim.commands.services import services_text

        lines.append(services_text(state["services"]))
    return "\n".join(lines)


def edges_table(sequence: int, edges: list[dict[str, Any]]) -> str:
    """One row for each edge."""
    rows = [
        (
            e["node"],
            e["region"],
            _state(e),
            _lag(sequence, e),
            e.get("public") or "",
        )
        for e in edges
    ]
    return output.table(rows, ("EDGE", "REGION", "STATE", "SERVES", "PUBLIC"))


def ring_table(sequence: int, edges: list[dict[str, Any]]) -> str:
    """One row for each edge, as a member of a ring."""
    rows = [
        (e["node"], e["region"], f"{e.get('weight', 1.0):g}", e.get("version") or "?", _state(e), _lag(sequence, e))
        for e in edges
    ]
    return output.table(rows, ("EDGE", "REGION", "WEIGHT", "VERSION", "STATE", "SERVES"))


def _state(edge: dict[str, Any]) -> str:
    """Whether the origin has it, and what it says of itself where that is not what one expects."""
    if edge["present"]:
        state = str(edge.get("state") or "ready")
        words = ["present", "" if state == "ready" else state, "" if edge["bound"] else "unbound"]
        return ", ".join(filter(None, words))
    return "away" if edge["expected"] else "left"


def _lag(sequence: int, edge: dict[str, Any]) -> str:
    if edge["sequence"] > sequence:
        return f"{edge['sequence']} (ahead)"
    return "latest" if edge["sequence"] == sequence else f"{edge['sequence']}"
