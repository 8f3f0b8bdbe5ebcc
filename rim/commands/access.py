"""Commands about who may do what: tokens, and the key that signs the Catalog."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, open_origin
from rim.exits import OK, Usage
from rim.settings import author

token_app = typer.Typer(help="Make, list and revoke tokens.", no_args_is_help=True)
key_app = typer.Typer(help="Show or change the key that edges trust.", no_args_is_help=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SCOPES = ("publish", "purge", "pin", "admin", "edge")


@token_app.command("add")
def token_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom it is for.", show_default=False)],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="publish (the default), purge, pin, admin or edge; repeatable.")
    ] = None,
    site: Annotated[list[str] | None, typer.Option("--site", help="For this site only; repeatable.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="E.g. 12h or 90d; else never.")] = None,
    quota: Annotated[int | None, typer.Option("--quota-bytes", help="Most bytes its sites may hold.", min=0)] = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Make a token; it is shown once."""
    scopes = scope or ["publish"]
    if wrong := [word for word in scopes if word not in SCOPES]:
        raise Usage(f"--scope {wrong[0]}", f"give one of {', '.join(SCOPES)}")
    body = {"name": name, "scopes": scopes, "sites": site or "*", "expires": _until(expires), "quota_bytes": quota}
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/tokens", body)
    output.result(str(answer["token"]), answer, as_json=as_json)
    return OK


@token_app.command("list")
def token_list(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List the tokens; never their secrets, which nobody keeps."""
    with open_origin(origin) as open_:
        found = open_.get("/api/v1/tokens")["tokens"]
    rows = [
        (
            t["id"],
            t["name"],
            ",".join(t["scopes"]),
            t["sites"] if t["sites"] == "*" else ",".join(t["sites"]),
            _day(t["expires"]),
        )
        for t in found
    ]
    output.result(output.table(rows, ("ID", "NAME", "SCOPES", "SITES", "EXPIRES")), {"tokens": found}, as_json=as_json)
    return OK


@token_app.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `rim token list` shows it.", show_default=False)],
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Revoke a token, at once."""
    from urllib.parse import quote

    with open_origin(origin) as open_:
        open_.send("DELETE", f"/api/v1/tokens/{quote(token_id, safe='')}")
    output.result(f"revoked {token_id}", {"id": token_id, "revoked": True}, as_json=as_json)
    return OK


@key_app.command("show")
def key_show(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Show the name of the catalog key: what `rim edge --catalog` takes."""
    with open_origin(origin) as open_:
        answer = open_.get("/api/v1/keys")
    output.result(str(answer["catalog"]), answer, as_json=as_json)
    return OK


@key_app.command("rotate")
def key_rotate(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Make a new catalog key; edges that follow the old one learn of it from the Catalog."""
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/keys/rotate", {"author": author()}, timeout=300)
    output.result(str(answer["catalog"]), answer, as_json=as_json)
    return OK


def _until(text: str | None) -> int | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise Usage(f"--expires {text}", "write it as a number and s, m, h or d: 12h, 90d")
    return int(time.time()) + int(found[1]) * _UNITS[found[2]]


def _day(seconds: float | None) -> str:
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
