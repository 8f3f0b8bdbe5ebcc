"""Commands about releases that some see before all do: previews, rollouts, and making one live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rim import output
from rim.commands.ending import committed, why
from rim.commands.options import AsJson, Message, OriginUrl, SiteName, Timeout, Wait, open_origin
from rim.exits import OK, Refused, Usage

if TYPE_CHECKING:
    from rim.client import Origin

previews_app = typer.Typer(help="List or remove previews.", no_args_is_help=True)


@previews_app.command("list")
def previews_list(site: SiteName, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List a site's previews: what each shows, and until when."""
    from rim.client import site_path

    with open_origin(origin) as open_:
        found = open_.get(site_path(site))["previews"]
    rows = [
        (p["name"], p["release"], output.moment(p["set"]), _end(p["expires"]), "yes" if p["protected"] else "")
        for p in found
    ]
    text = output.table(rows, ("PREVIEW", "RELEASE", "SET", "ENDS", "PASSWORD"))
    output.result(text, {"site": site, "previews": found}, as_json=as_json)
    return OK


@previews_app.command("rm")
def previews_rm(
    site: SiteName,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The preview.", show_default=False)],
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Remove a preview. What it showed is gone unless something else keeps it."""
    from rim.client import COMMIT_SECONDS, site_path

    with open_origin(origin) as open_:
        answer = open_.send("DELETE", site_path(site, f"previews/{name}"), why({}), timeout=COMMIT_SECONDS)
    output.result(f"removed preview {name} of {site}", {"site": site, "preview": name, **answer}, as_json=as_json)
    return OK


def promote(
    site: SiteName,
    preview: Annotated[str, typer.Argument(metavar="PREVIEW", help="The preview to make live.", show_default=False)],
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    no_warm: Annotated[bool, typer.Option("--no-warm", help="Do not wait for edges to fetch it first.")] = False,
    gate: Annotated[int | None, typer.Option(metavar="K", help="Live once K edges of each region hold it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Change bytes under paths once served as immutable.")] = False,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Make a preview's release live, bit for bit: nothing is built again. It ends a rollout of the same release."""
    from rim.client import COMMIT_SECONDS, site_path
    from rim.output import Bars
    from rim.waiting import Gate, check_gate, check_wait, wait_until_warm

    check_wait(wait)
    check_gate(gate, None)
    with open_origin(origin) as open_:
        shown, live = _shown(open_, site, preview)
        expected = None if live is None else str(live["release"])
        if shown["release"] == expected:
            output.result(f"unchanged: {site} is at {expected}", {"site": site, "release": expected}, as_json=as_json)
            return OK
        body = why({"release": shown["release"], "expected": expected}, message)
        open_.send("POST", site_path(site, "stage"), {**body, "force": force}, timeout=COMMIT_SECONDS)
        deadline = time.monotonic() + timeout
        if not no_warm:
            bars = Bars()
            try:
                with bars.phase("warm") as bar:
                    waiting = Gate(site, str(shown["release"]), max(1, int(shown["size"])), bar, bars.say, gate)
                    remark = wait_until_warm(open_, waiting, deadline if wait is None else deadline - timeout / 5)
            finally:
                bars.close()
            if remark:
                output.note(remark)
        answer = open_.send("POST", site_path(site, "activate"), body, timeout=COMMIT_SECONDS)
        value = {"site": site, "release": shown["release"], "previous": expected, **answer}
        return committed(open_, f"{site} is at {shown['release']}", value, wait, deadline, as_json)


def rollout(
    site: SiteName,
    release: Annotated[
        str | None, typer.Argument(metavar="[PREVIEW|RELEASE]", help="What to roll out; else what is running.")
    ] = None,
    percent: Annotated[float | None, typer.Option(metavar="P", help="The share of visitors who get it.")] = None,
    abort: Annotated[bool, typer.Option("--abort", help="Give all visitors the live release again, at once.")] = False,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Give a share of the visitors another release; widen it, abort it, or `rim promote` it. Alone: show it."""
    from rim.client import COMMIT_SECONDS, site_path
    from rim.waiting import check_wait

    check_wait(wait)
    if abort and (release is not None or percent is not None):
        raise Usage("--abort takes no release and no share", "give it alone: rim rollout SITE --abort")
    if percent is not None and not 0 < percent <= 100:
        raise Usage(f"--percent {percent:g}", "give a number above 0, and 100 at most")
    with open_origin(origin) as open_:
        running = open_.get(site_path(site))["rollout"]
        if not abort and percent is None:
            if release is not None:
                raise Usage(f"what share of the visitors gets {release}?", "give --percent P")
            return _show(site, running, as_json)
        if not abort and release is None and running is None:
            raise Refused(f"site {site!r} has no rollout", "start one: rim rollout SITE PREVIEW --percent P")
        path, deadline = site_path(site, "rollout"), time.monotonic() + timeout
        if abort:
            answer = open_.send("DELETE", path, why({}, message), timeout=COMMIT_SECONDS)
            text = f"{site}: all visitors get the live release"
        else:
            body = why({"release": release or running["release"], "percent": percent}, message)
            answer = open_.send("PUT", path, body, timeout=COMMIT_SECONDS)
            text = f"{site}: {answer['percent']:g} % of the visitors get {answer['release']}"
        return committed(open_, text, {"site": site, **answer}, wait, deadline, as_json)


def _shown(origin: Origin, site: str, name: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """What the preview shows and what is live. Raises Refused."""
    from rim.client import site_path

    found = origin.get(site_path(site))
    shown = next((p for p in found["previews"] if p["name"] == name), None)
    if shown is None:
        there = ", ".join(p["name"] for p in found["previews"]) or "none"
        raise Refused(f"no preview {name!r} of {site!r} (there is: {there})", f"publish one: --preview {name}")
    if shown["expires"] is not None and shown["expires"] <= time.time():
        raise Refused(f"preview {name!r} of {site!r} has expired", f"publish it again: --preview {name}")
    return shown, found["live"]


def _show(site: str, running: dict[str, Any] | None, as_json: bool) -> int:
    text = f"{site} has no rollout"
    if running is not None:
        text = f"{site}: {running['percent']:g} % of the visitors get {running['release']}"
    output.result(text, {"site": site, "rollout": running}, as_json=as_json)
    return OK


def _end(expires: int | None) -> str:
    if expires is None:
        return "never"
    return output.moment(expires) if expires > time.time() else "over"
