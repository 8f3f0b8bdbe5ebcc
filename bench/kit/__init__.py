"""The harness of benches that set a peer and Rim side by side: folders, servers on one core, load on the other, rounds.

Here lives what these benches share. Not here: what each of them asks (bench/hits and its neighbours).
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # a bench measures the tree it stands in, and borrows from tests/kit
