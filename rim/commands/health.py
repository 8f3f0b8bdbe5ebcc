"""`rim health`: ask the node that runs here whether it is well. The image's HEALTHCHECK runs it (deploy/container)."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from rim import output
from rim.exits import FAILED, OK, Failed, Usage


def health(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="What to ask; else the edge at RIM_PUBLIC and the origin at RIM_ORIGIN_LISTEN, whichever runs here.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="S", help="Seconds to wait for its answer.", min=0.1)] = 3.0,
) -> int:
    """Ask the node that runs here whether it is well: exit 0 if it is, 1 if it is not or nothing listens."""
    from rim.health import ask, own

    urls = (url,) if url else own(os.environ)
    wrong: list[str] = []
    for each in urls:
        try:
            wrong.append(ask(each, timeout))
        except ConnectionRefusedError:
            continue  # of an image for both roles, the other one
        except ValueError as error:
            raise Usage(str(error), "write it as http://HOST:PORT/PATH") from error
    if not wrong:
        raise Failed(f"nothing listens at {' or '.join(urls)}", "start a node, or give the URL it answers at")
    for line in filter(None, wrong):
        output.note(line)
    if any(wrong):
        return FAILED
    output.result("ok")
    return OK
