"""[html] in a real browser: what a publish wrote into pages is taken, nothing is loaded twice, and what is a tag to us
is one to Chromium."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from rim.pages.markup import tags
from tests.kit.ring import Up
from tests.rim.conftest import site_folder
from tests.rim.test_markup import CASES

pytestmark = pytest.mark.needs("chromium")

PAGE = """<!doctype html><html><head><meta charset="{charset}"><title>日本</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="css/app-0a1b2c3d.css">
<link rel="modulepreload" href="/assets/part-1b2c3d4e.js">
<script src="assets/ア-2c3d4e5f.js"></script>
<script type="module" src="/assets/main-3d4e5f60.js"></script>
</head><body><p id="said">text</p></body></html>
"""
FILES: dict[str, bytes | str] = {
    "css/app-0a1b2c3d.css": "p { color: rgb(1, 2, 3) }",
    "assets/part-1b2c3d4e.js": "export const part = 'part';",
    "assets/ア-2c3d4e5f.js": "window.classic = 'classic';",
    "assets/main-3d4e5f60.js": "import { part } from './part-1b2c3d4e.js';"
    "document.getElementById('said').textContent = window.classic + ' ' + part;",
    "index.html": PAGE.replace("{charset}", "utf-8"),
    "wide.html": b"\xff\xfe" + PAGE.replace("{charset}", "utf-16").encode("utf-16-le"),
    "sjis.html": PAGE.replace("{charset}", "shift_jis").encode("shift_jis"),
    "_headers": "/sjis.html\n  Content-Type: text/html; charset=shift_jis\n",
    "rim.toml": "[html]\nintegrity = true\npreload = true\n",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = site_folder(tmp_path_factory.mktemp("html") / "pages", FILES)
    with Up(folder.parent / "ring", folder) as ring:
        yield ring


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", ["", "wide.html", "sjis.html"])
def test_chromium_takes_what_was_written(up: Up, page: Page, name: str) -> None:
    """In every charset: scripts and styles run under their integrity, and what Link fields ask for early is what the
    page uses, so each file is loaded once."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    answer = page.goto(f"http://pages.localhost:{up.port}/{name}")
    assert answer is not None
    page.wait_for_function("document.getElementById('said').textContent === 'classic part'")
    assert page.evaluate("getComputedStyle(document.getElementById('said')).color") == "rgb(1, 2, 3)"
    assert page.evaluate("[...document.querySelectorAll('[integrity^=sha256-]')].length") == 4
    assert answer.headers["link"].count("integrity=") == 4
    page.wait_for_load_state("load")
    wanted = [url for url in asked if url.endswith((".js", ".css"))]
    assert sorted(wanted) == sorted(set(wanted))
    assert len(wanted) == 4
    assert said == []


def test_what_is_published_is_what_the_folder_says(up: Up, tmp_path: Path) -> None:
    """`rim verify` compares every edge with the folder as [html] publishes it; and finds another page different."""
    folder = up.root.parent / "pages"
    same = up.rim("verify", "pages", folder, check=False)
    assert (same.returncode, same.stdout.strip().endswith("all equal")) == (0, True), same
    other = site_folder(tmp_path / "other", {**FILES, "index.html": str(FILES["index.html"]).replace("text", "test")})
    differs = up.rim("verify", "pages", other, check=False)
    assert differs.returncode == 1
    assert "index.html" in differs.stderr


def test_a_page_that_was_never_told_of_a_worker_has_one(up: Up, browser: Browser, tmp_path: Path) -> None:
    """`[service_worker]` and `[html] worker` are all that a site of plain files needs: the next visit works offline."""
    files = {"index.html": "<!doctype html><link rel=icon href=data:,><p>kept", "about.html": "<!doctype html><p>about"}
    folder = site_folder(tmp_path / "kept", {**files, "rim.toml": "[service_worker]\n[html]\nworker = true\n"})
    up.publish(folder, "kept")
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(f"http://kept.localhost:{up.port}/")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        context.set_offline(True)
        page.goto(f"http://kept.localhost:{up.port}/about.html")
        assert page.locator("p").text_content() == "about"
    finally:
        context.close()


PIECES = [
    "<script src=m></script>", "<script>", "</script>", "<!--", "-->", "--!>", "<link href=m>", "<style>", "</style>",
    "<title>", "</title>", "<textarea>", "</textarea>", "<p title='", "'", '"', "<b a=", ">", " ", "x", "<", "</", "/>",
    "<![CDATA[", "]]>", "<?", "<!", "<iframe>", "</iframe>", "<xmp>", "</xmp>", "<noscript>", "</noscript>", "\n", "=",
]  # fmt: skip
FIND = """texts => texts.map(text => [...new DOMParser().parseFromString(text, 'text/html')
  .querySelectorAll('script[src=m],link[href=m]')].map(found => found.localName))"""


def marked(text: str) -> list[str]:
    """Our scripts and links that load `m`."""
    return [tag.name for tag in tags(text) if not tag.is_end and _loads_m(tag.name, tag.attributes)]


def _loads_m(name: str, attributes: dict[str, str]) -> bool:
    return attributes.get({"script": "src", "link": "href"}.get(name, "")) == "m"


def test_a_tag_is_what_chromium_takes_for_one(page: Page) -> None:
    """Texts made of what is hard to tell apart: the same scripts and links, in the same order."""
    rng = random.Random(7)
    texts = [case + "<link href=m><script src=m></script>" for case, _ in CASES if "<plaintext>" not in case]
    texts += ["<body>" + "".join(rng.choices(PIECES, k=rng.randint(2, 14))) + "<link href=m>" for _ in range(3_000)]
    found = page.evaluate(FIND, texts)
    differ = [(text, marked(text), theirs) for text, theirs in zip(texts, found, strict=True) if marked(text) != theirs]
    assert differ == []
