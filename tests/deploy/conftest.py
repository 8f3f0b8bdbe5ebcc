"""What the plays of this room share: one store of containers with the image in it, built once for all that run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.kit.containers import Store, base

IMAGE = "localhost/rim"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The image as deploy/container/build makes it, on a base of Debian's. Mark the play
    `needs("buildah", "debootstrap")`."""
    folder = tmp_path_factory.mktemp("containers")
    made = Store(folder / "store")
    made.take(base(folder), "rim-base")
    made.build(sys.executable, "localhost/rim-base", "rim")
    yield made
    made.buildah("rm", "--all")
    made.buildah("rmi", "--all", "--force")
