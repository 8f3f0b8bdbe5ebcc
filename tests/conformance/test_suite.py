"""The official IPFS gateway conformance suite against a running edge, its fixtures brought in by our own tools."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conformance import suite as conformance
from tests.kit.kubo import Kubo
from tests.kit.nodes import Cluster, Edge, Origin

TESTS, CHECKS = 41, 1_258  # what Kubo 0.43.0 passes


@contextmanager
def backend(name: str, root: Path) -> Iterator[tuple[str, ...]]:
    """What an origin is told of this backend, running."""
    if name == "embedded":
        yield ()
        return
    kubo = Kubo(root / "kubo")
    with kubo.serving():
        yield ("--store", "kubo", "--kubo-api", kubo.api, "--kubo-gateway", kubo.gateway)


@contextmanager
def gateway(root: Path, suite: Path, *store: str) -> Iterator[Edge]:
    """An origin and an edge that is a gateway for the suite's hosts, with the suite's names as its operator's own."""
    records = root / "records"
    records.mkdir()
    for record in conformance.records(suite):
        shutil.copy(record, records)
    links = ",".join(f"{domain}={path}" for domain, path in conformance.dnslinks(suite).items())
    with ExitStack() as stack:
        origin = Origin(root / "origin")
        origin.command += store
        origin.start()
        stack.callback(origin.stop)
        edge = Edge("edge-1", root / "edge-1")
        edge.join(
            origin.url, origin.catalog, origin.node_token(), [edge],
            "--gateway-hosts", "example.com, localhost, 127.0.0.1, *", "--dnslink", "--dnslinks", links,
            "--ipns-records", str(records), "--resolvers", "off", "--gateway-tunnels",
            "--trusted-proxy", "127.0.0.0/8",  # the suite speaks as a proxy that tells of Host and scheme
        )  # fmt: skip
        edge.start()
        stack.callback(edge.stop)
        cars = conformance.cars(suite)
        assert cars
        Cluster(origin, [edge]).rim("pin", *(word for car in cars for word in ("--car", str(car))))
        yield edge


@pytest.mark.parametrize("store", ["embedded", pytest.param("kubo", marks=pytest.mark.needs("ipfs"))])
def test_the_suite_passes(tmp_path: Path, suite: Path, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, over each store."""
    with backend(store, tmp_path) as told, gateway(tmp_path, suite, *told) as edge:
        port = edge.public.rpartition(":")[2]
        done = conformance.run(suite, edge.public, f"http://example.com:{port}", tmp_path)
        log = edge.errors.read_text() if edge.errors else ""
    lines = done.stdout.splitlines()
    with capsys.disabled():
        print(f"\n{store}: {lines[-1]}")
    assert done.returncode == 0, done.stdout
    assert lines[-1] == f"{CHECKS} passed, 0 failed"
    assert f"tests: {TESTS} of {TESTS} top-level tests pass" in lines
    assert "Traceback" not in log
