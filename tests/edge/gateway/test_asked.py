"""What a request asks for: form, parameters, file names."""

from __future__ import annotations

import pytest

from edge.gateway import formats, headers, sniff
from edge.gateway.formats import Form
from edge.gateway.wanted import read_query
from edge.http.problem import Problem

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("query", "accept", "form", "by_accept", "html"),
    [
        ("", b"", None, False, False),
        ("", b"*/*", None, False, False),
        ("", BROWSER, None, False, True),
        ("", b"application/vnd.ipld.car; version=1", Form.CAR, True, False),
        ("", b"application/json;q=0.5, application/vnd.ipld.raw", Form.RAW, True, False),
        ("", b"text/html;q=0.5, application/json", Form.JSON, True, True),
        ("", b"application/json;q=0.5, text/html", None, False, True),
        ("", b"application/cbor;q=0, */*", None, False, False),
        ("", b"application/cbor;q=x", None, False, False),
        ("", b"APPLICATION/VND.IPLD.RAW", Form.RAW, True, False),
        ("format=raw", b"application/vnd.ipld.car", Form.RAW, False, False),
        ("format=car", BROWSER, Form.CAR, False, True),
        ("format=ipns-record&format=raw", b"", Form.RECORD, False, False),
    ],
)
def test_forms(query: str, accept: bytes, form: Form | None, by_accept: bool, html: bool) -> None:
    """`format` before Accept (IPIP-523); of Accept the weightier, then the first."""
    asked = formats.read(read_query(query.encode()), accept)
    assert (asked.form, asked.by_accept, asked.html) == (form, by_accept, html)


def test_a_form_that_is_none() -> None:
    with pytest.raises(Problem) as refused:
        formats.read({"format": "zip"}, b"")
    assert refused.value.status == 400
    assert "raw, car, tar" in refused.value.detail


def test_parameters_come_with_their_type() -> None:
    accept = b'application/json;q=0.1;order=x, application/vnd.ipld.car; order="dfs"; DUPS=y'
    assert formats.read({}, accept).parameters == {"order": "dfs", "dups": "y"}
    assert formats.read({"format": "car"}, accept).parameters == {"order": "dfs", "dups": "y"}
    assert formats.read({"format": "raw"}, accept).parameters == {}


def test_a_query_is_bounded() -> None:
    assert read_query(b"a=1&a=2&b") == {"a": "1", "b": ""}
    with pytest.raises(Problem):
        read_query(b"&".join(b"a%d=1" % number for number in range(40)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.txt", "inline; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ("testтест.tar", "inline; filename=\"test____.tar\"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.tar"),
        ('a"b\\c', "inline; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("a\r\nSet-Cookie: x", "inline; filename=\"a__Set-Cookie: x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"),
    ],
)
def test_file_names(name: str, value: str) -> None:
    """RFC 6266 §4.3, appendix D; nothing in a name ends the header line."""
    assert headers.disposition("inline", name) == (("Content-Disposition", value),)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "text/plain; charset=utf-8"),
        (b"hello", "text/plain; charset=utf-8"),
        ("größe".encode(), "text/plain; charset=utf-8"),
        (b'{ "a": [1] }\n', "application/json"),
        (b'{ "a": [1] ', "text/plain; charset=utf-8"),
        (b"12", "text/plain; charset=utf-8"),
        (b"<!DOCTYPE HTML><p>", "text/html; charset=utf-8"),
        (b"\n <html lang=en>", "text/html; charset=utf-8"),
        (b"<!-- x --><p>", "text/html; charset=utf-8"),
        (b"<hello>", "text/plain; charset=utf-8"),
        (b"<?xml version='1.0'?><a/>", "application/xml"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "image/svg+xml"),
        (b"<svg/>", "text/plain; charset=utf-8"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"\0\0\0\x1cftypisom", "video/mp4"),
        (b"\xff\xfe\x00\x01", "application/octet-stream"),
        (b"\xc3\x28", "application/octet-stream"),
    ],
)
def test_kinds_by_content(data: bytes, kind: str) -> None:
    assert sniff.media_type(data, len(data)) == kind


def test_a_character_may_be_cut_at_the_end_of_what_is_looked_at() -> None:
    data = b"a" * (sniff.LOOKED_AT - 1) + "ö".encode() * 1000
    assert sniff.media_type(data, len(data)) == "text/plain; charset=utf-8"
    assert sniff.media_type(data[: sniff.LOOKED_AT], sniff.LOOKED_AT) == "application/octet-stream"
