"""What the plays in a browser share: one Chromium for each file of plays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.kit.chromium import chromium
from tests.kit.liar import Liar
from tests.kit.ring import Up


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An origin and one edge, for plays that ask for no other ring."""
    with Up(tmp_path_factory.mktemp("up"), edges=1) as ring:
        yield ring


@pytest.fixture
def edge(up: Up) -> Iterator[Liar]:
    """The first edge, behind a proxy that counts, and lies where it is told to."""
    with Liar(up.edges[0]["public"]) as between:
        yield between
