"""The garbage that refers to itself, in an origin's process."""

from __future__ import annotations

import subprocess
import sys

PLAY = """
import gc
from origin.heap import calm
stands, looks = [[] for _ in range(10_000)], []
calm()
gc.callbacks.append(lambda phase, about: looks.append(about["generation"]))
kept = [[number] for number in range(200_000)]  # what a stage of many files makes
print(gc.get_freeze_count() > len(stands), looks.count(2))
"""


def test_what_stands_when_an_origin_begins_is_not_looked_through_between_commits() -> None:
    """It was, for 30 to 48 ms at a time, in which no edge that waited for a Head was answered."""
    done = subprocess.run([sys.executable, "-c", PLAY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]
