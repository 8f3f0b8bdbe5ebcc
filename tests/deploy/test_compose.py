"""deploy/compose: Docker Compose reads it, it says what it should, and the README's first start works as written.

Actors: Docker Compose built from its module, which resolves the file; the image's containers by buildah and Debian's
HAProxy, in a network namespace that has the file's addresses (tests/kit/compose). There is no Docker here: what its
daemon does of the file (limits, restarts, read-only roots, separate networks) is only read, not seen.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copytree

import pytest

from tests.kit.compose import Service, services
from tests.kit.containers import ROOT, Store, run
from tests.kit.programs import needed

pytestmark = pytest.mark.needs("docker-compose")
FOLDER = ROOT / "deploy" / "compose"
NODES = ("origin", "edge-1", "edge-2", "edge-3")


@pytest.fixture(scope="module")
def read() -> dict[str, Service]:
    return services(FOLDER)


def test_nothing_has_more_than_it_needs(read: dict[str, Service]) -> None:
    """Every service: a root that is read, no capability, no new privileges, limits, the end it needs, its restarts."""
    assert set(read) == {*NODES, "haproxy", "rim"}
    for name, service in read.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["ulimits"]["nofile"] == {"soft": 65536, "hard": 65536}, name
        assert service["restart"] == ("no" if name == "rim" else "unless-stopped"), name
        assert service["stop_grace_period"] == "20s", name
        assert (service["image"] == "rim") == (service.get("pull_policy") == "never"), name


def test_only_haproxy_is_reached_from_outside(read: dict[str, Service]) -> None:
    """On loopback unless told; nodes speak to each other where nothing leads out, and HAProxy is not there."""
    published = {name: service["ports"] for name, service in read.items() if "ports" in service}
    assert list(published) == ["haproxy"]
    assert {port["host_ip"] for port in published["haproxy"]} == {"127.0.0.1"}
    assert set(read["haproxy"]["networks"]) == {"front"}
    assert set(read["origin"]["networks"]) == {"ring"}
    for name in NODES[1:]:
        networks, env = read[name]["networks"], read[name]["environment"]
        assert env["RIM_PUBLIC"] == f"{networks['front']['ipv4_address']}:8080"
        private = f"{networks['ring']['ipv4_address']}:7001"
        assert env["RIM_PRIVATE"] == private
        assert f"{name}=http://{private}" in env["RIM_PEERS"].split(",")
        assert env["RIM_TRUSTED_PROXY"] == read["haproxy"]["networks"]["front"]["ipv4_address"]
        assert f"{networks['front']['ipv4_address']}:8080" in read["haproxy"]["environment"].values()
    origin = read["origin"]
    assert origin["environment"]["RIM_ORIGIN_LISTEN"] == f"{origin['networks']['ring']['ipv4_address']}:7070"


def test_tokens_are_files_and_the_order_is_by_health(read: dict[str, Service]) -> None:
    """No token in any environment; edges after a healthy origin, HAProxy after healthy edges; one volume for each."""
    for service in read.values():
        assert not {"RIM_TOKEN", "RIM_NODE_TOKEN"} & set(service["environment"])
    for name in NODES[1:]:
        assert [secret["source"] for secret in read[name]["secrets"]] == ["node-token"]
        assert read[name]["depends_on"]["origin"]["condition"] == "service_healthy"
        assert read["haproxy"]["depends_on"][name]["condition"] == "service_healthy"
    assert "secrets" not in read["origin"], "its own admin token lies in its volume"
    volumes = [read[name]["volumes"][0]["source"] for name in (*NODES, "rim")]
    assert len(set(volumes)) == len(volumes)


def test_another_net_moves_every_address() -> None:
    """RIM_NET is in each of them: none is left behind."""
    command = [needed("docker-compose"), "-f", FOLDER / "compose.yaml", "--profile", "*", "config"]
    text = run(command, RIM_NET="10.200")
    assert "10.77" not in text
    assert "10.200.1.10" in text


@pytest.mark.needs("buildah", "debootstrap", "haproxy", "ip", "nsenter", "openssl", "curl")
@pytest.mark.skipif(os.geteuid() != 0, reason="a network of one's own takes root")
def test_the_first_start_as_the_readme_has_it(store: Store, read: dict[str, Service], tmp_path: Path) -> None:
    """The commands of the README, word by word: at their end a visitor gets the published page through HAProxy."""
    text = (FOLDER / "README.md").read_text()
    (block,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    build, *lines = [line.removeprefix("$ ") for line in block.splitlines()]
    assert build == "../container/build", "which has made the image already (tests/deploy/conftest)"
    for name in ("deploy/compose", "deploy/haproxy", "examples/demo/site"):
        copytree(ROOT / name, tmp_path / name)
    place = tmp_path / "compose"
    place.mkdir()
    (place / "store").symlink_to(store.folder)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.kit.compose "$@"\n')
    docker.chmod(0o755)
    path = f"{docker.parent}:{os.environ['PATH']}"
    given = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RIM_TEST_COMPOSE": str(place)}
    with network(read) as inside, ending(place):
        for line in lines:
            done = subprocess.run(
                [*inside, "bash", "-c", line],
                cwd=tmp_path / "deploy/compose",
                env=given,
                capture_output=True,
                text=True,
                timeout=300,
                stdin=subprocess.DEVNULL,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        page = (tmp_path / "deploy/compose/page.html").read_bytes()
        assert page == (ROOT / "examples/demo/site/index.html").read_bytes()
    secrets = tmp_path / "deploy/compose/secrets"
    assert secrets.stat().st_mode & 0o777 == 0o700


@contextmanager
def network(read: dict[str, Service]) -> Iterator[list[str]]:
    """A namespace whose loopback has every address of the file: the command to run something in it."""
    name, ip = f"rim{os.getpid()}-compose", needed("ip")
    run([ip, "netns", "add", name])
    inside = [needed("nsenter"), f"--net=/run/netns/{name}"]
    try:
        run([*inside, ip, "link", "set", "lo", "up"])
        for service in read.values():
            for terms in service["networks"].values():
                if terms:
                    run([*inside, ip, "address", "add", f"{terms['ipv4_address']}/24", "dev", "lo"])
        yield inside
    finally:
        run([ip, "netns", "del", name])


@contextmanager
def ending(place: Path) -> Iterator[None]:
    """At the end, every process that `docker compose up` left running is gone."""
    try:
        yield
    finally:
        for file in place.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)
