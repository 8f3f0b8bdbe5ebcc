"""`rim health` against a real origin, and against listeners that are not well, hang or are not there."""

from __future__ import annotations

import socket

import pytest

from rim.health import own
from tests.kit.nodes import Origin, free_port
from tests.rim.conftest import Shell


@pytest.mark.parametrize(
    ("env", "urls"),
    [
        ({}, ("http://127.0.0.1:8080/.rim/health", "http://127.0.0.1:7070/readyz")),
        (
            {"RIM_PUBLIC": "0.0.0.0:80", "RIM_ORIGIN_LISTEN": "[::]:7"},
            ("http://127.0.0.1:80/.rim/health", "http://[::1]:7/readyz"),
        ),
        (
            {"RIM_PUBLIC": "10.0.0.1:443", "RIM_TLS_CERT": "/c.pem"},
            ("https://10.0.0.1:443/.rim/health", "http://127.0.0.1:7070/readyz"),
        ),
    ],
)
def test_a_nodes_own_addresses(env: dict[str, str], urls: tuple[str, ...]) -> None:
    """As the node's variables say; what listens everywhere is asked on loopback."""
    assert own(env) == urls


def test_a_node_that_is_well(shell: Shell, origin: Origin) -> None:
    """By the variables of an origin, with no edge on this machine; and by a URL."""
    own = {"RIM_PUBLIC": f"127.0.0.1:{free_port()}", "RIM_ORIGIN_LISTEN": f"127.0.0.1:{origin.port}"}
    for arguments in ((), (f"{origin.url}/healthz",)):
        done = shell.rim("health", *arguments, **own)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_a_node_that_is_not(shell: Shell, origin: Origin) -> None:
    """Another status, nobody there, one that never answers, an address that means nothing: 1, 1, 1, 2, and why."""
    done = shell.rim("health", f"{origin.url}/api/v1/keys")
    assert done.returncode == 1
    assert "/api/v1/keys: 401" in done.stderr
    gone = f"127.0.0.1:{free_port()}"
    done = shell.rim("health", RIM_PUBLIC=gone, RIM_ORIGIN_LISTEN=gone)
    assert done.returncode == 1
    assert "nothing listens" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        done = shell.rim("health", f"http://127.0.0.1:{port}/", "--timeout", "0.2")
    assert done.returncode == 1
    assert "timed out" in done.stderr
    assert shell.rim("health", "ftp://127.0.0.1/").returncode == 2
