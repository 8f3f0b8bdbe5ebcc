"""What is kept of answers: within a budget, gone with its view, buried without a stall."""

from __future__ import annotations

from collections.abc import Callable

from content.cid import CID, RAW
from content.release import Asset
from edge.cache.memory import CHANCES
from edge.counting import Tally
from edge.http.answer import Answer, Redirection
from edge.http.outcome import Outcome
from edge.kept import GRAVE, Keeping, Kept, Known, Shelf, Shot
from edge.site.view import SiteView
from tests.edge.sites import Store, site_of

ASSET = Asset(CID.of(RAW, b"a"), 1, CID.of(RAW, b"a").digest.hex(), "text/plain")


def view(generation: int = 1) -> SiteView:
    """A view of its own for each number."""
    store = Store()
    return store.view(site_of(store, {"a.txt": b"%d" % generation}))


def fill(keeping: Keeping, shelf: Shelf, names: range) -> None:
    for name in names:
        keeping.put(shelf, b"/%d" % name, Answer(ASSET), {})


def test_the_budget_is_kept_and_what_is_asked_for_stays() -> None:
    """Ten times what fits passes by; what was asked for since the last sweep is still there."""
    keeping = Keeping(200_000)
    shelf = keeping.shelf(view())
    fill(keeping, shelf, range(20))
    for round in range(1, 40):
        for name in range(20):
            shelf.kept[b"/%d" % name].asked += 1
        fill(keeping, shelf, range(round * 20, round * 20 + 20))
        assert keeping.bytes <= keeping.budget
    assert all(b"/%d" % name in shelf.kept for name in range(20))
    assert keeping.bytes == sum(kept.cost for kept in shelf.kept.values())


def test_where_all_is_asked_for_something_goes_all_the_same() -> None:
    """One put sweeps past no more than so many."""
    keeping = Keeping(4_000_000)
    shelf = keeping.shelf(view())
    fill(keeping, shelf, range(3000))
    held = len(shelf.kept)
    assert held < 3000
    for kept in shelf.kept.values():
        kept.asked += 1
    fill(keeping, shelf, range(5000, 5001))
    assert len(shelf.kept) <= held + 1
    assert sum(kept.seen == kept.asked for kept in shelf.kept.values()) <= CHANCES + 2


def test_what_is_larger_than_an_eighth_is_not_kept() -> None:
    """One answer does not push out all others."""
    keeping = Keeping(8_000)
    shelf = keeping.shelf(view())
    keeping.put(shelf, b"/", Answer(ASSET), {})
    assert not shelf.kept
    keeping.put(shelf, b"/", Redirection("/x", 302), {})
    assert list(shelf.kept) == [b"/"]


def test_ways_of_asking_count_in_the_budget() -> None:
    """Whoever invents ways of asking fills what there is, and no more; what is counted is what is kept, and nothing
    is left counted when all has gone."""
    keeping = Keeping(400_000)
    shelf = keeping.shelf(view())
    fill(keeping, shelf, range(100))
    for number in range(200):
        for kept in list(shelf.kept.values()):
            shot = Shot(b"x" * 500, kept, ("demo", 200, Outcome.HIT), Tally())
            keeping.remember(kept, (b"%d" % number, None), shot)
            assert keeping.bytes <= keeping.budget
    assert shelf.kept
    assert keeping.bytes == sum(kept.cost for kept in shelf.kept.values())
    once = Keeping(400_000)
    fill(once, once.shelf(view()), range(1))
    (kept,) = (kept for _, _, kept in once.all())
    most = kept.cost + 8 * (500 + 400)
    for number in range(100):
        once.remember(kept, (b"%d" % number, None), Shot(b"x" * 500, kept, ("", 200, Outcome.HIT), Tally()))
        assert kept.cost == once.bytes <= most


def test_a_view_that_goes_is_buried_in_slices() -> None:
    """Out of reach at once; its answers are counted for a while, then go a slice at a time."""
    due: list[tuple[float, Callable[[], None]]] = []
    keeping = Keeping(50_000_000, lambda seconds, act: due.append((seconds, act)))
    old, new = view(1), view(2)
    fill(keeping, keeping.shelf(old), range(1000))
    fill(keeping, keeping.shelf(new), range(10))
    keeping.retain(frozenset({new.key}))
    assert len(keeping) == 10
    assert len(list(keeping.all())) == 1010
    assert [seconds for seconds, _ in due] == [GRAVE]
    turns = 0
    while due:
        due.pop()[1]()
        turns += 1
    assert turns >= 4
    assert len(list(keeping.all())) == 10
    assert keeping.bytes == sum(kept.cost for _, _, kept in keeping.all())


def test_under_pressure_the_dead_go_first() -> None:
    """Nothing of the live view is swept while there is something of one that is gone."""
    keeping = Keeping(2_000_000)
    old, new = view(1), view(2)
    fill(keeping, keeping.shelf(old), range(3000))
    keeping.retain(frozenset({new.key}))
    shelf = keeping.shelf(new)
    before = len(list(keeping.all()))
    fill(keeping, shelf, range(before // 2))
    assert len(shelf.kept) == before // 2
    assert keeping.bytes <= keeping.budget


def test_an_answer_keeps_its_count_when_it_is_made_again() -> None:
    """Popularity belongs to the path."""
    keeping = Keeping(1_000_000)
    shelf = keeping.shelf(view())
    fill(keeping, shelf, range(1))
    shelf.kept[b"/0"].asked = 7
    fill(keeping, shelf, range(1))
    assert shelf.kept[b"/0"].asked == 7


def test_requests_known_whole_are_bounded() -> None:
    """By bytes; long ones are not remembered at all."""
    known = Known(100_000)
    shot = Shot(b"x" * 100, Kept(Redirection("/", 302), {}, 1), ("", 200, Outcome.HIT), Tally())
    for number in range(10_000):
        known.put(b"GET /%d" % number, shot)
        assert len(known.shots) <= 200
    known.clear()
    known.put(b"GET /" + b"x" * 1024, shot)
    assert not known.shots


def test_a_query_is_left_out_where_it_has_no_part_in_the_answer() -> None:
    """Then all queries are one request; else none of them is remembered, nor finds what is known without."""
    plain, query = (b"GET /x%s HTTP/1.1\r\nHost: a\r\n\r\n" % q for q in (b"", b"?7"))
    for shares in (True, False):
        known = Known(100_000)
        shot = Shot(b"", Kept(Redirection("/", 302), {}, 1), ("", 200, Outcome.HIT), Tally(), shares)
        known.put(query, shot)
        assert list(known.shots) == ([plain] if shares else [])
        known.put(plain, shot)
        assert known.find(plain) is shot
        assert known.find(query) is (shot if shares else None)
