"""The demo as committed: built from its sources, hash-named by its bytes, and asking nobody else."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from content.naming import is_hash_named

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo"
ASSETS = sorted((DEMO / "site" / "assets").iterdir())


def test_the_site_is_what_its_sources_make(tmp_path: Path) -> None:
    """build.py writes the committed site again, byte for byte."""
    copy = tmp_path / "demo"
    shutil.copytree(DEMO, copy)
    subprocess.run([sys.executable, str(copy / "build.py")], check=True, capture_output=True, timeout=60)
    assert files(copy / "site") == files(DEMO / "site")


def test_assets_are_named_by_their_content() -> None:
    """Each asset's name ends in the first digits of its SHA-256, which the rule for immutable names takes."""
    for asset in ASSETS:
        inside = re.search(r"\.([0-9a-f]{12,})\.", asset.name)
        assert inside is not None, asset.name
        assert hashlib.sha256(asset.read_bytes()).hexdigest().startswith(inside[1])
        assert is_hash_named(f"/assets/{asset.name}")


def test_nothing_is_asked_of_others() -> None:
    """No page, script or style names another host, and every file that one names is there."""
    for path in (p for p in (DEMO / "site").rglob("*") if p.suffix in (".html", ".js", ".css", ".svg")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.", text.replace("// ", "")), path.name
        for named in re.findall(r'["(](/assets/[^")]+)', text):
            assert (DEMO / "site" / named[1:]).exists() or "never-was" in named, f"{path.name} names {named}"


def test_the_list_names_every_file() -> None:
    """files.json lists what is published, but for itself and the 404 page, with true sizes."""
    rows = json.loads((DEMO / "site" / "files.json").read_text(encoding="utf-8"))
    sizes = {row["path"]: row["size"] for row in rows}
    wanted = {
        "/" + name.removesuffix("index.html"): len(data)
        for name, data in files(DEMO / "site").items()
        if name not in ("files.json", "404.html", "rim.toml")
    }
    assert sizes == wanted


def test_fonts_come_with_their_licence() -> None:
    """Web fonts are published beside the text of their licence."""
    assert any(asset.suffix == ".woff2" for asset in ASSETS)
    assert "SIL OPEN FONT LICENSE" in (DEMO / "site" / "fonts-license.txt").read_text(encoding="utf-8")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
