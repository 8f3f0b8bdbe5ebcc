"""A site's live Root as one CAR file, verified while it is written.

Here lives the way from the origin's stream to a whole file or none: a temporary name beside the target, renamed at the
end, removed when anything breaks. Not here: the CAR's form (content/car).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from content import car
from content.errors import ContentError
from rim.client import Origin, Unreachable, site_path
from rim.exits import Failed, Usage
from rim.steps import step


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    root: str
    blocks: int
    bytes: int


def export_site(origin: Origin, site: str, out: Path | None) -> Exported:
    """Write the CAR to a file, or to stdout when that is none of a terminal's."""
    if out is None:
        if sys.stdout.isatty():
            raise Usage("a CAR is no text for a terminal", "give -o FILE, or send stdout somewhere")
        done = _copy(origin, site, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return done
    temporary = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with open(temporary, "xb") as file:
            done = _copy(origin, site, file)
            step("export.written")
        os.replace(temporary, out)
    except OSError as error:
        raise Failed(f"{out} cannot be written: {error.strerror or error}", "choose another place with -o") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return done


def _copy(origin: Origin, site: str, file: BinaryIO) -> Exported:
    reader, blocks, size, root = car.Reader(), 0, 0, ""
    try:
        for part in origin.stream(site_path(site, "export")):
            blocks += len(reader.feed(part))
            size += len(part)
            file.write(part)
        reader.finish()
    except Unreachable as error:
        raise Failed(f"the origin broke off: {error}", "export again") from error
    except ContentError as error:
        raise Failed(f"the origin's CAR is damaged: {error}", "run `rim origin fsck` there") from error
    if reader.roots:
        root = str(reader.roots[0])
    return Exported(root, blocks, size)
