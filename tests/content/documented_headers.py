"""What Cloudflare and Netlify document of `_headers`: rules, a request, and the fields that come of them.

Here is data. Not here: how a row is run (test_headers). `expected` holds `name: value` lines, `! name` for a field
that is taken out, or `refused` where a line is an error or is left out; `differs` says why ours is another, and `ours`
which.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    id: str  # provider, page, section
    rules: str
    request: str
    expected: tuple[str, ...]
    ours: tuple[str, ...] = ()
    differs: str = ""


CLOUDFLARE_ATTACH = """
# This is a comment
/secure/page
\tX-Frame-Options: DENY
\tX-Content-Type-Options: nosniff
\tReferrer-Policy: no-referrer

/static/*
\tAccess-Control-Allow-Origin: *
\tX-Robots-Tag: nosnippet

https://myproject.pages.dev/*
\tX-Robots-Tag: noindex
"""
CLOUDFLARE_DETACH = """
/*
  Content-Security-Policy: default-src 'self';
/*.jpg
  ! Content-Security-Policy
"""
CLOUDFLARE_NOINDEX = """
https://:project.pages.dev/*
  X-Robots-Tag: noindex
https://:version.:project.pages.dev/*
  X-Robots-Tag: noindex
"""
NETLIFY_SYNTAX = """
# a path:
/templates/index.html
  # headers for that path:
  X-Frame-Options: DENY
  X-XSS-Protection: 1; mode=block
# another path:
/templates/index2.html
  X-Frame-Options: SAMEORIGIN
"""
NETLIFY_MULTI = """
/*
  cache-control: max-age=0
  cache-control: no-cache
  cache-control: no-store
  cache-control: must-revalidate
"""
SECURE = ("x-frame-options: DENY", "x-content-type-options: nosniff", "referrer-policy: no-referrer")
REFUSED = ("refused",)
C, N = "Cloudflare, Headers: ", "Netlify, Custom headers: "

CASES = [
    Case(C + "attach, exact", CLOUDFLARE_ATTACH, "https://custom.domain/secure/page", SECURE),
    Case(
        C + "attach, splat",
        CLOUDFLARE_ATTACH,
        "https://custom.domain/static/image.jpg",
        ("access-control-allow-origin: *", "x-robots-tag: nosnippet"),
    ),
    Case(C + "attach, host", CLOUDFLARE_ATTACH, "https://myproject.pages.dev/home", ("x-robots-tag: noindex",)),
    Case(
        C + "attach, two rules",
        CLOUDFLARE_ATTACH,
        "https://myproject.pages.dev/secure/page",
        (*SECURE, "x-robots-tag: noindex"),
    ),
    Case(
        C + "attach, joined",
        CLOUDFLARE_ATTACH,
        "https://myproject.pages.dev/static/styles.css",
        ("access-control-allow-origin: *", "x-robots-tag: nosnippet, noindex"),
    ),
    Case(
        C + "attach, port and scheme ignored",
        "https://example.com/path\n  X-A: 1",
        "http://example.com:1234/path",
        ("x-a: 1",),
    ),
    Case(
        C + "attach, http refused",
        "http://example.com/path\n  X-A: 1",
        "https://example.com/path",
        REFUSED,
        ours=("x-a: 1",),
        differs="a source's scheme is ignored, so http:// is as good as https://",
    ),
    Case(C + "attach, port refused", "https://example.com:80/path\n  X-A: 1", "https://example.com/path", REFUSED),
    Case(C + "detach", CLOUDFLARE_DETACH, "/a/b.jpg", ("! content-security-policy",)),
    Case(C + "detach, elsewhere", CLOUDFLARE_DETACH, "/a/b.png", ("content-security-policy: default-src 'self';",)),
    Case(C + "splats", "/files/*\n  X-Path: :splat", "/files/a/b", ("x-path: a/b",)),
    Case(C + "splats, one", "/a/*/b/*\n  X-A: 1", "/a/1/b/2", REFUSED),
    Case(
        C + "placeholders",
        '/movies/:title\n  x-movie-name: You are watching ":title"',
        "/movies/heat",
        ('x-movie-name: You are watching "heat"',),
    ),
    Case(C + "placeholders, one segment", "/movies/:title\n  x-a: 1", "/movies/heat/cast", ()),
    Case(C + "CORS, every path", "/*\n  Access-Control-Allow-Origin: *", "/x", ("access-control-allow-origin: *",)),
    Case(
        C + "CORS, one host",
        "https://:project.pages.dev/*\n  A-C-A-O: https://staging.:project.pages.dev/",
        "https://shop.pages.dev/x",
        ("a-c-a-o: https://staging.shop.pages.dev/",),
    ),
    Case(C + "noindex, project", CLOUDFLARE_NOINDEX, "https://a.pages.dev/", ("x-robots-tag: noindex",)),
    Case(C + "noindex, version", CLOUDFLARE_NOINDEX, "https://v.a.pages.dev/", ("x-robots-tag: noindex",)),
    Case(C + "noindex, own domain", CLOUDFLARE_NOINDEX, "https://a.example/", ()),
    Case(
        C + "browser cache",
        "/static/*\n  Cache-Control: public, max-age=31556952, immutable",
        "/static/a.js",
        ("cache-control: public, max-age=31556952, immutable",),
    ),
    Case(C + "line limit", "/a\n  X-A: " + "a" * 2_000, "/a", REFUSED),
    Case(
        C + "rule limit",
        "".join(f"/{n}\n  X-A: 1\n" for n in range(101)),
        "/100",
        REFUSED,
        ours=("x-a: 1",),
        differs="2,000 rules are the limit, not 100",
    ),
    Case(
        N + "syntax, first path",
        NETLIFY_SYNTAX,
        "/templates/index.html",
        ("x-frame-options: DENY", "x-xss-protection: 1; mode=block"),
    ),
    Case(N + "syntax, second path", NETLIFY_SYNTAX, "/templates/index2.html", ("x-frame-options: SAMEORIGIN",)),
    Case(N + "syntax, other path", NETLIFY_SYNTAX, "/templates/", ()),
    Case(N + "wildcards", "/templates/*\n  X-Frame-Options: DENY", "/templates/a/b", ("x-frame-options: DENY",)),
    Case(N + "placeholders", "/:folder/index.html\n  X-A: 1", "/any/index.html", ("x-a: 1",)),
    Case(
        N + "multi-value headers",
        NETLIFY_MULTI,
        "/x",
        ("cache-control: max-age=0, no-cache, no-store, must-revalidate",),
    ),
    Case(
        "Netlify, Basic authentication with custom HTTP headers",
        "/private/*\n  Basic-Auth: someone:something",
        "/private/x",
        ("basic-auth: someone:something",),
        ours=REFUSED,
        differs="a password in a published file is no password: a preview has one of its own",
    ),
    *(
        Case(N + f"limitations, {name}", f"/*\n  {name}: x", "/", REFUSED)
        for name in (
            "Accept-Ranges",
            "Age",
            "Allow",
            "Alt-Svc",
            "Connection",
            "Content-Encoding",
            "Content-Length",
            "Content-Range",
            "Date",
            "Location",
            "Server",
            "Set-Cookie",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
        )
    ),
]
