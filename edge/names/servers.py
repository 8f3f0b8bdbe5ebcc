"""Servers: how the addresses of DNS servers are written. Pure, and without dnspython, which settings need not load."""

from __future__ import annotations

import re
from ipaddress import ip_address

OFF = "off"  # in place of all servers: DNS is not asked
PORT = 53
_SERVER = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?\Z|([0-9a-fA-F:]+)\Z")


def server_address(text: str) -> tuple[str, int]:
    """Address and port of `9.9.9.9`, `9.9.9.9:5353`, `2620:fe::fe` or `[2620:fe::fe]:5353`. Raises ValueError."""
    found = _SERVER.match(text)
    host = (found[1] or found[2] or found[4]) if found else ""
    port = int(found[3] or PORT) if found else 0
    try:
        ip_address(host)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        raise ValueError(f"{text!r} is no address of a DNS server such as 9.9.9.9 or [2620:fe::fe]:5353")
    return host, port
