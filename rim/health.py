"""Health: whether the node that runs here says it is well, for who starts and watches it (containers, scripts).

Here live which addresses are a node's own, and one question to each. Not here: what a node answers (edge/app,
edge/control/admin, origin/app), or the command (rim/commands/health).

A container has no curl, and its health is asked for every few seconds: http.client, and nothing else of ours.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

_EDGE, _ORIGIN = "127.0.0.1:8080", "127.0.0.1:7070"  # where nodes listen unless told: edge/config, origin/config
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound: what is bound so is asked on loopback
_SAID = 200  # characters of a bad answer that are shown


def own(env: Mapping[str, str]) -> tuple[str, ...]:
    """The URLs that an edge and an origin with this environment answer about their health at."""
    scheme = "https" if env.get("RIM_TLS_CERT") else "http"
    edge, origin = env.get("RIM_PUBLIC") or _EDGE, env.get("RIM_ORIGIN_LISTEN") or _ORIGIN
    return f"{scheme}://{_reached(edge)}/.rim/health", f"http://{_reached(origin)}/readyz"


def ask(url: str, timeout: float) -> str:
    """What is wrong there: "" when it answers 200. `timeout`: seconds.

    Raises ConnectionRefusedError where nobody listens, ValueError for what is no http(s) URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) URL")
    connection = _connection(parts.scheme, parts.hostname, parts.port, timeout)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        text = answer.read(_SAID).decode("utf-8", "backslashreplace").strip()
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error or type(error).__name__}"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{url}: {answer.status} {text}".rstrip()


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    # The certificate is for the sites' names, and what is asked is an address of our own, which is told nothing secret
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def _reached(address: str) -> str:
    """HOST:PORT as this machine reaches it: what listens everywhere, on loopback."""
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    bare = _ANY.get(bare, bare)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
