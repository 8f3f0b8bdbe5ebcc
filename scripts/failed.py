"""Failed: the tests that failed in the last run, in one line; exit code 1 where none did, or too many to run once more.

    python scripts/failed.py MOST

Here lives the reading of what pytest keeps. Not here: running them again (.ci/run).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

KEPT = Path(__file__).parent.parent / ".pytest_cache/v/cache/lastfailed"


def main() -> int:
    try:
        failed = sorted(json.loads(KEPT.read_text()))
    except (OSError, ValueError):
        return 1
    if not 0 < len(failed) <= int(sys.argv[1]):
        return 1
    print(", ".join(failed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
