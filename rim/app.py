"""The table of commands, and the application that has the one that was typed.

Here lives the table and nothing that commands do. A command's module is imported when that command was typed: importing
all of them would double the time of an unchanged publish, which is what pipelines run most.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated

import typer

_PANELS: dict[str, dict[str, str]] = {  # as `rim --help` shows them: command → module:attribute, or module:maker()
    "Publish": {
        "up": "serve:up",
        "publish": "publish:publish",
        "sites": "sites:sites",
        "site": "sites:site_app",
        "releases": "sites:releases",
        "rollback": "sites:rollback",
        "previews": "trials:previews_app",
        "promote": "trials:promote",
        "rollout": "trials:rollout",
        "purge": "sites:purge",
        "sw": "sw:sw_app",
    },
    "Write": {
        "init": "project:init",
        "check": "check:check",
        "schema": "project:schema",
        "password": "project:password",
    },
    "Look": {
        "status": "look:status",
        "log": "log:log",
        "tail": "tail:tail",
        "explain": "explain:explain",
        "dnslink": "dnslink:dnslink",
        "verify": "look:verify",
        "sri": "sri:sri",
    },
    "Keep": {
        "pin": "keep:pin",
        "unpin": "keep:unpin",
        "pins": "keep:pins",
        "service": "services:service_app",
        "gc": "keep:gc",
        "export": "keep:export",
        "deny": "deny:deny",
        "allow": "deny:allow",
        "denied": "deny:denied",
    },
    "Operate": {
        "edge": "serve:edge_command()",
        "origin": "serve:origin_command()",
        "token": "access:token_app",
        "key": "access:key_app",
        "edges": "edges:edges_app",
        "health": "health:health",
        "completions": "serve:completions",
    },
}
_COMPLETING = "_RIM_COMPLETE"  # set by the shell while it completes a line


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the one command that was typed; with all when none can be told (help, completion)."""
    app = typer.Typer(
        help="A self-hosted CDN for static sites, backed by IPFS.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    typed = arguments[0] if arguments and _COMPLETING not in os.environ else None
    one = any(typed in commands for commands in _PANELS.values())
    for panel, commands in _PANELS.items():
        for name, where in commands.items():
            if not one or name == typed:
                _add(app, name, where, panel)
    return app


def _add(app: typer.Typer, name: str, where: str, panel: str) -> None:
    module, _, attribute = where.partition(":")
    found = getattr(import_module(f"rim.commands.{module}"), attribute.removesuffix("()"))
    if attribute.endswith("()"):
        found = found()
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name, rich_help_panel=panel)
    else:
        app.command(name, rich_help_panel=panel)(found)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"rim {version('rim-cdn')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """A self-hosted CDN for static sites, backed by IPFS."""
