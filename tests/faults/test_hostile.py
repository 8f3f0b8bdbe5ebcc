"""Hostile clients against a real edge process: slow ones by the hundred, and those that read nothing while it ends.

Here live slowhttptest's four attacks with hits beside them, and SIGTERM under way. Not here: what is malformed
(tests/edge/http/test_malformed), memory in figures (bench/memory).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

import pytest

from tests.kit.nodes import Cluster, Edge, cluster, until
from tests.kit.programs import needed

MiB = 1 << 20
CONNECTIONS = 400
FILES = {"hot.txt": b"hot " * 1024, "large.bin": os.urandom(10 * MiB)}


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Cluster]:
    """An origin and one edge, a site published, everything in it asked for once."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    whole = cluster(tmp_path / "ring", 1)
    try:
        whole.publish(folder, "demo", "--encode", "none", "--wait", "all")
        for name, content in FILES.items():
            assert whole.edges[0].get("demo", f"/{name}").body == content
        yield whole
    finally:
        whole.stop()


def connect(edge: Edge, timeout: float = 30.0) -> socket.socket:
    address = urlsplit(edge.public)
    return socket.create_connection((address.hostname, address.port), timeout)


def ask(name: str) -> bytes:
    return f"GET /{name} HTTP/1.1\r\nHost: demo.localhost\r\n\r\n".encode()


def sockets(edge: Edge) -> int:
    """How many sockets the process holds."""
    assert edge.process is not None
    links = []
    for entry in Path(f"/proc/{edge.process.pid}/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue
    return sum(link.startswith("socket:") for link in links)


@dataclass
class Visitor:
    """Asks for a hit again and again on a connection of its own, and proves each answer."""

    edge: Edge
    took: list[float] = field(default_factory=list)  # ms
    wrong: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        body = FILES["hot.txt"]
        with connect(self.edge) as sock, sock.makefile("rb") as reader:
            while not self.over.wait(0.005):
                begun = time.perf_counter()
                sock.sendall(ask("hot.txt"))
                head = b""
                while not head.endswith(b"\r\n\r\n") and (line := reader.readline()):
                    head += line
                said = reader.read(len(body))
                self.took.append((time.perf_counter() - begun) * 1000)
                if not head.startswith(b"HTTP/1.1 200 ") or said != body:
                    self.wrong.append(head + said[:100])
                    return


ATTACKS = [
    ("slow-heads", ["-H", "-i", "1", "-l", "25"]),
    ("slow-bodies", ["-B", "-i", "1", "-s", "100000", "-l", "25"]),
    ("ranges", ["-R", "-a", "5", "-b", "3000", "-l", "25"]),
    ("slow-reads", ["-X", "-k", "2", "-n", "1", "-w", "512", "-y", "1024", "-z", "32", "-l", "10"]),
]
CLOSED = {"slow-heads", "slow-bodies", "ranges"}  # the edge has ended all of them long before the attack would


@pytest.mark.needs("slowhttptest")
def test_slow_clients_harm_no_hit(one: Cluster) -> None:
    """slowhttptest's attacks, one after another: each hit of a visitor beside them is whole and right, and what was
    opened is closed again, by the edge where the attack could go on. Latencies are printed, not judged."""
    edge = one.edges[0]
    calm = sockets(edge)
    assert edge.process is not None
    visitor = Visitor(edge)
    visiting = threading.Thread(target=visitor.run)
    visiting.start()
    try:
        visited = 0
        for name, options in [("calm", None), *ATTACKS]:
            before = os.times()
            if options is None:
                time.sleep(2)
            else:
                said = _attack(edge, options)
                assert ("No open connections left" if name in CLOSED else "Hit test time limit") in said, said
            assert not visitor.wrong, f"{name}: {visitor.wrong}"
            assert visiting.is_alive(), name
            took, visited = visitor.took[visited:], len(visitor.took)
            cuts = quantiles(took, n=100)
            lasted = os.times().elapsed - before.elapsed
            figures = f"median {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, most {max(took):.1f} ms"
            print(f"\n{name}, {lasted:.0f} s: {len(took)} hits, {figures}", end="")
    finally:
        visitor.over.set()
        visiting.join()
    until("its sockets are as before", lambda: sockets(edge) <= calm + 2)


def _attack(edge: Edge, options: list[str]) -> str:
    """One bounded attack, as through a proxy, which has it ask the edge for a name that no resolver knows."""
    command = [
        needed("slowhttptest"), *options, "-c", str(CONNECTIONS), "-r", "200",
        "-u", "http://demo.localhost/large.bin", "-d", urlsplit(edge.public).netloc,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, stdin=subprocess.DEVNULL)
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout + done.stderr)


def test_an_answer_under_way_is_finished_at_the_end(one: Cluster) -> None:
    """SIGTERM while large answers are read slowly, of a hit: they come whole; new connections are not taken."""
    edge = one.edges[0]
    assert edge.process is not None
    readers = [connect(edge) for _ in range(5)]
    for sock in readers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall(ask("large.bin"))
        assert sock.recv(1)
    edge.process.send_signal(signal.SIGTERM)
    until("it takes no more", lambda: _refuses(edge))
    for sock in readers:
        with sock:
            said = b"H" + b"".join(iter(lambda: sock.recv(MiB), b""))  # noqa: B023
            assert said.partition(b"\r\n\r\n")[2] == FILES["large.bin"]
    assert edge.stop() == 0


def _refuses(edge: Edge) -> bool:
    try:
        connect(edge, 1).close()
    except OSError:
        return True
    return False


def test_stuck_readers_do_not_hold_up_the_end(one: Cluster) -> None:
    """SIGTERM with fifty clients that read nothing: the process ends when its grace is over."""
    edge = one.edges[0]
    readers = [connect(edge) for _ in range(50)]
    for sock in readers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.sendall(ask("large.bin"))
        assert sock.recv(1)
    begun = time.monotonic()
    assert edge.stop() == 0  # within 15 s, or it fails
    print(f"\nended {time.monotonic() - begun:.1f} s after SIGTERM", end="")
    for sock in readers:
        sock.close()
