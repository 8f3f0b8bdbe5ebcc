"""An edge that lies to a browser in which the site is installed: the page never sees the bytes, another edge's gateway
is taken, and the lie is reported. The same lie without the worker reaches the page: so the play can fail.

Actors: `rim up` with two edges, headless Chromium, and two proxies that lie (tests/kit/liar): one is the edge that the
visitor talks to, the other is the first gateway in the manifest. The gateways of the edges themselves are honest.

What a worker does not verify is in `NOT_VERIFIED`, and shown to come through (`test_what_is_not_verified`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict
from playwright.sync_api import Browser, Error, Page

from tests.kit import whole
from tests.kit.chromium import heard, installed, state, updated, visitor
from tests.kit.liar import Asked, Change, Liar, Told, cut, flipped, gone, instead
from tests.kit.nodes import fetch, until
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")

# Rests on TLS, or on nobody. docs/browser.md tells the same to those who build on it.
NOT_VERIFIED = {
    "the first visit": "there is no worker yet",
    "/.rim/sw.js, and what comes with it": "the worker would have to verify itself, and client.js",
    "other answers under /.rim/": "they are the edge's own word, not the site's",
    "ranges, and media of more than 4 MiB": "they pass through unstored, as `passed` events say",
    "what is not GET": "it is not the site's content",
    "fields that act on the browser before a worker sees an answer": "Set-Cookie, Clear-Site-Data, and their like",
    "that there is something newer": "an edge may hold a release back, until another one tells",
    "that something is denied": "401, 403, 410 and 451 are believed: nobody else is asked then",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up"), edges=2) as ring:
        yield ring


@dataclass
class Stage:
    """A site, a visitor's edge, a gateway that lies about everything, and an honest one after it."""

    up: Up
    site: str
    edge: Liar
    gateway: Liar
    folder: Path
    toml: str
    versions: list[whole.Whole] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)

    @property
    def live(self) -> whole.Whole:
        return self.versions[-1]

    def url(self, path: str = "/") -> str:
        return self.edge.of(self.site, path)

    def prepare(self) -> whole.Whole:
        """The next version, which nobody has published."""
        self.versions.append(whole.make(self.folder, len(self.versions) + 1, self.toml))
        return self.live

    def publish(self) -> str:
        """Publish the last version: its release."""
        self.releases.append(self.up.publish(self.live.folder, self.site, "--wait", "all")["release"])
        return self.releases[-1]

    def lie_about_all(self, change: Callable[[bytes], Change]) -> set[str]:
        """The edge lies about each part of the last version, the page too: the paths of the files."""
        self.edge.lie(lambda asked: asked.path in ("/", "/index.html"), change(whole.LYING_PAGE))
        lied = dict(whole.lies(self.live).values())
        for path, data in lied.items():
            self.edge.lie(path, change(data))
        return set(lied)

    def reports(self) -> float:
        """The lies that the edges were told of ("over": past what one client may tell in a second)."""
        kinds = ("lie", "over")
        return sum(self.up.counted("rim_browser_reports_total", at, kind=kind) for at in range(2) for kind in kinds)


@pytest.fixture
def stage(up: Up, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A site of its own for each play, v1 live. `request.param`: what is precached, else all but the long files."""
    honest = str(up.edges[1]["public"]).replace("127.0.0.1", "localhost")
    with Liar(up.edges[0]["public"], plain=True) as edge, Liar(up.edges[1]["public"], plain=True) as gateway:
        gateway.lie("/ipfs/*", flipped)
        toml = whole.toml(more=f'gateways = ["{gateway.url}", "{honest}"]', **getattr(request, "param", {}))
        made = Stage(up, f"lies-{edge.port}", edge, gateway, tmp_path, toml)
        made.prepare()
        made.publish()
        yield made


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    """The tab of a visitor who has v1."""
    with visitor(browser) as context:
        page = context.new_page()
        assert opened(page, stage.url()) == stage.live.parts
        installed(page)
        assert opened(page, stage.url()) == stage.live.parts
        yield page


def opened(page: Page, url: str) -> dict[str, Any]:
    """What the page there says of its parts."""
    page.goto(url)
    return whole.parts(page)


def without_worker(browser: Browser, url: str, ask: str = "window.whole ?? {}") -> Any:
    """What a page there says in a browser that takes no workers."""
    context = browser.new_context(service_workers="block")
    try:
        page = context.new_page()
        page.goto(url)
        return page.evaluate(ask)
    finally:
        context.close()


def elsewhere(asked: Asked, told: Told) -> Told:
    """Another page of the site in its place."""
    return Told(302, CIMultiDict({"Location": "/about.html"}), b"")


# What of a page tells the version
PARTS = ("html", "css", "theme", "main", "data", "wasm", "job")
LAZY = {"globs": ("/index.html",)}  # all else is looked up on demand, with proof
HOW: dict[str, Callable[[bytes], Change]] = {
    "deceit": instead,
    "broken": lambda _: flipped,
    "cut": lambda _: cut,
    "gone": lambda _: gone,
    "elsewhere": lambda _: elsewhere,
}


@pytest.mark.parametrize("stage", [{}, LAZY], indirect=True, ids=["precached", "looked up"])
def test_lies_about_every_kind_of_file(stage: Stage, page: Page, browser: Browser) -> None:
    """Style, module, classic script, worker script, WebAssembly, JSON, picture, font and page of a new release: each
    false, garbled, broken off, denied or sent elsewhere; and what the page gets is the release, bit for bit, lazy chunk
    included. A liar is told on; who says nothing is not."""
    for how, change in HOW.items():
        before, now = stage.live, stage.prepare()
        lied = stage.lie_about_all(change) & now.other_than(before)
        stage.publish()
        told, asked = stage.reports(), stage.gateway.count("/ipfs/*")
        assert opened(page, stage.url()) == now.parts, how
        assert whole.later(page) == dict.fromkeys(("lazy", "data", "css"), now.version), how
        assert stage.gateway.count("/ipfs/*") > asked, how
        if how in ("deceit", "broken", "elsewhere"):
            for path in ("/index.html", *sorted(lied)):
                heard(page, "lie", path=path, at=f"{stage.site}.localhost:{stage.edge.port}")
            until("the report", lambda told=told: stage.reports() > told)
        if how != "cut":
            fooled = without_worker(browser, stage.url())
            kept = {part for part in PARTS if fooled.get(part) == now.version}
            assert kept <= ({"html"} if how == "broken" else set()), how  # one bit spoils a doctype only
        stage.edge.honest()


def test_installed_through_a_liar(stage: Stage, browser: Browser) -> None:
    """The first visit sees the lies. What is installed on it is the truth, and that is what the second visit sees."""
    stage.lie_about_all(instead)
    stage.edge.honest_about("/")
    with visitor(browser) as context:
        page = context.new_page()
        assert opened(page, stage.url())["main"] == "lie"
        page.evaluate("navigator.serviceWorker.register('/.rim/sw.js').then(() => navigator.serviceWorker.ready)")
        updated(page, stage.releases[-1])
        assert opened(page, stage.url()) == stage.live.parts


def edited(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """The manifest, or the difference, with something else in it."""

    def change(asked: Asked, told: Told) -> Told:
        if told.status != 200:
            return told
        value = json.loads(told.body)
        edit(value)
        return told.bearing(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())

    return change


def _name_the_lie(value: dict[str, Any]) -> None:
    digest = base64.b64encode(hashlib.sha256(b"lie").digest()).decode()
    for entry in [*value.get("entries", []), *(entry for _, entry in value.get("put", []))]:
        entry["integrity"] = f"sha256-{digest}"


MANIFESTS: dict[str, Change] = {
    "other hashes": edited(_name_the_lie),
    "a greater serial": edited(lambda value: value.update(serial=value["serial"] + 1)),
    "other gateways": edited(lambda value: value.update(gateways=["http://localhost:9"])),
    "a file left out": edited(lambda value: value["entries" if "entries" in value else "put"].pop()),
    "no signature": edited(lambda value: value.pop("signature")),
    "no JSON": instead(b"<!doctype html><title>Welcome</title><p>Please sign in to the hotel's network."),
    "one bit": flipped,
    "nothing there": gone,
    "cut": cut,
}


def test_lies_about_the_manifest(stage: Stage, page: Page, browser: Browser) -> None:
    """Nothing of it is believed: the visitor keeps the release that he has, whole, and takes the next honest one. Who
    comes anew gets no worker by it, and the page."""
    before, now = stage.live, stage.prepare()
    stage.publish()
    for how, change in MANIFESTS.items():
        with stage.edge.lying("/.rim/manifest.json", change):
            assert opened(page, stage.url()) == before.parts, how
            if how not in ("nothing there", "cut"):
                heard(page, "lie", path="/.rim/manifest.json")
            with visitor(browser) as context:
                stranger = context.new_page()
                assert opened(stranger, stage.url()) == now.parts, how
                fate = stranger.evaluate(f"navigator.serviceWorker.register('/.rim/sw.js').then({_FATE})")
                assert (fate, state(stranger)["controlled"]) == ("redundant", False), how
    assert opened(page, stage.url()) == now.parts


_FATE = """registration => new Promise(done => {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  const tell = () => /redundant|activated/.test(worker.state) && done(worker.state);
  worker.onstatechange = tell;
  tell();
})"""


def test_manifests_that_are_signed_and_not_the_one(stage: Stage, page: Page, tmp_path: Path) -> None:
    """An old manifest of this site played again, and one of another site: refused. A rollback is no replay: it is
    signed anew, and taken."""
    other = f"{stage.site}-other"
    stage.up.publish(whole.make(tmp_path / "other", 3, whole.toml()).folder, other, "--wait", "all")
    old, foreign = (manifest_of(stage.up, site) for site in (stage.site, other))
    before, now = stage.live, stage.prepare()
    release = stage.publish()
    assert opened(page, stage.url()) == now.parts
    updated(page, release)
    for signed in (old, foreign):
        with stage.edge.lying("/.rim/manifest.json", instead(signed)):
            assert opened(page, stage.url()) == now.parts
    stage.up.rim("rollback", stage.site, "--wait", "all")
    assert opened(page, stage.url()) == before.parts


def manifest_of(up: Up, site: str) -> bytes:
    answer = up.get(site, "/.rim/manifest.json")
    assert answer.status == 200
    return answer.body


def test_header_fields_of_a_page(stage: Stage, page: Page, browser: Browser) -> None:
    """A page and its files are under the fields that the manifest has, whatever the wire said: no policy that stops its
    scripts, no other type, no address to go on to, no style from elsewhere."""

    def dressed(asked: Asked, told: Told) -> Told:
        return told.saying(
            Content_Security_Policy="default-src 'none'", Content_Type="text/plain", Refresh="0; url=/about.html",
            Link="</evil.css>; rel=stylesheet", Content_Disposition="attachment",
        )  # fmt: skip

    now = stage.prepare()
    stage.publish()
    stage.edge.lie(lambda asked: not asked.path.startswith("/.rim/"), dressed)
    assert opened(page, stage.url()) == now.parts
    assert page.url == stage.url()
    with pytest.raises(Error, match=r"Download|ERR_ABORTED"):
        without_worker(browser, stage.url())


@pytest.mark.parametrize("stage", [LAZY], indirect=True)
def test_what_no_release_has(stage: Stage, page: Page, browser: Browser) -> None:
    """Bytes under a path that the release proves not to have: a 404 of the worker's own, and no script."""
    stage.edge.lie(lambda asked: asked.path.startswith("/evil"), instead(b"lie"))
    ask = "Promise.all(['/evil', '/evil.js'].map(path => fetch(path).then(a => a.text().then(t => [a.status, t]))))"
    assert without_worker(browser, stage.url(), ask) == [[200, "lie"], [200, "lie"]]
    for status, text in page.evaluate(ask):
        assert (status, "lie" in text) == (404, False)
    answer = page.goto(stage.url("/evil"))
    assert answer is not None
    assert (answer.status, "lie" in page.content()) == (404, False)


def test_lies_about_a_proof(stage: Stage, page: Page, browser: Browser) -> None:
    """Without a proof a file is not shown, true or false; with one it is, and another path's proof is none."""
    ask = "fetch('/notes.txt').then(answer => answer.text(), () => 'failed')"
    assert page.evaluate(ask) == "notes of v1"
    old = proof_of(stage, "/notes.txt")
    now = stage.prepare()
    stage.publish()
    assert opened(page, stage.url()) == now.parts
    proofs = {"flipped": flipped, "cut": cut, "gone": gone, "empty": instead(b""), "of another release": instead(old)}
    for how, change in proofs.items():
        with stage.edge.lying("/.rim/proof", change):
            assert page.evaluate(ask) == "failed", how
    heard(page, "lie", path="/.rim/proof")
    stage.edge.lie("/notes.txt", instead(b"lie"))
    assert without_worker(browser, stage.url(), ask) == "lie"
    assert page.evaluate(ask) == "notes of v2"
    heard(page, "lie", path="/notes.txt")


def proof_of(stage: Stage, path: str) -> bytes:
    target = f"/.rim/proof?path={path}&release={stage.releases[-1]}"
    answer = fetch(f"http://127.0.0.1:{stage.edge.port}", target, host=f"{stage.site}.localhost:{stage.edge.port}")
    assert answer.status == 200
    return answer.body


def test_what_is_not_verified(stage: Stage, page: Page) -> None:
    """`NOT_VERIFIED` says so; here it is seen, so that the list stays true."""
    for path in ("/sound.wav", "/.rim/workbox.json"):
        stage.edge.lie(path, instead(b"lie"))
    stage.edge.lie(lambda asked: asked.method == "POST", instead(b"lie"))
    stage.edge.lie("/notes.txt", lambda asked, told: told.bearing(b"denied", 451))
    text = "fetch('%s', %s).then(answer => answer.text())"
    assert page.evaluate(text % ("/sound.wav", "{}")) == "lie"
    heard(page, "passed", path="/sound.wav")
    assert page.evaluate(text % ("/.rim/workbox.json", "{}")) == "lie"
    assert page.evaluate(text % ("/form", "{method: 'POST'}")) == "lie"
    assert page.evaluate("fetch('/notes.txt').then(answer => answer.status)") == 451
    assert NOT_VERIFIED
