"""Commands about sites: what there is, what it answers to, which release is live."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rim import output
from rim.commands.ending import committed, why
from rim.commands.options import AsJson, Message, OriginUrl, SiteName, Timeout, Wait, open_origin
from rim.exits import OK, Refused, Usage

if TYPE_CHECKING:
    from rim.client import Origin

site_app = typer.Typer(help="Add, change or remove a site.", no_args_is_help=True)

Hosts = Annotated[list[str] | None, typer.Option("--host", metavar="HOST", help="A host it answers to; repeatable.")]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="max_stale=S: edges answer 503 after S seconds without the origin. spa=true: from the next publish on, "
        "navigations to unknown paths get /index.html.",
    ),
]
Dnslink = Annotated[
    str | None,
    typer.Option(
        "--dnslink",
        metavar="DOMAIN",
        help="A domain whose DNSLink leads here; it becomes a host, too. `rim dnslink` says which record to set.",
    ),
]
SETTINGS = {  # what is looked at: the origin would keep any other, and nothing would come of it
    "max_stale": (re.compile("0|[1-9][0-9]{0,9}"), "a number of seconds, e.g. max_stale=3600"),
    "spa": (re.compile("true|false"), "true or false"),
}


def sites(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List the sites of the origin."""
    with open_origin(origin) as open_:
        found = open_.get("/api/v1/sites")["sites"]
    rows = [(s["name"], _live(s, "files"), _bytes(s), _when(s), ",".join(s["hosts"]), _live(s, "root")) for s in found]
    text = output.table(rows, ("SITE", "FILES", "SIZE", "PUBLISHED", "HOSTS", "ROOT"))
    output.result(text, {"sites": found}, as_json=as_json)
    return OK


@site_app.command("add")
def site_add(
    name: SiteName,
    host: Hosts = None,
    dnslink: Dnslink = None,
    pairs: Pairs = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Add a site, before its first publish or to give it hosts."""
    from rim.client import site_path

    hosts, settings = _linked(name, dnslink or None, host or [], _settings(pairs))
    body = why({"hosts": hosts, "settings": settings})
    with open_origin(origin) as open_:
        _refuse_existing(open_, name)
        site = open_.send("PUT", site_path(name), body)
    output.result(f"added {name}", site, as_json=as_json)
    if dnslink and not as_json:
        output.note(f"`rim dnslink {name}` says which DNS record to set, and whether it is there")
    return OK


@site_app.command("set")
def site_set(
    name: SiteName,
    host: Hosts = None,
    dnslink: Dnslink = None,
    pairs: Pairs = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Change hosts (those given replace the old; `--host ""` leaves none), DNSLink, settings (null takes one away)."""
    from rim.client import site_path

    if host is None and pairs is None and dnslink is None:
        raise Usage("nothing to set", "give --host HOST, --dnslink DOMAIN or --set KEY=VALUE")
    with open_origin(origin) as open_:
        body: dict[str, Any] = {} if host is None else {"hosts": [name for name in host if name]}
        if pairs is not None:
            body["settings"] = _settings(pairs)
        if dnslink is not None:
            hosts = body["hosts"] if "hosts" in body else open_.get(site_path(name))["hosts"]
            body["hosts"], body["settings"] = _linked(name, dnslink, hosts, body.get("settings", {}))
        site = open_.send("PATCH", site_path(name), why(body))
    output.result(f"changed {name}", site, as_json=as_json)
    return OK


@site_app.command("rm")
def site_rm(name: SiteName, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """Remove a site and all its releases; `rim gc` then frees their blocks."""
    from rim.client import site_path

    with open_origin(origin) as open_:
        open_.send("DELETE", site_path(name), why({}))
    output.result(f"removed {name}", {"site": name, "removed": True}, as_json=as_json)
    return OK


def releases(site: SiteName, origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List a site's releases, newest first; `*` marks the live one, ALONE is what no other release holds."""
    from rim.client import COMMIT_SECONDS, site_path

    with open_origin(origin) as open_:
        found = open_.get(site_path(site, "releases"), timeout=COMMIT_SECONDS, costs=1)["releases"]
    rows = [
        (
            "*" if r["live"] else "",
            r["release"],
            output.moment(r["time"]),
            r["files"],
            output.size(r["size"]),
            "-" if r.get("alone") is None else output.size(r["alone"]),
            r["author"],
            r["message"],
        )
        for r in found
    ]
    text = output.table(rows, ("", "RELEASE", "TIME", "FILES", "SIZE", "ALONE", "AUTHOR", "MESSAGE"))
    output.result(text, {"site": site, "releases": found}, as_json=as_json)
    return OK


def rollback(
    site: SiteName,
    release: Annotated[
        str | None, typer.Argument(metavar="[RELEASE]", help="The release, or its beginning; else the one before.")
    ] = None,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Make an earlier release live again."""
    from rim.client import COMMIT_SECONDS, site_path
    from rim.waiting import check_wait

    check_wait(wait)
    deadline = time.monotonic() + timeout
    with open_origin(origin) as open_:
        answer = open_.send(
            "POST", site_path(site, "rollback"), why({"release": release}, message), timeout=COMMIT_SECONDS
        )
        return committed(open_, f"{site} is at {answer['release']}", {"site": site, **answer}, wait, deadline, as_json)


def purge(
    site: SiteName,
    path: Annotated[list[str] | None, typer.Option("--path", metavar="P", help="One path; repeatable.")] = None,
    prefix: Annotated[
        list[str] | None, typer.Option("--prefix", metavar="P", help="All paths below; repeatable.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="T", help="What has this tag; repeatable.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole site.")] = False,
    soft: Annotated[bool, typer.Option("--soft", help="Only read again and prove what is held; take nothing.")] = False,
    browsers: Annotated[
        bool, typer.Option("--browsers", help="Ask each visitor's browser, once, to clear its cache of the site.")
    ] = False,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Forget what edges hold: live paths are fetched anew, paths of old releases are gone."""
    from rim.client import COMMIT_SECONDS, site_path
    from rim.waiting import check_wait

    check_wait(wait)
    if not (path or prefix or tag or everything or browsers):
        raise Usage("nothing to purge", "give --path P, --prefix P, --tag T, --all or --browsers")
    if soft and not (path or prefix or tag or everything):
        raise Usage("--soft says how, not what", "give --path P, --prefix P, --tag T or --all with it")
    if wrong := [p for p in [*(path or ()), *(prefix or ())] if not p.startswith("/")]:
        raise Usage(
            f"{wrong[0]!r} is no path", "paths begin with / and are written as in the folder, not percent-coded"
        )
    wanted = {"paths": path or [], "prefixes": prefix or [], "tags": tag or [], "all": everything}
    body, deadline = why({**wanted, "soft": soft, "browsers": browsers}, message), time.monotonic() + timeout
    with open_origin(origin) as open_:
        answer = open_.send("POST", site_path(site, "purge"), body, timeout=COMMIT_SECONDS)
        return committed(open_, f"purged {site}", {"site": site, **answer}, wait, deadline, as_json)


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise Usage(f"--set {pair}", "write it as KEY=VALUE, e.g. --set max_stale=3600")
        if key not in SETTINGS:
            raise Usage(f"--set {pair}: there is no setting {key!r}", f"there are {', '.join(SETTINGS)}")
        form, wanted = SETTINGS[key]
        if value != "null" and not form.fullmatch(value):
            raise Usage(f"--set {pair}", f"give {wanted}; or null to take it away")
        settings[key] = json.loads(value)
    return settings


def _linked(
    site: str, domain: str | None, hosts: list[str], settings: dict[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Hosts and settings with this DNSLink. An empty one ends what was set; the host stays, it may be in use."""
    from rim.commands.dnslink import checked_domain

    if domain is None:
        return hosts, settings
    if not domain:
        return hosts, {**settings, "dnslink": None}
    name = checked_domain(domain, site)
    return [*hosts, *(() if name in hosts else (name,))], {**settings, "dnslink": name}


def _refuse_existing(origin: Origin, name: str) -> None:
    """The origin's PUT replaces: adding what is there would take its hosts away."""
    from rim.client import Rejected, site_path

    try:
        origin.get(site_path(name))
    except Rejected as error:
        if error.code == "no_site":
            return
        raise
    raise Refused(f"site {name!r} is there already", f"`rim site set {name}` changes it")


def _live(site: dict[str, Any], key: str) -> Any:
    return "-" if site["live"] is None else site["live"][key]


def _bytes(site: dict[str, Any]) -> str:
    return "-" if site["live"] is None else output.size(site["live"]["size"])


def _when(site: dict[str, Any]) -> str:
    return "-" if site["live"] is None else output.moment(site["live"]["time"])
