"""Nothing in our packages knows the suite: no CID, name or domain of its fixtures occurs in them."""

from __future__ import annotations

import re
from pathlib import Path

from rim.carfile import look
from tests.conformance import suite as conformance

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("content", "edge", "origin", "rim")
# CIDs of either version and keys as they are written, in the suite's recipes, names and lists.
_WRITTEN = re.compile(
    r"\b(?:Qm[1-9A-HJ-NP-Za-km-z]{44}|12D3KooW[1-9A-HJ-NP-Za-km-z]{44}|ba[a-z2-7]{20,}|k[0-9a-z]{40,})\b"
)


def needles(suite: Path) -> set[str]:
    """Everything that names a fixture: blocks of the CARs, keys of the records, domains, what its texts spell out."""
    found = set(conformance.dnslinks(suite))
    found |= {record.name.partition(".")[0].partition("_")[0] for record in conformance.records(suite)}
    for car in conformance.cars(suite):
        for cid in look(car).places:
            found |= {str(cid), str(cid.v1)}
    for file in (suite / "fixtures").rglob("*"):
        if file.suffix in (".md", ".yml", ".json", ".go"):
            found |= set(_WRITTEN.findall(file.read_text()))
    return found


def test_no_fixture_is_known(suite: Path) -> None:
    named = needles(suite)
    assert len(named) > 300
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*")):
            if file.is_file() and file.suffix not in (".pyc",):
                text = file.read_text(encoding="utf-8", errors="replace")
                assert not [name for name in named if name in text], file
