"""What the service worker makes of single requests: addresses, what it proves on demand, what it leaves alone, whose
release a Worker is of, what it deletes, and what a manifest of a thousand files costs.

Actors: `rim up` with one edge, headless Chromium, a proxy before the edge that counts and lies (tests/kit/liar). Not
here: being offline, lies of every kind, updates that are interrupted, the switch (test_worker_*).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.kit.chromium import heard, installed, state, visitor
from tests.kit.liar import Liar, instead
from tests.kit.nodes import until
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium")
MIB = 1 << 20
PAGE = '<!doctype html><title>%s</title><link rel="icon" href="data:,"><h1>%s</h1>'
CLIENT = '<script type="module" src="/.rim/client.js"></script>'
FETCH = """paths => Promise.all(paths.map(async path => {
  const answer = await fetch(path);
  return [answer.status, answer.redirected ? new URL(answer.url).pathname + new URL(answer.url).search : "",
          answer.ok ? await answer.text() : ""];
}))"""


def folder(root: Path, files: Mapping[str, str | bytes], toml: str = "", globs: str = '["*.html"]') -> Path:
    """A site's folder; it has a worker that stores these globs and asks for a new release before each page."""
    for name, data in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
    (root / "rim.toml").write_text(f'{toml}\n[service_worker]\ncheck = "0s"\n[precache]\nglobs = {globs}\n')
    return root


def page(name: str, more: str = "") -> str:
    return PAGE % (name, name) + CLIENT + more


def status(tab: Page) -> dict[str, Any]:
    """What client.js says of the worker."""
    said: dict[str, Any] = tab.evaluate("import('/.rim/client.js').then(client => client.status())")
    return said


def come(tab: Page, url: str) -> None:
    """Go there until a worker answers: the first page is never its."""
    tab.goto(url)
    installed(tab)
    tab.goto(url)
    assert tab.evaluate("!!navigator.serviceWorker.controller")


def test_addresses(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """A query is no other page. Names are compared decoded, an encoded slash is none. A folder is asked for with its
    slash. What is missing gets the nearest page for it. All that from the store: one question a page, for a release."""
    names = {
        "index.html": "home",
        "a b+ü.html": "odd",
        "dir/index.html": "dir",
        "404.html": "lost",
        "dir/404.html": "no",
    }
    up.publish(folder(tmp_path, {path: page(name) for path, name in names.items()}), "names", "--wait", "all")
    seen = {
        "/?utm_source=x": (200, "home", "/?utm_source=x"),
        "/index.html": (200, "home", "/index.html"),
        "/a%20b%2B%C3%BC.html": (200, "odd", "/a%20b%2B%C3%BC.html"),
        "/a b+ü.html": (200, "odd", "/a%20b+%C3%BC.html"),
        "/dir?x=1": (200, "dir", "/dir/?x=1"),
        "/%64ir/": (200, "dir", "/%64ir/"),
        "/dir%2Findex.html": (404, "lost", "/dir%2Findex.html"),
        "/%zz": (404, "lost", "/%zz"),
        "/nowhere/at/all": (404, "lost", "/nowhere/at/all"),
        "/dir/nowhere": (404, "no", "/dir/nowhere"),
    }
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("names"))
        tab.goto(edge.of("names", "/nowhere"))  # the proof of this brings the one node that the Index has
        before = len(edge.asked)
        for path, (code, name, address) in seen.items():
            answer = tab.goto(edge.of("names", path))
            assert answer is not None
            assert (answer.status, tab.title(), tab.url) == (code, name, edge.of("names", address))
        assert set(edge.paths(before)) == {"/.rim/manifest.json"}
        assert not [event for event in tab.evaluate("heard") if event["rim"] == "lie"]


@pytest.mark.parametrize("slash", ["auto", "always", "never"])
def test_addresses_are_the_edge_s_own(up: Up, edge: Liar, browser: Browser, tmp_path: Path, slash: str) -> None:
    """Clean URLs under each mode of slashes: who has the worker is led where the edge leads who has none; but a file
    that is asked for by its own name is answered under it."""
    names = ["index.html", "about.html", "docs/index.html", "both.html", "both/index.html", "plain", "deep/er/x.html"]
    toml = f'clean_urls = true\ntrailing_slash = "{slash}"'
    site = f"clean-{slash}"
    up.publish(folder(tmp_path, {name: page(name) for name in names}, toml), site, "--wait", "all")
    asked = ["/", "/about", "/about/", "/about?a=b", "/docs", "/docs/", "/both", "/both/", "/plain", "/plain/"]
    if slash == "always":
        asked.remove(
            "/both"
        )  # both.html and both/index.html want one address: here it stays, there it leads to the other
    asked += ["/deep/er/x", "/deep/er/x/", "/deep/er", "/deep/", "/none", "/none/", "/about/x", "/about%2F"]
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of(site))
        mine = tab.evaluate(FETCH, asked)
        named = tab.evaluate(FETCH, ["/about.html", "/docs/index.html"])
    plain = browser.new_context(service_workers="block")
    try:
        tab = plain.new_page()
        tab.goto(edge.of(site))
        theirs = tab.evaluate(FETCH, asked)
    finally:
        plain.close()
    # A path that no file can have is a 404 here and a 400 there
    assert theirs.pop() == [400, "", ""]
    assert mine.pop() == [404, "", ""]
    assert mine == theirs
    assert named == [[200, "", page("about.html")], [200, "", page("docs/index.html")]]


def test_what_is_proved_on_demand(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """What no manifest lists is found by the way through the Index, many nodes of it: files, links, links to folders,
    what there is not. Rules lead to this site only. A file of two blocks is taken from a gateway, block by block, when
    the edge lies. The fields of a page that is not listed are the site's."""
    files: dict[str, str | bytes] = {"index.html": page("home"), "more/page.html": page("more"), "notes.txt": "notes"}
    files |= {f"many/{number:04d}.txt": f"{number}" for number in range(1_500)}
    long = b"window.long = true;\n" + b"// and so on\n" * (MIB // 10)
    files |= {"long.js": long, "_redirects": "/old /more/page.html 301\n/out https://rim.invalid/ 301\n"}
    files |= {"_headers": "/more/*\n  Content-Security-Policy: img-src 'none'\n  X-Other: told\n"}
    site = folder(tmp_path, files, '[redirects]\nexternal = ["rim.invalid"]', '["/index.html"]')
    (site / "link.txt").symlink_to("notes.txt")
    (site / "folder").symlink_to("many")
    up.publish(site, "proved", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("proved"))
        asked = ["/many/0815.txt", "/link.txt", "/folder/0001.txt", "/many/x.txt", "/zzz", "/many", "/old", "/out"]
        got = tab.evaluate(FETCH, asked)
        assert got[:3] == [[200, "", "815"], [200, "", "notes"], [200, "", "1"]]
        assert [line[0] for line in got[3:6]] == [404] * 3
        assert got[6][:2] == [200, "/more/page.html"]
        assert got[7][0] == 404
        told = tab.evaluate("fetch('/more/page.html').then(answer => [...answer.headers])")
        assert ["content-security-policy", "img-src 'none'"] in told
        assert "x-other" not in dict(told)
        assert len(long) > MIB
        edge.lie("/long.js", instead(b"window.long = 'lie';"))
        tab.add_script_tag(url="/long.js")
        assert tab.evaluate("window.long") is True
        assert heard(tab, "lie", path="/long.js")["at"] == edge.of("proved").split("/")[2]
        assert heard(tab, "served", path="/long.js")["from"].startswith("gateway:localhost:")


def test_what_the_worker_leaves_alone(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """HEAD and POST, ranges, the edge's own paths, questions to the HTTP cache alone: they reach the edge as they are,
    and ranges are told of."""
    files = {"index.html": page("home"), "data.bin": b"0123456789"}
    up.publish(folder(tmp_path, files), "alone", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("alone"))
        statuses = tab.evaluate(
            """Promise.all([["/", { method: "HEAD" }], ["/", { method: "POST" }], ["/.rim/health"],
                ["/data.bin", { headers: { Range: "bytes=2-4" } }]
            ].map(async ([path, options]) => {
              const answer = await fetch(path, options);
              return [answer.status, await answer.text()];
            }))"""
        )
        assert statuses == [[200, ""], [405, statuses[1][1]], [200, "ok\n"], [206, "234"]]
        assert {asked.method for asked in edge.asked} >= {"HEAD", "POST"}
        assert heard(tab, "passed")["path"] == "/data.bin"
        options = "{ cache: 'only-if-cached', mode: 'same-origin' }"
        nothing = f"fetch('/data.bin?never', {options}).then(answer => answer.status, () => 'nothing')"
        assert tab.evaluate(nothing) in ("nothing", 504)


APP = """<script>
const worker = new Worker("%s");
window.ask = () => new Promise(done => { worker.onmessage = event => done(event.data); worker.postMessage(""); });
</script>"""
JOB = 'onmessage = async () => postMessage("%s " + await (await fetch("/data.json")).json());'


def test_a_worker_is_of_its_page_s_release_and_what_is_over_is_deleted(
    up: Up, edge: Liar, browser: Browser, tmp_path: Path
) -> None:
    """A tab that is open over a deploy, its Worker, and one that it starts later, ask for what never changes its name:
    they get their own release's, also where the browser itself answers for hashed scripts. An open tab hears of the new
    release, keeps its files as long as it is open, and no longer."""

    def version(of: str, root: Path) -> tuple[str, str]:
        job = f"/job-{hashlib.sha256(of.encode()).hexdigest()[:12]}.js"
        html = page(
            of, APP % job + "<script>import('/.rim/client.js').then(({on}) => on('update', e => told = e))</script>"
        )
        site = folder(root, {"index.html": html, job[1:]: JOB % of, "data.json": f'"{of}"'}, globs='["/**"]')
        return up.publish(site, "threads", "--wait", "all")["release"], job

    first, job = version("v1", tmp_path / "1")
    with visitor(browser) as context:
        old = context.new_page()
        come(old, edge.of("threads"))
        assert old.evaluate("ask()") == "v1 v1"
        second, _ = version("v2", tmp_path / "2")
        new = context.new_page()
        new.goto(edge.of("threads"))
        heard(new, "ready", release=second)
        assert new.evaluate("ask()") == "v2 v2"
        assert old.evaluate("ask()") == "v1 v1"
        again = f"const w = new Worker('{job}'); new Promise(d => (w.onmessage = e => d(e.data), w.postMessage('')))"
        assert old.evaluate(again) == "v1 v1"
        old.wait_for_function("window.told?.release")
        assert old.evaluate("told.release") == second
        assert [status(old)["release"], status(new)["release"]] == [first, second]
        assert not new.evaluate("window.told")
        # A third release, with the first tab open and then without it; bindings younger than a minute count as open
        third, _ = version("v3", tmp_path / "3")
        new.goto(edge.of("threads"))
        heard(new, "ready", release=third)
        expect_stored(new, job, True)
        old.close()
        age = """async () => {
          const cache = await caches.open("rim:state");
          for (const key of (await cache.keys()).filter(({ url }) => url.includes("/tab/"))) {
            await cache.put(key, Response.json({ ...(await (await cache.match(key)).json()), at: 0 }));
          }
        }"""
        new.evaluate(age)
        fourth, _ = version("v4", tmp_path / "4")
        new.goto(edge.of("threads"))
        heard(new, "ready", release=fourth)
        # The worker that deletes takes over when no page is open
        new.close()
        last = context.new_page()
        last.goto(edge.of("threads"))
        expect_stored(last, job, False)
        assert last.evaluate("ask()") == "v4 v4"


def expect_stored(tab: Page, path: str, there: bool) -> None:
    """That the next look at the store finds this path, or does not; the worker that came last is at work by then."""
    tab.wait_for_function("navigator.serviceWorker.controller?.state === 'activated'")
    wanted = f"caches.match('{path}').then(found => !!found === {str(there).lower()})"
    until(f"{path} {'is' if there else 'is not'} stored", lambda: tab.evaluate(wanted))


def test_an_update_is_told_though_the_worker_is_just_replaced(
    up: Up, edge: Liar, browser: Browser, tmp_path: Path
) -> None:
    """ "update" needs to know which release the page is of. The question is lost when the worker that it went to is
    replaced: it is asked again (a prompt for a new version did not come, once in about four deploys)."""
    up.publish(folder(tmp_path, {"index.html": page("told")}), "told", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("told"))
        told = tab.evaluate("""async () => {
          const { on } = await import("/.rim/client.js");
          const real = ServiceWorker.prototype.postMessage;
          ServiceWorker.prototype.postMessage = () => { ServiceWorker.prototype.postMessage = real; };
          return new Promise(done => {
            on("update", done);
            const data = { rim: "ready", release: "b" };
            navigator.serviceWorker.dispatchEvent(new MessageEvent("message", { data }));
          });
        }""")
        assert (told["rim"], told["release"]) == ("update", "b")


def test_a_copy_that_the_browser_holds_is_no_lie(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """A style that `_headers` lets browsers keep for an hour changes: who has the worker gets the new one at once, and
    nobody is called a liar for the old."""
    fields = "/app.css\n  Cache-Control: public, max-age=3600\n"

    def publish(version: int) -> str:
        style = f"h1 {{ color: rgb({version}, 0, 0) }}"
        html = page("home", '<link rel="stylesheet" href="/app.css">')
        files = {"index.html": html, "app.css": style, "_headers": fields}
        site = folder(tmp_path / str(version), files, globs='["*.html", "*.css"]')
        return str(up.publish(site, "copies", "--wait", "all")["release"])

    publish(1)
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of("copies"))
        expect(tab.locator("h1")).to_have_css("color", "rgb(1, 0, 0)")
        release = publish(2)
        tab.goto(edge.of("copies"))
        expect(tab.locator("h1")).to_have_css("color", "rgb(2, 0, 0)")
        heard(tab, "ready", release=release)
        assert not [event for event in tab.evaluate("heard") if event["rim"] == "lie"]


def test_a_thousand_files(up: Up, edge: Liar, browser: Browser, tmp_path: Path) -> None:
    """As many as a manifest may list: all are stored, the next page costs one question, and a deploy that changes one
    of them fetches that one. The stub is as long as ever."""
    files: dict[str, str | bytes] = {"index.html": page("home")}
    files |= {f"part/{number:03d}.js": f"// {number}\n" * 20 for number in range(999)}
    up.publish(folder(tmp_path, files, globs='["/**"]'), "many", "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        tab.goto(edge.of("many"))
        installed(tab)
        found = status(tab)
        assert found["stored"] == 1_000, found
        took = tab.evaluate("performance.now()")
        before = len(edge.asked)
        tab.goto(edge.of("many"))
        texts = tab.evaluate(FETCH, [f"/part/{number:03d}.js" for number in range(999)])
        assert [line[2] for line in texts] == [f"// {number}\n" * 20 for number in range(999)]
        assert set(edge.paths(before)) <= {"/.rim/manifest.json", "/.rim/sw.js"}
        (tmp_path / "part/500.js").write_text("// another\n")
        release = up.publish(tmp_path, "many", "--wait", "all")["release"]
        before = len(edge.asked)
        tab.goto(edge.of("many"))
        heard(tab, "ready", release=release)
        assert [path for path in edge.paths(before) if "/.rim/" not in path] == ["/part/500.js"]
        assert len(edge.last("/.rim/sw.js").body) < 400
        print(f"1,000 files stored {took:.0f} ms after the first navigation began")
        assert len(state(tab)["registrations"]) == 1
