"""The HAProxy recipe as it is shipped, in front of two real edges: TLS, HTTP/2, the client's address, a dead edge.

Actors: haproxy with deploy/haproxy/haproxy.cfg, edges as processes, curl as the client, from 127.0.0.2.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.edge.http.test_proxy import BAD
from tests.kit.certs import make_pair
from tests.kit.nodes import Cluster, Edge, Origin, free_port, listens, until
from tests.kit.programs import needed

pytestmark = pytest.mark.needs("haproxy", "curl")
RECIPE = Path(__file__).resolve().parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
CLIENT = "127.0.0.2"
LINK = "</style.css>; rel=preload; as=style"
PAGE = b"<!doctype html>\n" + b"page " * 2000


@dataclass
class Front:
    """The whole: where HAProxy listens, its certificate, the edges behind it and their logs."""

    http: int
    https: int
    ca: Path
    cluster: Cluster
    logs: list[Path]

    def curl(self, *arguments: str, path: str = "/", scheme: str = "https") -> tuple[str, bytes]:
        """What `-w` was asked for, and the body."""
        port = self.https if scheme == "https" else self.http
        told = "%{stderr}%{http_code} %{http_version} %{redirect_url}"
        command = [
            needed("curl"), "-sS", "--max-time", "20", "--interface", CLIENT, "--cacert", str(self.ca),
            "--resolve", f"demo.localhost:{port}:127.0.0.1", "-w", told,
            *arguments, f"{scheme}://demo.localhost:{port}{path}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stderr.decode(), done.stdout

    def rows(self) -> list[dict[str, Any]]:
        """What the edges' logs say of the site."""
        lines = [line for log in self.logs if log.exists() for line in log.read_text().splitlines()]
        return [row for row in map(json.loads, lines) if row["site"] == "demo"]


@contextmanager
def front(folder: Path, *flags: str, **env: str) -> Iterator[Front]:
    origin = Origin(folder / "origin")
    origin.start()
    edges = [Edge(f"edge-{n}", folder / f"edge-{n}") for n in (1, 2)]
    cluster = Cluster(origin, edges, origin.node_token())
    logs = [folder / f"{edge.name}.access.log" for edge in edges]
    try:
        for edge, log in zip(edges, logs, strict=True):
            more = ("--trusted-proxy", "127.0.0.1", "--access-log", "json", "--access-log-file", str(log), *flags)
            edge.join(origin.url, origin.catalog, cluster.token, edges, *more).start()
        site = folder / "site"
        site.mkdir()
        (site / "index.html").write_bytes(PAGE)
        (site / "hinted.html").write_bytes(PAGE + b"hinted")
        (site / "_headers").write_text(f"/hinted.html\n  Link: {LINK}\n")
        cluster.publish(site, "demo")
        given = {"RIM_USER": "haproxy"} if os.geteuid() == 0 else {}  # as the package makes it
        with haproxy(folder, edges, {**given, **env}) as (http, https, ca):
            yield Front(http, https, ca, cluster, logs)
    finally:
        cluster.stop()


@contextmanager
def haproxy(folder: Path, edges: list[Edge], env: dict[str, str]) -> Iterator[tuple[int, int, Path]]:
    pair = make_pair(folder / "tls", "demo.localhost")
    both = folder / "demo.localhost.pem"
    both.write_bytes(pair.cert.read_bytes() + pair.key.read_bytes())
    http, https = free_port(), free_port()
    given = {"RIM_HTTP": f"127.0.0.1:{http}", "RIM_HTTPS": f"127.0.0.1:{https}", "RIM_CERTS": str(both)}
    given |= {f"RIM_EDGE_{n}": edge.public.removeprefix("http://") for n, edge in enumerate(edges, 1)}
    with open(folder / "haproxy.log", "wb") as log:
        process = subprocess.Popen(
            [needed("haproxy"), "-db", "-f", str(RECIPE)],
            env={**os.environ, **given, **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until("haproxy listens", lambda: process.poll() is not None or listens(https))
        assert process.poll() is None, (folder / "haproxy.log").read_text()
        yield http, https, pair.cert
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def by_field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("field"), "--early-hints") as made:
        yield made


@pytest.fixture(scope="module")
def by_header(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("header"), "--proxy-protocol", RIM_SEND_PROXY="1") as made:
        yield made


def test_http2_and_the_clients_address(by_field: Front) -> None:
    """A page over HTTP/2 and over HTTP/1.1; edges know who asked, whatever the client says of itself."""
    assert by_field.curl("--http2") == ("200 2 ", PAGE)
    assert by_field.curl("--http1.1") == ("200 1.1 ", PAGE)
    forged = ("-H", "X-Forwarded-For: 198.51.100.9", "-H", "Forwarded: for=198.51.100.9")
    assert by_field.curl("--http2", *forged) == ("200 2 ", PAGE)
    rows = until("three lines", lambda: (found := by_field.rows()) and len(found) >= 3 and found)
    assert {row["client"] for row in rows} == {CLIENT}


def test_early_hints_go_on_over_http2(by_field: Front) -> None:
    """A page that has left memory: its Link goes before it as a 103, over HTTP/2; once it is there, it does not."""
    by_field.cluster.rim("purge", "demo", "--path", "/hinted.html", "--soft", "--wait", "all")
    told = [by_field.curl("--http2", "-v", path="/hinted.html") for _ in range(6)]
    assert {body for _, body in told} == {PAGE + b"hinted"}
    said = [re.findall(r"(?m)^< (HTTP/2 [0-9]+|link: .*?) ?\r?$", text) for text, _ in told]
    link = f"link: {LINK}"
    assert said[0] == ["HTTP/2 103", link, "HTTP/2 200", link]
    assert said[-1] == ["HTTP/2 200", link]
    assert [len(lines) for lines in said].count(4) <= 2  # once on each edge


def test_plain_http_is_sent_on(by_field: Front) -> None:
    """To the same host and path."""
    told, _ = by_field.curl(path="/a?b=c", scheme="http")
    assert told == f"308 1.1 https://demo.localhost:{by_field.http}/a?b=c"


def test_old_tls_is_refused(by_field: Front) -> None:
    """TLS 1.1 gets no handshake, and h2 is what is chosen."""
    context = ssl.create_default_context(cafile=str(by_field.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", by_field.https)) as sock,
        context.wrap_socket(sock, server_hostname="demo.localhost") as session,
    ):
        assert (session.selected_alpn_protocol(), session.version()) == ("h2", "TLSv1.3")
    done = subprocess.run(
        [needed("curl"), "-sS", "--tls-max", "1.1", "-k", f"https://127.0.0.1:{by_field.https}/"], capture_output=True
    )
    assert done.returncode == 35, "curl: SSL connect error"


def test_the_proxy_header(by_header: Front) -> None:
    """PROXY version 2 before the first request; health checks send one too, and no edge is thought dead."""
    bad = 'rim_limits_reached_total{limit="PROXY header"}'
    before = [edge.metric(bad) for edge in by_header.cluster.edges]
    for _ in range(4):
        assert by_header.curl("--http2") == ("200 2 ", PAGE)
    rows = until("four lines", lambda: (found := by_header.rows()) and len(found) >= 4 and found)
    assert {row["client"] for row in rows} == {CLIENT}
    assert [edge.metric(bad) for edge in by_header.cluster.edges] == before


@pytest.mark.parametrize("data", [pytest.param(row[1], id=row[0]) for row in BAD])
def test_a_bad_proxy_header_is_closed(by_header: Front, data: bytes) -> None:
    """On a real edge, from where the proxy comes from: the close alone. Others are heard as clients."""
    host, port = by_header.cluster.edges[0].public.removeprefix("http://").split(":")
    request = b"GET / HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n"
    assert _said((host, int(port)), "127.0.0.1", data + request) == b""
    assert _said((host, int(port)), CLIENT, request).startswith(b"HTTP/1.1 200 ")


def _said(address: tuple[str, int], source: str, data: bytes) -> bytes:
    """All that comes back until the end of the connection."""
    with socket.create_connection(address, 20, (source, 0)) as sock:
        sock.sendall(data)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass  # closed with bytes of ours unread
        return got


def test_an_edge_dies(tmp_path: Path) -> None:
    """The other one answers at once, and none of the requests is lost."""
    with front(tmp_path) as made:
        until("both edges are in turn", lambda: made.curl()[0] and all(log.exists() for log in made.logs))
        made.cluster.edges[0].kill()
        assert [made.curl("--http2") for _ in range(10)] == [("200 2 ", PAGE)] * 10
