"""Sites' records are told to delegated routers: at commits, renewals and starts, until they are taken; and the origin
is itself a delegated router for its sites."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from content import ipns
from content.cid import CID, LIBP2P_KEY
from origin import announce, routing
from origin.config import OriginConfig
from tests.kit.router import RECORD_TYPE, Told, router
from tests.origin.play import Client, make, origin, parts, site_files


def name_of(client: Client, site: str = "demo") -> str:
    return str(client.ok("GET", f"/api/v1/sites/{site}")["ipns"])


def told(client: Client) -> dict[str, int]:
    return dict(parts(client).announcer.counts)


def settled(client: Client, router_: Told) -> None:
    """Wait until the router's answers have been counted."""
    router_.wait_for(lambda: parts(client).announcer.waiting == 0 or not router_.changed.wait(0.01))


def test_a_commit_is_told_and_what_is_told_verifies(tmp_path: Path) -> None:
    """By the site's name, with its root; the next release with a higher sequence; unchanged sites are left alone."""
    one, two = make(site_files("one")), make(site_files("two"))
    with router() as told_, origin(tmp_path / "state", routers=f"{told_.url}/, {told_.url}") as client:
        client.publish("demo", one)
        name = name_of(client)
        told_.wait_for(lambda: len(told_.put) == 2)  # each of the two that are named
        first = ipns.verify(name, told_.records[name], time.time())
        assert first.value == f"/ipfs/{one.release.root}"
        client.publish("demo", two, one.cid)
        told_.wait_for(lambda: len(told_.put) == 4)
        second = ipns.verify(name, told_.records[name], time.time())
        assert (second.value, second.sequence > first.sequence) == (f"/ipfs/{two.release.root}", True)
        assert client.get(f"/ipns/{name}").body == told_.records[name]
        client.ok("PATCH", "/api/v1/sites/demo", {"hosts": ["demo.example"]})
        assert len(told_.put) == 4


def test_a_start_tells_every_record_and_a_renewal_its_own(tmp_path: Path) -> None:
    """A router that lost everything has it back; a renewal keeps the sequence and moves the end."""
    state = tmp_path / "state"
    with origin(state) as client:
        client.publish("demo", make(site_files("one")))
        client.publish("more", make(site_files("two")))
        names = {name_of(client), name_of(client, "more")}
    with router() as told_, origin(state, routers=told_.url) as client:
        told_.wait_for(lambda: set(told_.records) == names)
        before = {name: ipns.verify(name, told_.records[name]) for name in names}
        origin_ = parts(client)
        origin_.catalog._clock = origin_.catalog.records._clock = lambda: time.time() + 24.5 * 3600
        asyncio.run_coroutine_threadsafe(origin_.renew(), client.loop).result()  # type: ignore[attr-defined]
        told_.wait_for(lambda: len(told_.put) == 4)
        for name in names:
            after = ipns.verify(name, told_.records[name])
            assert (after.sequence, after.value) == (before[name].sequence, before[name].value)
            assert after.eol > before[name].eol
        client.ok("DELETE", "/api/v1/sites/more")
        asyncio.run_coroutine_threadsafe(origin_.renew(), client.loop).result()  # type: ignore[attr-defined]
        (desk,) = origin_.announcer._desks
        assert set(desk.book) == {name_of(client)}


def test_it_is_told_again_until_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500, 503 and 429 are tried again, 400 is not: the record or we are at fault, which the metric shows."""
    monkeypatch.setattr(announce, "FIRST_PAUSE", 0.01)
    with router() as told_, origin(tmp_path / "state", routers=told_.url) as client:
        told_.statuses = [500, 503, 429]
        client.publish("demo", make(site_files("one")))
        told_.wait_for(lambda: name_of(client) in told_.records)
        settled(client, told_)
        assert told(client) == {"failed": 3, "told": 1}
        told_.statuses = [400]
        client.publish("more", make(site_files("two")))
        told_.wait_for(lambda: len(told_.put) == 5)
        settled(client, told_)
        assert told(client) == {"failed": 3, "told": 1, "refused": 1}
        assert parts(client).announcer.waiting == 0
        body = client.get("/metrics").body.decode()
        assert 'rim_origin_announced_total{result="refused"} 1.0' in body
        assert "rim_origin_announcing 0.0" in body


def test_a_router_that_hangs_or_is_gone_holds_up_no_commit_and_no_other_router(tmp_path: Path) -> None:
    """Publishes go on, the well router has the newest record; the sick one gets that alone, once it is well."""
    with router() as sick, router() as well, router() as gone:
        pass
    with router() as sick, router() as well:
        sick.hang = threading.Event()
        with origin(tmp_path / "state", routers=f"{gone.url},{sick.url},{well.url}") as client:
            last, made = None, make(site_files("0"))
            for number in range(6):
                made = make(site_files(str(number)))
                client.publish("demo", made, last)
                last = made.cid
            name, value = name_of(client), f"/ipfs/{made.release.root}"
            well.wait_for(lambda: name in well.records and ipns.verify(name, well.records[name]).value == value)
            assert sick.put == []
            sick.hang.set()  # the one that it was given, and after that the newest: the four between are never told
            sick.wait_for(lambda: bool(sick.put) and ipns.verify(name, sick.put[-1][1]).value == value)
            assert len(sick.put) <= 3
            assert parts(client).announcer.counts["failed"] >= 1


@pytest.mark.parametrize("urls", ["example.org", "ftp://example.org", "http://a,b"])
def test_routers_are_urls(tmp_path: Path, urls: str) -> None:
    """Refused before anything starts."""
    with pytest.raises(ValueError, match="is not an http"):
        _ = OriginConfig(tmp_path, routers=urls).router_urls


# -- the origin as a delegated router


def test_the_record_of_a_site_by_delegated_routing(tmp_path: Path) -> None:
    """http-routing-v1, GET /routing/v1/ipns/{name}: type, ETag, max-age = TTL, CORS; no token is asked for."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", make(site_files("one")))
        name, nobody = name_of(client), client.as_(None)
        path, accept = f"/routing/v1/ipns/{name}", {"Accept": RECORD_TYPE}
        answer = nobody.ask("GET", path, headers=accept)
        assert (answer.status, answer.body) == (200, client.get(f"/ipns/{name}").body)
        assert answer.headers["content-type"] == RECORD_TYPE
        assert answer.headers["cache-control"] == "public, max-age=60"
        assert answer.headers["access-control-allow-origin"] == "*"
        again = nobody.ask("GET", path, headers={**accept, "If-None-Match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        preflight = nobody.ask("OPTIONS", path)
        assert preflight.status == 204
        assert "GET" in preflight.headers["access-control-allow-methods"]


def test_a_record_is_fresh_no_longer_than_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last record of a key that was rotated away is all there will ever be: it is given, and not to be kept."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", make(site_files("one")))
        path, accept = f"/routing/v1/ipns/{name_of(client)}", {"Accept": RECORD_TYPE}
        raw = client.as_(None).ask("GET", path, headers=accept).body
        end = ipns.verify(name_of(client), raw).eol
        for left, age in ((3600.0, 60), (10.5, 10), (0.0, 0), (-3600.0, 0)):
            monkeypatch.setattr(routing, "time", SimpleNamespace(time=lambda left=left: end - left))
            answer = client.as_(None).ask("GET", path, headers=accept)
            assert answer.headers["cache-control"] == f"public, max-age={age}", left


REFUSALS = [
    ("GET", "/routing/v1/ipns/{name}", None, 406, "not_acceptable"),
    ("GET", "/routing/v1/ipns/{name}", "application/json", 406, "not_acceptable"),
    ("GET", "/routing/v1/ipns/example.org", RECORD_TYPE, 400, "bad_cid"),
    ("GET", f"/routing/v1/ipns/{CID.of(LIBP2P_KEY, b'nobody').base36()}", RECORD_TYPE, 404, "not_found"),
    ("PUT", "/routing/v1/ipns/{name}", RECORD_TYPE, 501, "not_implemented"),
    ("GET", "/routing/v1/providers/bafkqaaa", "application/json", 501, "not_implemented"),
    ("GET", "/routing/v1/peers/bafkqaaa", "application/json", 501, "not_implemented"),
]


@pytest.mark.parametrize(("method", "path", "accept", "status", "error"), REFUSALS)
def test_what_a_router_of_sites_does_not_answer(
    tmp_path: Path, method: str, path: str, accept: str | None, status: int, error: str
) -> None:
    """http-routing-v1, "Response Status Codes" and "Error Codes"."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", make(site_files("one")))
        headers = {} if accept is None else {"Accept": accept}
        answer = client.ask(method, path.format(name=name_of(client)), b"" if method == "PUT" else None, headers)
        assert (answer.status, answer.error) == (status, error)


def test_the_sequence_of_a_sites_record_never_goes_back(tmp_path: Path) -> None:
    """Through a rollback, a lost file, a restart, and the site removed and made again."""
    state = tmp_path / "state"
    one, two = make(site_files("one")), make(site_files("two"))
    seen: list[int] = []

    def look(client: Client) -> ipns.Record:
        name = name_of(client)
        record = ipns.verify(name, client.get(f"/ipns/{name}").body, time.time())
        seen.append(record.sequence)
        return record

    with origin(state) as client:
        client.publish("demo", one)
        look(client)
        client.publish("demo", two, one.cid)
        look(client)
        client.ok("POST", "/api/v1/sites/demo/rollback", {})
        assert look(client).value == f"/ipfs/{one.release.root}"
    (state / "sites" / "demo.ipns").unlink()  # it is written without fsync
    with origin(state) as client:
        assert look(client).value == f"/ipfs/{one.release.root}"
        client.ok("DELETE", "/api/v1/sites/demo")
        client.publish("demo", two)
        look(client)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 4
