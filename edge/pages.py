"""Pages: the few pages that an edge writes itself. Small, without scripts, without anything from elsewhere.

Here lives HTML and nothing else. Not here: when one is shown (edge/app).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.6 system-ui, sans-serif; }
body { max-width: 38rem; margin: 12vh auto; padding: 0 1.5rem; }
h1 { font-size: 1.4rem; font-weight: 600; }
ul { list-style: none; padding: 0; }
li a { display: block; padding: .7rem 1rem; margin: .4rem 0; border: 1px solid #8884; border-radius: .5rem;
       color: inherit; text-decoration: none; }
li a:hover, li a:focus-visible { border-color: currentColor; }
p, small { opacity: .75; }
code { font-size: .95em; }
"""


def index_page(edge: str, sites: Sequence[str], host: bytes) -> str:
    """The page on plain localhost: a link to each site, on the port that was asked."""
    _, colon, port = host.decode("latin-1").rpartition(":")
    tail = f":{port}" if colon and port.isdigit() else ""
    links = "\n".join(f'<li><a href="http://{name}.localhost{tail}/">{name}.localhost</a></li>' for name in sites)
    body = f"<ul>\n{links}\n</ul>" if sites else "<p>No site yet. Publish one: <code>rim publish DIR</code></p>"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Rim</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>{_STYLE}</style>\n<h1>Sites on this edge</h1>\n{body}\n<small>{escape(edge)}</small>\n</html>\n"
    )
