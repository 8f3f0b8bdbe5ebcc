"""What a committed file may not name: the host of a package registry, or a path of somebody's machine.

A registry's host in a lock or a recipe sends everyone to one place, past the index that their machine is set up for
(docs/decisions/0006). Not here: style and types (ruff, mypy).
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REGISTRIES = (
    r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|proxy\.golang\.org|sum\.golang\.org"
    r"|index\.crates\.io|static\.crates\.io|deb\.debian\.org|security\.debian\.org"
)
MACHINES = r"(?<![\w.~$}/-])/(?:root|work|home/\w+|Users/\w+|tmp/tools)/"
FORBIDDEN = {
    "the host of a package registry": re.compile(REGISTRIES),
    "a path of one machine": re.compile(MACHINES),
}


def main() -> int:
    """Print each place that names one of them; 1 when there is any."""
    places = list(found())
    for place in places:
        print(place)
    print(f"committed files: {'clean' if not places else f'{len(places)} places to mend'}")
    return 1 if places else 0


def found() -> Iterator[str]:
    """path:line: what."""
    for path in committed():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a picture, a font; deleted and not yet committed; a symlink to a folder
        for number, line in enumerate(lines, 1):
            for what, pattern in FORBIDDEN.items():
                if match := pattern.search(line):
                    yield f"{path}:{number}: {what}: {match[0]}"


def committed() -> list[Path]:
    """What git tracks; outside a clone (an unpacked source archive) there is nothing to check."""
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=False)  # noqa: S607 - the user's git
    return [Path(name) for name in listed.stdout.decode().split("\0") if name]


if __name__ == "__main__":
    sys.exit(main())
