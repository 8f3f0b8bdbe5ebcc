"""Commands that serve: a whole ring on this machine, one edge, or the origin; and shell completion."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from rim import output
from rim.commands.options import AsJson, Spa
from rim.exits import OK, Usage

EDGE_FILE = "edge.json"  # an edge's settings in its state folder, written by `rim up`
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def up(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A folder to publish.", show_default=False)
    ] = None,
    edges: Annotated[int, typer.Option(help="How many edges.", min=1, max=64)] = 1,
    port: Annotated[int, typer.Option(help="The first edge's public port; the next ones count up.", min=1)] = 8080,
    state: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where all is kept; else the default state.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="The site's name; else rim.toml's, else the folder's.")] = None,
    encode: Annotated[str | None, typer.Option(metavar="none|fast|balanced|best", help="How hard to compress.")] = None,
    spa: Spa = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Memory of each edge, e.g. 1GiB.")] = None,
    cache: Annotated[str | None, typer.Option(metavar="SIZE", help="Disk of each edge, e.g. 10GiB.")] = None,
    processes: Annotated[int, typer.Option(help="Processes of each edge.", min=1, max=64)] = 1,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Publish again on save, and reload open pages; DIR or rim.toml's `dir`."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Start an origin and a ring of edges on this machine; publish DIR if given; serve until Ctrl-C."""
    from rim import project
    from rim.commands.publish import chosen, existing
    from rim.dev import Plan, serve
    from rim.settings import state_home

    place = None if folder is None else existing(folder)
    if watch and place is None:
        place = chosen(project.load().folder)
    for flag, given in (("--memory", memory), ("--cache", cache)):
        _check_size(flag, given)
    plan = Plan(state or state_home(), place, edges, port, site, encode, spa, memory, cache, as_json, processes, watch)
    return serve(plan)


def _edge(**flags: Any) -> int:
    """Serve one edge, until SIGTERM. For an edge that `rim up` made, --state is all it needs."""
    from edge.config import BadSetting, read
    from edge.processes.start import serve

    given = {name: value for name, value in flags.items() if value not in (None, "", False)}
    # The folder's own word comes before the environment, where RIM_ORIGIN and others speak to publishers
    stored = _stored(given.get("state") or os.environ.get("RIM_EDGE_STATE"))
    try:
        return serve(read({**stored, **given}, os.environ))
    except BadSetting as error:
        raise Usage(str(error), "`rim edge --help` lists all settings") from error


def _check_size(flag: str, given: str | None) -> None:
    """Refuse now what every edge would refuse at its start."""
    from edge.config import size

    try:
        _ = size(given) if given is not None else 0
    except ValueError as error:
        raise Usage(f"{flag} {given}", "give a size, e.g. 512MiB or 2GiB") from error


def _origin(context: typer.Context, **flags: Any) -> int:
    """Serve the origin: what keeps blocks and signs the Catalog. Prints its first admin token once."""
    if context.invoked_subcommand is not None:
        return OK
    from origin import node
    from origin.config import SETTINGS, OriginConfig
    from rim.commands.state import origin_state

    values: dict[str, Any] = {}
    for row in SETTINGS:
        text = flags[row.name] or os.environ.get(row.env)
        try:
            if text not in (None, "", False):
                values[row.name] = _paths(text) if row.unit == "files" else row.type(text)
        except ValueError as error:
            raise Usage(f"--{row.name}: {error}", "`rim origin --help` lists all settings") from error
    config = OriginConfig(**{"state": origin_state(None), **values})
    try:
        _ = config.port
    except ValueError as error:
        raise Usage(f"--listen {config.listen}", "write it as HOST:PORT, e.g. 127.0.0.1:7070") from error
    try:
        _ = config.router_urls
    except ValueError as error:
        raise Usage(f"--routers: {error}", "name each as https://HOST, comma separated") from error
    return node.serve(config)


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _flags_of(settings: Iterable[Any], function: Callable[..., int], *first: inspect.Parameter) -> Callable[..., int]:
    """The command with one flag per row of a node's table of settings, so that help and table never part."""
    parameters = list(first)
    for row in settings:
        name, switch = row.name.replace("_", "-"), row.type is bool
        words = f"{row.help} \\[{row.env}]" + (f" (default: {row.default})" if row.default else "")
        unit = row.unit or row.type.__name__
        metavar = unit if "|" in unit else unit.upper()  # words to choose from stand as they are typed
        option = typer.Option(f"--{name}", metavar=None if switch else metavar, help=words)
        hint = Annotated[bool, option] if switch else Annotated[str | None, option]
        default = False if switch else None
        parameters.append(inspect.Parameter(row.name, _KEYWORD, annotation=hint, default=default))
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": int}
    return function


def _stored(state: str | None) -> dict[str, Any]:
    """The settings that `rim up` left in this edge's folder."""
    if not state or not (path := Path(state) / EDGE_FILE).exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Usage(
            f"{path} cannot be read: {error}", "correct it or remove it, and give the settings as flags"
        ) from error
    return {**values, "state": state} if isinstance(values, dict) else {}


def edge_command() -> Callable[..., int]:
    """`rim edge`, made when it is wanted: its table imports half the edge."""
    from edge.config import SETTINGS

    return _flags_of(SETTINGS, _edge)


def origin_command() -> typer.Typer:
    """`rim origin` and what else is done with an origin's folder."""
    from origin.config import SETTINGS
    from rim.commands import state

    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    app = typer.Typer(invoke_without_command=True)
    app.callback()(_flags_of(SETTINGS, _origin, context))
    for command in (state.fsck, state.backup, state.restore, state.migrate):
        app.command(command.__name__)(command)
    return app


def completions(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish|pwsh", help="The shell.", show_default=False)],
) -> int:
    """Print the completion script of a shell: rim completions bash > ~/.local/share/bash-completion/completions/rim"""
    from typer._completion_shared import get_completion_script

    if shell not in ("bash", "zsh", "fish", "pwsh"):
        raise Usage(f"no completion for {shell}", "give bash, zsh, fish or pwsh")
    output.result(get_completion_script(prog_name="rim", complete_var="_RIM_COMPLETE", shell=shell))
    return OK
