"""Malformed and ambiguous requests on raw sockets: at most one answer and then the end, the same whether what they name
is a ready hit or not, and never a milder verdict than nginx's without a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.http.limits import Limits
from edge.node import Node
from tests.edge.http.malformed import CASES, Case
from tests.edge.sites import World
from tests.edge.standing import Said, exchange, responses, standing
from tests.edge.wire import edge
from tests.kit.nginx import nginx

FILES = {"hot.txt": b"hot", "evil.txt": b"evil", "after.txt": b"after"}
AFTER = b"GET /after.txt HTTP/1.1\r\nHost: demo.localhost\r\nConnection: close\r\n\r\n"
SHORT = Limits(idle=1.0, head_time=1.0)
READY, NOT_READY = b"demo.localhost", b"slow.localhost"  # as long as each other, so that limits are met by both


def verdict(said: list[Said]) -> str:
    """What stands on the wire, in the words of the table."""
    words = [_word(one) for one in said]
    if said and said[-1].body == b"after":
        words[-1:] = ["+"]
    return " ".join(words).replace(" +", "+")


def _word(one: Said) -> str:
    if one.status is None:
        return "raw"
    return "evil" if one.body == b"evil" else str(one.status)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """An edge with the same files in two sites: one answers from memory, of the other nothing is ever kept ready."""
    world = World()
    world.publish("demo", dict(FILES))
    world.publish("slow", dict(FILES), settings={"max_stale": 3600})
    with standing(lambda: edge(tmp_path_factory.mktemp("edge"), world, SHORT)) as ((node, _), _loop):
        for host in (READY, NOT_READY):
            for name in FILES:
                exchange(node.public_url, AFTER.replace(b"after.txt", name.encode()).replace(READY, host))
        yield node


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    (folder / "files").mkdir()
    for name, content in FILES.items():
        (folder / "files" / name).write_bytes(content)
    with nginx(folder / "work", folder / "files", server="client_header_timeout 1s; client_body_timeout 1s;") as url:
        yield url


def judge(url: str, case: Case, host: bytes = READY) -> str:
    method = "HEAD" if case.data.startswith(b"HEAD ") else "GET"
    return verdict(responses(exchange(url, (case.data + AFTER).replace(READY, host)), method))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
@pytest.mark.parametrize("host", [READY, NOT_READY], ids=["ready", "not-ready"])
def test_our_verdict(ours: Node, case: Case, host: bytes) -> None:
    """At most one answer to what is malformed, then the end; a ready answer makes no difference."""
    assert judge(ours.public_url, case, host) == case.ours


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_we_are_not_milder_without_a_reason(case: Case) -> None:
    """Where nginx refuses, or ends, and we do not, the row says why; nowhere else. And nothing inside of a request is
    ever answered."""
    assert bool(case.why) == case.is_milder
    assert "evil" not in case.ours
    assert case.ours != "200 400" or case.nginx.startswith("200 4"), "two answers only where the first request was good"


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_verdict_of_nginx(theirs: str, case: Case) -> None:
    """The table says of nginx what nginx does."""
    assert judge(theirs, case) == case.nginx
