"""Options that several commands share, and the way from them to an open origin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rim.client import Origin

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]
OriginUrl = Annotated[
    str | None,
    typer.Option("--origin", metavar="URL", help="The origin; else RIM_ORIGIN, rim.toml, a running `rim up`."),
]
SiteName = Annotated[str, typer.Argument(metavar="SITE", help="The site's name.", show_default=False)]
Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="all|K", help="End when all edges, or K of them, serve it (else exit 4, 5)."),
]
Message = Annotated[str, typer.Option("--message", "-m", help="Why; shown by `rim log`.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="S", help="Seconds to wait for edges.", min=0)]

Spa = Annotated[
    bool | None,
    typer.Option(
        "--spa/--no-spa",
        help="Answer navigations to unknown paths with /index.html; else as rim.toml, then the site's settings say.",
        show_default=False,
    ),
]


@contextmanager
def open_origin(url: str | None, folder: Path | None = None) -> Iterator[Origin]:
    """The origin that flags and settings name; its refusals end the command with the right code."""
    from rim.client import Origin, Rejected, stopped
    from rim.settings import load

    settings = load(url, folder)
    with Origin(settings.origin, settings.token) as origin:
        try:
            yield origin
        except Rejected as error:
            stopped(error)
