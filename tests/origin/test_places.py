"""Places: an origin that is asked for more blocks than it can work on says so, and works on."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from content.cid import CID
from content.limits import MiB
from origin.errors import Busy
from origin.places import Places
from tests.kit.nodes import until
from tests.origin.play import Client, make, origin, parts


@pytest.mark.parametrize(("control", "most"), [(False, 3), (True, 5)], ids=["content", "control"])
def test_a_place_more_than_there_are_is_refused(control: bool, most: int) -> None:
    places = Places(most=5, for_content=3)
    for _ in range(most):
        places.enter(control)
    with pytest.raises(Busy):
        places.enter(control)
    places.leave()
    places.enter(control)


def test_readers_that_take_nothing_hold_their_places_and_no_more(tmp_path: Path) -> None:
    """Three readers ask for a site and stand still: content is refused with Retry-After, which is counted;
    control blocks and the API go on. When the readers have gone, so has the trouble."""
    made = make({"large.bin": random.Random(8).randbytes(16 * MiB)})
    block = max(made.blocks, key=lambda block: len(block.data))
    with origin(tmp_path / "state") as client, ExitStack() as stack:
        client.publish("demo", made)
        places = parts(client).places
        places.most, places.for_content = 4, 3
        for _ in range(3):
            stack.enter_context(standing_reader(client, made.release.root))
        until("three places are taken", lambda: places.taken == 3)
        refused = client.get(f"/ipfs/{block.cid}?format=raw")
        assert (refused.status, refused.error, refused.headers["retry-after"]) == (503, "busy", "1")
        release = client.ok("GET", "/api/v1/sites/demo")["live"]["release"]
        assert client.get(f"/ipfs/{release}?format=raw").status == 200
        assert b'rim_origin_refused_total{code="busy"} 1' in client.get("/metrics").body
        stack.close()
        until("the places are free", lambda: places.taken == 0)
        assert client.get(f"/ipfs/{block.cid}?format=raw").body == block.data


@contextmanager
def standing_reader(client: Client, cid: CID) -> Iterator[None]:
    """Asks for a CAR of more than the kernel holds between two sockets, and reads nothing of it."""
    url = urlsplit(client.url)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect((url.hostname, url.port))
        raw.sendall(
            f"GET /ipfs/{cid}?format=car HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: Bearer {client.token}\r\n\r\n".encode()
        )
        yield
