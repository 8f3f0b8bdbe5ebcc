"""The suite's folder, or a loud skip; in CI its absence is a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.suite import folder
from tests.conftest import IN_CI

_ABSENT = "missing: the gateway conformance suite (name its folder in RIM_CONFORMANCE)"


@pytest.fixture
def suite() -> Path:
    found = folder()
    if found is not None:
        return found
    if IN_CI:
        pytest.fail(_ABSENT, pytrace=False)
    pytest.skip(_ABSENT)
