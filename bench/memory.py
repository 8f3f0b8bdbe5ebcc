"""bench/memory: what a connection, a client that does not read, and a cached object cost in memory, Rim beside nginx.

    python bench/memory.py [--idle 10000] [--resets 50000] [--stuck 500] [--objects 200000]

Here live the clients, the figures and the table. Not here: the servers (bench/kit).

A real `rim up` with one edge and a real nginx over the same files; what counts is resident memory (RSS) before and
after, of the edge's process and of nginx's. Clients come from 127.0.0.2 to .6, as one address has too few ports. The
index of the disk tier is measured by itself, in a process that holds nothing else; nginx leaves its own to the kernel.
"""

from __future__ import annotations

import argparse
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kit import peers, sites
from kit.servers import Server, environment, family
from kit.side import asker, machine

KiB, MiB = 1 << 10, 1 << 20
SOURCES = [f"127.0.0.{n}" for n in range(2, 7)]
SMALL, LARGE = "/4k.jpg", "/10m.jpg"
WARM = 300  # connections before anything is measured: what a server allocates once is not a connection's
CALM = 0.5  # MiB within which memory has come to rest


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure of each, and the goal for ours."""

    what: str
    rim: float
    nginx: float | None
    unit: str
    goal: float | None

    def __str__(self) -> str:
        peer = "–" if self.nginx is None else f"{self.nginx:,.1f}"
        aim = "" if self.goal is None else f"≤ {self.goal:g}: {'met' if self.rim <= self.goal else 'not met'}"
        return f"{self.what:62} {self.rim:10,.1f} {peer:>10} {self.unit:8} {aim}"


class Clients:
    """Connections to one server, open at the same time."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.base)
        self.address = (address.hostname or "", address.port or 0)
        self.host = server.host
        self.open: list[socket.socket] = []

    def connect(self, *, buffer: int | None = None) -> socket.socket:
        sock = socket.socket()
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(60)
        sock.bind((SOURCES[len(self.open) % len(SOURCES)], 0))
        sock.connect(self.address)
        self.open.append(sock)
        return sock

    def ask(self, sock: socket.socket, target: str, fields: str = "") -> None:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {self.host}\r\n{fields}\r\n".encode())

    def get(self, sock: socket.socket, target: str) -> None:
        """Ask, and read the whole answer."""
        self.ask(sock, target)
        said = b""
        while b"\r\n\r\n" not in said:
            said += sock.recv(64 * KiB) or _ended(said)
        head, _, body = said.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]) - len(body)
        while left:
            left -= len(sock.recv(left) or _ended(said))

    def close(self, *, by_reset: bool = False) -> None:
        for sock in self.open:
            if by_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.open.clear()


def main() -> int:
    parser = argparse.ArgumentParser(description="What clients and cached objects cost in memory, beside nginx.")
    parser.add_argument("--idle", type=int, default=10_000, help="keep-alive connections (10,000)")
    parser.add_argument("--resets", type=int, default=50_000, help="connections closed by RST (50,000)")
    parser.add_argument("--stuck", type=int, default=500, help="clients that never read a 10 MiB answer (500)")
    parser.add_argument("--objects", type=int, default=200_000, help="blocks in the index (200,000)")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < arguments.idle + 500:
        raise SystemExit(f"{hard} descriptors are allowed: raise the hard limit (ulimit -Hn), or give --idle less")
    print(f"{machine()}; {hard:,} descriptors", flush=True)
    with tempfile.TemporaryDirectory(prefix="rim-bench-") as name, ExitStack() as stack:
        folder = sites.single_files()
        servers = [
            stack.enter_context(peers.rim(Path(name) / "rim", folder)).server,
            stack.enter_context(peers.nginx(Path(name) / "nginx", folder)),
        ]
        for server in servers:
            ask = asker(server)
            for target in (SMALL, LARGE) * 3:
                ask(target, {})
            idle(server, WARM)
        rows = table(servers, arguments)
    print(f"\n{'':62} {'rim':>10} {'nginx':>10}")
    print("\n".join(map(str, rows)))
    return 0


def table(servers: list[Server], arguments: argparse.Namespace) -> list[Row]:
    """All rows, each of both servers."""
    rows = []
    # First of all: what the others leave free would be taken again, and not show.
    for how, fields in (("", ""), ("  the same, with Connection: close (the app answers)", "Connection: close\r\n")):
        stuck = [unread(server, arguments.stuck, fields) / MiB for server in servers]
        rows.append(Row(how or f"growth under {arguments.stuck} clients that never read 10 MiB", *stuck, "MiB", 128))
    held = [idle(server, arguments.idle) for server in servers]
    each = [during / arguments.idle / KiB for during, _, _ in held]
    count = f"{arguments.idle:,}"
    rows.append(Row(f"an idle keep-alive connection, of {count}", each[0], each[1], "KiB", 10))
    rows.append(Row("  growth left when they are gone", *(after / MiB for _, after, _ in held), "MiB", None))
    rows.append(Row("  sockets left", *(float(left) for _, _, left in held), "", 2))
    again = [[idle(server, arguments.idle)[1] / MiB for _ in range(4)][-1] for server in servers]
    rows.append(Row("  growth that the same adds, the fifth time", *again, "MiB", 1))
    reset = [resets(server, arguments.resets) for server in servers]
    count = f"{arguments.resets:,}"
    rows.append(Row(f"growth over {count} connections closed by RST", *(g / MiB for g, _ in reset), "MiB", 1))
    rows.append(Row("  sockets left", *(float(left) for _, left in reset), "", 2))
    rows.append(
        Row(f"a cached object in the index, of {arguments.objects:,}", index(arguments.objects), None, "B", 250)
    )
    return rows


def idle(server: Server, count: int) -> tuple[int, int, int]:
    """Bytes that so many connections add which each had one answer and stay; what of it is left when they are gone; and
    how many sockets are."""
    before, sockets = server.rss(), descriptors(server)
    clients = Clients(server)
    for _ in range(count):
        clients.get(clients.connect(), SMALL)
    during = server.rss() - before
    clients.close()
    return during, at_rest(server) - before, descriptors(server) - sockets


def resets(server: Server, count: int) -> tuple[int, int]:
    """Bytes, and sockets, that are left of connections which had an answer and ended in a reset."""
    before, sockets = at_rest(server), descriptors(server)
    clients = Clients(server)
    for number in range(count):
        clients.get(clients.connect(), SMALL)
        if number % 100 == 99:
            clients.close(by_reset=True)
    clients.close(by_reset=True)
    return at_rest(server) - before, descriptors(server) - sockets


def unread(server: Server, count: int, fields: str) -> int:
    """Bytes that clients add which ask for the large file and read nothing."""
    before = at_rest(server)
    clients = Clients(server)
    for _ in range(count):
        clients.ask(clients.connect(buffer=4 * KiB), LARGE, fields)
    for sock in clients.open:
        assert sock.recv(9, socket.MSG_PEEK) == b"HTTP/1.1 "  # it has begun, and will get no further than the buffers
    during = at_rest(server) - before
    clients.close(by_reset=True)
    return during


def at_rest(server: Server) -> int:
    """RSS when it does not move any more."""
    seen = server.rss()
    while True:
        time.sleep(0.5)
        now = server.rss()
        if abs(now - seen) < CALM * MiB:
            return now
        seen = now


def descriptors(server: Server) -> int:
    """Sockets that the server's processes hold, when their number does not move any more."""

    def count() -> int:
        links: list[str] = []
        for pid in family(server.pids):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    links.append(str(entry.readlink()))
                except OSError:
                    continue
        return sum(link.startswith("socket:") for link in links)

    seen = count()
    while True:
        time.sleep(0.2)
        if (now := count()) == seen:
            return now
        seen = now


def index(count: int) -> float:
    """Bytes of a block's row in the index that the disk tier keeps in memory, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _INDEX, str(count)], env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


_INDEX = """
import os, sys
from edge.cache.inventory import Inventory

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

count = int(sys.argv[1])
inventory = Inventory(1 << 50)
inventory.enter(os.urandom(34), 4096)
before = rss()
for _ in range(count):
    inventory.enter(os.urandom(34), 4096)
print((rss() - before) / count)
"""


def _ended(said: bytes) -> bytes:
    raise SystemExit(f"the connection ended within an answer: {said[:200]!r}")


if __name__ == "__main__":
    sys.exit(main())
