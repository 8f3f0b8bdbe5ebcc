"""What all tests share: the `needs` marker and a Kubo. Fixtures of one room live in that room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.kit.kubo import Kubo
from tests.kit.programs import program

# No deadlines: a slow machine is no fault. No database either: a found case becomes a named test, not a hidden file.
settings.register_profile("rim", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rim")

IN_CI = os.environ.get("CI", "").lower() in ("1", "true")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a program that is not here, saying which; in CI a hole in the machine is a failure."""
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    absent = [name for name in names if program(name) is None]
    if not absent:
        return
    said = f"missing: {', '.join(absent)} (install it, or name it in RIM_{absent[0].upper().replace('-', '_')})"
    if IN_CI:
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Names of keys are drawn in each process, so they are no part of a test's name: the processes of one run
    (pytest-xdist) must find the same tests."""
    return argname if isinstance(val, str) and "k51qzi5uqu5d" in val else None


@pytest.fixture(scope="session")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> Kubo:
    """One Kubo repository for the whole run, under the profile `unixfs-v1-2025`. Mark the test `needs("ipfs")`."""
    folder: Path = tmp_path_factory.mktemp("kubo")
    return Kubo(folder / "repo")


@pytest.fixture(scope="session")
def kubo_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    """A Kubo that serves until the end of the run, the oracle for CARs, TARs and conversions between codecs, which it
    is told to make. Mark the test `needs("ipfs")`."""
    kubo = Kubo(tmp_path_factory.mktemp("kubo-gateway") / "repo")
    kubo.run("config", "--json", "Gateway.AllowCodecConversion", "true")
    with kubo.serving():
        yield kubo
