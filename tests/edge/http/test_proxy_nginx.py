"""PROXY headers beside nginx's verdicts: where we differ is written down, and we are never the laxer one unsaid.

Actors: a real nginx with `listen … proxy_protocol` that answers with the address it took.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edge.http.proxy import BadHeader, read
from tests.edge.http.test_proxy import BAD, GOOD
from tests.kit.nginx import running
from tests.kit.nodes import free_port

pytestmark = pytest.mark.needs("nginx")
CLOSED = "closed"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
_CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_header_timeout 1s;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{ listen 127.0.0.1:{port} proxy_protocol; return 200 "from $proxy_protocol_addr"; }}
}}
"""
# Where nginx takes a header that the protocol has not, and we close
STRICTER = {
    "v1, a port with a zero before it",
    "v1, an address with a zero before it",
    "v1, three parts",
    "v1, a part of 256",
    "v1, IPv6 as TCP4",
    "v1, IPv4 as TCP6",
    "v1, two gaps",
    "v1, unknown and more of the word",
    "v1, 108 bytes",
    "v2, command 2",
    "v2, family 4",
    "v2, transport 3",
    "v2, no family of LOCAL either",
    "v2, one byte short of UNIX",
    "v2, an addition cut in its head",
    "v2, an addition cut in its value",
    "v2, a wrong checksum",
    "v2, a checksum of three bytes",
}
# Where both take it, and nginx takes another address; and the one that we take alone, as its buffer holds 4096 bytes
OTHERWISE = {
    "v1, IPv6 in full": "2001:0DB8:0:0:0:0:0:7",  # as it was spelled
    "v1, IPv6 of an IPv4": "::ffff:192.0.2.7",
    "v2, IPv6 of an IPv4": "::ffff:192.0.2.7",
    "v2, IPv4 over UDP": "",  # none: it serves no UDP there
    "v2, as long as may be": CLOSED,
}


def theirs(port: int, data: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(data + REQUEST)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except ConnectionResetError:
            pass
    return got.rpartition(b"from ")[2].decode() if b"from " in got else got[:12].decode() or CLOSED


def ours(data: bytes) -> str:
    try:
        header = read(data + REQUEST)
    except BadHeader:
        return CLOSED
    return CLOSED if header is None else header.client or ""


def test_beside_nginx(tmp_path: Path) -> None:
    """The same verdict and address for every row but those that are named."""
    work, port = tmp_path / "nginx", free_port()
    with running(work, _CONFIG.format(work=work, port=port), port):
        verdicts = {name: (ours(data), theirs(port, data)) for name, data, *_ in [*GOOD, *BAD]}
    differ = {name: their for name, (our, their) in verdicts.items() if our != their}
    stricter = {name for name in differ if verdicts[name][0] == CLOSED}
    assert stricter <= STRICTER
    assert {name: their for name, their in differ.items() if name not in stricter} == OTHERWISE
