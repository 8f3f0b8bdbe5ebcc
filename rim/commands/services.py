"""Commands about remote pinning services: which there are, and what is pinned at one.

Here live `rim service …` and what `rim pin`, `rim unpin` and `rim pins` do with --service. Not here: how the token is
asked for (rim/secret), or the work at a service (the origin's).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, open_origin
from rim.exits import OK, Failed, TimedOut, Usage

if TYPE_CHECKING:
    from rim.client import Origin

service_app = typer.Typer(help="Add, list, change and remove remote pinning services.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called here.", show_default=False)]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Holds its token; - is stdin. Else RIM_SERVICE_TOKEN, or typed."),
]
Auto = Annotated[
    bool | None,
    typer.Option("--auto/--no-auto", help="Pin live releases there by itself: they are public.", show_default=False),
]
Sites = Annotated[list[str] | None, typer.Option("--site", help="Only releases of this site; repeatable. '*': all.")]
Keep = Annotated[
    int | None, typer.Option(metavar="N", help="Releases of each site that stay pinned: live, and the newest.", min=1)
]
Hints = Annotated[
    list[str] | None,
    typer.Option("--hint", metavar="MULTIADDR", help="Where the service finds our blocks; repeatable. '': nowhere."),
]
_POLL_SECONDS = 0.5


@service_app.command("add")
def service_add(
    name: Name,
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Its API; /pins is added.", show_default=False)],
    token_file: TokenFile = None,
    auto: Auto = None,
    site: Sites = None,
    keep: Keep = None,
    hint: Hints = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Add a service that speaks the IPFS Pinning Service API. Its token stays at the origin."""
    from rim.secret import access_token

    body = {"name": name, "endpoint": endpoint, "token": access_token(token_file), **_given(auto, site, keep, hint)}
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/services", body)
    output.result(f"added {name}: {_how(answer)}", answer, as_json=as_json)
    return OK


@service_app.command("list")
def service_list(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List the services: how each is, and what is pinned there; never their tokens."""
    with open_origin(origin) as open_:
        found = open_.get("/api/v1/services")["services"]
    rows = [(s["name"], s["endpoint"], _how(s), _state(s), pins_text(s["pins"]), s["error"]) for s in found]
    text = output.table(rows, ("SERVICE", "ENDPOINT", "AUTO", "STATE", "PINS", "ERROR"))
    output.result(text, {"services": found}, as_json=as_json)
    return OK


@service_app.command("set")
def service_set(
    name: Name,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="Its API; /pins is added.")] = None,
    token: Annotated[bool, typer.Option("--token", help="Take another: RIM_SERVICE_TOKEN, or typed.")] = False,
    token_file: TokenFile = None,
    auto: Auto = None,
    site: Sites = None,
    keep: Keep = None,
    hint: Hints = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Change a service. Without `auto`, what is pinned stays until it is unpinned."""
    from rim.secret import access_token

    body = _given(auto, site, keep, hint)
    body |= {} if endpoint is None else {"endpoint": endpoint}
    body |= {"token": access_token(token_file)} if token or token_file else {}
    if not body:
        raise Usage("nothing to change", "give --auto, --no-auto, --site, --keep, --hint, --endpoint or --token")
    with open_origin(origin) as open_:
        answer = open_.send("PATCH", _path(name), body)
    output.result(f"{name}: {_how(answer)}", answer, as_json=as_json)
    return OK


@service_app.command("remove")
def service_remove(
    name: Name,
    unpin: Annotated[bool, typer.Option("--unpin", help="Take our pins away there first.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Forget a service; its pins stay at it, unless --unpin."""
    with open_origin(origin) as open_:
        answer = open_.send("DELETE", _path(name) + ("?unpin=1" if unpin else ""))
    pins = output.count(answer["pins"], "pin")
    text = f"removing {name} once {pins} are gone" if answer["leaving"] else f"removed {name}"
    if answer["pins"] and not answer["leaving"]:
        text += f"; {pins} stay there"
    output.result(text, {"service": name, **answer}, as_json=as_json)
    return OK


@service_app.command("check")
def service_check(name: Name, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Look at every pin there again now; try again what failed."""
    with open_origin(origin) as open_:
        open_.send("POST", _path(name, "check"))
    output.result(f"checking {name}: `rim pins --service {name}`", {"service": name, "checking": True}, as_json=as_json)
    return OK


def pin_at(open_: Origin, service: str, cid: str, name: str, wait: bool, timeout: float) -> tuple[str, dict[str, Any]]:
    """Have a DAG pinned at a service; with `wait`, until it is. The result as text and value."""
    from rim.client import Rejected

    where = _path(service, f"pins/{cid}")
    row = open_.send("PUT", where, {"name": name})
    deadline = time.monotonic() + timeout
    while wait and row["status"] != "pinned":
        if row["status"] == "failed":
            raise Failed(f"{service} could not pin {cid}: {row['error']}", "the origin tries again by itself")
        if time.monotonic() >= deadline:
            found = open_.get(_path(service))
            why = row["error"] or found["error"]
            said = f"{row['status']}; the service: {found['state']}" + (f", {why}" if why else "")
            raise TimedOut(f"{cid} is not pinned at {service} yet ({said})", "the origin goes on: `rim pins --service`")
        time.sleep(_POLL_SECONDS)
        try:
            row = open_.get(where)
        except Rejected as error:
            if error.code == "no_pin":
                raise Failed(f"somebody unpinned {cid} at {service}", "pin it again if it is wanted") from error
            raise
    said = "pinned" if row["status"] == "pinned" else f"{row['status']} (the origin goes on)"
    return f"{cid} at {service}: {said}", {"service": service, **row}


def unpin_at(open_: Origin, service: str, cid: str) -> tuple[str, dict[str, Any]]:
    """Have a pin taken away at a service."""
    open_.send("DELETE", _path(service, f"pins/{cid}"))
    return f"unpinning {cid} at {service}", {"service": service, "cid": cid, "pinned": False}


def pins_at(open_: Origin, service: str) -> tuple[str, dict[str, Any]]:
    """What is pinned at a service, and how far each is."""
    found = open_.get(_path(service, "pins"))["pins"]
    rows = [(p["cid"], p["name"], p["status"], p["error"]) for p in found]
    return output.table(rows, ("CID", "NAME", "STATUS", "ERROR")), {"service": service, "pins": found}


def pins_text(counts: dict[str, int]) -> str:
    """3 pinned, 1 failed."""
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number) or "none"


def services_text(services: list[dict[str, Any]]) -> str:
    """One row for each service, for `rim status`."""
    rows = [(s["name"], _state(s), pins_text(s["pins"]), s["error"]) for s in services]
    return output.table(rows, ("SERVICE", "STATE", "PINS", "ERROR"))


def _given(auto: bool | None, site: list[str] | None, keep: int | None, hint: list[str] | None) -> dict[str, Any]:
    given: dict[str, Any] = {"auto": auto, "keep": keep}
    given["sites"] = "*" if site == ["*"] else site or None
    given["hints"] = None if hint is None else [text for text in hint if text]
    return {key: value for key, value in given.items() if value is not None}


def _how(service: dict[str, Any]) -> str:
    if service["leaving"]:
        return "being removed"
    if not service["auto"]:
        return "only what is asked for"
    sites = "all sites" if service["sites"] == "*" else ", ".join(service["sites"]) or "no site"
    return f"live releases of {sites}" + (f", {service['keep']} each" if service["keep"] > 1 else "")


def _state(service: dict[str, Any]) -> str:
    wait = service["retry_in"]
    return str(service["state"]) + (f", again in {wait:.0f} s" if wait >= 1 else "")


def _path(name: str, *more: str) -> str:
    return "/".join(("/api/v1/services", quote(name, safe=""), *more))
