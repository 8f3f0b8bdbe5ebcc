"""Previews, rollouts and quotas at an origin, over real sockets; and the pure changes where a clock is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content.catalog import Alias, BadName, Retained, Rollout, Site
from content.cid import CID, DAG_CBOR
from content.limits import ALIASES_MAX
from content.password import Password
from content.release import Rules
from origin import changes, trials
from origin.errors import BadRequest, Conflict, Missing
from tests.origin.play import Client, Made, make, origin, parts, site_files

A, B, C = (CID.of(DAG_CBOR, name) for name in (b"a", b"b", b"c"))
LIVE = Retained(A, 1, 100)
SITE = Site("demo", generation=3, live=LIVE, retained=(LIVE,))


def preview(client: Client, made: Made, name: str = "pr-1", **more: Any) -> Any:
    """Upload a release and show it under a name."""
    lease, missing = client.missing("demo", made.blocks)
    if missing:
        client.send(lease, missing)
    body = {"release": str(made.cid), "lease": lease, **more}
    return client.ask("PUT", f"/api/v1/sites/demo/previews/{name}", body)


def test_a_preview_shows_a_release_and_moves_nothing(tmp_path: Path) -> None:
    """Set, read, set again, promoted by the two commits of a publish, removed; its blocks stay while it names them."""
    one, two = make(site_files("one")), make(site_files("two"))
    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        answer = preview(client, two, expires=4_000_000_000)
        assert answer.status == 200
        shown = client.ok("GET", "/api/v1/sites/demo")
        assert shown["live"]["release"] == str(one.cid)
        assert [(p["name"], p["release"], p["expires"], p["protected"]) for p in shown["previews"]] == [
            ("pr-1", str(two.cid), 4_000_000_000, False)
        ]
        client.ok("POST", "/api/v1/gc")
        assert all(client.get(f"/ipfs/{block.cid}?format=raw").status == 200 for block in two.blocks)
        assert client.stage("demo", two, one.cid).status == 200
        assert client.activate("demo", two, one.cid).status == 200
        assert client.live("demo") == str(two.cid)
        assert client.ask("DELETE", "/api/v1/sites/demo/previews/pr-1").status == 200
        assert client.ask("DELETE", "/api/v1/sites/demo/previews/pr-1").error == "no_preview"


def test_the_blocks_of_a_protected_preview_are_not_public(tmp_path: Path) -> None:
    """Without a password anyone on this machine may read them by hash, with one nobody but a node."""
    one, two, three = make(site_files("one")), make(site_files("two")), make(site_files("three"))
    secret = str(Password.make("tell nobody", b"saltsalt"))
    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        assert preview(client, two, "open").status == 200
        assert preview(client, three, "shut", password=secret).status == 200
        anyone = client.as_(None)
        for made, status in ((one, 200), (two, 200), (three, 404)):
            assert anyone.get(f"/ipfs/{made.release.root}?format=raw").status == status
            assert client.get(f"/ipfs/{made.release.root}?format=raw").status == 200


@pytest.mark.parametrize(
    ("name", "more", "status", "word"),
    [
        ("Not-A-Label", {}, 400, "bad_name"),
        ("a--b", {}, 400, "bad_name"),
        ("x" * 60, {}, 400, "bad_name"),
        ("pr", {"expires": 5}, 400, "bad_request"),
        ("pr", {"expires": "soon"}, 400, "bad_request"),
        ("pr", {"password": "letmein"}, 400, "bad_request"),
        ("pr", {"release": str(C)}, 409, "incomplete"),
    ],
)
def test_previews_that_are_refused(tmp_path: Path, name: str, more: dict[str, Any], status: int, word: str) -> None:
    """A name that is no label, a time that is over, a password in the clear, a release that is not here."""
    with origin(tmp_path / "state") as client:
        answer = preview(client, make(site_files("one")), name, **more)
        assert (answer.status, answer.error) == (status, word)
        assert "letmein" not in answer.body.decode()


def test_a_rollout_starts_grows_and_is_aborted_or_promoted(tmp_path: Path) -> None:
    """A share gets it; another publish has to wait; an abort leaves its release to lend; a rollback ends it."""
    one, two, three = make(site_files("one")), make(site_files("two")), make(site_files("three"))
    where = "/api/v1/sites/demo/rollout"
    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        preview(client, two)
        for percent in (12.5, 50):
            assert client.ask("PUT", where, {"release": "pr-1", "percent": percent}).status == 200
            shown = client.ok("GET", "/api/v1/sites/demo")["rollout"]
            assert (shown["release"], shown["percent"]) == (str(two.cid), percent)
        lease, missing = client.missing("demo", three.blocks)
        client.send(lease, missing)
        client.stage("demo", three, one.cid, lease)
        assert client.activate("demo", three, one.cid).error == "rollout_running"
        assert client.ask("DELETE", where).status == 200
        assert client.ask("DELETE", where).error == "no_rollout"
        assert client.activate("demo", three, one.cid).status == 200
        assert client.ask("PUT", where, {"release": str(one.cid), "percent": 1}).status == 200
        assert client.ask("POST", "/api/v1/sites/demo/rollback", {}).json["release"] == str(one.cid)
        assert client.ok("GET", "/api/v1/sites/demo")["rollout"] is None


@pytest.mark.parametrize("percent", [0, -1, 100.5, True, "10", None])
def test_shares_that_are_none(tmp_path: Path, percent: object) -> None:
    """Above 0 and at most 100."""
    with origin(tmp_path / "state") as client:
        client.publish("demo", make(site_files("one")))
        answer = client.ask("PUT", "/api/v1/sites/demo/rollout", {"release": "pr", "percent": percent})
        assert (answer.status, answer.error) == (400, "bad_request")


def test_a_rollout_may_not_change_an_immutable_path(tmp_path: Path) -> None:
    """Its visitors and the others share the hosts, and with them what browsers keep for a year."""
    one = make({"app-1a2b3c4d.js": b"1", "index.html": b"1"}, immutable=["app-1a2b3c4d.js"])
    two = make({"app-1a2b3c4d.js": b"2", "index.html": b"2"}, immutable=["app-1a2b3c4d.js"])
    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        assert preview(client, two).status == 200
        answer = client.ask("PUT", "/api/v1/sites/demo/rollout", {"release": "pr-1", "percent": 5})
        assert answer.error == "immutable_changed"


def test_hosts_and_settings_come_with_the_release_that_wants_them(tmp_path: Path) -> None:
    """One commit for all; a host of another site is refused before anything moves, a preview's host too."""
    one, two = make(site_files("one")), make(site_files("two"))
    with origin(tmp_path / "state") as client:
        client.ok("PUT", "/api/v1/sites/other", {"hosts": ["taken.org"]})
        lease, missing = client.missing("demo", one.blocks)
        client.send(lease, missing)
        for host in ("taken.org", "pr--taken.org"):
            assert client.stage("demo", one, None, lease, hosts=[host]).error == "host_taken"
        wish = {"hosts": ["demo.org"], "settings": {"retention": {"last": 3}}}
        assert client.stage("demo", one, None, lease, **wish).status == 200
        assert client.ok("GET", "/api/v1/sites/demo")["hosts"] == []
        body = {"release": str(one.cid), "expected": None, **wish}
        assert client.ask("POST", "/api/v1/sites/demo/activate", body).status == 200
        shown = client.ok("GET", "/api/v1/sites/demo")
        assert (shown["hosts"], shown["settings"]) == (["demo.org"], {"retention": {"last": 3}})
        assert client.stage("demo", two, one.cid, settings={"retention": {"last": 0}}).error in (
            "bad_request",
            "incomplete",
        )
        answer = client.ask("PATCH", "/api/v1/sites/demo", {"settings": {"retention": {"ages": 3}}})
        assert answer.error == "bad_request"


def test_a_quota_of_bytes_lets_the_oldest_go(tmp_path: Path) -> None:
    """Twelve releases of 1,000 bytes that share 500: as many stay as fit together, and live in any case."""
    shared = {"same.txt": b"s" * 500}
    made = [make({**shared, "own.txt": b"%03d" % n * 166 + b"xx"}, message=str(n)) for n in range(12)]
    with origin(tmp_path / "state") as client:
        client.ok("PUT", "/api/v1/sites/demo", {"settings": {"retention": {"bytes": 2_500}}})
        live = None
        for release in made:
            client.publish("demo", release, live)
            live = release.cid
        kept = [item["release"] for item in client.ok("GET", "/api/v1/sites/demo/releases")["releases"]]
        assert kept == [str(release.cid) for release in made[:-5:-1]]  # 1,000 + 3 × 500
        client.ok("PATCH", "/api/v1/sites/demo", {"settings": {"retention": {"bytes": 1}}})
        client.publish("demo", made[0], live)
        kept = [item["release"] for item in client.ok("GET", "/api/v1/sites/demo/releases")["releases"]]
        assert kept == [str(made[0].cid)]


def test_what_is_over_is_taken_away() -> None:
    """Previews at their end; trials after 30 days, but not one that is still rolled out."""
    site = trials.preview(SITE, "pr", Alias(B, 0, 100, expires=200))
    site = trials.preview(site, "stays", Alias(C, 0, 100))
    assert trials.expire(site, 199) is site
    assert sorted(trials.expire(site, 200).aliases) == ["stays"]
    with pytest.raises(Conflict, match="expired"):
        trials.roll_out(site, "pr", 100, 200)
    running = trials.roll_out(site, "stays", 100, 100)
    late = 100 + trials.TRIED_DAYS * 86_400
    assert trials.expire(running, late).tried == running.tried
    assert trials.expire(trials.abort(running), late).tried == ()


def test_a_preview_set_again_keeps_what_it_showed_before() -> None:
    """For the tabs that are open; the same release again changes nothing."""
    site = trials.preview(SITE, "pr", Alias(B, 0, 100))
    again = trials.preview(site, "pr", Alias(B, 0, 900))
    assert again is site
    moved = trials.preview(site, "pr", Alias(C, 0, 900))
    assert (moved.aliases["pr"].release, moved.aliases["pr"].before) == (C, B)
    assert moved.aliases["pr"].generation == moved.generation


def test_what_was_purged_can_be_shown_anew() -> None:
    """The same release again has no new generation, unless a floor has risen above it: then it would stay hidden."""
    site = trials.preview(SITE, "pr", Alias(B, 0, 100))
    site = trials.roll_out(site, "pr", 100, 100)
    purged = changes.purge(site, [("path", "/index.html")])
    shown = trials.preview(purged, "pr", Alias(B, 0, 900))
    assert shown.aliases["pr"].generation == purged.generation + 1
    rolled = trials.roll_out(shown, "pr", 100, 900)
    assert rolled.rollout is not None
    assert rolled.rollout.item.generation == shown.generation + 1
    assert [item.release for item in rolled.tried] == [B]


def test_a_rollout_is_widened_by_its_release() -> None:
    """What is rolled out is no retained release, and its preview may be gone: it can be named all the same."""
    shown = trials.preview(SITE, "pr-1", Alias(B, 0, 100))
    rolled = trials.drop_preview(trials.roll_out(shown, "pr-1", 1_000, 200), "pr-1")
    wider = trials.roll_out(rolled, str(B), 5_000, 300)
    assert wider.rollout is not None
    assert (wider.rollout.item.release, wider.rollout.share) == (B, 5_000)
    assert wider.tried == rolled.tried


def test_trials_that_cannot_be() -> None:
    """Each with its own refusal."""
    with pytest.raises(BadName):
        trials.preview(SITE, "a.b", Alias(B, 0, 1))
    with pytest.raises(Missing, match="no preview"):
        trials.drop_preview(SITE, "pr")
    with pytest.raises(Missing, match="no preview of that name"):
        trials.roll_out(SITE, "nothing", 100, 1)
    with pytest.raises(Conflict, match="live already"):
        trials.roll_out(SITE, str(A), 100, 1)
    with pytest.raises(Conflict, match="nothing live"):
        trials.roll_out(Site("demo"), "pr", 100, 1)
    with pytest.raises(BadRequest):
        trials.roll_out(trials.preview(SITE, "pr", Alias(B, 0, 1)), "pr", 0, 1)
    full = replace(SITE, aliases={f"p{n}": Alias(B, 1, 1) for n in range(ALIASES_MAX)})
    with pytest.raises(Conflict, match="remove some"):
        trials.preview(full, "more", Alias(B, 0, 1))


def test_a_rollout_that_goes_live_is_no_trial_any_more() -> None:
    """It moves from the tried to the retained."""
    site = trials.roll_out(trials.preview(SITE, "pr", Alias(B, 0, 1)), "pr", 100, 5)
    assert site.rollout == Rollout(site.tried[0], 100)
    site = changes.activate(changes.stage(site, B, A, 6), B, A, 7)
    assert (site.rollout, site.tried) == (None, ())
    assert [item.release for item in site.retained] == [B, A]


def test_a_soft_purge_raises_no_floor() -> None:
    """It stands apart; a purge of browsers is a mark with its moment."""
    site = changes.purge(SITE, [("path", "/a")], soft=True)
    assert (site.floors, [(f.kind, f.value, f.generation) for f in site.soft]) == ((), [("path", "/a", 4)])
    assert site.floor_of("/a") == 0
    site = changes.purge(site, [], browsers=True, now=77)
    assert (site.browsers, site.generation) == ((5, 77), 5)


HOSTILE: list[dict[str, Any]] = [
    {"slash": "sometimes"},
    {"slash": 5},
    {"error": "no-slash.html"},
    {"error": 7},
    {"headers": 7},
    {"headers": [["/*", [["X-A", "a\r\nSet-Cookie: b=c"]], 1]]},
    {"headers": [["/*", [["Set-Cookie", "a=b"]], 1]]},
    {"headers": [["/*", [["X A", "b"]], 1]]},
    {"headers": [["/*", [["X-A", "a" * 3_000]], 1]]},
    {"headers": [["/a", [["X-A", "b"]], 1]] * 2_001},
    {"redirects": "x"},
    {"redirects": [["/a", "https://evil.example\r\nX: y", 301, 0, [], 1]]},
    {"redirects": [["/a", "/\\evil.example", 301, 0, [], 1]]},
    {"redirects": [["/a", "https://:host/", 301, 0, [], 1]]},
    {"redirects": [["/a", "https://a.example/", 200, 0, [], 1]]},
    {"redirects": [["/a", "/b", 600, 0, [], 1]]},
    {"redirects": [["/a/*/*", "/b", 301, 0, [], 1]]},
    {"redirects": [["/a", "/b", 301, 0, [], 1]] * 2_001},
]


@pytest.mark.parametrize("said", HOSTILE, ids=str)
@pytest.mark.parametrize("by", ["stage", "preview"])
def test_rules_that_no_edge_could_serve_by_are_refused(tmp_path: Path, said: dict[str, Any], by: str) -> None:
    """Whoever sends a Release past the publisher: 422, by every door, and nothing of it is named by anything."""
    made = make(site_files("one"), rules=Rules(**said))
    with origin(tmp_path / "state") as client:
        client.publish("demo", make(site_files("good")))
        if by == "preview":
            answer = preview(client, made)
        else:
            lease, missing = client.missing("demo", made.blocks)
            client.send(lease, missing)
            answer = client.stage("demo", made, CID.parse(client.live("demo") or ""), lease)
        assert answer.status == 422, answer.body
        site = client.ok("GET", "/api/v1/sites/demo")
        assert (site["next"], site["previews"]) == (None, [])


def test_what_trials_name_is_kept_and_then_let_go(tmp_path: Path) -> None:
    """A preview's release, the one it showed before, what was rolled out: collection takes them once nobody names them,
    and the store holds together all the while."""
    one, two, three = make(site_files("one")), make(site_files("two")), make(site_files("three"))

    def whole(client: Client, made: Made) -> bool:
        return not parts(client).store.missing(made.store)

    with origin(tmp_path / "state") as client:
        client.publish("demo", one)
        preview(client, two)
        preview(client, three)
        client.ok("POST", "/api/v1/gc")
        assert [whole(client, made) for made in (one, two, three)] == [True] * 3
        client.ok("PUT", "/api/v1/sites/demo/rollout", {"release": "pr-1", "percent": 5})
        assert client.ask("DELETE", "/api/v1/sites/demo/previews/pr-1").status == 200
        client.ok("POST", "/api/v1/gc")
        assert [whole(client, made) for made in (one, two, three)] == [True, False, True]
        client.ok("DELETE", "/api/v1/sites/demo/rollout")
        client.ok("POST", "/api/v1/gc")
        assert whole(client, three), "its tabs may be open still"
        client.ok("DELETE", "/api/v1/sites/demo")
        client.ok("POST", "/api/v1/gc")
        assert [whole(client, made) for made in (one, two, three)] == [False] * 3
