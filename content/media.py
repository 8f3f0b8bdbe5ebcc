"""Media types by file name, and which of them are worth compressing.

Here lives a table of our own: the operating system's (mimetypes) differs between machines, and a release must be the
same wherever it was published. Types as registered at IANA; text/javascript by RFC 9239. Not here: Content-Type
headers of a site's own rules (edge/site/rules).
"""

from __future__ import annotations

DEFAULT = "application/octet-stream"
_UTF8 = "; charset=utf-8"

_TEXT = {  # sent with charset=utf-8: without one, browsers guess
    "text/html": "html htm xhtm",
    "text/css": "css",
    "text/javascript": "js mjs cjs",
    "text/plain": "txt text log conf ini toml lock rst diff patch sh py rb go rs c h cc cpp hpp java kt swift sql ts "
    "tsx jsx mts cts vue svelte scss sass less glsl vert frag wgsl hbs",
    "text/markdown": "md markdown mdx",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/calendar": "ics",
    "text/vcard": "vcf",
    "text/vtt": "vtt",
    "text/yaml": "yaml yml",
}
_OTHER = {
    "application/json": "json map topojson har",
    "application/ld+json": "jsonld",
    "application/geo+json": "geojson",
    "application/manifest+json": "webmanifest",
    "application/jsonl": "jsonl ndjson",
    "application/xml": "xml xsl xsd",
    "application/xhtml+xml": "xhtml",
    "application/rss+xml": "rss",
    "application/atom+xml": "atom",
    "application/wasm": "wasm",
    "application/pdf": "pdf",
    "application/zip": "zip",
    "application/gzip": "gz tgz",
    "application/zstd": "zst",
    "application/x-bzip2": "bz2",
    "application/x-xz": "xz",
    "application/x-tar": "tar",
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "rar",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "application/vnd.ipld.car": "car",
    "application/vnd.ms-fontobject": "eot",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg oga opus",
    "audio/wav": "wav",
    "audio/webm": "weba",
    "font/collection": "ttc",
    "font/otf": "otf",
    "font/ttf": "ttf",
    "font/woff": "woff",
    "font/woff2": "woff2",
    "image/apng": "apng",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/gif": "gif",
    "image/heic": "heic",
    "image/jpeg": "jpg jpeg jpe",
    "image/jxl": "jxl",
    "image/ktx2": "ktx2",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tif tiff",
    "image/vnd.microsoft.icon": "ico cur",
    "image/webp": "webp",
    "model/gltf+json": "gltf",
    "model/gltf-binary": "glb",
    "model/obj": "obj",
    "model/mtl": "mtl",
    "model/stl": "stl",
    "model/vnd.usdz+zip": "usdz",
    "video/mp4": "mp4 m4v",
    "video/mpeg": "mpg mpeg",
    "video/mp2t": "m2ts",
    "video/ogg": "ogv",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "application/vnd.apple.mpegurl": "m3u8",
    "application/dash+xml": "mpd",
}
_BY_EXTENSION = {
    extension: media_type + suffix
    for table, suffix in ((_TEXT, _UTF8), (_OTHER, ""))
    for media_type, extensions in table.items()
    for extension in extensions.split()
}
_PLAIN_NAMES = frozenset({"license", "licence", "readme", "authors", "changelog", "notice", "copying", "cname"})
_COMPRESSIBLE = frozenset(
    {
        "application/json",
        "application/jsonl",
        "application/rtf",
        "application/vnd.apple.mpegurl",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-tar",
        "application/xml",
        "font/collection",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "model/gltf-binary",
        "model/mtl",
        "model/obj",
        "model/stl",
    }
)


def media_type(path: str) -> str:
    """The Content-Type of a file of this name, charset included for text; bytes of unknown kind are octets."""
    name = path.rpartition("/")[2].lower()
    stem, dot, extension = name.rpartition(".")
    if not dot:
        return "text/plain" + _UTF8 if name in _PLAIN_NAMES else DEFAULT
    if not stem:  # a dot file: its name is no extension
        return DEFAULT
    return _BY_EXTENSION.get(extension, DEFAULT)


def compressible(media_type: str) -> bool:
    """Whether a coding is worth trying. What is packed already (images, woff2, video, archives) never is."""
    bare = media_type.partition(";")[0].strip().lower()
    return bare.startswith("text/") or bare.endswith(("+json", "+xml")) or bare in _COMPRESSIBLE
