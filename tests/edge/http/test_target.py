"""Hosts and paths: decoded once, or refused."""

from __future__ import annotations

import pytest

from edge.http.target import BadTarget, host_of, path_of, quoted

HOSTS = [
    (b"example.com", "example.com"),
    (b"EXAMPLE.com:8080", "example.com"),
    (b"example.com.", "example.com"),
    (b"example.com.:80", "example.com"),
    (b"127.0.0.1:80", "127.0.0.1"),
    (b"[::1]:80", "[::1]"),
    (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
]
BAD_HOSTS = [b"", b"a b", b"user@host", b"a/b", b"host:80:80", b"host:port", b"h\xc3\xb6st", b"a,b", b"[::1", b"a\0b"]
PATHS = [
    (b"/", "/"),
    (b"/a%20b", "/a b"),
    (b"/100%25", "/100%"),
    (b"/%2520", "/%20"),
    (b"/%23%3F", "/#?"),
    (b"/caf%C3%A9", "/café"),
    (b"/a'b\"c", "/a'b\"c"),
    (b"/a%5Cb", "/a\\b"),
    (b"/...", "/..."),
    (b"/.well-known/x", "/.well-known/x"),
    (b"/a;x.css", "/a;x.css"),
    (b"//a//b", "//a//b"),
    (b"/%0A", "/\n"),
]
BAD_PATHS = [
    b"",
    b"a",
    b"*",
    b"/a%2Fb",
    b"/a%2fb",
    b"/%00",
    b"/a\\b",
    b"/../a",
    b"/a/..",
    b"/a/./b",
    b"/.",
    b"/%2e%2e/a",
    b"/%2E/a",
    b"/.%2e/a",
    b"/%",
    b"/%2",
    b"/%zz",
    b"/%u002f",
    b"/%ff",
    b"/%c0%af",
    b"/%ed%a0%80",
    b"/a#b",
    b"/\xc3\xa9",
    b"/a b",
]


@pytest.mark.parametrize(("raw", "host"), HOSTS)
def test_a_host_is_read(raw: bytes, host: str) -> None:
    """Case, port and trailing dot make no other host."""
    assert host_of(raw) == host


@pytest.mark.parametrize("raw", BAD_HOSTS)
def test_no_host(raw: bytes) -> None:
    """What is no host is refused."""
    with pytest.raises(BadTarget):
        host_of(raw)


@pytest.mark.parametrize(("raw", "path"), PATHS)
def test_a_path_is_decoded_once(raw: bytes, path: str) -> None:
    """Awkward names come out as they stand in the folder, and go back in."""
    assert path_of(raw) == path
    assert path_of(quoted(path).encode()) == path


@pytest.mark.parametrize("raw", BAD_PATHS)
def test_an_ambiguous_path_is_refused(raw: bytes) -> None:
    """What two readers could read in two ways has no answer."""
    with pytest.raises(BadTarget):
        path_of(raw)
