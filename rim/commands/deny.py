"""Commands about what may not be shown: deny it everywhere, allow it again, list what is denied."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from rim import output
from rim.commands.ending import committed, why
from rim.commands.options import AsJson, Message, OriginUrl, Timeout, Wait, open_origin
from rim.exits import OK, Usage

What = Annotated[
    str,
    typer.Argument(
        metavar="CID|PATH|URL",
        help="A CID, /ipfs/CID/path, /ipns/NAME, //HASH, or the URL of a file of a site.",
        show_default=False,
    ),
]
STATUSES = (410, 451)


def deny(
    what: What,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown to who asks for it.")] = "",
    status: Annotated[int, typer.Option("--status", metavar="410|451", help="Gone, or for legal reasons.")] = 410,
    recursive: Annotated[
        bool, typer.Option("--recursive", help="All paths that begin so too (the format's `*`).")
    ] = False,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Have every node refuse it, under every CID, path, name and encoding, in caches too."""
    from rim.client import COMMIT_SECONDS
    from rim.waiting import check_wait

    check_wait(wait)
    if status not in STATUSES:
        raise Usage(f"--status {status}", "give 410 (gone) or 451 (for legal reasons)")
    body = why({"what": what, "reason": reason, "status": status, "recursive": recursive}, message)
    deadline = time.monotonic() + timeout
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/deny", body, timeout=COMMIT_SECONDS)
        return committed(open_, _denied(answer["rules"]), {"what": what, **answer}, wait, deadline, as_json)


def allow(
    what: What,
    always: Annotated[bool, typer.Option("--always", help="Even where a denylist of a node denies it.")] = False,
    message: Message = "",
    wait: Wait = None,
    timeout: Timeout = 60.0,
    origin: OriginUrl = None,
    as_json: AsJson = False,
) -> int:
    """Take back what `rim deny` said of it."""
    from rim.client import COMMIT_SECONDS
    from rim.waiting import check_wait

    check_wait(wait)
    body, deadline = why({"what": what, "always": always}, message), time.monotonic() + timeout
    with open_origin(origin) as open_:
        answer = open_.send("POST", "/api/v1/allow", body, timeout=COMMIT_SECONDS)
        if answer["still"]:
            lists = ", ".join(answer["still"])
            output.note(f"it is still denied by {lists}; `rim allow {what} --always` overrules that")
        return committed(open_, _allowed(what, answer), {"what": what, **answer}, wait, deadline, as_json)


def denied(origin: OriginUrl = None, as_json: AsJson = False) -> int:
    """List what is denied, newest first, and the origin's lists; edges may have lists of their own."""
    with open_origin(origin) as open_:
        found = open_.get("/api/v1/denied")
    rows = [
        (
            rule["rule"],
            "allow" if rule["rule"].startswith("!") else rule["status"],
            output.moment(rule.get("time", 0)),
            rule.get("asked", ""),
            _why(rule),
        )
        for rule in found["rules"]
    ]
    text = output.table(rows, ("RULE", "STATUS", "SINCE", "ASKED AS", "REASON"))
    for one in found["lists"]:
        text += f"\nlist {one['name']}: {output.count(one['rules'], 'rule')}"
    output.result(text, found, as_json=as_json)
    return OK


def _denied(rules: list[str]) -> str:
    more = f" and {output.count(len(rules) - 1, 'encoding')} of it" if len(rules) > 1 else ""
    return f"denied {rules[0]}{more}"


def _allowed(what: str, answer: dict[str, Any]) -> str:
    if answer["added"]:
        return f"allowed {what}, whatever any list says"
    return f"allowed {what}" if answer["removed"] else f"{what} was not denied"


def _why(rule: dict[str, Any]) -> str:
    return f"encoding of {rule['group']}" if rule.get("group") else str(rule.get("reason", ""))
