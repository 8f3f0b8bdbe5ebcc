"""Seeds: IPNS records that the operator has put into a folder, believed as any other: verified, and until their end.

Here lives the reading of NAME.ipns-record files (or NAME_ANYTHING.ipns-record), as `ipfs routing get` writes them. Not
here: which record of a name is best (edge/names/records).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from content import ipns
from content.errors import ContentError
from content.limits import IPNS_RECORD
from edge.names.limits import SEEDS
from edge.names.record import Held, better
from edge.names.spelling import key_name

SUFFIX = ".ipns-record"
logger = logging.getLogger("rim.edge")


def read_seeds(folder: Path | None, now: float) -> Mapping[str, Held]:
    """The best record of each name in the folder. A file that is no good is said and passed over. Raises OSError when
    the folder itself cannot be read."""
    found: dict[str, Held] = {}
    if folder is None:
        return found
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))
    if len(paths) > SEEDS:
        logger.warning("%s: %d records; the first %d are read", folder, len(paths), SEEDS)
    for path in paths[:SEEDS]:
        try:
            held = _read(path, now)
        except (OSError, ContentError) as error:
            logger.warning("%s: %s", path, error)
            continue
        found[held.name] = better(found.get(held.name), held)
    return found


def _read(path: Path, now: float) -> Held:
    text = path.name.removesuffix(SUFFIX).partition("_")[0]
    name = key_name(text)
    if name is None:
        raise ContentError(f"{text[:80]!r} is no IPNS name")
    with path.open("rb") as file:
        raw = file.read(IPNS_RECORD + 1)
    return Held(name, ipns.verify(name, raw, now), raw)
