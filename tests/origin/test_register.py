"""The register of the ring: who is listed, when no more, and what a restarted or deaf origin says. Time is a number."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import receipt
from origin.edges import Edge, Edges
from origin.register import (
    BLIND_SECONDS,
    GONE_SECONDS,
    HEARD_MOST,
    HEARD_SECONDS,
    MEMBERS_MAX,
    STEADY_SECONDS,
    Register,
)
from tests.origin.play import Answer, Client, origin, parts

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@dataclass
class Rig:
    """A register over edges that speak when the play says so."""

    now: float = 1000.0
    edges: list[Edge] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.register = Register(Edges(self.edges), lambda: self.now)

    def add(self, *names: str) -> None:
        for name in names:
            edge = Edge(name, "eu", private=f"http://{name}:9000", key="k", word=self.now, seen=math.inf)
            self.register._edges._edges[name] = edge
            self.edges.append(edge)

    def wait(self, seconds: float, *heard: str) -> None:
        """So long, in which these speak all the time."""
        for _ in range(round(seconds)):
            self.now += 1.0
            for edge in self.edges:
                if edge.node in heard:
                    edge.word = self.now
            self.register.look()

    @property
    def names(self) -> list[str]:
        return [member["name"] for member in self.register.members]


def test_who_speaks_is_listed_at_once_and_for_15_s_after() -> None:
    """A newcomer waits for nothing; one that is silent goes, and one that says goodbye goes at once."""
    rig = Rig()
    rig.add("b", "a", "c")
    rig.register.look()
    assert rig.names == ["a", "b", "c"]
    rig.wait(GONE_SECONDS - 1, "a", "c")
    assert rig.names == ["a", "b", "c"]
    rig.wait(1, "a", "c")
    assert rig.names == ["a", "c"]
    rig.edges[2].left = True
    rig.wait(1, "a", "c")
    assert rig.names == ["a"]


def test_the_generation_moves_with_the_list_alone() -> None:
    """No change, no new generation: nobody who waits is woken. Another state or weight is a change."""
    rig = Rig()
    rig.add("a", "b")
    rig.register.look()
    first = rig.register.generation
    rig.wait(30, "a", "b")
    assert rig.register.generation == first
    rig.edges[0].state = "draining"
    rig.wait(1, "a", "b")
    assert rig.register.generation == first + 1
    assert rig.register.members[0]["state"] == "draining"


def test_a_flapping_node_is_listed_again_later_each_time() -> None:
    """It must be heard for 2, 4, 8 … 60 s; one that stayed for a minute starts at 2 again."""
    rig = Rig()
    rig.add("a", "flaps")
    rig.register.look()
    for going in range(8):
        rig.wait(GONE_SECONDS, "a")
        assert rig.names == ["a"]
        wanted = min(HEARD_MOST, HEARD_SECONDS * 2.0**going)
        rig.wait(wanted, "a", "flaps")
        assert rig.names == ["a"], f"heard for less than {wanted} s"
        rig.wait(1, "a", "flaps")
        assert rig.names == ["a", "flaps"]
    rig.wait(STEADY_SECONDS, "a", "flaps")
    rig.wait(GONE_SECONDS, "a")
    rig.wait(HEARD_SECONDS + 1, "a", "flaps")
    assert rig.names == ["a", "flaps"]


def test_an_origin_that_was_deaf_begins_anew() -> None:
    """Stopped for a minute, or cut off from all: it lists who speaks at once, and says that it knows little."""
    rig = Rig()
    rig.add("a", "b", "c")
    rig.wait(30, "a", "b", "c")
    assert rig.register.up == 30.0
    rig.now += BLIND_SECONDS + 60.0
    rig.edges[0].word = rig.now
    rig.register.look()
    assert (rig.names, rig.register.up) == (["a"], 0.0)
    rig.wait(1, "a", "b", "c")
    assert rig.names == ["a", "b", "c"]
    rig.wait(GONE_SECONDS)
    assert (rig.names, rig.register.up) == ([], 0.0)
    rig.wait(1, "b")
    assert rig.names == ["b"]


def test_only_who_proves_its_name_and_says_where_it_is_joins() -> None:
    """No key, no private address: known, but no member."""
    rig = Rig()
    rig.add("a", "b", "c")
    rig.edges[0].key, rig.edges[1].private = None, None
    rig.register.look()
    assert rig.names == ["c"]


def test_the_list_is_bounded() -> None:
    """Past MEMBERS_MAX nobody is added, and always the same are there."""
    rig = Rig()
    rig.add(*(f"n{number:05}" for number in range(MEMBERS_MAX + 5)))
    rig.register.look()
    assert len(rig.names) == MEMBERS_MAX
    assert rig.names[-1] == f"n{MEMBERS_MAX - 1:05}"


def test_addresses_that_nobody_should_be_sent_to_are_not_taken() -> None:
    """http(s), host and port, and nothing else; a weight above 0; a state that there is."""
    edges, edge = Edges(), Edge("a")
    for bad in ("ftp://h:1", "http://", "http://u:p@h:1", "http://h:1/path", "http://h:1?q", "h:1", 7, "http://h:x"):
        edges.told_member(edge, {"private": bad})
        assert edge.private is None, bad
    edges.told_member(edge, {"private": "http://[::1]:9000", "weight": 4, "version": "1.2", "state": "ready"})
    assert (edge.private, edge.weight, edge.version, edge.state) == ("http://[::1]:9000", 4.0, "1.2", "ready")
    edges.told_member(edge, {"private": "https://h", "weight": -1, "version": 7, "state": "asleep"})
    assert (edge.private, edge.weight, edge.version, edge.state) == ("https://h", 4.0, "", "")


def report(client: Client, name: str, key: Ed25519PrivateKey = KEY, **more: Any) -> Answer:
    catalog = client.ok("GET", "/api/v1/status")["catalog"]
    said = {"private": f"http://{name}:9000", "weight": 2.0, "version": "0.1", "state": "ready"}
    body = {"node": name, "region": "eu", "sequence": 1, "catalog": catalog, **said, **more}
    data = json.dumps(body).encode()
    return client.ask("POST", "/api/v1/report", data, receipt.headers(key, name, 1, catalog, data))


def poll(client: Client, name: str, key: Ed25519PrivateKey, since: int, wait: float = 0.0) -> Answer:
    catalog = client.ok("GET", "/api/v1/status")["catalog"]
    path = f"/api/v1/ring?since={since}&wait={wait:g}&node={name}&serves=1&key={catalog}"
    return client.ask("GET", path, headers=receipt.headers(key, name, 1, catalog))


def test_an_edge_joins_and_leaves_over_the_wire(tmp_path: Path) -> None:
    """A report lists it, a waiting request wakes with the change, a goodbye takes it out; a stranger is refused."""
    with origin(tmp_path / "state") as admin, ThreadPoolExecutor(1) as pool:
        client = admin.as_(admin.make_token("edge"))
        before = client.ok("GET", "/api/v1/ring")
        assert before["members"] == []
        waiting = pool.submit(client.ok, "GET", f"/api/v1/ring?since={before['generation']}&wait=30")
        assert report(client, "a").status == 200
        after = waiting.result(30)
        row = {"name": "a", "url": "http://a:9000", "region": "eu", "weight": 2.0, "version": "0.1", "state": "ready"}
        assert after["members"] == [row]
        assert after["generation"] != before["generation"]
        assert poll(client, "a", KEY, 0).json["members"] == [row]
        assert poll(client, "a", OTHER, 0).error == "other_node"
        assert admin.as_(admin.make_token("publish")).ask("GET", "/api/v1/ring").status == 403
        assert admin.as_(None).ask("GET", "/api/v1/ring").status == 401
        waiting = pool.submit(client.ok, "GET", f"/api/v1/ring?since={after['generation']}&wait=30")
        assert report(client, "a", leaving=True).status == 200
        assert waiting.result(30)["members"] == []


def test_a_poll_is_a_sign_of_life_and_an_open_connection_is_none(tmp_path: Path) -> None:
    """A waiting request says that its node lived when it came; a dead machine's connections stay open for long."""
    with origin(tmp_path / "state") as admin:
        client, known = admin.as_(admin.make_token("edge")), parts(admin).edges
        report(client, "a")
        edge = known._edges["a"]
        edge.word -= GONE_SECONDS
        edge.waiting += 1
        assert not parts(admin).register._is_listed(edge)
        edge.waiting -= 1
        spoke = edge.word
        assert poll(client, "a", KEY, 0).status == 200
        assert edge.word > spoke


def test_a_restarted_origin_says_that_it_knows_little(tmp_path: Path) -> None:
    """It remembers where its edges are, lists nobody before a word of theirs, and is of another generation."""
    with origin(tmp_path / "state") as admin:
        client = admin.as_(admin.make_token("edge"))
        token = client.token
        report(client, "a")
        report(client, "b")
        generation = poll(client, "a", KEY, 0).json["generation"]
    with origin(tmp_path / "state") as admin:
        client = admin.as_(token)
        parts(admin).register.look()
        told = client.ok("GET", f"/api/v1/ring?since={generation}&wait=30")
        assert (told["members"], told["generation"] == generation) == ([], False)
        assert told["up"] < 20
        told = poll(client, "a", KEY, told["generation"], 30).json
        assert [member["name"] for member in told["members"]] == ["a"]
        assert told["members"][0]["weight"] == 2.0
