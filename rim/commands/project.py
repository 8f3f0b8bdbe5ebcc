"""Commands about rim.toml: a first one, its schema, and the password of its previews."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rim import output
from rim.commands.options import AsJson
from rim.exits import OK, Refused

if TYPE_CHECKING:
    from rim.starting import Guess


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder.", show_default=False)] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace the rim.toml that is there.")] = False,
    as_json: AsJson = False,
) -> int:
    """Write a commented rim.toml, with the build folder, the site's name and --spa as the folder looks."""
    from rim.commands.publish import existing
    from rim.project import FILE
    from rim.starting import guess, written

    place = existing(folder)
    found = guess(place)
    path = place / FILE
    try:
        with open(path, "w" if force else "x", encoding="utf-8") as file:
            file.write(written(found))
    except FileExistsError as error:
        raise Refused(f"{path} is there already", "edit it, or replace it with --force") from error
    for key, value in found.values.items():
        output.note(f"{key} = {value}  ({found.why[key]})")
    text = f"wrote {folder / FILE}; next: {_next_step(place, found)}"
    output.result(
        text,
        {"file": str(path), "site": found.site, "dir": found.dir, "spa": found.spa},
        as_json=as_json,
    )
    return OK


def _next_step(place: Path, found: Guess) -> str:
    if found.dir is None:
        return "set `dir` to the build folder, then rim check"
    return "rim check, then rim publish" if (place / found.dir).is_dir() else "build, then rim check"


def schema() -> int:
    """Print the JSON schema of rim.toml, for editors: rim schema > rim.schema.json"""
    from rim.schema.document import text

    output.result(text().rstrip("\n"))
    return OK


def password() -> int:
    """Print the hash of a password for rim.toml's \\[preview]. Asks for it twice, or takes RIM_PREVIEW_PASSWORD."""
    from rim.secret import hashed_secret

    output.result(hashed_secret())
    return OK
