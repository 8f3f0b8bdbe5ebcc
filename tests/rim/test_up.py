"""`rim up`: what it starts, what it says, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from content.cid import CID, RAW
from rim import dev
from rim.children import Child, end
from rim.client import Origin
from tests.kit.nodes import RIM, fetch, until
from tests.kit.ring import Up, free_ports
from tests.rim.conftest import site_folder


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie of ours has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def free(url: str) -> bool:
    """Whether nobody listens there."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) != 0


def assert_nothing_left(up: Up) -> None:
    """No process, no port, no up.json."""
    pids = [up.info["origin_pid"], *(edge["pid"] for edge in up.edges)]
    until("all processes gone", lambda: all(map(gone, pids)))
    urls = [up.origin, *(url for edge in up.edges for url in (edge["public"], edge["private"]))]
    assert all(map(free, urls))
    assert not (up.state / "up.json").exists()


def children(pid: int) -> list[int]:
    """The processes that this one started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A ring of two edges for tests that harm nothing."""
    root = tmp_path_factory.mktemp("ring")
    with Up(root, site_folder(root / "hello"), edges=2) as up:
        yield up


def test_the_line(ring: Up) -> None:
    """`rim up DIR --json` says once where everything is; the site is served by every edge at that moment."""
    assert set(ring.info) == {"origin", "origin_pid", "catalog", "token", "edges", "sites"}
    assert ring.info["catalog"].startswith("k51")
    assert [edge["name"] for edge in ring.edges] == ["edge-1", "edge-2"]
    assert [edge["public"] for edge in ring.edges] == [f"http://127.0.0.1:{ring.port + n}" for n in range(2)]
    (site,) = ring.info["sites"]
    assert (site["name"], site["url"]) == ("hello", f"http://hello.localhost:{ring.port}/")
    for edge in range(2):
        assert ring.get("hello", "/index.html", edge).body == (ring.root / "hello/index.html").read_bytes()


def test_other_commands_find_it(ring: Up) -> None:
    """With RIM_STATE at its state folder a command needs neither origin nor token; up.json is for its user alone."""
    env = {key: value for key, value in os.environ.items() if key not in ("RIM_ORIGIN", "RIM_TOKEN")}
    done = subprocess.run(
        [*RIM, "status", "--json"],
        env={**env, "RIM_STATE": str(ring.state)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [edge["node"] for edge in json.loads(done.stdout)["edges"]] == ["edge-1", "edge-2"]
    assert (ring.state / "up.json").stat().st_mode & 0o777 == 0o600
    assert (ring.state / "node-token").stat().st_mode & 0o777 == 0o600


def test_the_state_is_in_use(ring: Up) -> None:
    """A second `rim up` on the same state names the process that has it."""
    assert ring.process is not None
    done = ring.rim("up", "--state", str(ring.state), "--port", str(free_ports(1)), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"in use by process {ring.process.pid}" in done.stderr


@pytest.mark.parametrize("taken", [0, 1])
def test_a_port_is_taken(ring: Up, tmp_path: Path, taken: int) -> None:
    """Any of the public ports taken is said before anything starts, and nothing is left running."""
    first = free_ports(2)
    with socket.create_server(("127.0.0.1", first + taken)):
        done = ring.rim("up", "--edges", "2", "--port", str(first), "--state", str(tmp_path / "s"), check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {first + taken} cannot be had" in done.stderr
    assert "--port" in done.stderr
    assert not (tmp_path / "s" / "origin").exists()


def test_no_such_folder(ring: Up, tmp_path: Path) -> None:
    """A folder that is not there is a usage error before anything starts."""
    done = ring.rim("up", str(tmp_path / "nowhere"), "--state", str(tmp_path / "s"), check=False)
    assert done.returncode == 2
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("flag", "size"), [("--memory", "lots"), ("--cache", "1x"), ("--cache", "-1")])
def test_a_size_that_is_none(ring: Up, tmp_path: Path, flag: str, size: str) -> None:
    """Refused before anything is started: 2, and how sizes are written."""
    done = ring.rim("up", "--state", str(tmp_path / "up"), f"{flag}={size}", check=False)
    assert done.returncode == 2
    assert "512MiB" in done.stderr
    assert not (tmp_path / "up").exists()


def test_a_folder_that_cannot_be_published(ring: Up, tmp_path: Path) -> None:
    """A publish that is refused ends `rim up` with the same code, and every process with it."""
    (tmp_path / "site").mkdir()
    state, port = tmp_path / "s", free_ports(1)
    done = ring.rim("up", str(tmp_path / "site"), "--state", str(state), "--port", str(port), check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "--allow-empty" in done.stderr
    assert free(f"http://127.0.0.1:{port}")
    assert not (state / "up.json").exists()


def test_publish_waits_for_edges(ring: Up, tmp_path: Path) -> None:
    """--wait all: when the command ends, every edge serves the new release."""
    folder = site_folder(tmp_path / "waited")
    for number in range(3):
        (folder / "index.html").write_text(f"release {number}")
        result = ring.publish(folder, "waited", "--wait", "all")
        assert [edge["node"] for edge in result["edges"]] == ["edge-1", "edge-2"]
        assert result["urls"] == [f"http://waited.localhost:{ring.port + n}/" for n in range(2)]
        for edge in range(2):
            assert ring.get("waited", "/index.html", edge).body == f"release {number}".encode()


def test_waiting_for_more_edges_than_there_are(ring: Up, tmp_path: Path) -> None:
    """--wait 3 with two edges: published, printed, and exit code 5 with a word on stderr."""
    folder = site_folder(tmp_path / "many")
    done = ring.rim("publish", str(folder), "--site", "many", "--wait", "3", "--timeout", "0.5", "--json", check=False)
    assert done.returncode == 5
    assert json.loads(done.stdout)["site"] == "many"
    assert "2 of 3 edges" in done.stderr


def test_rollback_and_purge_wait_too(ring: Up, tmp_path: Path) -> None:
    """A rollback with --wait all is served everywhere when it ends; a purge has every edge's receipt."""
    folder = site_folder(tmp_path / "back")
    first = ring.publish(folder, "back", "--wait", "all")
    (folder / "index.html").write_text("second")
    ring.publish(folder, "back", "--wait", "all")
    rolled = json.loads(ring.rim("rollback", "back", "--wait", "all", "--json").stdout)
    assert rolled["release"] == first["release"]
    assert all(ring.get("back", "/index.html", edge).body.startswith(b"<h1>") for edge in range(2))
    purged = json.loads(ring.rim("purge", "back", "--path", "/index.html", "--wait", "all", "--json").stdout)
    assert purged["sequence"] > rolled["sequence"]
    assert all(edge["sequence"] >= purged["sequence"] for edge in purged["edges"])
    assert [r["live"] for r in json.loads(ring.rim("releases", "back", "--json").stdout)["releases"]].count(True) == 1


def test_verify(ring: Up, tmp_path: Path) -> None:
    """Every file at every edge is compared, whatever its name; a difference is exit code 1 and named."""
    files = {"#a?b.html": "1", "per%20cent.txt": "2", "sp ace/é'\"&.txt": "3", "big.bin": os.urandom(2_500_000)}
    folder = site_folder(tmp_path / "odd", {**files, "_headers": "/*\n X: y", "index.html": "i"})
    (folder / "link.txt").symlink_to("per%20cent.txt")
    (folder / "nowhere").symlink_to("/etc/passwd")
    (folder / "settings.txt").symlink_to("_headers")  # answers as what it leads to: never
    ring.publish(folder, "odd", "--wait", "all")
    done = json.loads(ring.rim("verify", "odd", str(folder), "--json").stdout)
    assert (done["files"], done["differences"]) == (6, 0)
    assert [edge["files"] for edge in done["edges"]] == [6, 6]
    (folder / "big.bin").write_bytes(b"other")
    (folder / "never-published.txt").write_text("x")
    wrong = ring.rim("verify", "odd", str(folder), check=False)
    assert wrong.returncode == 1
    assert "edge-1: big.bin: other bytes" in wrong.stderr
    assert "edge-2: never-published.txt: status 404" in wrong.stderr
    url = f"http://odd.localhost:{ring.port}/"
    assert ring.rim("verify", url, str(folder), check=False).returncode == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_ends_with_everything(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """SIGINT and SIGTERM end every process, free every port and take up.json away."""
    up = Up(tmp_path, edges=2)
    up.start()
    assert up.process is not None
    up.process.send_signal(number)
    assert up.process.wait(30) == code
    up.stop()
    assert_nothing_left(up)


def test_a_killed_parent_leaves_nobody(tmp_path: Path) -> None:
    """kill -9 of `rim up` ends its children; the state can be used again at once, with what it held."""
    folder = site_folder(tmp_path / "site")
    up = Up(tmp_path, folder)
    up.start()
    up.kill()
    pids = [up.info["origin_pid"], up.edges[0]["pid"]]
    until("children gone", lambda: all(map(gone, pids)))
    again = Up(tmp_path)
    with again:
        assert again.info["sites"][0]["root"] == up.info["sites"][0]["root"]
        assert again.info["catalog"] == up.info["catalog"]
        assert again.get("site", "/index.html").status == 200
    assert_nothing_left(again)


def test_a_dead_edge_is_told_and_brought_back(tmp_path: Path) -> None:
    """An edge that dies is reported on stderr and not restarted; the other serves on; `rim edge --state` of its folder
    alone brings it back at its old address."""
    with Up(tmp_path, site_folder(tmp_path / "site"), edges=2) as up:
        up.kill_edge(1)
        until("it is told", lambda: "edge-2 (process" in up.stderr())
        assert f"rim edge --state {up.state / 'edge-2'}" in up.stderr()
        assert up.get("site", "/index.html", 0).status == 200
        assert free(up.edges[1]["public"])
        edge = subprocess.Popen([*RIM, "edge", "--state", str(up.state / "edge-2")], stdout=subprocess.PIPE)
        try:
            assert edge.stdout is not None
            assert edge.stdout.readline()
            assert up.get("site", "/index.html", 1).status == 200
        finally:
            edge.terminate()
            edge.communicate(timeout=30)
    assert_nothing_left(up)


def test_a_silent_edge_delays_nobody_for_ever(tmp_path: Path) -> None:
    """An edge that hangs is waited for until the deadline; then the release is live, and --wait tells who is behind:
    5 where some serve it, 4 where none does."""
    folder = site_folder(tmp_path / "site")
    with Up(tmp_path, folder, edges=2) as up:
        stopped = [int(edge["pid"]) for edge in up.edges]
        try:
            os.kill(stopped[1], signal.SIGSTOP)
            (folder / "index.html").write_text("two")
            some = up.rim("publish", str(folder), "--wait", "all", "--timeout", "1", check=False)
            assert (some.returncode, "edge-2" in some.stderr) == (5, True)
            assert up.get("site", "/index.html", 0).body == b"two"
            os.kill(stopped[0], signal.SIGSTOP)
            (folder / "index.html").write_text("three")
            none = up.rim("publish", str(folder), "--wait", "all", "--timeout", "1", check=False)
            assert none.returncode == 4, none.stderr
            fast = up.rim("publish", str(folder), "--no-warm", "--message", "x", "--force", "--timeout", "1")
            assert fast.returncode == 0
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


def test_human_output(tmp_path: Path) -> None:
    """Without --json: a short table, and the site's URL as the last line."""
    folder, state, port = site_folder(tmp_path / "demo"), tmp_path / "s", free_ports(2)
    command = [*RIM, "up", str(folder), "--edges", "2", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("http"):
            lines.append(process.stdout.readline().strip())
            assert lines[-1], process.stderr.read() if process.stderr else ""
        assert lines[-1] == f"http://demo.localhost:{port}/"
        assert len(lines) == 5
        assert fetch(f"http://127.0.0.1:{port}", "/", host=f"demo.localhost:{port}").status == 200
    finally:
        process.terminate()
        rest = process.communicate(timeout=30)
    assert rest == ("", "")


def test_interrupted_at_every_step(tmp_path: Path) -> None:
    """Ctrl-C at each named step of `rim up DIR`: 130, no process, no port, no up.json, and the next try works."""
    folder, log = site_folder(tmp_path / "site"), tmp_path / "steps"
    whole = Up(tmp_path / "whole", folder, env={"RIM_STEPS_LOG": str(log)})
    with whole:
        names = [name for name in log.read_text().splitlines() if name.startswith(("up.", "scan.", "send.", "stage."))]
    assert {"up.begun", "up.origin", "up.edges", "up.published", "up.ready"} <= set(names)
    for number in range(1, 40):
        up = Up(tmp_path / "cut", folder, env={"RIM_PUBLISH_INTERRUPT_AT": str(number)})
        process = subprocess.Popen(
            up.command, env={**os.environ, **up.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:  # it ran through: there are no more steps
            process.terminate()
            process.communicate(timeout=30)
            break
        started = children(process.pid)
        err = process.communicate(timeout=30)[1]
        assert process.returncode == 130, (number, err)
        assert "Traceback" not in err
        until("children gone", lambda pids=started: all(map(gone, pids)))
        assert free(f"http://127.0.0.1:{up.port}")
        assert not (up.state / "up.json").exists()
    else:
        pytest.fail("it never ran through")
    assert number > 8


def test_inner_ports_are_none_of_the_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --port among the inner ports: what another node is about to bind is free now, and no node's all the same."""
    first = free_ports(6)
    monkeypatch.setattr("rim.dev._INNER_PORTS", range(first, first + 6))
    public = [first, first + 2, first + 4]
    assert sorted(dev._free_ports(3, public)) == [first + 1, first + 3, first + 5]


def test_a_folder_named_as_one_of_our_packages_is_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`rim up` in a folder that holds `content/` and `origin/`: what it starts imports ours, not those."""
    for name in ("content", "edge", "origin", "rim"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a stranger was imported')\n")
    monkeypatch.chdir(tmp_path)
    state = ("--state", str(tmp_path / "state"))
    origin = Child("origin", ("origin", *state, "--listen", "127.0.0.1:0", "--json"), tmp_path / "origin.log")
    try:
        assert origin.ready()["catalog"].startswith("k51")
    finally:
        end([origin])


def test_a_ring_is_an_ipfs_gateway_of_what_it_serves(ring: Up) -> None:
    """The root that `rim up` names is on localhost, led to an origin of its own; what was not published is nowhere. The
    origin knows each edge's gateway, for the manifests that it signs."""
    with Origin(ring.info["origin"], ring.info["token"]) as known:
        gateways = {row["gateway"] for row in known.get("/api/v1/edges")["edges"]}
    assert gateways == {f"http://localhost:{ring.port + number}" for number in range(len(ring.edges))}
    root, public = ring.info["sites"][0]["root"], ring.edges[0]["public"]
    host = f"localhost:{ring.port}"
    moved = fetch(public, f"/ipfs/{root}/", host)
    assert (moved.status, moved.headers["location"]) == (301, f"http://{root}.ipfs.{host}/")
    page = (ring.root / "hello/index.html").read_bytes()
    assert fetch(public, "/", f"{root}.ipfs.{host}").body == page
    strange = CID.of(RAW, b"never published")
    assert fetch(public, "/", f"{strange}.ipfs.{host}").status == 404
