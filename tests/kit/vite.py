"""A small web app, built by a real Vite: in each version every hash-named file has another name.

Here live its sources and the build. Not here: what is done with it (tests/browser).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.kit.npm import installed
from tests.kit.programs import needed

VITE = "vite@7.3.8"
_SOURCES = {
    "index.html": (
        '<!doctype html><html lang="en"><title>app</title><link rel="icon" href="data:,"><h1></h1><img alt="">'
        '<button>go</button><output></output><script type="module" src="/main.js"></script></html>'
    ),
    "main.js": """
import "./main.css";
import picture from "./picture.svg";
document.querySelector("h1").textContent = "@";
document.querySelector("img").src = picture;
document.querySelector("button").onclick = async () => {
  const said = document.querySelector("output");
  try { said.textContent = (await import("./lazy.js")).say(); }
  catch (error) { said.textContent = `failed: ${error}`; }
};
""",
    "main.css": 'h1 { --of: "@"; color: rgb(1, 2, 3) }',
    "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><title>@</title></svg>',
    "lazy.js": 'import "./lazy.css"; export const say = () => "lazy of @";',
    "lazy.css": 'output { --of: "@"; color: rgb(4, 5, 6) }',
}


def build(folder: Path, version: str) -> Path:
    """Build the app of this version below `folder`: the folder to publish. Needs npm, and node with it."""
    project = folder / version
    project.mkdir(parents=True)
    for name, text in _SOURCES.items():
        (project / name).write_text(text.replace("@", version))
    vite = installed(VITE) / "vite" / "bin" / "vite.js"
    command = [needed("node"), str(vite), "build", "--logLevel", "warn", "--assetsInlineLimit", "0"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"vite: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return project / "dist"


def hashed(dist: Path) -> set[str]:
    """The paths of what Vite named by its hash."""
    return {"/" + file.relative_to(dist).as_posix() for file in (dist / "assets").iterdir()}
