"""Hosts to sites: exact, lower-case, one table at a time."""

from __future__ import annotations

from content.catalog import Site
from edge.site.router import _SPELLINGS, Router
from tests.edge.sites import Store, site_of


def test_a_site_has_its_own_name_and_its_hosts() -> None:
    """`name.domain` and the site's hosts lead to it, however the field is spelled; nothing else does."""
    store, router = Store(), Router("localhost")
    view = store.view(site_of(store, {}, hosts=("example.com",)))
    router.swap([view])
    for raw in (b"demo.localhost", b"DEMO.localhost:8080", b"example.com", b"Example.Com.", b"example.com:443"):
        assert router.view_of_field(raw) is view
    for raw in (b"", b"localhost", b"x.demo.localhost", b"www.example.com", b"example.com:x", b"example.com/", b"demo"):
        assert router.view_of_field(raw) is None


def test_a_name_cannot_be_taken_by_a_host_of_another() -> None:
    """A site's own `name.domain` stands, whatever another site lists among its hosts."""
    store, router = Store(), Router("localhost")
    demo, thief = store.view(Site("demo")), store.view(Site("thief", hosts=("demo.localhost",)))
    router.swap([demo, thief])
    assert router.view("demo.localhost") is demo


def test_swapping_forgets_every_spelling() -> None:
    """After a swap the old view is out of reach, also for a field seen before."""
    store, router = Store(), Router("localhost")
    old, new = (store.view(Site("demo", generation=generation)) for generation in (1, 2))
    router.swap([old])
    assert router.view_of_field(b"demo.localhost:1") is old
    router.swap([new])
    assert router.view_of_field(b"demo.localhost:1") is new
    assert repr(router) == "<Router 1 sites, 1 hosts>"


def test_the_memo_of_spellings_is_bounded() -> None:
    """Nobody grows it by inventing hosts."""
    router = Router("localhost")
    for number in range(_SPELLINGS + 10):
        router.view_of_field(b"host%d" % number)
    assert len(router.table.spellings) <= _SPELLINGS
