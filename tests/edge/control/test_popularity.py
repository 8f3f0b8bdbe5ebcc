"""Which paths are warmed first."""

from __future__ import annotations

import pytest

from edge.control.popularity import Popularity

ASKED = {"/": 90, "/about/": 7, "/assets/app-BQk3xY9z.js": 80, "/assets/lazy-Aa11bb22.js": 2, "/logo.3f9a1c0b.svg": 5}


@pytest.mark.parametrize(
    ("path", "rank"),
    [
        ("/", 90),
        ("/index.html", 90),
        ("/about/index.html", 7),
        ("/assets/app-BQk3xY9z.js", 80),
        ("/assets/app-ZZk3xY9z.js", 80),
        ("/assets/lazy-Cc33dd44.js", 2),
        ("/logo.00ffaa12.svg", 5),
        ("/assets/app-ZZk3xY9z.css", 0),
        ("/other/app-ZZk3xY9z.js", 0),
        ("/new.html", 0),
    ],
)
def test_ranks(path: str, rank: int) -> None:
    """A path has its own count; a hash-named one that of the name it takes the place of."""
    assert Popularity(ASKED).of(path) == rank
