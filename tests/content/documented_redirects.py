"""What Netlify, Cloudflare and the IPFS spec document of `_redirects`: rules, a request, and what they answer.

Here is data. Not here: how a row is run (test_redirects). An outcome is `STATUS where`, `file` (the published file
answers), `none`, or `refused` (the line is an error, or is left out). `differs` says why ours is another, and `ours`
which.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    id: str  # provider, page, section
    rules: str
    request: str  # a path, perhaps with a query, perhaps with http(s)://host
    expected: str
    files: tuple[str, ...] = ()
    ours: str = ""
    differs: str = ""


NETLIFY_STATUS = """
# Redirect with a 301
/home         /              301
# Redirect with a 302
/my-redirect  /              302
# Show a custom 404 for this path
/ecommerce    /store-closed  404
# Rewrite a path
/pass-through /index.html    200
"""
NETLIFY_IMPLICIT = """
/home              /
/blog/my-post.php  /blog/my-post # typo in the old name
/news              /blog
/cuties            https://www.petsofnetlify.com
"""
NETLIFY_QUERY = """
/store id=:id  /blog/:id  301
/articles id=:id tag=:tag /posts/:tag/:id 301
/path/* param1=:value1 param2=:value2 /otherpath/:value1/:value2/:splat 301
/path/* param1=:value1 /otherpath/:value1/:splat 301
/path/* param2=:value2 /otherpath/:value2/:splat 301
/path/* /otherpath/:splat 301
"""
CLOUDFLARE_EXAMPLE = """
/home301 / 301
/home302 / 302
/querystrings /?query=string 301
/twitch https://twitch.tv
/trailing /trailing/ 301
/notrailing/ /nottrailing 301
/page/ /page2/#fragment 301
/blog/* https://blog.my.domain/:splat
/products/:code/:name /products?code=:code&name=:name
"""
IPFS_EXAMPLES = """
/redirect-one /one.html
/301-redirect-one /one.html 301
/302-redirect-two /two.html 302
/200-index /index.html 200
/posts/:year/:month/:day/:title /articles/:year/:month/:day/:title 301
/splat/* /redirected-splat/:splat 301
/not-found/* /404.html 404
/* /index.html 200
"""

DEFAULT = "a rule without a status is a 301, as at Netlify and in the IPFS spec; Cloudflare sends 302"
ONE_ANSWER = "every visitor of a path gets one answer, so that any edge can cache it: conditions are refused"
NO_PROXY = "an edge fetches from no other host than its ring and its gateways: a 200 names a file of the site"
FILES_FIRST = "a published file beats a rule unless it is forced, as at Netlify and in the IPFS spec"
GONE = "404 is what a removed page answers; 410 and 451 are not offered"
N, C, I = "Netlify, ", "Cloudflare, Redirects: ", "IPFS, web-redirects-file: "  # noqa: E741
O, R = N + "Redirect options: ", N + "Redirects and rewrites: "  # noqa: E741

CASES = [
    Case(R + "syntax, root", NETLIFY_IMPLICIT, "/home", "301 /"),
    Case(R + "syntax, file", NETLIFY_IMPLICIT, "/blog/my-post.php", "301 /blog/my-post"),
    Case(R + "syntax, folder", NETLIFY_IMPLICIT, "/news", "301 /blog"),
    Case(R + "syntax, other host", NETLIFY_IMPLICIT, "/cuties", "301 https://www.petsofnetlify.com"),
    Case(R + "rule processing order", "/blog/a /first\n/blog/* /second", "/blog/a", "301 /first"),
    Case(R + "rule processing order, turned", "/blog/* /second\n/blog/a /first", "/blog/a", "301 /second"),
    Case(O + "status codes, 301", NETLIFY_STATUS, "/home", "301 /"),
    Case(O + "status codes, 302", NETLIFY_STATUS, "/my-redirect", "302 /"),
    Case(O + "status codes, 404", NETLIFY_STATUS, "/ecommerce", "404 /store-closed"),
    Case(O + "status codes, 200", NETLIFY_STATUS, "/pass-through", "200 /index.html"),
    Case(O + "custom 404", "/en/* /en/404.html 404\n/de/* /de/404.html 404", "/de/x/y", "404 /de/404.html"),
    Case(
        O + "placeholders",
        "/news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug",
        "/news/02/12/2004/my-story",
        "301 /blog/2004/02/12/my-story",
    ),
    Case(
        O + "placeholders, inside a name",
        "/news/:year/:month/:date/:slug /blog-:year-:month-:date.html",
        "/news/2004/02/12/x",
        "301 /blog-2004-02-12.html",
    ),
    Case(O + "splats", "/news/*  /blog/:splat", "/news/2004/01/10/my-story", "301 /blog/2004/01/10/my-story"),
    Case(O + "splats, nothing more", "/news/*  /blog/:splat", "/news/", "301 /blog/"),
    Case(O + "query parameters", NETLIFY_QUERY, "/store?id=my-blog-post", "301 /blog/my-blog-post"),
    Case(O + "query parameters, absent", NETLIFY_QUERY, "/store", "none"),
    Case(O + "query parameters, one more", NETLIFY_QUERY, "/store?id=1&x=2", "none"),
    Case(O + "query parameters, two", NETLIFY_QUERY, "/articles?id=5&tag=t", "301 /posts/t/5"),
    Case(O + "query parameters, any order", NETLIFY_QUERY, "/articles?tag=t&id=5", "301 /posts/t/5"),
    Case(O + "query parameters, both", NETLIFY_QUERY, "/path/x?param2=b&param1=a", "301 /otherpath/a/b/x"),
    Case(O + "query parameters, the first", NETLIFY_QUERY, "/path/x?param1=a", "301 /otherpath/a/x"),
    Case(O + "query parameters, the second", NETLIFY_QUERY, "/path/x?param2=b", "301 /otherpath/b/x"),
    Case(O + "query parameters, base case", NETLIFY_QUERY, "/path/x", "301 /otherpath/x"),
    Case(O + "query parameters, passed on", "/old /new 302", "/old?a=1&b=%20", "302 /new?a=1&b=%20"),
    Case(
        O + "trailing slash, more",
        "/blog/title-with-typo /blog/typo-free-title",
        "/blog/title-with-typo/",
        "301 /blog/typo-free-title",
    ),
    Case(O + "trailing slash, less", "/blog/old/ /blog/new", "/blog/old", "301 /blog/new"),
    Case(
        O + "trailing slash, index.html",
        "/about /company",
        "/about/index.html",
        "301 /company",
        ours="none",
        differs="/about/index.html is a path of its own: no name is another's, but for the slash at the end",
    ),
    Case(
        O + "trailing slash, without end",
        "/blog/remove-my-slashes/ /blog/remove-my-slashes 301!",
        "/blog/remove-my-slashes",
        "301 /blog/remove-my-slashes",
        ours="none",
        differs="a rule that would lead back to its request is passed over, so it may add or remove the slash",
    ),
    Case(
        O + "trailing slash, removed",
        "/blog/remove-my-slashes/ /blog/remove-my-slashes 301!",
        "/blog/remove-my-slashes/",
        "301 /blog/remove-my-slashes",
    ),
    Case(R + "shadowing, a file", "/* /index.html 200", "/app.js", "file", files=("/app.js",)),
    Case(R + "shadowing, no file", "/* /index.html 200", "/some/page", "200 /index.html", files=("/app.js",)),
    Case(R + "shadowing, forced", "/* /index.html 200!", "/app.js", "200 /index.html", files=("/app.js",)),
    Case(R + "shadowing, forced redirect", "/best/* /new/:splat 301!", "/best/a", "301 /new/a", files=("/best/a",)),
    Case(
        O + "domain-level redirects",
        "http://blog.yoursite.com/* https://www.yoursite.com/blog/:splat 301!",
        "http://blog.yoursite.com/x",
        "301 https://www.yoursite.com/blog/x",
    ),
    Case(
        O + "domain-level redirects, https",
        "http://blog.yoursite.com/* https://www.yoursite.com/blog/:splat 301!",
        "https://blog.yoursite.com/x",
        "none",
        ours="301 https://www.yoursite.com/blog/x",
        differs="a source's scheme and port are ignored, as at Cloudflare: TLS ends before the edge",
    ),
    Case(
        O + "domain-level redirects, other host",
        "http://blog.yoursite.com/* https://www.yoursite.com/blog/:splat 301!",
        "http://www.yoursite.com/x",
        "none",
    ),
    Case(O + "country", "/ /anz 302 Country=au,nz", "/", "302 /anz", ours="refused", differs=ONE_ANSWER),
    Case(
        O + "language",
        "/china/* /china/zh-cn/:splat 302 Language=zh",
        "/china/x",
        "302 /china/zh-cn/x",
        ours="refused",
        differs=ONE_ANSWER,
    ),
    Case(
        O + "role",
        "/admin/* /admin/:splat 200! Role=admin",
        "/admin/x",
        "200 /admin/x",
        ours="refused",
        differs=ONE_ANSWER,
    ),
    Case(
        O + "cookie presence",
        "/* /preview/:splat 302 Cookie=beta",
        "/x",
        "302 /preview/x",
        ours="refused",
        differs=ONE_ANSWER,
    ),
    Case(N + "Rewrites and proxies: single-page apps", "/* /index.html 200", "/deep/link", "200 /index.html"),
    Case(
        N + "Rewrites and proxies: proxy",
        "/api/* https://api.example.com/:splat 200",
        "/api/x",
        "200 https://api.example.com/x",
        ours="refused",
        differs=NO_PROXY,
    ),
    Case(C + "example, 301", CLOUDFLARE_EXAMPLE, "/home301", "301 /"),
    Case(C + "example, 302", CLOUDFLARE_EXAMPLE, "/home302", "302 /"),
    Case(C + "example, query", CLOUDFLARE_EXAMPLE, "/querystrings", "301 /?query=string"),
    Case(C + "example, query kept", CLOUDFLARE_EXAMPLE, "/querystrings?a=1", "301 /?query=string"),
    Case(
        C + "example, other host",
        CLOUDFLARE_EXAMPLE,
        "/twitch",
        "302 https://twitch.tv",
        ours="301 https://twitch.tv",
        differs=DEFAULT,
    ),
    Case(C + "example, slash added", CLOUDFLARE_EXAMPLE, "/trailing", "301 /trailing/"),
    Case(C + "example, slash added already", CLOUDFLARE_EXAMPLE, "/trailing/", "none"),
    Case(C + "example, slash removed", CLOUDFLARE_EXAMPLE, "/notrailing/", "301 /nottrailing"),
    Case(
        C + "example, slash absent",
        CLOUDFLARE_EXAMPLE,
        "/notrailing",
        "none",
        ours="301 /nottrailing",
        differs="a slash more or less at the end still matches, as at Netlify",
    ),
    Case(C + "example, fragment", CLOUDFLARE_EXAMPLE, "/page/", "301 /page2/#fragment"),
    Case(
        C + "example, splat",
        CLOUDFLARE_EXAMPLE,
        "/blog/a/b",
        "302 https://blog.my.domain/a/b",
        ours="301 https://blog.my.domain/a/b",
        differs=DEFAULT,
    ),
    Case(
        C + "example, placeholders",
        CLOUDFLARE_EXAMPLE,
        "/products/1/x",
        "302 /products?code=1&name=x",
        ours="301 /products?code=1&name=x",
        differs=DEFAULT,
    ),
    Case(C + "order", "/a /b 301\n/a /c 301", "/a", "301 /b"),
    Case(
        C + "always followed", "/page /new 301", "/page", "301 /new", files=("/page",), ours="file", differs=FILES_FIRST
    ),
    Case(
        C + "other status codes",
        "/blog/* /blog/404.html 404",
        "/blog/x",
        "refused",
        ours="404 /blog/404.html",
        differs="a 404 with a page of its own works, as at Netlify and in the IPFS spec",
    ),
    Case(C + "303", "/home / 303", "/home", "303 /"),
    Case(C + "307", "/home / 307", "/home", "307 /"),
    Case(C + "308", "/home / 308", "/home", "308 /"),
    Case(
        C + "placeholders",
        "/blog/:year/:month/:date/:slug /news/:year/:month/:date/:slug 302",
        "/blog/2020/1/2/x",
        "302 /news/2020/1/2/x",
    ),
    Case(C + "placeholders, one segment", "/movies/:title /media/:title 302", "/movies/a/b", "none"),
    Case(C + "placeholders, each once", "/a/:x/:x /b/:x 302", "/a/1/1", "refused"),
    Case(C + "splats, one", "/a/*/b/* /c/:splat 302", "/a/1/b/2", "refused"),
    Case(C + "splats, inside", "/a/*.html /b/:splat 302", "/a/x/y.html", "302 /b/x/y"),
    Case(
        C + "query parameters",
        "/shop id=:id /blog/:id 301",
        "/shop?id=1",
        "refused",
        ours="301 /blog/1",
        differs="query parameters in a rule work, as at Netlify",
    ),
    Case(
        C + "domain-level redirects",
        "https://w.example.com/* https://w.example.com/blog/:splat 301",
        "https://w.example.com/x",
        "refused",
        ours="301 https://w.example.com/blog/x",
        differs="a source may name a host, as at Netlify",
    ),
    Case(C + "country", "/ /us 302 Country=us", "/", "refused"),
    Case(C + "cookie", "/* /preview/:splat 302 Cookie=preview", "/x", "refused"),
    Case(
        C + "fragment in a source",
        "/page#x /page2 302",
        "/page",
        "302 /page2",
        ours="refused",
        differs="no request has a fragment: a line that asks for one says something else than was meant",
    ),
    Case(C + "proxying", "/blog/* /news/:splat 200", "/blog/x", "200 /news/x"),
    Case(C + "proxying, first rule only", "/a /b 200\n/b /c 200", "/a", "200 /b"),
    Case(C + "proxying, second rule", "/a /b 200\n/b /c 200", "/b", "200 /c"),
    Case(C + "proxying, other host", "/a https://other.example/ 200", "/a", "refused"),
    Case(I + "examples, default", IPFS_EXAMPLES, "/redirect-one", "301 /one.html"),
    Case(I + "examples, 301", IPFS_EXAMPLES, "/301-redirect-one", "301 /one.html"),
    Case(I + "examples, 302", IPFS_EXAMPLES, "/302-redirect-two", "302 /two.html"),
    Case(I + "examples, 200", IPFS_EXAMPLES, "/200-index", "200 /index.html"),
    Case(I + "examples, placeholders", IPFS_EXAMPLES, "/posts/2022/01/01/hello", "301 /articles/2022/01/01/hello"),
    Case(I + "examples, splat", IPFS_EXAMPLES, "/splat/one.html", "301 /redirected-splat/one.html"),
    Case(I + "examples, 404", IPFS_EXAMPLES, "/not-found/x", "404 /404.html"),
    Case(I + "examples, catch-all", IPFS_EXAMPLES, "/no/such/path", "200 /index.html"),
    Case(I + "examples, a file", IPFS_EXAMPLES, "/two.html", "file", files=("/two.html",)),
    Case(I + "status, 410", "/gone/* /410.html 410", "/gone/x", "410 /410.html", ours="refused", differs=GONE),
    Case(I + "status, 451", "/unavail/* /451.html 451", "/unavail/x", "451 /451.html", ours="refused", differs=GONE),
    Case(I + "status, bad", "/a /b 999", "/a", "refused"),
    Case(
        I + "placeholders",
        "/posts/:month/:day/:year/:slug  /articles/:year/:month/:day/:slug",
        "/posts/06/15/2022/hello-world",
        "301 /articles/2022/06/15/hello-world",
    ),
    Case(
        I + "splat",
        "/posts/* /articles/:splat",
        "/posts/2022/06/15/hello-world",
        "301 /articles/2022/06/15/hello-world",
    ),
    Case(I + "comments", "# Redirect home to index.html\n/home /index.html 301", "/home", "301 /index.html"),
    Case(I + "line termination", "/a /b\r\n/c /d\r\n", "/c", "301 /d"),
    Case(
        I + "splat, at the end only",
        "/news/*/old /blog/:splat",
        "/news/a/b/old",
        "none",
        ours="301 /blog/a/b",
        differs="a * in the middle works, as at Cloudflare",
    ),
    Case(I + "max file size", "/a /b\n" + "#" * 65_536, "/a", "refused"),
    Case(
        I + "no forced redirects",
        "/a /b 301!",
        "/a",
        "refused",
        ours="301 /b",
        differs="a ! forces a rule, as at Netlify",
    ),
    Case(I + "invalid", "/a", "/a", "refused"),
]
