"""The sick wire of the test kit does what it says: each way to be sick, switched on and off on open connections."""

from __future__ import annotations

import http.client
import http.server
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.kit.toxics import Toxic

BODY = bytes(range(256)) * 1024  # 256 KiB
_OPEN: list[http.client.HTTPConnection] = []


class _Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def toxic(upstream: str) -> Iterator[Toxic]:
    with Toxic(upstream, seed=7) as toxic:
        yield toxic


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def connect(toxic: Toxic, timeout: float = 30) -> http.client.HTTPConnection:
    _OPEN.append(http.client.HTTPConnection("127.0.0.1", urlsplit(toxic.url).port, timeout=timeout))
    return _OPEN[-1]


def ask(connection: http.client.HTTPConnection, path: str = "/", **headers: str) -> bytes:
    connection.request("GET", path, headers=headers)
    return connection.getresponse().read()


def test_healthy_it_changes_nothing_and_counts(toxic: Toxic) -> None:
    one, two = connect(toxic), connect(toxic)
    assert [ask(one, "/a", Rim_Tier="1"), ask(one, "/b"), ask(two, "/c")] == [BODY] * 3
    assert (toxic.connections, toxic.requests, toxic.open) == (2, 3, 2)
    assert [(asked.method, asked.target) for asked in toxic.asked] == [("GET", "/a"), ("GET", "/b"), ("GET", "/c")]
    assert toxic.asked[0].headers["rim_tier"] == "1"


def test_late_is_not_narrow(toxic: Toxic) -> None:
    """256 KiB in at least four pieces, 0.5 s late: late once, not once a piece."""
    toxic.set(latency=0.5, jitter=0.05)
    begin = time.monotonic()
    assert ask(connect(toxic)) == BODY
    assert 0.5 <= time.monotonic() - begin < 2.0


def test_slices_and_a_rate_change_no_byte(toxic: Toxic) -> None:
    toxic.set(slice=5_000)
    assert ask(connect(toxic)) == BODY
    toxic.set(rate=1 << 20)
    begin = time.monotonic()
    assert ask(connect(toxic)) == BODY
    assert time.monotonic() - begin >= 0.2


def test_one_bit_of_a_body_and_never_of_a_head(toxic: Toxic) -> None:
    toxic.set(corrupt=1.0)
    connection = connect(toxic)
    for _ in range(20):
        spoilt = ask(connection)
        differ = [(a ^ b).bit_count() for a, b in zip(spoilt, BODY, strict=True) if a != b]
        assert differ == [1]


def test_a_stall_holds_the_rest_and_lets_it_go(toxic: Toxic) -> None:
    toxic.set(stall=100_000)
    connection = connect(toxic)
    connection.request("GET", "/")
    answer = connection.getresponse()
    head = len(b"".join(f"{k}: {v}\r\n".encode() for k, v in answer.getheaders())) + len(b"HTTP/1.0 200 OK\r\n\r\n")
    got = answer.read(100_000 - head)
    assert connection.sock is not None
    connection.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.sock.settimeout(30)
    toxic.heal()
    assert len(got) + len(answer.fp.read(len(BODY) - len(got))) == len(BODY)


def test_a_cut_and_a_reset(toxic: Toxic) -> None:
    with toxic.under(cut=1_000), pytest.raises(http.client.IncompleteRead) as short:
        ask(connect(toxic))
    assert 0 < len(short.value.partial) < 1_000
    with toxic.under(reset=0), pytest.raises(ConnectionResetError):
        ask(connect(toxic))
    assert ask(connect(toxic)) == BODY


def test_a_black_hole_swallows_the_question_until_it_is_healed(toxic: Toxic) -> None:
    connection = connect(toxic)
    assert ask(connection) == BODY
    toxic.set(blackhole=True)
    connection.request("GET", "/late")
    with pytest.raises(TimeoutError):
        ask(connect(toxic, 0.2))
    assert toxic.requests == 1
    toxic.heal()
    assert connection.getresponse().read() == BODY
    assert [asked.target for asked in toxic.asked][:2] == ["/", "/late"]


def test_down_and_up_at_the_same_port(toxic: Toxic) -> None:
    """A process that dies and comes back: open connections break, new ones are refused."""
    connection, url = connect(toxic), toxic.url
    assert ask(connection) == BODY
    toxic.down()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        ask(connection)
    with pytest.raises(ConnectionRefusedError):
        ask(connect(toxic))
    toxic.up()
    assert toxic.url == url
    assert ask(connect(toxic)) == BODY


def test_nobody_above_is_a_reset() -> None:
    with Toxic("http://127.0.0.1:1") as toxic:
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            ask(connect(toxic))
        assert toxic.refused == 1


def test_the_same_seed_strikes_the_same_connections(upstream: str) -> None:
    def struck(seed: int) -> list[bool]:
        with Toxic(upstream, seed=seed) as toxic:
            toxic.set(corrupt=1.0, share=0.5)
            return [ask(connect(toxic)) != BODY for _ in range(12)]

    assert struck(1) == struck(1) != struck(2)
    assert 0 < sum(struck(1)) < 12
