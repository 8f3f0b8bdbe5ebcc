"""What tests of content share: a Kubo whose gateway answers, the oracle for CARs, TARs and conversions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.kubo import Kubo


@pytest.fixture(scope="session")
def kubo_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    """A Kubo that serves until the end of the run, codec conversions allowed. Mark the test `needs("ipfs")`."""
    kubo = Kubo(tmp_path_factory.mktemp("kubo-gateway") / "repo")
    kubo.run("config", "--json", "Gateway.AllowCodecConversion", "true")
    with kubo.serving():
        yield kubo
