"""`rim dnslink`: the TXT record that leads a domain to a site, and whether DNS has it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rim import output
from rim.commands.options import AsJson, OriginUrl, SiteName, open_origin
from rim.exits import FAILED, OK, Usage

_DOMAIN_HINT = "write it as in DNS, e.g. www.example.org (internationalized names as xn--…)"


def dnslink(
    site: SiteName,
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="The domain; else the site's own (`--dnslink`).")
    ] = None,
    resolver: Annotated[
        str | None,
        typer.Option("--resolver", metavar="ADDRESS", help="The DNS server to ask; else the system's. 9.9.9.9[:PORT]"),
    ] = None,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Print the DNS record that leads a domain to the site, and check it: exit 0 when it does, 1 when not (yet)."""
    from rim import dnslink as checks
    from rim.client import site_path

    with open_origin(origin) as open_:
        shown = open_.get(site_path(site))
    name = checked_domain(domain or str(shown["settings"].get("dnslink") or ""), site)
    root = None if shown["live"] is None else str(shown["live"]["root"])
    try:
        checked = checks.check(name, str(shown["ipns"]), root, resolver)
    except ValueError as error:
        raise Usage(f"--resolver {resolver}: {error}") from error
    record = checks.record(name, str(shown["ipns"]))
    value = {"site": site, "domain": name, "record": record, "state": checked.state, "found": list(checked.found)}
    told = {"way": list(checked.way), "ttl": round(checked.ttl) if checked.ttl != float("inf") else None}
    if name not in shown["hosts"]:
        output.note(f"{name} is no host of {site}: edges will not answer it. `rim site set {site} --dnslink {name}`")
    output.result(f"{record}\n{_words(checked)}", {**value, **told, "said": checked.said}, as_json=as_json)
    return OK if checked.state == checks.OK else FAILED


def checked_domain(text: str, site: str) -> str:
    """A domain in lower case, as a host. Raises Usage."""
    from content.catalog import BadName, check_host
    from edge.names.spelling import domain_name

    if not text:
        raise Usage(f"site {site!r} has no domain of its own", f"`rim site set {site} --dnslink DOMAIN`, or give one")
    name = domain_name(text)
    try:
        return check_host(name or "")
    except BadName as error:
        raise Usage(f"{text!r} is no domain", _DOMAIN_HINT) from error


def _words(checked: Any) -> str:
    """The state, in a sentence."""
    from rim.dnslink import MISSING, UNKNOWN, WAITING
    from rim.dnslink import OK as GOOD

    over = f" (over {', '.join(checked.way)})" if checked.way else ""
    asked = f"asked anew in {checked.ttl:.0f} s"
    match checked.state:
        case value if value == GOOD:
            return f"ok: DNS leads to the site{over}"
        case value if value == WAITING:
            return f"not yet: the zone has it, but resolvers keep the old answer; {asked}"
        case value if value == MISSING:
            held = f", only what cannot be followed: {', '.join(checked.found)}" if checked.found else ""
            return f"missing: DNS has no such record{held}; {asked}"
        case value if value == UNKNOWN:
            return f"unknown: {checked.said}"
    if checked.root:
        return (
            f"elsewhere: DNS names the live release itself ({checked.found[0]}), which the next publish leaves behind"
        )
    return f"elsewhere: DNS says {', '.join(checked.found)}{over}; {asked}"
