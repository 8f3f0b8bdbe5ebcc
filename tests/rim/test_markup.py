"""Markup: the tags that a browser's tokenizer finds, and nothing inside what hides them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim.pages.markup import tags

SCRIPTS = "<script src=a>"


def found(text: str) -> list[str]:
    return [("/" if tag.is_end else "") + tag.name for tag in tags(text)]


def attributes(text: str) -> dict[str, str]:
    return next(tag for tag in tags(text)).attributes


CASES = [  # text, what is found; each as WHATWG HTML §13.2.5 says
    ("<p>a<b>c</b>", ["p", "b", "/b"]),
    ("<P CLASS=x><Br/>", ["p", "br"]),
    ("a < b <3 <> </> <p>", ["p"]),
    ("<!-- <p> --><b>", ["b"]),
    ("<!--><p>--><b>", ["p", "b"]),
    ("<!---><p>", ["p"]),
    ("<!-- a --!><p>", ["p"]),
    ("<!-- a -- > <p> --><b>", ["b"]),
    ("<!-- never ends <p>", []),
    ("<!doctype html><p>", ["p"]),
    ("<? php <p>", []),
    ("<?x><p>", ["p"]),
    ("</ p><b>", ["b"]),
    ("<![CDATA[ <p> ]]><b>", ["b"]),
    ("<svg><![CDATA[ <p> ]]><b></b></svg><i>", ["svg", "b", "/b", "/svg", "i"]),
    ("<script>'<p>'</script><b>", ["script", "/script", "b"]),
    ("<script>a</scripted></script ><b>", ["script", "/script", "b"]),
    ("<script><!-- <script> </script> --></script><b>", ["script", "/script", "b"]),
    ("<script><!-- <script> --></script><b>", ["script", "/script", "b"]),
    ("<script><!--></script><b>", ["script", "/script", "b"]),
    ("<script><!-- </script><b>", ["script", "/script", "b"]),
    ("<style>p > b { content: '</p>' }</style><b>", ["style", "/style", "b"]),
    ("<textarea><script src=a></textarea><b>", ["textarea", "/textarea", "b"]),
    ("<title><p></title><b>", ["title", "/title", "b"]),
    ("<svg><title><p></title></svg>", ["svg", "title", "p", "/title", "/svg"]),
    ("<svg/><title><p></title>", ["svg", "title", "/title"]),
    ("<iframe><p></iframe><noscript><link></noscript>", ["iframe", "/iframe", "noscript", "link", "/noscript"]),
    ("<plaintext><p>", ["plaintext"]),
    ("<p><script>open", ["p", "script", ""]),
    ("<p title='a>b' data=\"<b>\"><i>", ["p", "i"]),
    ("<p title=it's><i>", ["p", "i"]),
    ("<p title='never ends><i>", []),
    ("<p", []),
    ("<p><b", ["p"]),
    ("<p></b", ["p"]),
    ("<p a=>b<i>", ["p", "i"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text for text, _ in CASES])
def test_what_is_a_tag(text: str, expected: list[str]) -> None:
    """Names in order; an empty one where the text ends inside a script."""
    assert found(text) == expected


def test_attributes() -> None:
    """Quoted or not, empty, doubled, with references; names in lower case."""
    text = '<script SRC = \'a&amp;b\' async="" defer x=1/2 src=second =odd=3 y="a\'b"z>'
    assert attributes(text) == {
        "src": "a&b", "async": "", "defer": "", "x": "1/2", "=odd": "3", "y": "a'b", "z": "",
    }  # fmt: skip
    assert attributes("<a href=x/>") == {"href": "x/"}
    assert attributes("<a href='x'/>") == {"href": "x"}
    assert attributes("<a/href=x>") == {"href": "x"}


def test_places() -> None:
    """Each tag stands where it says, and an attribute may be inserted behind its name."""
    text = "ä<!-- x --><script\nsrc=a.js></script>"
    script, end = tags(text)
    assert text[script.start : script.end] == "<script\nsrc=a.js>"
    assert text[end.start : end.end] == "</script>"
    edited = text[: script.after_name] + ' integrity="x"' + text[script.after_name :]
    assert attributes(edited[edited.index("<script") :]) == {"integrity": "x", "src": "a.js"}


@given(st.text(alphabet="<>!-/='\" abscriptyle\n&;[]?", max_size=200))
@settings(max_examples=300)
def test_any_text(text: str) -> None:
    """Tags are in order, apart from each other, and begin and end as tags do."""
    last = 0
    for tag in tags(text):
        assert last <= tag.start <= tag.end <= len(text)
        last = tag.end
        if tag.name:
            assert text[tag.start] == "<"
            assert text[tag.end - 1] == ">"
            assert text[tag.start + 1 + tag.is_end :].lower().startswith(tag.name)


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<a ", "<a b='", "</", "<script>", "<script><!--", "<svg><![CDATA[", "&"]
)
def test_the_work_is_bounded_by_the_length(piece: str) -> None:
    """Twice the text is not four times the work: counted in steps of the clock that only this thread has."""

    def cost(times: int) -> float:
        start = time.thread_time()
        for _ in tags(piece * times):
            pass
        return time.thread_time() - start

    assert cost(100_000) < 40 * cost(10_000) + 0.5
