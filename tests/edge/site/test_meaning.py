"""What a path means under a site's rules, and under releases that only some see: redirects, pages for what is missing,
previews, rollouts, pins and the floors that bind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from content.catalog import Alias, Floor, Retained, Rollout, Site
from content.redirects import RedirectTable, parse
from content.release import Release, Rules
from edge.site.rules import Tables
from edge.site.view import Found, Lender, Meaning, Missing, Moved, Reason, SiteView
from tests.edge.sites import File, Store, site_of

FILES: dict[str, File] = {
    "index.html": b"home",
    "about.html": b"about",
    "en/index.html": b"en",
    "en/404.html": b"en lost",
    "404.html": b"lost",
    "app/index.html": b"app",
    "app-BQk3xY9z.js": b"code",
    "link.html": "about.html",
    "_headers": b"secret",
}
REDIRECTS = """
/about.html        /elsewhere          302
/about             /about.html         200
/forced            /x                  301!
/en/index.html     /x                  301!
/q    lang=en      /en/                200
/q    id=:id       /p/:id
/gone/*            /en/404.html        404
/bad               /nothing.html       200
/bad404            /nothing.html       404
/secret            /_headers           200
/app/*             /app/index.html     200
/same              /same/
https://a.example/h   /a
/h                 /b
/out               https://other.example/y  307
/linked            /link.html          200
/folder            /en                 200
"""
# path, navigation, query, host → "=status body reason", ">status where"
BY_RULE = [
    ("/about.html", False, b"", "", "=200 about"),
    ("/about", False, b"", "", "=200 about"),
    ("/forced", False, b"", "", ">301 /x"),
    ("/en/index.html", False, b"a=b", "", ">301 /x?a=b"),
    ("/q", False, b"lang=en", "", "=200 en"),
    ("/q", False, b"lang=de", "", "=404 lost no-such-path"),
    ("/q", False, b"id=7", "", ">301 /p/7"),
    ("/q", False, b"", "", "=404 lost no-such-path"),
    ("/gone/x", False, b"", "", "=404 en lost no-such-path"),
    ("/bad", False, b"", "", "=404 lost no-target"),
    ("/bad404", False, b"", "", "=404 lost no-target"),
    ("/secret", False, b"", "", "=404 lost no-target"),
    ("/app/route", True, b"", "", "=200 app"),
    ("/app/route.js", False, b"", "", "=404 lost not-a-navigation"),
    ("/app/", False, b"", "", "=200 app"),
    ("/same", False, b"", "", ">301 /same/"),
    ("/same/", False, b"", "", "=404 lost no-such-path"),
    ("/h", False, b"", "a.example", ">301 /a"),
    ("/h", False, b"", "b.example", ">301 /b"),
    ("/out", False, b"q=1", "", ">307 https://other.example/y?q=1"),
    ("/linked", False, b"", "", "=200 about"),
    ("/folder", False, b"", "", "=200 en"),
    ("/en/nope", False, b"", "", "=404 en lost no-such-path"),
]


def rules(redirects: str = "", **fields: object) -> Rules:
    made, findings = parse(redirects, external=("*",))
    assert not [finding for finding in findings if finding.level == "error"]
    return replace(Rules(redirects=RedirectTable(made).to_value()), **fields)  # type: ignore[arg-type]


def told(meaning: Meaning, store: Store) -> str:
    match meaning:
        case Found():
            reason = "" if meaning.reason is None else f" {meaning.reason}"
            return f"={meaning.status} {store.get(meaning.asset.cid).data.decode()}{reason}"
        case Moved():
            return f">{meaning.status} {meaning.location}"
        case Missing():
            return f"={meaning.reason}"


@pytest.mark.parametrize(("path", "navigation", "query", "host", "expected"), BY_RULE)
def test_what_a_rule_makes_of_a_path(path: str, navigation: bool, query: bytes, host: str, expected: str) -> None:
    """Files before rules that are not forced; shells for navigations only; never the site's own settings."""
    store = Store()
    view = store.view(site_of(store, FILES, rules=rules(REDIRECTS)))
    assert told(store.resolve(view, path, navigation, query=query, host=host), store) == expected


@pytest.mark.parametrize("path", ["/nope", "/en/nope", "/en/deep/er/nope"])
def test_the_page_that_rules_name_comes_first(path: str) -> None:
    """`error_page` answers every 404; where its file is not there, the nearest 404.html does."""
    store = Store()
    files = {**FILES, "error.html": b"oh"}
    view = store.view(site_of(store, files, rules=Rules(error="/error.html")))
    assert told(store.resolve(view, path), store) == "=404 oh no-such-path"
    view = store.view(site_of(store, FILES, rules=Rules(error="/error.html")))
    assert told(store.resolve(view, path), store).startswith("=404 ")


def test_a_view_is_plain_unless_a_rule_reads_more() -> None:
    """Only query and host rules have the hot path look further, those of a rollout too."""
    store = Store()

    def view(text: str) -> SiteView:
        return store.view(site_of(store, FILES, rules=rules(text)))

    assert view("/a /b").is_plain
    assert not view("/a x=1 /b").is_plain
    assert not view("https://a.example/a /b").is_plain
    site = site_of(store, FILES)
    item = Retained(store.release(FILES, rules=rules("/a x=1 /b")), 2, 0)
    assert not store.view(replace(site, rollout=Rollout(item, 1))).is_plain


# Other releases.


def files(word: str, code: str, more: Mapping[str, File] | None = None) -> dict[str, File]:
    return {"page.html": word.encode(), f"chunk-{code}.js": word.encode(), **(more or {})}


class Play:
    """A site with everything: live, next, attic, a rollout, an old release, a preview that showed something before."""

    def __init__(self, *floors: Floor) -> None:
        self.store = store = Store()
        old = Retained(store.release(files("old", "aaaaaaa1", {"old.txt": b"old"})), 1, 0)
        live = Retained(store.release(files("live", "bbbbbbb2"), rules=Rules(pin=True)), 2, 0)
        rolled = Retained(store.release(files("rolled", "ccccccc3", {"rolled.txt": b"r"})), 3, 0)
        shown, before = (store.release(files(*each)) for each in (("shown", "ddddddd4"), ("before", "eeeeeee5")))
        coming = Retained(store.release(files("coming", "fffffff6")), 5, 0)
        attic = store.index({"chunk-aaaaaaa1.js": b"old", "chunk-ccccccc3.js": b"rolled"})
        self.site = Site(
            "demo",
            generation=9,
            live=live,
            next=coming,
            retained=(live, old),
            rollout=Rollout(rolled, 100),
            tried=(rolled,),
            attic=attic,
            aliases={"pr-1": Alias(shown, 4, 0, before=before)},
            floors=floors,
        )
        self.old = old.release
        self.view = store.view(self.site)
        self.preview = store.preview(self.site, "pr-1")

    def ask(self, who: str, path: str, navigation: bool = False) -> Meaning:
        if who == "preview":
            return self.store.resolve(self.preview, path, navigation)
        release = self.old if who == "pinned" else None
        return self.store.resolve(self.view, path, navigation, release=release, trial=who == "rollout")


CODES = {"old": "aaaaaaa1", "live": "bbbbbbb2", "rolled": "ccccccc3", "shown": "ddddddd4"}
CODES |= {"before": "eeeeeee5", "coming": "fffffff6"}
PAGES = {"live": "live", "pinned": "old", "rollout": "rolled", "preview": "shown"}
LENT = [  # who asks, whose chunk, who lends it
    ("live", "live", Lender.LIVE),
    ("live", "coming", Lender.NEXT),
    ("live", "old", Lender.ATTIC),
    ("live", "rolled", Lender.ATTIC),
    ("live", "shown", None),
    ("rollout", "rolled", Lender.ROLLOUT),
    ("rollout", "live", Lender.LIVE),
    ("rollout", "coming", Lender.NEXT),
    ("rollout", "old", Lender.ATTIC),
    ("pinned", "old", Lender.PINNED),
    ("pinned", "live", Lender.LIVE),
    ("pinned", "rolled", Lender.ATTIC),
    ("preview", "shown", Lender.PREVIEW),
    ("preview", "live", Lender.LIVE),
    ("preview", "before", Lender.BEFORE),
    ("preview", "coming", None),
    ("preview", "old", Lender.ATTIC),
]


@pytest.mark.parametrize(("who", "word"), PAGES.items())
def test_each_gets_its_own_page(who: str, word: str) -> None:
    """A page is of one's own release."""
    play = Play()
    assert told(play.ask(who, "/page.html"), play.store) == f"=200 {word}"


@pytest.mark.parametrize(("who", "word", "lender"), LENT)
def test_chunks_are_lent(who: str, word: str, lender: Lender | None) -> None:
    """Immutable files of all releases that a tab may be of; what a preview showed is nobody else's."""
    play = Play()
    met = play.ask(who, f"/chunk-{CODES[word]}.js")
    if lender is None:
        assert met == Missing()
    else:
        assert isinstance(met, Found)
        assert (met.lender, met.immutable) == (lender, True)
        assert told(met, play.store) == f"=200 {word}"


FLOORED = [  # who asks, whose chunk, the floor's generation that takes it, and what is asked then
    ("rollout", "rolled", 4),
    ("pinned", "old", 2),
    ("preview", "shown", 5),
    ("preview", "before", 5),
    ("live", "coming", 6),
]


@pytest.mark.parametrize(("who", "word", "generation"), FLOORED)
def test_floors_bind_all_but_live(who: str, word: str, generation: int) -> None:
    """What was staged before a purge's generation is gone; at its own generation it stays."""
    path = f"/chunk-{CODES[word]}.js"
    below = Play(Floor("path", path, generation))
    object.__setattr__(below.view, "site", replace(below.site, attic=None))  # the origin takes these rows out of it
    assert below.ask(who, path) == Missing(Reason.PURGED)
    at = Play(Floor("path", path, generation - 1))
    assert told(at.ask(who, path), at.store) == f"=200 {word}"
    all_ = Play(Floor("site", "", 9))
    assert told(all_.ask("live", "/page.html"), all_.store) == "=200 live"
    assert told(all_.ask("preview", "/page.html"), all_.store) == "=purged"


STAND_INS = [  # rules of the trial, navigation, path, the floor's path
    (Rules(), False, "/nope", "/404.html"),
    (Rules(error="/lost.html"), False, "/nope", "/lost.html"),
    (Rules(spa=True), True, "/route", "/index.html"),
    (rules("/a /page.html 200"), False, "/a", "/page.html"),
    (rules("/b/* /page.html 404"), False, "/b/c", "/page.html"),
]


@pytest.mark.parametrize(("said", "navigation", "path", "floor"), STAND_INS)
def test_floors_bind_what_stands_in(said: Rules, navigation: bool, path: str, floor: str) -> None:
    """A purge takes shells, rewrites and pages for what is missing as it takes the files themselves."""
    store = Store()
    pages: dict[str, File] = {name: name.encode() for name in ("404.html", "lost.html", "index.html", "page.html")}
    site = site_of(store, {"x.txt": b"x"})
    shown = Alias(store.release(pages, rules=said), 2, 0)
    for floors in ((), (Floor("path", floor, 3),)):
        met = store.resolve(store.preview(replace(site, aliases={"a": shown}, floors=floors), "a"), path, navigation)
        body = store.get(met.asset.cid).data if isinstance(met, Found) else b""
        assert (body == floor[1:].encode()) is not bool(floors)


@pytest.mark.parametrize(("kind", "value"), [("site", ""), ("path", "/page.html"), ("prefix", "/p")])
def test_a_purge_does_not_empty_a_rollout(kind: str, value: str) -> None:
    """What a purge takes of the release that is rolled out, its visitors get of live, as everybody else."""
    play = Play(Floor(kind, value, 9))
    assert told(play.ask("rollout", "/page.html"), play.store) == "=200 live"
    assert told(Play().ask("rollout", "/page.html"), Play().store) == "=200 rolled"


def test_pins_are_for_what_a_tab_asks_for() -> None:
    """Only a release that is kept, never for a navigation, and only where the live release allows it."""
    play = Play()
    assert told(play.ask("pinned", "/old.txt"), play.store) == "=200 old"
    assert play.ask("live", "/old.txt") == Missing()
    assert told(play.ask("pinned", "/page.html", navigation=True), play.store) == "=200 live"
    assert play.ask("pinned", "/old.txt", navigation=True) == Missing()
    gone = play.store.view(replace(play.site, retained=play.site.retained[:1]))
    assert play.store.resolve(gone, "/old.txt", release=play.old) == Missing()
    assert play.site.live is not None
    unpinned = play.store.release(files("live", "bbbbbbb2"))
    site = replace(play.site, live=replace(play.site.live, release=unpinned))
    assert play.store.resolve(play.store.view(site), "/old.txt", release=play.old) == Missing()
    assert told(play.store.resolve(play.preview, "/page.html", release=play.old), play.store) == "=200 shown"


def test_the_rules_of_an_old_release_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may name an old release in each request: its rules are compiled for the first one only."""
    play = Play()
    read: list[Rules] = []
    real = Tables.of

    def spy(said: Rules) -> Tables:
        read.append(said)
        return real(said)

    monkeypatch.setattr(Tables, "of", spy)
    for _ in range(5):
        play.ask("pinned", "/old.txt")
    old = Release.from_block(play.store.get(play.old)).rules
    assert sum(rules == old for rules in read) == 1


def test_a_rollout_without_a_front_page() -> None:
    """Who gets it sees that it is missing; who does not, sees live."""
    play = Play()
    assert play.ask("rollout", "/") == Missing()
    assert told(play.ask("rollout", "/rolled.txt"), play.store) == "=200 r"
    assert play.ask("live", "/rolled.txt") == Missing()


def test_a_preview_is_told_to_no_index() -> None:
    """On every path of it, whatever its rules say; on none of live."""
    play = Play()
    assert play.preview.fields("/page.html")[-1] == ("X-Robots-Tag", "noindex")
    assert play.view.fields("/page.html") == ()
    assert play.preview.key != play.view.key
