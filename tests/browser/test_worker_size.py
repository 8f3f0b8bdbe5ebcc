"""How long the worker is, and how it is written: it is stripped of lines, so what is in a line matters."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace
from typing import Any, cast

import brotli
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import ipns
from content.catalog import Signed
from content.cid import CID, DAG_CBOR
from content.release import Rules
from edge.site.browser import scripts
from edge.site.browser.stub import Standing, stub

BUDGET = 5 * 1024  # bytes of stub and worker, brotli 11
NAMES = ("worker.js", "client.js", "off.js")


def test_the_worker_is_in_its_budget() -> None:
    """Stub and worker, as they are sent, under brotli at its best."""
    key = ipns.name_of(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key())
    signed = Signed(CID.of(DAG_CBOR, b"release"), 1_764_316_961_000_000, (), b"")
    view = SimpleNamespace(site=SimpleNamespace(name="a-site-of-some-length", browsers=(1_764_316_961_000_000, 0)))
    published = cast("Any", SimpleNamespace(release=SimpleNamespace(rules=Rules())))
    first = stub(cast("Any", view), Standing("a-site-of-some-length", key, published, signed))
    sizes = [len(brotli.compress(text, quality=11)) for text in (first, scripts.source("worker.js"))]
    print(f"stub {sizes[0]} + worker {sizes[1]} = {sum(sizes):,} of {BUDGET:,} bytes")
    assert sum(sizes) <= BUDGET


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stripped_is_all_that_is_comment(name: str) -> None:
    """No comment ends a line of code, none spans lines, and no text does: else stripping would change the script, or
    leave words in it. Lines are as long as Python's."""
    for number, line in enumerate(files("edge.site.browser").joinpath(name).read_text("utf-8").splitlines(), 1):
        where = f"{name}:{number}: {line}"
        assert len(line) <= 120, where
        if line.lstrip().startswith("//"):
            continue
        assert " // " not in line, where
        assert line.count("`") % 2 == 0, where
        if name == "worker.js":
            assert "/*" not in line.replace("//*", ""), where


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("const { a, b } = c ?? {};", "let{a,b}=c??{};"),
        ("  // why", ""),
        ('say("a, b = { c }", d);', 'say("a, b = { c }",d);'),
        ("say('it\\'s, so', `a ${ b } , c`, d);", "say('it\\'s, so',`a ${ b } , c`,d);"),
        ("a.match(/^[ /,] ?= (b|c)$/i) ?? d;", "a.match(/^[ /,] ?= (b|c)$/i)??d;"),
        ("let a = b / c + +d - -e / f;", "let a=b / c+ +d- -e / f;"),
        ("for (const a of [b]) if (!a) return [a, !b];", "for(let a of[b])if(!a)return[a,!b];"),
        ("if (a) {\n  b(\n    c + 1,\n    [d - e++],\n  );\n}\nf();", "if(a){b(c+1,[d-e++],)}\nf();"),
        ("const a = () => { b(';}'); };\nlet c", "let a=()=>{b(';}')};let c"),
    ],
    ids=["punctuation", "comment", "string", "quotes", "expression", "signs", "words", "lines", "ends"],
)
def test_spaces_go_where_they_mean_nothing(written: str, sent: str) -> None:
    """Those beside punctuation; never within what is text, and never between two signs."""
    assert scripts.stripped(written + "\n").strip() == sent


def test_all_listeners_are_there_in_the_first_turn() -> None:
    """A browser counts no other (Service Workers, Run Service Worker); and there is one for each event, none inside a
    function."""
    lines = files("edge.site.browser").joinpath("worker.js").read_text("utf-8").splitlines()
    assert sum(line.startswith("addEventListener(") for line in lines) == 4
    assert "addEventListener" not in "".join(line for line in lines if not line.startswith("addEventListener("))
