"""The app of 200 assets with a service worker: Rim's, or Workbox's. Everything else is the same, byte for byte.

Here live the two folders to publish. Not here: the app (tests/kit/bigapp), Workbox's options (tests/kit/workbox), what
a visitor does there (tests/kit/visits).

Both sites are published to one ring. An edge of Rim sends differences to whoever has a dictionary, so it would send
them to Workbox as well: a browser that is started without dictionaries (`WITHOUT`) has Workbox as it is on any server
that has brotli.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kit import workbox
from tests.kit.bigapp import ONE, TWO, built

WITHOUT = "--disable-features=CompressionDictionaryTransport"
# Vite writes hashes of which 6 % look like words: the folder is declared.
_DECLARED = 'immutable = ["/assets/**"]\n'
_WORKER = '[service_worker]\n[precache]\nglobs = ["/index.html", "/assets/**"]\n[html]\nworker = true\n'


@dataclass(frozen=True, slots=True)
class Side:
    """A site, and where its worker's script is."""

    site: str
    script: str
    finish: Callable[[Path], None]

    def folders(self, folder: Path) -> tuple[Path, Path]:
        """Both versions, to publish."""
        made = folder / f"{self.site}-1", folder / f"{self.site}-2"
        for target, version in zip(made, (ONE, TWO), strict=True):
            shutil.copytree(built(version), target)
            self.finish(target)
        return made


def _with_rim(folder: Path) -> None:
    (folder / "rim.toml").write_text(_DECLARED + _WORKER)


def _with_rim_that_asks(folder: Path) -> None:
    asking = _WORKER.replace("[service_worker]\n", '[service_worker]\ncheck = "0s"\n')
    (folder / "rim.toml").write_text(_DECLARED + asking)


def _with_workbox(folder: Path) -> None:
    workbox.add_to(folder)
    (folder / "rim.toml").write_text(_DECLARED)


RIM = Side("rim", "/.rim/sw.js", _with_rim)
ASKING = Side("asking", "/.rim/sw.js", _with_rim_that_asks)  # for the newest release, before each page
WORKBOX = Side("workbox", "/sw.js", _with_workbox)
