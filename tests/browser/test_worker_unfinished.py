"""What an edge that lies may try beside lying about bytes: keep a file back, so that an install never comes to its end;
call what is too long to be proved a page.

Actors: `rim up`, headless Chromium, and the edge's liar (tests/kit/liar). No gateway of the manifest answers, so nobody
honest is left.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from content.limits import GATEWAYS_MAX, MiB
from tests.kit import whole
from tests.kit.chromium import heard, installed, kept, visitor
from tests.kit.liar import Liar, gone, instead
from tests.kit.nodes import free_port
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
EVIL = b"<!doctype html><title>evil</title><script>window.evil = true</script>"


def test_a_page_that_was_kept_back_is_proved_too(browser: Browser, tmp_path: Path) -> None:
    """No release is whole here. The page that lacks comes with other bytes, again and again: the visitor sees none. Nor
    does a text of 5 MiB, which is not proved, become a page of this site for being called one."""
    nobody = [f"http://127.0.0.1:{free_port()}/{number}" for number in range(GATEWAYS_MAX)]
    site = whole.make(tmp_path, 1, whole.toml(more=f"gateways = {nobody}"), files={"/long.txt": b"long " * MiB})
    with Up(tmp_path / "up", edges=1) as up, Liar(up.edges[0]["public"]) as liar, visitor(browser) as context:
        up.publish(site.folder, "unfinished", "--wait", "all")
        page = context.new_page()
        liar.lie("/about*", gone)
        page.goto(liar.of("unfinished"))
        installed(page)
        assert kept(page).get("whole") is None
        liar.honest()
        liar.lie("/about*", instead(EVIL, Content_Type="text/html"))
        page.goto(liar.of("unfinished"))
        assert whole.parts(page) == site.parts
        other = context.new_page()
        answer = other.goto(liar.of("unfinished", "/about.html"))
        assert answer is not None
        assert (answer.status, other.evaluate("window.evil")) == (504, None)
        assert heard(page, "lie", path="/about.html")
        other.goto(liar.of("unfinished", "/long.txt"))
        assert other.evaluate("document.body.innerText.length") > 5 * MiB - 9
        liar.lie("/long.txt", instead(EVIL, Content_Type="text/html"))
        other.goto(liar.of("unfinished", "/long.txt"))
        assert (other.evaluate("document.contentType"), other.evaluate("window.evil")) == ("text/plain", None)
        liar.honest()
        other.goto(liar.of("unfinished", "/about.html"))
        assert other.title() == "about"
