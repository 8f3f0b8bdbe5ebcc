"""The official gateway conformance suite as the tests find it: a folder that RIM_CONFORMANCE names, with its fixtures.

Here live its fixtures as our own tools want them, and its run. Not here: the edge that it judges (test_suite).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_NAMED = re.compile(r"\s+(domain|path):\s*(\S+)")


def folder() -> Path | None:
    """Where the suite lies, None where the machine lacks it."""
    named = os.environ.get("RIM_CONFORMANCE")
    return Path(named) if named and (Path(named) / "run").is_file() else None


def cars(suite: Path) -> list[Path]:
    return sorted((suite / "fixtures").rglob("*.car"))


def records(suite: Path) -> list[Path]:
    return sorted((suite / "fixtures").rglob("*.ipns-record"))


def dnslinks(suite: Path) -> dict[str, str]:
    """Domain → path, from all dnslink.yml files: in each, a domain stands before its path."""
    found: dict[str, str] = {}
    for file in sorted((suite / "fixtures").rglob("dnslink.yml")):
        pairs = [named.groups() for line in file.read_text().splitlines() if (named := _NAMED.match(line))]
        assert [name for name, _ in pairs] == ["domain", "path"] * (len(pairs) // 2), file
        values = [value for _, value in pairs]
        found.update(zip(values[::2], values[1::2], strict=True))
    return found


def run(suite: Path, gateway: str, subdomain: str, temporary: Path) -> subprocess.CompletedProcess[str]:
    """Judge a gateway that is up."""
    command = [str(suite / "run"), "--gateway", gateway, "--subdomain", subdomain]
    env = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
