"""The worker takes a file from a gateway that is not ours: Kubo's, which has no key of ours and no say.

Actors: `rim up` with one edge, a proxy before it that lies (tests/kit/liar), a real Kubo that was given the folder,
headless Chromium. Not here: gateways of edges (test_worker, test_worker_lies).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from content.limits import MiB
from tests.browser.test_worker import come, folder, page
from tests.kit.chromium import heard, visitor
from tests.kit.kubo import Kubo
from tests.kit.liar import Liar, instead
from tests.kit.ring import Up

pytestmark = pytest.mark.needs("chromium", "ipfs")
BLOCK = b"// as long as a block, and three times the same\n" * (MiB // 48) + b" " * (MiB % 48)
FILES: dict[str, str | bytes] = {
    "index.html": page("home"),
    "short.js": "window.said = 'short';",
    "long.js": 3 * BLOCK + b"window.said = 'long';",
}


@pytest.fixture(scope="module")
def kubo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubo]:
    with Kubo(tmp_path_factory.mktemp("kubo") / "repo").serving() as daemon:
        yield daemon


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["paths", "subdomains"])
def test_kubo_s_gateway_stands_in(up: Up, edge: Liar, kubo: Kubo, browser: Browser, tmp_path: Path, host: str) -> None:
    """A file of one block, and one whose blocks are the same: as Kubo sends them, also where it leads to a subdomain.
    The manifest's own gateway comes before the edges'."""
    site, port = f"kubo-{host.replace('.', '-')}", kubo.gateway.rpartition(":")[2]
    made = folder(tmp_path, FILES, globs='["/index.html"]')
    kubo.add(made)
    toml = made / "rim.toml"
    toml.write_text(toml.read_text().replace('check = "0s"', f'check = "0s"\ngateways = ["http://{host}:{port}"]'))
    up.publish(made, site, "--wait", "all")
    with visitor(browser) as context:
        tab = context.new_page()
        come(tab, edge.of(site))
        for name in ("short", "long"):
            edge.lie(f"/{name}.js", instead(b"window.said = 'lie';"))
            tab.add_script_tag(url=f"/{name}.js")
            assert tab.evaluate("window.said") == name
            assert heard(tab, "served", path=f"/{name}.js")["from"] == f"gateway:{host}:{port}"
