"""The client: what it tries again, for how long, and how it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rim import client
from rim.client import Origin, Rejected, Unreachable
from rim.exits import Failed, Refused
from tests.kit.nodes import free_port

Handler = Callable[[BaseHTTPRequestHandler, int], None]  # the request, and its number


@contextmanager
def server(handle: Handler, port: int = 0) -> Iterator[str]:
    """An HTTP server of a few lines."""
    numbers = iter(range(1, 1_000))

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            handle(self, next(numbers))

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            return

    running = Quiet(("127.0.0.1", port), Requests)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"{}") -> None:
    length = int(request.headers.get("Content-Length", 0))
    request.rfile.read(length)
    request.send_response(status)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, a hundred times faster."""
    monkeypatch.setattr(client, "_BACKOFF", (0.001, 0.002, 0.004))
    monkeypatch.setattr(client, "FIRST_RETRIES", 0.1)
    monkeypatch.setattr(client, "LATER_RETRIES", 0.3)


def test_one_connection_for_many_requests() -> None:
    """Requests of one thread share a connection."""
    ports: set[int] = set()

    def handle(request: BaseHTTPRequestHandler, number: int) -> None:
        ports.add(request.client_address[1])
        answer(request, 200, b'{"n": %d}' % number)

    with server(handle) as url, Origin(url, "t") as origin:
        assert [origin.get("/x")["n"] for _ in range(5)] == [1, 2, 3, 4, 5]
    assert len(ports) == 1


def test_the_token_is_sent() -> None:
    """As a bearer token."""
    seen: list[str | None] = []

    def handle(request: BaseHTTPRequestHandler, number: int) -> None:
        seen.append(request.headers["Authorization"])
        answer(request, 200)

    with server(handle) as url, Origin(url, "abc") as origin:
        origin.get("/x")
    assert seen == ["Bearer abc"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_fault_is_tried_again(status: int) -> None:
    """An origin that cannot now is asked again."""
    with (
        server(lambda request, number: answer(request, status if number < 3 else 200)) as url,
        Origin(url, "") as origin,
    ):
        assert origin.get("/x") == {}


def test_a_lasting_fault_is_given_up() -> None:
    """One that never can ends the retries after their time."""
    with server(lambda request, number: answer(request, 503)) as url, Origin(url, "") as origin:
        with pytest.raises(Rejected) as caught:
            origin.get("/x")
        assert isinstance(client.stop_for(caught.value), Failed)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 507])
def test_a_refusal_is_final(status: int) -> None:
    """What the origin refuses is asked once."""
    count: list[int] = []

    def handle(request: BaseHTTPRequestHandler, number: int) -> None:
        count.append(number)
        answer(request, status, b'{"error": "word", "message": "why"}')

    with server(handle) as url, Origin(url, "") as origin, pytest.raises(Rejected) as caught:
        origin.get("/x")
    assert count == [1]
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, "word", "why")


def test_nobody_listens() -> None:
    """An origin that is down ends in a sentence with its address and what to do."""
    with (
        Origin(f"http://127.0.0.1:{free_port()}", "") as origin,
        pytest.raises(Failed, match="cannot be reached") as caught,
    ):
        origin.get("/x")
    assert caught.value.code == 1
    assert "rim up" in caught.value.hint


def test_an_origin_that_restarts() -> None:
    """One that was heard and goes away is waited for, and the request goes on when it is back."""
    port, gone, done = free_port(), threading.Event(), threading.Event()

    def back() -> None:
        gone.wait()
        with server(lambda request, number: answer(request, 200, b'{"back": 1}'), port):
            done.wait()

    thread = threading.Thread(target=back)
    thread.start()
    with Origin(f"http://127.0.0.1:{port}", "") as origin:
        with server(lambda request, number: answer(request, 200), port):
            origin.get("/x")
        origin.interrupt()  # the old server's thread still holds the connection
        threading.Timer(0.05, gone.set).start()
        assert origin.get("/x") == {"back": 1}
    done.set()
    thread.join()


def test_a_silent_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and says nothing is given up after its time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Origin(url, "") as origin, pytest.raises(Failed, match="no answer in time"):
            origin.get("/x", timeout=0.1)


def test_an_answer_before_the_end_of_the_body() -> None:
    """An origin that refuses in the middle of an upload is heard, though it stopped reading."""

    def handle(request: BaseHTTPRequestHandler, number: int) -> None:
        request.rfile.read(1000)
        request.send_response(507)
        request.send_header("Content-Length", "2")
        request.send_header("Connection", "close")
        request.end_headers()
        request.wfile.write(b"{}")
        request.connection.shutdown(socket.SHUT_WR)
        while request.rfile.read1(1 << 20):  # drained, as a server must that wants to be heard
            continue

    parts = (b"x" * 100_000 for _ in range(100))
    with server(handle) as url, Origin(url, "") as origin, pytest.raises(Rejected) as caught:
        origin.once("POST", "/x", parts, {"Content-Length": str(10_000_000)})
    assert caught.value.status == 507
    assert client.stop_for(caught.value).message == "the origin disk is full"


def test_a_broken_upload_is_unreachable() -> None:
    """A connection that breaks in the middle is told apart from an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        parts = (b"x" * 100_000 for _ in range(100))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Origin(url, "") as origin, pytest.raises(Unreachable):
            origin.once("POST", "/x", parts, {"Content-Length": str(10_000_000)})
        thread.join()


def test_a_stream_that_is_cut() -> None:
    """A body shorter than it said is an error, never a short file."""

    def handle(request: BaseHTTPRequestHandler, number: int) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"x" * 10)
        request.close_connection = True

    with server(handle) as url, Origin(url, "") as origin, pytest.raises(Unreachable):
        list(origin.stream("/x"))


def test_another_servers_page() -> None:
    """An answer that is not JSON says that the address may be another server's."""
    page = server(lambda request, number: answer(request, 200, b"<html>"))
    with page as url, Origin(url, "") as origin, pytest.raises(Failed, match="not JSON"):
        origin.get("/x")


@pytest.mark.parametrize("status", [404, 421])
def test_an_edge_for_an_origin(status: int) -> None:
    """A refusal that no origin would word so says whose address is wanted."""
    with server(lambda request, number: answer(request, status, b"<html>")) as url, Origin(url, "") as origin:
        with pytest.raises(Rejected) as caught:
            origin.get("/x")
        stop = client.stop_for(caught.value)
    assert (stop.code, "no origin" in stop.message, "edge" in stop.hint) == (1, True, True)


@pytest.mark.parametrize(
    ("code", "command"),
    [("no_site", "rim sites"), ("no_release", "rim releases"), ("no_pin", "rim pins"), ("no_token", "rim token list")],
)
def test_missing_things_are_listed_somewhere(code: str, command: str) -> None:
    """The hint names the command that lists things of that kind."""
    assert command in client.stop_for(Rejected(404, {"error": code, "message": "no"})).hint


@pytest.mark.parametrize(
    ("status", "code"), [(401, 3), (403, 3), (404, 3), (409, 3), (422, 3), (500, 1), (503, 1), (507, 1)]
)
def test_refusals_and_failures(status: int, code: int) -> None:
    """What asking again will not change is 3, what it may change is 1; each has a hint where there is one to give."""
    stop = client.stop_for(Rejected(status, {"error": "lost_race", "message": "why"}))
    assert stop.code == code
    assert isinstance(stop, Refused if code == 3 else Failed)
    assert stop.hint
