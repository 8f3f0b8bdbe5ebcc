"""Who visits: cookies of every kind, shares that only grow, and what a browser is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.catalog import WHOLE, Retained, Rollout, Signed, Site
from content.cid import CID, DAG_CBOR
from content.release import Rules
from edge.site.view import Found, SiteView, Visit
from edge.site.visitor import Visitor, gets_trial, receive
from tests.edge.sites import Store, site_of

STORE = Store()
FILES = {"index.html": b"home", "404.html": b"lost", "data.json": b"{}", "app-BQk3xY9z.js": b"code"}
NAVIGATION = Visit(navigation=True)
DAY = 86_400


def view_of(share: int | None = None, *, pin: bool = False, browsers: tuple[int, int] | None = None) -> SiteView:
    site = site_of(STORE, FILES, rules=Rules(pin=pin), browsers=browsers)
    if share is not None:
        item = Retained(STORE.release({**FILES, "index.html": b"new"}), 2, 0)
        site = replace(site, rollout=Rollout(item, share))
    return STORE.view(site)


def came(view: SiteView, cookie: bytes = b"", visit: Visit = NAVIGATION, now: float = 0, **fields: bytes) -> Visitor:
    sent = {b"cookie": cookie, **{name.replace("_", "-").encode(): value for name, value in fields.items()}}
    return receive(view, visit, sent, now, lambda: "a-new-name-000")


def found(view: SiteView, path: str) -> Found:
    met = STORE.resolve(view, path)
    assert isinstance(met, Found)
    return met


COOKIES: list[tuple[bytes, str]] = [  # what is sent, and the name that it gives (empty: a new one is given)
    (b"rim_visitor=abcdefgh", "abcdefgh"),
    (b"  a=b;rim_visitor=abcdefgh ;c", "abcdefgh"),
    (b'rim_visitor="abcdefgh"', "abcdefgh"),
    (b"rim_visitor=abcdefgh; rim_visitor=zzzzzzzz", "abcdefgh"),
    (b"rim_visitor=abcdefg", ""),
    (b"rim_visitor=" + b"a" * 64, "a" * 64),
    (b"rim_visitor=" + b"a" * 65, ""),
    (b"rim_visitor=abcdefgh\\", ""),
    (b"rim_visitor=abcdefgh\n", "abcdefgh"),
    (b"rim_visitor=abcd efgh", ""),
    (b"RIM_VISITOR=abcdefgh", ""),
    (b"rim_visitor", ""),
    (b"=;=;;;==", ""),
    (b"\xff\xfe=\x80", ""),
    (b"a=b; " * 100 + b"rim_visitor=abcdefgh", ""),
    (b"x" * 16_000, ""),
]


@pytest.mark.parametrize(("sent", "name"), COOKIES)
def test_a_name_is_read_or_given(sent: bytes, name: str) -> None:
    """A name of our own form is taken, any other is replaced; only a document brings a new one."""
    view = view_of(WHOLE // 2)
    visitor = came(view, sent)
    assert visitor.name == ("" if name else "a-new-name-000")
    assert visitor.visit.trial is gets_trial(view, name or "a-new-name-000")
    quiet = came(view, sent, Visit())
    assert quiet.name == ""
    assert quiet.visit.trial is (bool(name) and gets_trial(view, name))


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_no_cookie_breaks_it(cookie: bytes, release: bytes) -> None:
    """Whatever a browser sends, there is a visitor, and header lines without a line break inside."""
    view = view_of(WHOLE // 2, pin=True, browsers=(3, 0))
    visitor = came(view, cookie, rim_release=release)
    for line in visitor.lines(found(view, "/")).split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line


def test_without_a_reason_nobody_is_looked_at() -> None:
    """A site without rollout, pin or clearing has no personal answer, and reads no cookie."""
    view = view_of()
    visitor = came(view, b"rim_visitor=abcdefgh; rim_release=x")
    assert visitor == Visitor(view, NAVIGATION)
    assert not visitor.is_personal(found(view, "/"), 0)
    assert visitor.lines(found(view, "/")) == b""


SHARES = [1, 10, 100, 1_000, 2_500, 5_000, 9_999, WHOLE]


def test_who_is_in_stays_in() -> None:
    """A share that grows takes nobody out, whatever the name."""
    views = [view_of(share) for share in SHARES]
    for number in range(2_000):
        got = [gets_trial(view, f"visitor-{number}") for view in views]
        assert got == sorted(got)
        assert got[-1]


@pytest.mark.parametrize("share", SHARES)
def test_a_share_is_what_it_says(share: int) -> None:
    """Of 10,000 names so many are in, within four standard deviations."""
    view = view_of(share)
    inside = sum(gets_trial(view, f"visitor-{number}") for number in range(10_000))
    wanted = share / WHOLE
    assert abs(inside - 10_000 * wanted) <= 4 * (10_000 * wanted * (1 - wanted)) ** 0.5


def test_each_rollout_meets_others() -> None:
    """By the release too: it is not always the same tenth that meets what is new."""
    view = view_of(1_000)
    assert view.site.rollout is not None
    item = replace(view.site.rollout.item, release=CID.of(DAG_CBOR, b"another"))
    other = replace(view, site=replace(view.site, rollout=Rollout(item, 1_000)))
    names = [f"visitor-{number}" for number in range(10_000)]
    both = sum(gets_trial(view, name) and gets_trial(other, name) for name in names)
    assert 50 < both < 160  # 100 if they have nothing to do with each other, 1,000 if they are the same


def test_cookies_come_with_documents_only() -> None:
    """Set-Cookie is on the answer to a navigation; the pin's only on a page that is there."""
    view = view_of(WHOLE, pin=True)
    assert view.rollout is not None
    lines = came(view).lines(found(view, "/")).decode()
    assert "set-cookie: rim_visitor=a-new-name-000; Path=/; SameSite=Lax; HttpOnly; Max-Age=2592000" in lines
    assert f"set-cookie: rim_release={view.rollout.cid}; Path=/; SameSite=Lax\r\n" in lines
    assert f'server-timing: rim-release;desc="{view.rollout.cid}"' in lines
    assert came(view, visit=Visit()).lines(found(view, "/data.json")) == b""
    lost = found(view, "/nope")
    assert b"rim_release" not in came(view, b"rim_visitor=abcdefgh").lines(lost)


def test_a_browser_is_asked_once_to_clear() -> None:
    """Until it says that it was, for 30 days; pages only; a later purge asks again."""
    view = view_of(browsers=(7, 1_000))
    page = found(view, "/")
    assert b'clear-site-data: "cache"' in came(view, now=1_000).lines(page)
    assert came(view, b"rim_cleared=7", now=1_000).lines(page) == b""
    assert b"clear-site-data" in came(view, b"rim_cleared=6", now=1_000).lines(page)
    assert came(view, now=1_000).lines(found(view, "/data.json")) == b""
    assert came(view, visit=Visit(), now=1_000).lines(page) == b""
    late = came(view, now=1_000 + 30 * DAY)
    assert late.lines(page) == b""
    assert not late.is_personal(page, 1_000 + 30 * DAY)


def test_what_is_immutable_is_never_personal_but_in_a_protected_preview() -> None:
    """All visitors share hash-named files during a rollout, under a pin and while browsers are cleared."""
    view = view_of(WHOLE, pin=True, browsers=(3, 0))
    code, page = found(view, "/app-BQk3xY9z.js"), found(view, "/")
    assert not came(view).is_personal(code, 0)
    assert came(view).is_personal(page, 0)
    assert came(view).vary() == ("Cookie", "Rim-Release")
    assert came(view_of(WHOLE)).vary() == ("Cookie",)


PINNED: list[tuple[bytes, bytes, bool]] = [  # cookie, field, whether the old release is asked for
    (b"", b"OLD", True),
    (b"rim_release=OLD", b"", True),
    (b"rim_release=OLD", b"nonsense", False),
    (b"rim_release=nonsense", b"OLD", True),
    (b"rim_release=", b"", False),
    (b"rim_release=OLDx", b"", False),
]


@pytest.mark.parametrize(("cookie", "field", "asks"), PINNED)
def test_the_field_counts_before_the_cookie(cookie: bytes, field: bytes, asks: bool) -> None:
    """Rim-Release is the tab's own word, the cookie is all tabs'; what is no CID asks for nothing."""
    old = CID.of(DAG_CBOR, b"old")
    cookie, field = (text.replace(b"OLD", str(old).encode()) for text in (cookie, field))
    visitor = came(view_of(pin=True), cookie, rim_release=field)
    assert visitor.visit.release == (old if asks else None)
    assert came(view_of(), cookie, rim_release=field).visit.release is None


def worked(view: SiteView, **site: object) -> SiteView:
    """The same view, of a site with a service worker."""
    assert view.live is not None
    word = Signed(view.live.cid, 1, (), b"")
    return replace(view, site=replace(view.site, signed=(word,), **site))  # type: ignore[arg-type]


def test_a_worker_speaks_by_the_field_alone() -> None:
    """Its cookie is not read; what it asks for as everybody would is everybody's, unless a rollout makes two of that;
    the switch, and a preview, end it."""
    view = worked(view_of())
    assert view.live is not None
    live, old = str(view.live.cid).encode(), str(CID.of(DAG_CBOR, b"old")).encode()
    page, code = found(view, "/"), found(view, "/app-BQk3xY9z.js")
    plain = came(view, b"rim_release=" + old)
    assert plain == Visitor(view, NAVIGATION)
    assert plain.shared_vary(page, ()) == ()
    assert came(view, rim_release=live) == plain
    tab = came(view, visit=Visit(), rim_release=old)
    assert (str(tab.visit.release).encode(), tab.is_personal(page, 0), tab.has_own_paths) == (old, True, True)
    assert (tab.vary(), tab.is_personal(code, 0)) == (("Cookie", "Rim-Release"), False)
    fresh = (("CDN-Cache-Control", "max-age=60"),)
    assert plain.shared_vary(page, fresh) == ("Rim-Release",)
    assert plain.shared_vary(code, fresh) == ()
    assert plain.shared_vary(page, (("Cache-Control", None),)) == ()
    assert came(worked(view_of(WHOLE)), rim_release=live).visit.release == view.live.cid
    off = worked(view_of(), settings={"worker": "off"})
    assert came(off, rim_release=old) == Visitor(off, NAVIGATION)
    assert off.release is None
    assert view.release == live


def test_site_without_live() -> None:
    """Nothing is published: nobody is looked at."""
    view = STORE.view(Site("bare"))
    assert came(view, b"rim_visitor=abcdefgh").visit == NAVIGATION
