"""Deltas: which files are coded so, how fresh a browser takes an answer for, and the patterns of dictionaries."""

from __future__ import annotations

from hashlib import sha256

import pytest

from content import headers
from content.cid import CID, RAW
from content.deltas import (
    DELTA_BYTES,
    DELTA_LEAST,
    IMMUTABLE,
    REVALIDATE,
    control_for,
    is_delta_coded,
    is_fresh,
    match_of,
)
from content.headers import HeaderTable
from content.release import Asset

FRESH = ["max-age=1", "public, max-age=31536000, immutable", "private, max-age=60", "MAX-AGE=5 , must-revalidate"]
STALE = [
    "",
    "max-age=0",
    "max-age=00",
    "public",
    "no-store",
    "no-cache, max-age=60",
    'no-cache="set-cookie", max-age=60',
    "s-maxage=60",
    "max-age=x",
    "max-age=-1",
    "max-age=0, max-age=60",
    "stale-while-revalidate=60",
    REVALIDATE,
]
MATCHES = {
    "/assets/vue-BQk3xY9z.js": "/assets/vue-*.js",
    "/assets/vue-_pL9w-Qz.js": "/assets/vue-*.js",
    "/static/js/main.8f3a9c1e.js": "/static/js/main.*.js",
    "/_next/static/chunks/app/[slug]/page-8d2f1c0b9e7a6f54.js": "/_next/static/chunks/app/*slug*/page-*.js",
    "/_next/static/chunks/app/(shop)/page-8d2f1c0b9e7a6f54.js": "/_next/static/chunks/app/*shop*/page-*.js",
    "/a/x-a-b-CgXZk2a0.js": "/a/x-a-b-*.js",
    "/é{1}+?#-8f3a9c1e.js": "/%C3%A9%7B1%7D*%3F%23-*.js",
    '/"q"\\a-8f3a9c1e.js': "/%22q%22%5Ca-*.js",
}
OF_DECLARED = {
    "/lib/3.7.0/jquery-3.7.0.min.js": "/lib/*/jquery-*.min.js",
    "/lib/v5.3.2-beta.1/b.css": "/lib/*/b.css",
    "/vendor/d3-7.9.0.js": "/vendor/d3-*.js",
    "/vendor/d3-7.9.0-min.js": "/vendor/d3-*-min.js",
    "/vendor/d3.js": None,
    "/assets/app-abcdefgh.js": "/assets/app-*.js",  # a hash that looks like a word
    "/assets/vue-router-BuckDuck.js": "/assets/vue-router-*.js",
    "/assets/-abcdefgh.js": None,
    "/assets/long-abcdefghi.js": None,
    "/3f9a1c0b.js": None,
}
STAYING = {
    "/assets/app-abcdefgh.js": "/assets/app-abcdefgh.js",
    "/data.json": "/data.json",
    "/a b/c:d.js": "/a%20b/c*d.js",
    "/v1.2/app.js": "/v1.2/app.js",
}


def asset(size: int, media_type: str = "text/javascript", target: str | None = None) -> Asset:
    digest = sha256(b"x")
    return Asset(CID.of(RAW, b"x"), size, digest.hexdigest(), media_type, link_target=target)


@pytest.mark.parametrize("control", FRESH)
def test_fresh(control: str) -> None:
    assert is_fresh(control)
    assert is_fresh(control, immutable=True)


@pytest.mark.parametrize("control", STALE)
def test_not_fresh(control: str) -> None:
    assert not is_fresh(control)


def test_without_the_field_what_is_immutable_is_fresh() -> None:
    assert is_fresh(None, immutable=True)
    assert not is_fresh(None)


@pytest.mark.parametrize(("path", "expected"), MATCHES.items())
def test_the_hash_of_a_name_is_open(path: str, expected: str) -> None:
    assert match_of(path, True) == match_of(path, False) == expected


@pytest.mark.parametrize(("path", "expected"), OF_DECLARED.items())
def test_the_versions_of_what_is_declared_immutable_are_open(path: str, expected: str | None) -> None:
    assert match_of(path, True) == expected


@pytest.mark.parametrize(("path", "expected"), STAYING.items())
def test_a_name_that_stays_matches_itself(path: str, expected: str) -> None:
    assert match_of(path, False) == expected


def test_sizes_at_the_limits_and_one_past_them() -> None:
    assert is_delta_coded(asset(DELTA_LEAST), True)
    assert is_delta_coded(asset(DELTA_BYTES), True)
    assert not is_delta_coded(asset(DELTA_LEAST - 1), True)
    assert not is_delta_coded(asset(DELTA_BYTES + 1), True)


def test_what_has_no_likeness_is_not_coded() -> None:
    assert not is_delta_coded(asset(5_000), False)
    assert not is_delta_coded(asset(5_000, "image/png"), True)
    assert not is_delta_coded(asset(5_000, "font/woff2"), True)
    assert not is_delta_coded(asset(5_000, target="a.js"), True)
    assert is_delta_coded(asset(5_000, "application/wasm"), True)
    assert is_delta_coded(asset(5_000, "text/css; charset=utf-8"), True)


def test_the_rules_of_a_site_say_how_long() -> None:
    rules, _ = headers.parse("/data/*\n  Cache-Control: public, max-age=600\n/x.js\n  ! Cache-Control\n")
    table = HeaderTable(rules)
    assert control_for(table, "/data/a.json", False) == "public, max-age=600"
    assert control_for(table, "/x.js", True) == IMMUTABLE
    assert control_for(table, "/x.js", False) == REVALIDATE
    assert control_for(table, "/y.js", False) == REVALIDATE
