"""The origin killed at each named step of a publish and of a collection, with its blocks in Kubo: what was acknowledged
is whole and pinned, and pins that nobody wants do not stay.

Where they are is read from a run that none ends; each is then met once, at the place where it came first
(tests/faults/test_crash_points goes through every single step, with the packs).
"""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from content.cid import CID
from tests.faults.test_kubo_away import environment
from tests.kit.kubo import Kubo
from tests.kit.nodes import Origin, until
from tests.origin.play import Client, Made, make, site_files

pytestmark = pytest.mark.needs("ipfs")
CRASHED = 137
STEPS = (
    "pin noted",
    "blocks imported",
    "root pinned",
    "catalog stored",
    "head written",
    "garbage marked",
    "garbage forgotten",
    "pin let go",
)


def named(node: Kubo) -> dict[CID, str]:
    rows = [row.split(" ", 2) for row in node.run("pin", "ls", "--names", "--type=recursive").decode().splitlines()]
    return {CID.parse(row[0]): row[2] if len(row) > 2 else "" for row in rows}


def client_of(home: Origin) -> Client:
    client = Client(home.url, home.token)
    until("it has seen Kubo's pins", lambda: client.ask("POST", "/api/v1/sites/x/missing", b"").status == 200, 120)
    return client


def release(number: int) -> Made:
    return make({**site_files(f"crash {number}", 3), "same.txt": b"in all of them"})


def publish(home: Origin, made: Made, expected: CID | None) -> bool:
    """A publish, and a collection after it; whether the publish was acknowledged before the origin died."""
    acknowledged = False
    try:
        client = client_of(home)
        client.publish("demo", made, expected)
        acknowledged = True
        client.ask("POST", "/api/v1/gc")
    except (OSError, http.client.HTTPException, AssertionError):
        assert home.process is not None
        home.process.wait(30)  # whatever else it was: TimeoutExpired
    return acknowledged


def test_origin_killed_at_each_kind_of_step_of_a_publish_into_kubo(tmp_path: Path) -> None:
    """Afterwards Kubo pins the retained releases by name, and nothing else that was not there before."""
    node, log = Kubo(tmp_path / "repo"), tmp_path / "steps.log"
    node.stay()
    with node.serving():
        before = named(node)
        home = Origin(tmp_path / "origin", environment(node))
        home.start()
        try:
            few = {"retention": {"last": 2, "days": 0}}
            Client(home.url, home.token).ok("PUT", "/api/v1/sites/demo", {"settings": few})
            live = None
            for number in range(3):  # from the third on, one is dropped
                home.stop()
                log.unlink(missing_ok=True)
                home.env = {**environment(node), "RIM_STEPS_LOG": str(log)}
                home.start()
                assert publish(home, release(number), live)
                live = release(number).cid
            home.stop()
            steps = log.read_text().splitlines()
            begin = steps.index("pin noted")
            for n in [steps.index(name, begin) + 1 for name in STEPS]:
                made = release(100 + n)
                home.env = {**environment(node), "RIM_CRASH_AT": str(n)}
                home.start()
                acknowledged = publish(home, made, live)
                code = home.stop()
                print(f"step {n} ({steps[n - 1]}): exit {code}, acknowledged: {acknowledged}", flush=True)
                home.env = environment(node)
                home.start()
                client = client_of(home)
                seen = client.live("demo")
                assert seen == str(made.cid) or (seen == str(live) and not acknowledged)
                if seen == str(made.cid):
                    node.dag_export(made.cid)
                else:
                    client.publish("demo", made, live)
                live = made.cid
                assert named(node)[made.cid] == "rim/demo"
                assert home.stop() == 0
            for lease in (home.state / "leases").iterdir():  # of the publishes that were cut short: an hour goes by
                lease.unlink()
            home.start()
            client_of(home).ok("POST", "/api/v1/gc")
            left = {cid: name for cid, name in named(node).items() if cid not in before}
            assert len(left) == 2
            assert set(left.values()) == {"rim/demo"}
            for root in left:
                node.dag_export(root)
        finally:
            home.stop()
