"""The end of a command that has changed something: who did it and why, and waiting until edges serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rim import output
from rim.exits import OK

if TYPE_CHECKING:
    from rim.client import Origin


def why(body: dict[str, Any], message: str = "") -> dict[str, Any]:
    """With what the log is to say of who did it, and why."""
    from rim.settings import author

    return {**body, "author": author(), "message": message}


def committed(
    origin: Origin, text: str, value: dict[str, Any], wait: str | None, deadline: float, as_json: bool
) -> int:
    """Wait for edges if asked to, and say how it stands. `value` holds the sequence; `deadline` is of the monotonic
    clock."""
    from rim.waiting import wait_for_edges

    if wait is None:
        output.result(text, value, as_json=as_json)
        return OK
    seen = wait_for_edges(origin, int(value["sequence"]), wait, deadline)
    if seen.code:
        output.note(seen.remark("serve it"))
    output.result(text, {**value, "edges": seen.edges}, as_json=as_json)
    return seen.code
