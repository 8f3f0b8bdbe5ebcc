"""What the origin's plays need: an origin on a real socket, a plain client, and releases made from a dict.

Not here: the publisher (rim), which has plays of its own.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from content import car, tree
from content.block import Block
from content.cid import CID, RAW
from content.release import Asset, Encoding, Release
from content.unixfs import Node, file, root, symlink

CAR = {"Content-Type": "application/vnd.ipld.car"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass
class Client:
    """A plain HTTP client; every request on a connection of its own."""

    url: str
    token: str | None = None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        sent = dict(headers or {})
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def ok(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        answer = self.ask(method, path, body, headers)
        assert answer.status in (200, 201), (method, path, answer.status, answer.body)
        return json.loads(answer.body) if answer.headers["content-type"] == "application/json" else answer.body

    def as_(self, token: str | None) -> Client:
        return Client(self.url, token)

    def make_token(self, *scopes: str, **more: Any) -> str:
        made = self.ok("POST", "/api/v1/tokens", {"name": "test", "scopes": list(scopes), **more})
        return str(made["token"])

    # -- a publish, step by step

    def missing(self, site: str, blocks: Iterable[Block], lease: str | None = None) -> tuple[str, list[Block]]:
        held = list(blocks)
        body = b"".join(block.cid for block in held)
        query = f"?lease={lease}" if lease else ""
        found = self.ok("POST", f"/api/v1/sites/{site}/missing{query}", body)
        return str(found["lease"]), [held[index] for index in found["missing"]]

    def send(self, lease: str, blocks: Iterable[Block]) -> Any:
        return self.ok("POST", f"/api/v1/leases/{lease}/blocks", car.write((), list(blocks)), CAR)

    def stage(self, site: str, made: Made, expected: CID | None, lease: str | None = None, **more: Any) -> Answer:
        body = {"release": str(made.cid), "expected": text(expected), "lease": lease, **more}
        return self.ask("POST", f"/api/v1/sites/{site}/stage", body)

    def activate(self, site: str, made: Made, expected: CID | None) -> Answer:
        body = {"release": str(made.cid), "expected": text(expected)}
        return self.ask("POST", f"/api/v1/sites/{site}/activate", body)

    def publish(self, site: str, made: Made, expected: CID | None = None, **more: Any) -> int:
        lease, missing = self.missing(site, made.blocks)
        if missing:
            self.send(lease, missing)
        staged = self.stage(site, made, expected, lease, **more)
        assert staged.status == 200, staged.body
        active = self.activate(site, made, expected)
        assert active.status == 200, active.body
        return int(active.json["sequence"])

    def live(self, site: str) -> str | None:
        live = self.ok("GET", f"/api/v1/sites/{site}")["live"]
        return None if live is None else str(live["release"])


def text(cid: CID | None) -> str | None:
    return None if cid is None else str(cid)


@dataclass(frozen=True)
class Made:
    """A release with all its blocks."""

    release: Release
    cid: CID
    store: Mapping[CID, Block] = field(repr=False)

    @property
    def blocks(self) -> list[Block]:
        return list(self.store.values())


def make(
    files: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    dirs: Iterable[str] = (),
    immutable: Iterable[str] = (),
    encoded: Mapping[str, bytes] | None = None,
    tags: Mapping[str, tuple[str, ...]] | None = None,
    **fields: Any,
) -> Made:
    """A release of these files: "a/b.txt" → bytes. `encoded`: the br bytes of some of them."""
    blocks: dict[CID, Block] = {}

    def emit(block: Block) -> None:
        blocks[block.cid] = block

    nodes: dict[str, Node] = {}
    rows: dict[str, Any] = {}
    for path, data in files.items():
        node = nodes[path] = file(data, emit)
        encodings = {}
        if encoded and path in encoded:
            coded = file(encoded[path], emit)
            encodings["br"] = Encoding(coded.cid, len(encoded[path]))
        sha = node.cid.digest.hex() if node.cid.codec == RAW else "00" * 32
        rows["/" + path] = Asset(
            node.cid,
            len(data),
            sha,
            "text/plain; charset=utf-8",
            encodings,
            path in set(immutable),
            (tags or {}).get(path, ()),
        ).to_row()
    for path, target in (links or {}).items():
        node = nodes[path] = symlink(target, emit)
        rows["/" + path] = Asset(node.cid, 0, "00" * 32, "text/plain", link_target=target).to_row()
    top = root(nodes, emit, dirs)
    index = tree.build(sorted(rows.items()), emit)
    size = sum(map(len, files.values()))
    release = Release(**{"root": top.cid, "index": index, "time": 1, "files": len(rows), "size": size, **fields})
    block = release.to_block()
    emit(block)
    return Made(release, block.cid, blocks)


def site_files(seed: str, count: int = 5) -> dict[str, bytes]:
    return {f"p{number}/f{number}.txt": f"{seed} {number}\n".encode() * 50 for number in range(count)}


@contextmanager
def origin(state: Path, **settings: Any) -> Iterator[Client]:
    """An origin in this process, on a loop in a thread of its own; the client has the first admin token."""
    from origin.config import OriginConfig
    from origin.node import Running, _listen
    from origin.origin import Origin
    from origin.state import State

    config = OriginConfig(state, **{"listen": "127.0.0.1:0", **settings})
    ready = threading.Event()
    here: dict[str, Any] = {}

    async def main() -> None:
        with State(state) as opened, _listen(config) as listener:
            running = here["running"] = Running(Origin(opened, config), listener)
            here["loop"] = asyncio.get_running_loop()
            ready.set()
            await running.run()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            here["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        if "running" not in here:
            raise here.pop("error")
        client = Client(here["running"].url, (state / "admin-token").read_text().strip())
        client.running = here["running"]  # type: ignore[attr-defined]
        client.loop = here["loop"]  # type: ignore[attr-defined]
        yield client
    finally:
        if "loop" in here:
            here["loop"].call_soon_threadsafe(here["running"].stop)
        thread.join()
        if "error" in here:
            raise here["error"]


def parts(client: Client) -> Any:
    """The Origin behind a client of `origin`, for plays that look inside or between two steps."""
    return client.running.origin  # type: ignore[attr-defined]


@dataclass
class Process:
    """An origin as a process of its own."""

    process: subprocess.Popen[str]
    client: Client
    catalog: str

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=20)
        return self.process.returncode


def command(state: Path, listen: str = "127.0.0.1:0", grace: float = 8) -> list[str]:
    code = (
        "import sys; from pathlib import Path; from origin.config import OriginConfig; from origin.node import serve; "
        "sys.exit(serve(OriginConfig(Path(sys.argv[1]), sys.argv[2], json=True, grace=float(sys.argv[3]))))"
    )
    return [sys.executable, "-c", code, str(state), listen, str(grace)]


def start(
    state: Path, listen: str = "127.0.0.1:0", grace: float = 8, **environment: str
) -> Process | subprocess.CompletedProcess[str]:
    """Start a process. A Process once it listens, or what is left of it when it ended before that."""
    env = {**os.environ, **environment}
    process = subprocess.Popen(
        command(state, listen, grace), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        out, err = process.communicate(timeout=20)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
    said = json.loads(line)
    token = (state / "admin-token").read_text().strip()
    return Process(process, Client(said["origin"], token), said["catalog"])


@contextmanager
def process(state: Path, listen: str = "127.0.0.1:0", grace: float = 8, **environment: str) -> Iterator[Process]:
    """A process that must come up; killed at the end if it still runs."""
    started = start(state, listen, grace, **environment)
    assert isinstance(started, Process), started.stderr
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.end(signal.SIGKILL)
        for pipe in (started.process.stdout, started.process.stderr):
            if pipe is not None:
                pipe.close()
