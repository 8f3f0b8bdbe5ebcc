"""Pinning services: what is live is pinned at them, once each, whatever the service, the network or a kill does."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from content.cid import CID, DAG_CBOR, RAW
from content.password import Password
from origin.errors import BadRequest, OriginError, StateError
from origin.store.pinning import answer
from origin.store.pinning.answer import BadAnswer
from origin.store.pinning.pace import Pace
from origin.store.pinning.service import HINTS_MAX, SERVICES_MAX, Service, Services
from origin.store.pinning.table import Remote, Table
from tests.kit.cluster import Node
from tests.kit.nodes import until
from tests.kit.pinservice import TOKEN, PinService
from tests.origin.play import Client, Made, make, origin, parts, process, site_files

QUICK = Pace(
    plan=0.01,
    follow_least=0.02,
    follow_most=0.05,
    confirm_first=0.02,
    confirm_most=0.1,
    settle=0.05,
    down_first=0.05,
    down_most=0.2,
    retry_first=0.05,
    retry_most=0.2,
    answer=5.0,
)
OTHER = CID.of(RAW, b"somebody's file, which this origin does not hold")


@contextmanager
def playing(tmp_path: Path, **fields: Any) -> Iterator[tuple[Client, PinService]]:
    """An origin in a hurry, and a service that it does not know yet."""
    with PinService(**fields).serving() as service, origin(tmp_path / "state") as client:
        parts(client).keeper.pace = QUICK
        yield client, service


def add(client: Client, service: PinService, name: str = "far", **more: Any) -> Any:
    body = {"name": name, "endpoint": service.url, "token": TOKEN, **more}
    return client.ok("POST", "/api/v1/services", body)


def look(client: Client, name: str = "far") -> Any:
    return client.ok("GET", f"/api/v1/services/{name}")


def ask_pin(client: Client, cid: CID, called: str = "") -> Any:
    answered = client.ask("PUT", f"/api/v1/services/far/pins/{cid}", {"name": called})
    assert answered.status == 202, answered.body
    return answered.json


def settled(client: Client, name: str = "far", **counts: int) -> Any:
    """Wait until the service has so many pins of each status, as the origin says."""
    wanted = {"waiting": 0, "queued": 0, "pinning": 0, "pinned": 0, "failed": 0, "leaving": 0, **counts}

    def ready() -> Any:
        found = look(client, name)
        return found if found["pins"] == wanted else None

    return until(f"{counts} at {name}", ready)


def roots(*made: Made) -> list[str]:
    return sorted(str(release.release.root) for release in made)


def standing(service: PinService) -> list[str]:
    return sorted(cid for cid, _ in service.standing())


# -- what is pinned


def test_every_live_release_is_pinned_under_its_sites_name(tmp_path: Path) -> None:
    """The Root, with the service's hints; and nothing else of ours is ever named to the service."""
    one, two = make(site_files("one")), make(site_files("two"), encoded={"p0/f0.txt": b"c"})
    with playing(tmp_path) as (client, service):
        client.publish("one", one)
        made = add(client, service, auto=True, hints=["/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWOurs"])
        assert made["auto"] is True
        assert made["state"] == "new"
        client.publish("two", two)
        settled(client, pinned=2)
        assert service.standing() == sorted([(str(one.release.root), "rim/one"), (str(two.release.root), "rim/two")])
        asked = [a for a in service.asked if a.method == "POST"]
        assert all(a.authorization == f"Bearer {TOKEN}" for a in service.asked)
        assert asked[0].body["origins"] == ["/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWOurs"]
        assert asked[0].body.keys() == {"cid", "name", "origins", "meta"}
        assert asked[0].body["meta"].keys() == {"rim"}
        said = "".join(a.path + json.dumps([a.query, a.body]) for a in service.asked)
        secret = [str(cid) for made in (one, two) for cid in made.store if cid.is_control]
        assert secret
        assert not [cid for cid in secret if cid in said]
        page = client.get("/metrics").body.decode()
        assert 'rim_origin_remote_pins{service="far",status="pinned"} 2.0' in page
        assert 'rim_origin_remote_service_up{service="far"} 1.0' in page
        assert client.ok("GET", "/api/v1/status")["services"][0]["pins"]["pinned"] == 2


def test_only_live_releases_of_the_named_sites_are_pinned_by_themselves(tmp_path: Path) -> None:
    """Not what is staged or shown as a preview, nor other sites; without `auto`, what was pinned stays."""
    live, staged, other = make(site_files("live")), make(site_files("staged")), make(site_files("other"))
    with playing(tmp_path) as (client, service):
        client.publish("docs", live)
        client.publish("blog", other)
        lease, missing = client.missing("docs", staged.blocks)
        client.send(lease, missing)
        assert client.stage("docs", staged, live.cid, lease).status == 200
        client.ok("PUT", "/api/v1/sites/docs/previews/beta", {"release": str(staged.cid)})
        add(client, service, auto=True, sites=["docs"])
        settled(client, pinned=1)
        assert standing(service) == roots(live)
        client.ok("PATCH", "/api/v1/services/far", {"sites": "*"})
        settled(client, pinned=2)
        client.ok("PATCH", "/api/v1/services/far", {"auto": False})
        client.publish("third", make(site_files("third")))
        client.ok("POST", "/api/v1/services/far/check")
        settled(client, pinned=2)
        assert standing(service) == roots(live, other)
        client.ok("DELETE", "/api/v1/sites/blog")
        assert client.ask("DELETE", f"/api/v1/services/far/pins/{other.release.root}").status == 202
        settled(client, pinned=1)


def test_an_old_release_goes_once_the_new_one_stands(tmp_path: Path) -> None:
    """Until then the service has nothing else of the site."""
    old, new = make(site_files("old")), make(site_files("new"))
    with playing(tmp_path) as (client, service):
        client.publish("docs", old)
        add(client, service, auto=True)
        settled(client, pinned=1)
        service.becomes = "pinning"
        client.publish("docs", new, old.cid)
        settled(client, pinned=1, pinning=1)
        assert standing(service) == roots(old, new)
        for pin in service.of(new.release.root):
            pin["status"] = "pinned"
        settled(client, pinned=1)
        assert standing(service) == roots(new)


def test_what_was_overtaken_before_it_stood_is_called_off(tmp_path: Path) -> None:
    """Three releases in a row at a slow service: the first stands, the second is called off, the third goes on."""
    first, second, third = (make(site_files(word)) for word in ("first", "second", "third"))
    with playing(tmp_path) as (client, service):
        client.publish("docs", first)
        add(client, service, auto=True)
        settled(client, pinned=1)
        service.becomes = "queued"
        client.publish("docs", second, first.cid)
        settled(client, pinned=1, queued=1)
        client.publish("docs", third, second.cid)
        until("the second is called off", lambda: standing(service) == roots(first, third))


def test_so_many_releases_stay_as_keep_says(tmp_path: Path) -> None:
    """Live and the newest others; a rollback needs nothing pinned anew."""
    made = [make(site_files(word)) for word in ("a", "b", "c", "d")]
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True, keep=2)
        before = None
        for release in made:
            client.publish("docs", release, before)
            before = release.cid
            until("it stands", lambda r=release: service.of(r.release.root))
        settled(client, pinned=2)
        assert standing(service) == roots(*made[2:])
        client.ok("POST", "/api/v1/sites/docs/rollback", {})
        client.ok("PATCH", "/api/v1/services/far", {"keep": 1})
        until("only live", lambda: standing(service) == roots(made[2]))
        assert service.posted[str(made[2].release.root)] == 1


def test_a_site_that_is_removed_is_unpinned(tmp_path: Path) -> None:
    """And one that comes back is pinned again."""
    made = make(site_files("docs"))
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", made)
        settled(client, pinned=1)
        client.ok("DELETE", "/api/v1/sites/docs")
        settled(client)
        assert service.pins == {}
        client.publish("docs", made)
        settled(client, pinned=1)


def test_two_sites_of_one_root_have_one_pin(tmp_path: Path) -> None:
    """Some services know a pin by its CID alone: a second name would push the first out, for ever."""
    made = make(site_files("same"))
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("a", made)
        client.publish("b", made)
        settled(client, pinned=1)
        client.ok("DELETE", "/api/v1/sites/a")
        client.ok("POST", "/api/v1/services/far/check")
        settled(client, pinned=1)
        assert service.standing() == [(str(made.release.root), "rim/a")]
        client.ok("DELETE", "/api/v1/sites/b")
        settled(client)


def test_what_is_not_public_is_refused(tmp_path: Path) -> None:
    """Control blocks under any codec, protected previews, staged releases; what is not ours may be pinned."""
    live, hidden, staged = make(site_files("live")), make(site_files("hidden")), make(site_files("staged"))
    secret = str(Password.make("open sesame", b"0123456789abcdef"))
    with playing(tmp_path) as (client, service):
        add(client, service)
        client.publish("docs", live)
        for made in (hidden, staged):
            lease, missing = client.missing("docs", made.blocks)
            client.send(lease, missing)
            assert client.stage("docs", made, live.cid, lease).status == 200
            if made is hidden:
                terms = {"release": str(hidden.cid), "password": secret}
                client.ok("PUT", "/api/v1/sites/docs/previews/beta", terms)
        refused = [live.cid, live.release.index, CID.of_digest(RAW, live.cid.digest), CID.of(DAG_CBOR, b"\xa0")]
        refused += [hidden.release.root, staged.release.root]
        for cid in refused:
            answered = client.ask("PUT", f"/api/v1/services/far/pins/{cid}", {})
            assert (answered.status, answered.error) == (403, "not_public"), cid
        for cid in (live.release.root, OTHER):
            ask_pin(client, cid, called="mine")
        settled(client, pinned=2)
        said = "".join(a.path + json.dumps([a.query, a.body]) for a in service.asked)
        assert not [cid for cid in refused if str(cid) in said]


def test_what_is_denied_leaves_every_service(tmp_path: Path) -> None:
    """A release with one denied file, a pin by hand; and what is allowed again comes back where it is wanted."""
    docs, blog = make(site_files("docs")), make(site_files("blog"))
    bad = next(cid for cid in docs.store if cid.codec == RAW)
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", docs)
        client.publish("blog", blog)
        ask_pin(client, OTHER)
        settled(client, pinned=3)
        for what in (bad, OTHER):
            client.ok("POST", "/api/v1/deny", {"what": str(what), "reason": "must not be"})
        settled(client, pinned=1)
        assert standing(service) == roots(blog)
        refused = client.ask("PUT", f"/api/v1/services/far/pins/{OTHER}", {})
        assert (refused.status, refused.error) == (403, "denied")
        client.ok("POST", "/api/v1/allow", {"what": str(bad)})
        settled(client, pinned=2)
        assert standing(service) == roots(docs, blog)


# -- once each


def test_a_wish_that_is_repeated_is_one_pin(tmp_path: Path) -> None:
    """And unpinning it twice is an answer that says so."""
    with playing(tmp_path) as (client, service):
        add(client, service)
        for _ in range(3):
            ask_pin(client, OTHER, called="mine")
        settled(client, pinned=1)
        ask_pin(client, OTHER)
        assert service.standing() == [(str(OTHER), "mine")]
        assert service.posted[str(OTHER)] == 1
        shown = client.ok("GET", f"/api/v1/services/far/pins/{OTHER}")
        assert (shown["status"], shown["asked"], shown["name"]) == ("pinned", True, "mine")
        assert shown["delegates"] == ["/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWNode"]
        assert client.ask("DELETE", f"/api/v1/services/far/pins/{OTHER}").status == 202
        settled(client)
        gone = client.ask("DELETE", f"/api/v1/services/far/pins/{OTHER}")
        assert (gone.status, gone.error) == (404, "no_pin")
        assert service.pins == {}


def test_a_lost_answer_makes_no_second_pin(tmp_path: Path) -> None:
    """The pin is made, its answer is lost: what is there is found, and taken for ours."""
    with playing(tmp_path, post_trick="lost") as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        settled(client, pinned=1)
        assert service.posted[str(OTHER)] == 1
        assert look(client)["failures"]["down"] == 1


@pytest.mark.parametrize("keeps_meta", [True, False])
def test_a_list_that_lags_behind_makes_no_second_pin(tmp_path: Path, keeps_meta: bool) -> None:
    """Asked for, and not listed yet: it is asked for by its id before it is taken for gone."""
    with playing(tmp_path, becomes="queued", lag=4, keeps_meta=keeps_meta) as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        service.wait("lists caught up", lambda: service.pins and not service.lag)
        for pin in service.of(OTHER):
            pin["status"] = "pinned"
        settled(client, pinned=1)
        assert service.posted[str(OTHER)] == 1


def test_doubles_are_taken_away(tmp_path: Path) -> None:
    """Two of our own mark and name, however they came: the one that is furthest stays."""
    with playing(tmp_path) as (client, service):
        add(client, service)
        mark = parts(client).keeper.services.origin
        service.put(OTHER, str(OTHER), "queued", meta={"rim": mark})
        kept = service.put(OTHER, str(OTHER), "pinned", meta={"rim": mark})
        ask_pin(client, OTHER)
        settled(client, pinned=1)
        assert list(service.pins.values()) == [kept]
        assert not service.posted


def test_pins_of_others_are_neither_doubled_nor_deleted(tmp_path: Path) -> None:
    """Under another name, or of another origin's mark: it counts while it stands; when it goes we pin for ourselves."""
    with playing(tmp_path) as (client, service):
        add(client, service)
        theirs = service.put(OTHER, "their name")
        ask_pin(client, OTHER)
        settled(client, pinned=1)
        shown = client.ok("GET", f"/api/v1/services/far/pins/{OTHER}")
        assert (shown["foreign"], shown["status"]) == (True, "pinned")
        client.ask("DELETE", f"/api/v1/services/far/pins/{OTHER}")
        settled(client)
        assert list(service.pins.values()) == [theirs]
        ask_pin(client, OTHER)
        settled(client, pinned=1)
        service.pins.clear()
        client.ok("POST", "/api/v1/services/far/check")
        until("ours", lambda: service.posted[str(OTHER)] == 1)
        service.put(OTHER, str(OTHER), meta={"rim": "another origin"})
        client.ok("POST", "/api/v1/services/far/check")
        client.ask("DELETE", f"/api/v1/services/far/pins/{OTHER}")
        settled(client)
        assert [pin["pin"]["meta"] for pin in service.of(OTHER)] == [{"rim": "another origin"}]


@pytest.mark.parametrize("change", ["deleted", "pinned again"])
def test_what_others_take_away_is_noticed(tmp_path: Path, change: str) -> None:
    """Deleted: pinned again, and counted. Pinned again by somebody under our name: taken for ours."""
    made = make(site_files("docs"))
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", made)
        settled(client, pinned=1)
        before = len(service.asked)
        service.pins.clear()
        if change == "pinned again":
            service.put(made.release.root, "rim/docs")
        client.ok("POST", "/api/v1/services/far/check")
        service.wait("a look", lambda: len(service.asked) > before)
        settled(client, pinned=1)
        until("it stands", lambda: len(service.of(made.release.root)) == 1)
        assert service.posted[str(made.release.root)] == (2 if change == "deleted" else 1)
        until("counted", lambda: look(client)["failures"]["lost"] == (1 if change == "deleted" else 0))


def test_reconciliation_needs_nobody(tmp_path: Path) -> None:
    """Without `check`: what stands is looked at again by itself."""
    with playing(tmp_path) as (client, service):
        parts(client).keeper.pace = dataclasses.replace(QUICK, reconcile_least=0.05, reconcile_most=0.1)
        add(client, service)
        ask_pin(client, OTHER)
        settled(client, pinned=1)
        service.pins.clear()
        until("pinned again", lambda: service.posted[str(OTHER)] == 2)


def test_a_pin_that_fails_is_tried_again(tmp_path: Path) -> None:
    """The failed one goes first: the service must not bill two."""
    with playing(tmp_path, becomes="failed") as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        service.wait("three tries", lambda: service.posted[str(OTHER)] >= 3)
        assert len(service.of(OTHER)) <= 1
        service.becomes = "pinned"
        settled(client, pinned=1)
        assert look(client)["failures"]["failed"] >= 3
        assert len(service.of(OTHER)) == 1
        shown = client.ok("GET", f"/api/v1/services/far/pins/{OTHER}")
        assert (shown["tries"], shown["error"]) == (0, "")


def test_a_refusal_is_a_failure_of_that_pin_alone(tmp_path: Path) -> None:
    """In the service's words, without what a terminal would obey."""
    with playing(tmp_path, post_trick="funds") as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        settled(client, failed=1)
        shown = client.ok("GET", f"/api/v1/services/far/pins/{OTHER}")
        assert shown["error"].startswith("409 INSUFFICIENT_FUNDS: pay first")
        assert shown["error"].isprintable()
        assert look(client)["state"] == "ok"
        service.post_trick = None
        settled(client, pinned=1)


def test_one_cid_that_breaks_the_service_holds_no_other(tmp_path: Path) -> None:
    """Lists that name it fail: it is found out, and waits alone."""
    cids = [CID.of(RAW, b"%d" % number) for number in range(9)]
    with playing(tmp_path, poison=str(cids[4])) as (client, service):
        parts(client).keeper.pace = dataclasses.replace(QUICK, retry_first=600.0, retry_most=600.0)
        add(client, service)
        for cid in cids:
            ask_pin(client, cid)
        settled(client, pinned=8, waiting=1)
        shown = client.ok("GET", f"/api/v1/services/far/pins/{cids[4]}")
        assert "a panic" in shown["error"]


# -- a service that is sick


@pytest.mark.parametrize(
    ("trick", "state", "said"),
    [
        ("broken", "down", "500 INTERNAL_SERVER_ERROR: out of order"),
        ("hang", "down", "does not answer in time"),
        ("drip", "down", "does not answer in time"),
        ("redirect", "down", "redirects"),
        ("huge", "down", "more than 1,048,576 bytes"),
        ("bomb", "down", "no JSON"),
        ("garbage", "down", "no JSON"),
        ("deep", "down", "no JSON"),
        ("endless", "down", "pages have no end"),
        ("circle", "down", "pages have no end"),
        ("ancient", "down", "pages have no end"),
        ("timeless", "down", "`created` is no time: yesterday"),
        ("nonsense", "down", "`requestid`"),
        ("paused", "limited", "503"),
        ("limited", "limited", "429"),
        ("echo", "down", "you sent Bearer …"),
    ],
)
def test_a_sick_service_is_let_alone_and_holds_no_publish(tmp_path: Path, trick: str, state: str, said: str) -> None:
    """Its state is shown with the reason, bounded and without the token; and when it is well all is pinned, once."""
    one, two = make(site_files("one")), make(site_files("two"))
    with playing(tmp_path, trick=trick) as (client, service):
        parts(client).keeper.pace = dataclasses.replace(QUICK, answer=0.5)
        add(client, service, auto=True)
        client.publish("one", one)
        client.publish("two", two)
        assert client.live("one") == str(one.cid)
        found = until("it is shown", lambda: (f := look(client))["state"] == state and f)
        assert said in found["error"]
        assert len(found["error"]) < 400
        assert found["failures"][state] >= 1
        assert TOKEN not in json.dumps(found)
        assert not [a for a in service.asked if a.path.startswith("/elsewhere")]
        service.trick = None
        client.ok("POST", "/api/v1/services/far/check")
        settled(client, pinned=2)
        assert set(service.posted.values()) == {1}


def test_a_pin_of_another_cid_is_no_answer(tmp_path: Path) -> None:
    """Neither in a list nor to a POST."""
    with playing(tmp_path, trick="other") as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        shown = until("the lie is told", lambda: client.ok("GET", f"/api/v1/services/far/pins/{OTHER}")["error"])
        assert "another CID" in shown
        service.trick = None
        settled(client, pinned=1)


def test_retry_after_is_kept(tmp_path: Path) -> None:
    """In seconds, as a date, too long, none: and nothing is asked meanwhile."""
    with playing(tmp_path, trick="limited", after="120") as (client, service):
        add(client, service)
        ask_pin(client, OTHER)
        found = until("limited", lambda: (f := look(client))["state"] == "limited" and f)
        assert 100 < found["retry_in"] <= 120
        asked = len(service.asked)
        ask_pin(client, CID.of(RAW, b"another"))
        assert len(service.asked) == asked
        for after, least, most in [
            (time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300)), 200, 300),
            ("999999", 3000, 3600),
            ("soon", 50, 60),
            ("", 50, 60),
        ]:
            service.after = after
            before = look(client)["failures"]["limited"]
            client.ok("POST", "/api/v1/services/far/check")
            until("limited again", lambda b=before: look(client)["failures"]["limited"] > b)
            assert least < look(client)["retry_in"] <= most, after


def test_a_token_that_is_not_taken_and_then_is(tmp_path: Path) -> None:
    """State `denied`; a new token is tried at once."""
    with playing(tmp_path, token="another-token") as (client, service):
        parts(client).keeper.pace = dataclasses.replace(QUICK, down_first=600.0, down_most=600.0)
        add(client, service)
        ask_pin(client, OTHER)
        found = until("denied", lambda: (f := look(client))["state"] == "denied" and f)
        assert "UNAUTHORIZED" in found["error"]
        assert TOKEN not in json.dumps(found)
        client.ok("PATCH", "/api/v1/services/far", {"token": "another-token"})
        settled(client, pinned=1)
        assert look(client)["state"] == "ok"


def test_a_service_that_is_not_there_yet(tmp_path: Path) -> None:
    """Nobody listens: down, and everything waits."""
    with PinService().serving() as gone:
        url = gone.url
    with origin(tmp_path / "state") as client:
        parts(client).keeper.pace = QUICK
        client.ok("POST", "/api/v1/services", {"name": "far", "endpoint": url, "token": TOKEN, "auto": True})
        client.publish("docs", make(site_files("docs")))
        until("down", lambda: look(client)["state"] == "down")
        assert look(client)["pins"]["waiting"] == 1


@pytest.mark.needs("ipfs")
def test_our_kubo_meets_the_nodes_that_a_service_names(tmp_path: Path) -> None:
    """Behind a NAT nobody comes to us: we go to them. Names that lead nowhere hold up nothing, and no read."""
    ours, theirs = Node(tmp_path / "ours"), Node(tmp_path / "theirs")
    made = make(site_files("docs"))
    nowhere = "/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"
    delegates = ["", "nonsense", f"/ip4/127.0.0.1/tcp/1{nowhere}", f"/dns/nowhere.invalid/tcp/4001{nowhere}"]
    delegates += [f"/ip4/198.51.100.1/tcp/4001{nowhere}\n", theirs.address]
    with ours.serving(), theirs.serving(), PinService(becomes="pinning", delegates=delegates).serving() as service:
        places = {"store": "kubo", "kubo_api": ours.api, "kubo_gateway": ours.gateway}
        with origin(tmp_path / "state", **places) as client:
            parts(client).keeper.pace = QUICK
            add(client, service, auto=True)
            until("the store is ready", lambda: client.ask("POST", "/api/v1/sites/docs/missing", b"").status == 200)
            client.publish("docs", made)
            settled(client, pinning=1)
            peer = theirs.address.rpartition("/")[2].encode()
            until("they have met", lambda: peer in ours.run("swarm", "peers"))
            assert client.as_(None).get(f"/ipfs/{made.release.root}?format=raw").status == 200
            assert set(parts(client).store.failures) <= {"pin/ls"}, "Kubo says by failing that it does not pin"


# -- the services themselves


def test_tokens_are_kept_closed_and_shown_to_nobody(tmp_path: Path) -> None:
    """Mode 0600; in no answer, name, log or repr."""
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", make(site_files("docs")))
        settled(client, pinned=1)
        pages = ["services", "services/far", "services/far/pins", "status", "log", "tokens"]
        shown = b"".join(client.get(f"/api/v1/{page}").body for page in pages) + client.get("/metrics").body
        assert TOKEN.encode() not in shown
        keeper = parts(client).keeper
        assert TOKEN not in repr([keeper, keeper.services, *keeper.services, *keeper.all()])
        for path in [tmp_path / "state" / "services.json", *(tmp_path / "state" / "remote").iterdir()]:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert TOKEN not in (tmp_path / "state" / "remote" / "far.jsonl").read_text()


def test_a_token_stays_with_its_host(tmp_path: Path) -> None:
    """Who may change a service is not told its token: neither by an answer, nor by having it sent elsewhere."""
    good = Service.made("far", {"endpoint": "https://pins.example.com/psa", "token": TOKEN})
    for endpoint in ("https://evil.example/psa", "https://pins.example.com:8443/psa", "http://127.0.0.1:1/psa"):
        with pytest.raises(BadRequest, match="token"):
            good.changed({"endpoint": endpoint})
        assert good.changed({"endpoint": endpoint, "token": "another"}).token == "another"
    assert good.changed({"endpoint": "https://pins.example.com/v1"}).token == TOKEN


def test_who_may(tmp_path: Path) -> None:
    """Services are an admin's of all sites; pins need scope pin; a token for one site has no say."""
    with playing(tmp_path) as (client, service):
        add(client, service)
        pin, publish = client.as_(client.make_token("pin")), client.as_(client.make_token("publish"))
        narrow = client.as_(client.make_token("admin", sites=["docs"]))
        body = {"name": "other", "endpoint": service.url, "token": TOKEN}
        for who, status in ((publish, 403), (narrow, 403), (client.as_(None), 401), (pin, 403)):
            assert who.ask("POST", "/api/v1/services", body).status == status
            assert who.ask("PATCH", "/api/v1/services/far", {"auto": True}).status == status
            assert who.ask("DELETE", "/api/v1/services/far").status == status
        for who, status in ((publish, 403), (narrow, 403), (client.as_(None), 401)):
            assert who.get("/api/v1/services").status == status
            assert who.ask("PUT", f"/api/v1/services/far/pins/{OTHER}", {}).status == status
        ask_pin(pin, OTHER)
        assert pin.get("/api/v1/services/far/pins").status == 200


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "http://pins.example.com/psa"},  # the token would be readable on its way
        {"endpoint": "http://127.0.0.1.example.com"},
        {"endpoint": "https://user:secret@example.com"},
        {"endpoint": "https://example.com/psa?x=1"},
        {"endpoint": "https://example.com/psa#x"},
        {"endpoint": "https://example.com/p sa"},
        {"endpoint": "ftp://example.com"},
        {"endpoint": "https://"},
        {"endpoint": "https://example.com:99999"},
        {"endpoint": ""},
        {"endpoint": None},
        {"token": ""},
        {"token": "two words"},
        {"token": "line\r\nHost: x"},
        {"token": "ümlaut"},
        {"token": 7},
        {"auto": "yes"},
        {"keep": 0},
        {"keep": 201},
        {"keep": True},
        {"sites": "docs"},
        {"sites": [""]},
        {"hints": ["203.0.113.7"]},
        {"hints": ["/ip4/203.0.113.7"] + [f"/dns/{n}" for n in range(HINTS_MAX)]},
        {"name": "../../etc"},
        {"name": "Caps"},
        {"name": "x" * 41},
        {"name": ".."},
    ],
)
def test_what_cannot_be_a_service_is_refused(given: dict[str, Any]) -> None:
    """Before anything is written or asked."""
    body = {"name": "far", "endpoint": "https://pins.example.com/psa/", "token": TOKEN}
    good = Service.made("far", body)
    assert (good.endpoint, good.keep, good.sites, good.auto) == ("https://pins.example.com/psa", 1, "*", False)
    with pytest.raises(BadRequest) as refused:
        Service.made(given.get("name", "far"), {**body, **given})
    assert "secret" not in str(refused.value)


def test_the_limits_of_services(tmp_path: Path) -> None:
    """So many, one of a name; and what is not there is said so."""
    services = Services(tmp_path / "services.json")
    body = {"endpoint": "https://pins.example.com", "token": TOKEN}
    for number in range(SERVICES_MAX):
        services.put(Service.made(f"s{number}", body))
    services.put(Service.made("s0", {**body, "auto": True}))
    with pytest.raises(BadRequest, match="remove one"):
        services.put(Service.made("more", body))
    again = Services(tmp_path / "services.json")
    assert (again.origin, list(again)) == (services.origin, list(services))
    with playing(tmp_path) as (client, service):
        add(client, service)
        body = {"name": "far", "endpoint": service.url, "token": TOKEN}
        assert client.ask("POST", "/api/v1/services", body).status == 201, "the same again: its answer was lost"
        twice = client.ask("POST", "/api/v1/services", {**body, "auto": True})
        assert (twice.status, twice.error) == (409, "service_exists")
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/check"), ("GET", "/pins")):
            missing = client.ask(method, f"/api/v1/services/near{path}", {})
            assert (missing.status, missing.error) == (404, "no_service")


def test_a_service_is_removed_with_or_without_its_pins(tmp_path: Path) -> None:
    """With: it goes when the last pin has; meanwhile it takes none. Without: at once, whatever its state."""
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", make(site_files("docs")))
        ask_pin(client, OTHER)
        settled(client, pinned=2)
        removed = client.ok("DELETE", "/api/v1/services/far?unpin=1")
        assert removed == {"pins": 2, "leaving": True}
        until("it is gone", lambda: client.get("/api/v1/services/far").status == 404)
        assert service.pins == {}
        until("and its table", lambda: not list((tmp_path / "state" / "remote").iterdir()))
        add(client, service, auto=True)
        settled(client, pinned=1)
        service.trick = "broken"
        client.ok("DELETE", "/api/v1/services/far?unpin=1")
        refused = client.ask("PUT", f"/api/v1/services/far/pins/{OTHER}", {})
        assert (refused.status, refused.error) == (409, "service_leaving")
        assert client.ok("DELETE", "/api/v1/services/far") == {"pins": 1, "leaving": False}
        assert client.get("/api/v1/services/far").status == 404
        assert len(service.pins) == 1


def test_a_pin_of_a_live_release_is_not_unpinned_by_hand(tmp_path: Path) -> None:
    """It would be back in a second; what to do instead is said."""
    made = make(site_files("docs"))
    with playing(tmp_path) as (client, service):
        add(client, service, auto=True)
        client.publish("docs", made)
        settled(client, pinned=1)
        refused = client.ask("DELETE", f"/api/v1/services/far/pins/{made.release.root}")
        assert (refused.status, refused.error) == (409, "pinned_by_itself")
        assert "--no-auto" in refused.json["message"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"services": 1}', '{"origin": "x", "services": [{"token": "hush"}]}'])
def test_a_broken_services_file_stops_the_start_and_is_not_quoted(tmp_path: Path, text: str) -> None:
    """It may hold tokens."""
    path = tmp_path / "services.json"
    path.write_text(text)
    with pytest.raises(StateError) as refused:
        Services(path)
    assert str(path) in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"cid": "x"}', '{"cid": 1}', f'{{"cid": "{OTHER}", "name": "x"}}'])
def test_a_broken_table_stops_the_start(tmp_path: Path, text: str) -> None:
    """A table that is taken for empty would leave pins at the service that nobody deletes."""
    path = tmp_path / "far.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(StateError, match=r"far\.jsonl"):
        Table(path)


def test_the_journal_of_a_table(tmp_path: Path) -> None:
    """Every row is back; a line that was cut short goes, and the next is not appended to it; it is written anew before
    it grows for ever; a disk that is full changes nothing."""
    path = tmp_path / "far.jsonl"
    rows = {cid: Remote(cid, f"name {n}", n) for n, cid in enumerate(CID.of(RAW, b"%d" % n) for n in range(30))}

    async def play() -> None:
        table = Table(path)
        await table.commit(lambda _: rows)
        table.note(OTHER, status="pinned")  # not a row: nothing
        for number in range(3_000):
            for cid in rows:
                table.note(cid, tries=number)
            if number % 50 == 0:
                await table.save()
        table.forget(min(rows))
        await table.save()
        assert len(path.read_bytes().splitlines()) <= 1_000
        with path.open("ab") as file:
            file.write(b'{"cid": "bafk')
        again = Table(path)
        assert again.rows == table.rows
        await again.commit(lambda old: {**old, OTHER: Remote(OTHER, "other", 1)})
        assert Table(path).rows == again.rows
        assert len(again.rows) == 30
        path.unlink()
        path.parent.rmdir()
        with pytest.raises(OriginError):
            await again.commit(lambda old: {})
        assert len(again.rows) == 30

    path = tmp_path / "remote" / "far.jsonl"
    path.parent.mkdir()
    asyncio.run(play())


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"status": ["pinned"]},
        {"requestid": ""},
        {"requestid": "."},
        {"requestid": "x" * 501},
        {"requestid": "a\nb"},
        {"pin": {"cid": "nothing"}},
        {"pin": {"cid": 5}},
        {"pin": [OTHER]},
        {"delegates": "many"},
        {"info": "text"},
        {"created": 5},
    ],
)
def test_a_pin_status_that_makes_no_sense(change: dict[str, Any]) -> None:
    """Is no answer, whatever else is in it."""
    good = PinService().put(OTHER, "x")
    assert answer.read_status(good).cid == OTHER
    with pytest.raises(BadAnswer):
        answer.read_status({**good, **change})


# -- kill -9


def test_a_full_queue_survives_kill_9_and_pins_nothing_twice(tmp_path: Path) -> None:
    """Killed again and again while it works, answers lost in between: all pinned in the end, each once."""
    dice = random.Random(6)
    made = [make(site_files(f"site {number}", 1)) for number in range(12)]
    others = [CID.of(RAW, b"pin %d" % number) for number in range(30)]
    with PinService().serving() as service:
        state = tmp_path / "state"
        with process(state) as first:
            add(first.client, service, auto=True)
            service.trick = "broken"
            for number, release in enumerate(made):
                first.client.publish(f"site-{number}", release)
            for cid in others:
                ask_pin(first.client, cid)
            first.end(signal.SIGKILL)
        service.trick = None
        for round_ in range(6):
            service.post_trick = "lost" if round_ % 3 == 2 else None
            with process(state) as running:
                target = sum(service.posted.values()) + dice.randrange(1, 8)
                service.wait("some are asked for", lambda t=target: sum(service.posted.values()) >= t)
                running.end(signal.SIGKILL)
        service.post_trick = None
        with process(state) as last:
            settled(last.client, pinned=42)
        wanted = sorted([*roots(*made), *map(str, others)])
        assert standing(service) == wanted
        assert set(service.posted.values()) == {1}
