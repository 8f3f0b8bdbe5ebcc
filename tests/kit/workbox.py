"""Workbox's precache for a built app, as its users make it: `generateSW` of workbox-build, and the page that registers.

Here live the options and the registration. Not here: the app (tests/kit/bigapp), Rim's own worker.

`skipWaiting` with `clientsClaim` has an update take over as soon as it is whole (vite-plugin-pwa calls it autoUpdate).
Hashed names are told, so Workbox gives them no revision and asks for them through the browser's cache: its best case.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.kit.npm import installed
from tests.kit.programs import needed

WORKBOX = "workbox-build@7.4.1"
_RUN = """
const [build, folder] = process.argv.slice(1);
require(build).generateSW({
  globDirectory: folder,
  swDest: `${folder}/sw.js`,
  globPatterns: ["**/*"],
  dontCacheBustURLsMatching: /^assets\\//,
  navigateFallback: "index.html",
  cleanupOutdatedCaches: true,
  clientsClaim: true,
  skipWaiting: true,
  sourcemap: false,
}).then(({ count, warnings }) => console.log(JSON.stringify({ count, warnings })));
"""
_REGISTER = (
    "<script>if ('serviceWorker' in navigator) "
    "addEventListener('load', () => navigator.serviceWorker.register('/sw.js'))</script>"
)


def add_to(site: Path) -> int:
    """Have the page of this folder register a worker that precaches all of it; how many files. Needs npm and node."""
    page = site / "index.html"
    page.write_text(page.read_text().replace("</head>", f"{_REGISTER}\n</head>"))
    command = [needed("node"), "-e", _RUN, str(installed(WORKBOX) / "workbox-build"), str(site)]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"workbox: {done.returncode}\n{done.stdout}\n{done.stderr}"
    said = json.loads(done.stdout)
    assert not said["warnings"], said
    return int(said["count"])
