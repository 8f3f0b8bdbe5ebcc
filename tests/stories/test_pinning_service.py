"""A real pinning service, IPFS Cluster over a second Kubo, pins what we publish and says so; another client agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID
from tests.kit.cluster import Cluster, Node
from tests.kit.nodes import Origin, call_api, until
from tests.rim.conftest import Shell, shell, site_folder

__all__ = ["shell"]  # the fixture of the command line's tests

PROGRAMS = pytest.mark.needs("ipfs", "ipfs-cluster-service")


def over(store: str) -> pytest.MarkDecorator:
    """The origin's store in this play."""
    return pytest.mark.parametrize("world", [store], indirect=True)


class World:
    """Our origin; Kubo one beside it, which holds what it publishes; IPFS Cluster over Kubo two. Kubo one is the
    origin's own store, or with an embedded store is given each release as a CAR."""

    def __init__(
        self, folder: Path, store: str, shell: Shell, ours: Node, theirs: Node, cluster: Cluster, service: ExitStack
    ) -> None:
        self.ours, self.theirs, self.cluster, self.shell, self.store = ours, theirs, cluster, shell, store
        self.origin = Origin(folder / "state")
        self.origin.command += ["--store", store, "--kubo-api", ours.api, "--kubo-gateway", ours.gateway]
        self.folder = folder
        self.token = cluster.token()
        self.service = service  # closed: the service is down

    def start(self) -> None:
        self.origin.start()
        self.shell.env = {"RIM_ORIGIN": self.origin.url, "RIM_TOKEN": self.origin.token}

    def publish(self, text: str, site: str = "docs") -> str:
        """Publish this; Kubo one has it before the service is likely to ask. The Root."""
        folder = site_folder(self.folder / site, {"index.html": text * 100, "big.bin": text.encode() * 300_000})
        root = str(self.shell.result("publish", folder, "--site", site, "--encode", "none")["root"])
        if self.store == "kubo":
            return root
        done = self.shell.rim("export", site, "-o", self.folder / "site.car")
        assert done.returncode == 0, done.stderr
        self.ours.dag_import((self.folder / "site.car").read_bytes())
        return root

    def pins(self) -> dict[str, str]:
        """CID → status, as we report it."""
        return {pin["cid"]: pin["status"] for pin in self.shell.result("pins", "--service", "far")["pins"]}

    def listed(self, name: str = "") -> list[list[str]]:
        """What another client of the API says: `ipfs pin remote ls`."""
        named = [f"--name={name}"] if name else []
        statuses = "--status=queued,pinning,pinned,failed"
        lines = self.ours.run("pin", "remote", "ls", "--service=far", statuses, *named).decode().splitlines()
        return sorted(line.split("\t") for line in lines)


@pytest.fixture
def world(tmp_path: Path, shell: Shell, request: pytest.FixtureRequest) -> Iterator[World]:
    """All of it, on loopback. The two Kubos do not know each other: only the hint in our requests joins them."""
    ours, theirs = Node(tmp_path / "ours"), Node(tmp_path / "theirs")
    with ours.serving(), theirs.serving(), ExitStack() as service:
        cluster = Cluster(tmp_path / "cluster", theirs)
        service.enter_context(cluster.serving())
        made = World(tmp_path, request.param, shell, ours, theirs, cluster, service)
        made.start()
        try:
            yield made
        finally:
            made.origin.stop()


@PROGRAMS
@over("kubo")
def test_a_real_service_pins_and_reports_our_releases(world: World) -> None:
    """Published, pinned by the service's own node, reported by us and by `ipfs pin remote`; the next one follows."""
    rim, token_file = world.shell, world.folder / "token"
    token_file.write_text(world.token + "\n")
    first = world.publish("first ")
    assert first not in world.theirs.pinned()
    flags = ("--auto", "--token-file", token_file, "--hint", world.ours.address)
    added = rim.rim("service", "add", "far", "--endpoint", world.cluster.url, *flags)
    assert (added.returncode, added.stdout) == (0, "added far: live releases of all sites\n"), added.stderr
    world.ours.run("pin", "remote", "service", "add", "far", world.cluster.url, world.token)

    until("we report it", lambda: world.pins() == {first: "pinned"}, 60)
    assert world.listed() == [[first, "pinned", "rim/docs"]]
    assert first in world.theirs.pinned()
    assert world.theirs.offline("cat", f"/ipfs/{first}/index.html") == b"first " * 100, "it really has the bytes"

    second = world.publish("second ")
    until("the new one stands and the old one goes", lambda: world.pins() == {second: "pinned"}, 60)
    assert world.listed("rim/docs") == [[second, "pinned", "rim/docs"]]
    until("their node let the old one go", lambda: first not in world.theirs.pinned(), 60)
    assert world.theirs.offline("cat", f"/ipfs/{second}/index.html") == b"second " * 100

    status = rim.rim("status").stdout
    assert "far      ok     1 pinned" in status
    shown = [rim.rim(*words).stdout for words in (("service", "list"), ("service", "list", "--json"))]
    assert not [text for text in [status, *shown] if world.token in text]

    world.ours.run("pin", "remote", "rm", "--service=far", "--name=rim/docs")
    assert rim.rim("service", "check", "far").returncode == 0
    until("what others took away is back", lambda: world.listed() == [[second, "pinned", "rim/docs"]], 60)
    rim.result("site", "rm", "docs")
    until("the site is gone there too", lambda: world.listed() == [] and world.pins() == {}, 60)


@PROGRAMS
@over("embedded")
def test_pins_by_hand_survive_the_death_of_everybody(world: World) -> None:
    """`rim pin --service --wait`; the service stopped, the origin killed, both back: all pinned in the end."""
    rim, root = world.shell, world.publish("by hand ")
    flags = ("--endpoint", world.cluster.url, "--hint", world.ours.address)
    rim.rim("service", "add", "far", *flags, RIM_SERVICE_TOKEN=world.token)
    world.ours.run("pin", "remote", "service", "add", "far", world.cluster.url, world.token)
    pinned = rim.result("pin", root, "--service", "far", "--name", "my site", "--wait", "--timeout", "60")
    assert (pinned["status"], pinned["name"]) == ("pinned", "my site")
    assert world.listed() == [[root, "pinned", "my site"]]
    assert root in world.theirs.pinned()

    world.service.close()
    more = world.ours.run("add", "-Q", "--pin=true", stdin=b"something that is not on any site").decode().strip()
    assert rim.rim("pin", more, "--service", "far").returncode == 0
    until("we say that it is down", lambda: "down" in rim.rim("status").stdout)
    late = rim.rim("pin", more, "--service", "far", "--wait", "--timeout", "1")
    assert (late.returncode, "the service: down" in late.stderr) == (4, True)
    world.origin.kill()
    world.start()
    world.service.enter_context(world.cluster.serving())
    assert rim.rim("service", "check", "far").returncode == 0
    until("all stand", lambda: set(world.pins().values()) == {"pinned"} and len(world.pins()) == 2, 60)
    assert [row[0] for row in world.listed()] == sorted([root, more])

    for cid in (root, more):
        assert rim.rim("unpin", cid, "--service", "far").returncode == 0
    until("all gone", lambda: world.pins() == {} and world.listed() == [], 60)
    assert rim.rim("unpin", root, "--service", "far").returncode == 3


@PROGRAMS
@over("kubo")
def test_nobody_can_fetch_what_never_left(world: World) -> None:
    """Of a release the service gets the Root's files alone: its node holds no control block of ours."""
    root = world.publish("open ")
    rim = world.shell
    flags = ("--auto", "--hint", world.ours.address)
    rim.rim("service", "add", "far", "--endpoint", world.cluster.url, *flags, RIM_SERVICE_TOKEN=world.token)
    until("it stands", lambda: world.pins() == {root: "pinned"}, 60)
    held = {CID.parse(line).multihash for line in world.theirs.run("refs", "local").decode().split()}
    assert CID.parse(root).multihash in held
    live = _live(world)
    for cid in (live["release"], live["index"]):
        assert rim.rim("pin", cid, "--service", "far").returncode == 3
        assert CID.parse(cid).multihash not in held


def _live(world: World) -> Any:
    answer = call_api(world.origin.url, world.origin.token, "GET", "/sites/docs")
    return json.loads(answer.body)["live"]
