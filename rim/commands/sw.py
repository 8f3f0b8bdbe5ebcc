"""`rim sw`: the service worker's switch.

Off is for emergencies, and an operator's word: whatever is published after it says nothing of it. Not here: opting a
site in, which its rim.toml does, or what an edge then answers under /.rim/ (edge).
"""

from __future__ import annotations

import time
from typing import Any

import typer

from rim import output
from rim.commands.ending import committed, why
from rim.commands.options import AsJson, Message, OriginUrl, SiteName, Timeout, Wait, open_origin
from rim.exits import OK

sw_app = typer.Typer(help="Switch a site's service worker off and on, or see how it stands.", no_args_is_help=True)


@sw_app.command("off")
def sw_off(
    site: SiteName,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Take the service worker away: browsers that have it let go of it, and of what it stored, on their next visit."""
    return _switch(site, False, message, wait, timeout, origin, as_json)


@sw_app.command("on")
def sw_on(
    site: SiteName,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Give browsers the service worker again, of releases that have one."""
    return _switch(site, True, message, wait, timeout, origin, as_json)


@sw_app.command("status")
def sw_status(site: SiteName, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Show whether browsers get a service worker, and of which release."""
    from rim.client import site_path

    with open_origin(origin) as open_:
        worker = open_.get(site_path(site))["worker"]
    output.result(
        "\n".join((f"{site}: {_words(worker)}", *_manifests(worker))), {"site": site, **worker}, as_json=as_json
    )
    return OK


def _switch(
    site: str, on: bool, message: str, wait: str | None, timeout: float, origin: str | None, as_json: bool
) -> int:
    from rim.client import COMMIT_SECONDS, site_path
    from rim.waiting import check_wait

    check_wait(wait)
    deadline = time.monotonic() + timeout
    with open_origin(origin) as open_:
        body = why({"on": on}, message)
        answer = open_.send("PUT", site_path(site, "worker"), body, timeout=COMMIT_SECONDS)
        worker = answer.pop("worker")
        return committed(
            open_, f"{site}: {_words(worker)}", {"site": site, **answer, **worker}, wait, deadline, as_json
        )


def _words(worker: dict[str, Any]) -> str:
    if not worker["on"]:
        return "switched off; browsers that have the service worker let go of it on their next visit"
    if worker["signed"]:
        return "browsers get the service worker"
    if worker["live"]:
        return "switched on, and no manifest could be signed: the origin's log says why"
    return "switched on, and the live release has no service worker ([service_worker] in rim.toml gives it one)"


def _manifests(worker: dict[str, Any]) -> list[str]:
    """A line for each manifest: the release, when it was signed, the gateways for what no edge has right."""
    return [
        f"  {row['release']}  {output.moment(row['serial'] // 1_000_000)}  {' '.join(row['gateways'])}".rstrip()
        for row in worker["signed"]
    ]
