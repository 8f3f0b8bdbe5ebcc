"""Markup: the tags of an HTML text with their places, as a browser's tokenizer finds them (HTML §13.2.5).

Here live start and end tags, and what hides none: comments, scripts, styles, text areas. Not here: a tree (where an
element is missing or left open, browsers build one, and no byte of that is ours to change), or what tags mean
(rim/pages/page).

Road not taken: html.parser. What it takes for a comment, or for text, differs between versions of Python and from
browsers; a page must become the same bytes on every machine, and nothing may be inserted into what a person reads.
Every step goes on from where the last one ended, so the work is bounded by the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

_SPACE = "\t\n\f\r "
_NAME = re.compile(rf"[A-Za-z][^{_SPACE}/>]*")
_GAP = re.compile(rf"[{_SPACE}/]*")
_ATTRIBUTE = re.compile(rf"=?[^{_SPACE}/>=]*")
_EQUALS = re.compile(rf"[{_SPACE}]*=[{_SPACE}]*")
_BARE = re.compile(rf"[^{_SPACE}>]*")
_COMMENT_END = re.compile(r"--!?>")
_IN_SCRIPT = re.compile(rf"<!--|-->|<(/?)script(?=[{_SPACE}/>])", re.IGNORECASE)
_RAW = frozenset({"script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title"})
_NO_TITLE = frozenset({"svg", "math"})  # in there `title` is an element like others


@dataclass(frozen=True, slots=True)
class Tag:
    """`text[start:end]`; `name` in lower case. Of attributes given twice the first counts, as in browsers."""

    name: str
    start: int
    end: int
    is_end: bool = False
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def after_name(self) -> int:
        """Where an attribute may be inserted, whatever follows: a blank before it, none behind."""
        return self.start + 1 + len(self.name)


def tags(text: str) -> Iterator[Tag]:
    """All tags, in order, up to one that the text ends in."""
    at, foreign = 0, 0
    while (at := text.find("<", at)) >= 0:
        tag = _tag(text, at)
        if tag is None:
            at = _other(text, at, foreign > 0)
            continue
        yield tag
        at = tag.end
        if tag.name in _NO_TITLE:
            foreign = max(0, foreign - 1) if tag.is_end else foreign + (text[tag.end - 2] != "/")
        elif tag.name == "plaintext" and not tag.is_end:
            return
        elif tag.name in _RAW and not tag.is_end and not (foreign and tag.name in ("title", "textarea")):
            at = _raw_end(text, at, tag.name)
            if at < 0:
                yield Tag("", len(text), len(text))  # what is left is text, and so would be what is written behind it
                return


def _tag(text: str, at: int) -> Tag | None:
    """The tag that begins here; None where none does, or the text ends in it."""
    is_end = text.startswith("/", at + 1)
    name = _NAME.match(text, at + 1 + is_end)
    if name is None:
        return None
    attributes: dict[str, str] = {}
    at_, length = name.end(), len(text)
    while True:
        at_ = _GAP.match(text, at_).end()  # type: ignore[union-attr]  # matches everywhere
        if at_ == length:
            return None
        if text[at_] == ">":
            return Tag(name[0].lower(), at, at_ + 1, is_end, attributes)
        word = _ATTRIBUTE.match(text, at_)
        assert word is not None
        at_, value = word.end(), ""
        if equals := _EQUALS.match(text, at_):
            found = _value(text, equals.end())
            if found is None:
                return None
            value, at_ = found
        attributes.setdefault(word[0].lower(), unescape(value) if "&" in value else value)


def _value(text: str, at: int) -> tuple[str, int] | None:
    """An attribute's value as written, and where it ends; None where the text ends in it."""
    quote = text[at : at + 1]
    if quote in ('"', "'") and quote:
        end = text.find(quote, at + 1)
        return None if end < 0 else (text[at + 1 : end], end + 1)
    bare = _BARE.match(text, at)
    assert bare is not None
    return bare[0], bare.end()


def _other(text: str, at: int, foreign: bool) -> int:
    """Behind what begins with `<` and is no tag: a comment, a doctype, a lone sign, a tag cut short."""
    length = len(text)
    if text.startswith("<!--", at):
        if text.startswith((">", "->"), at + 4):
            return text.index(">", at) + 1
        end = _COMMENT_END.search(text, at + 4)
        return length if end is None else end.end()
    if foreign and text.startswith("<![CDATA[", at):
        end_ = text.find("]]>", at)
        return length if end_ < 0 else end_ + 3
    if text.startswith(("<!", "<?"), at) or (text.startswith("</", at) and text[at + 2 : at + 3] not in ("", ">")):
        if _NAME.match(text, at + 2) and text.startswith("</", at):
            return length  # an end tag that the text ends in
        end_ = text.find(">", at)
        return length if end_ < 0 else end_ + 1
    if _NAME.match(text, at + 1):
        return length  # a start tag that the text ends in
    return at + (3 if text.startswith("</>", at) else 1)


def _raw_end(text: str, at: int, name: str) -> int:
    """Where the end tag of an element begins that holds no markup; -1: nowhere."""
    if name == "script":
        return _script_end(text, at)
    pattern = re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE)
    found = pattern.search(text, at)
    return -1 if found is None else found.start()


def _script_end(text: str, at: int) -> int:
    """A script's end: not the `</script>` of a script inside a comment inside it ("double escaped", §13.2.5.20 ff.)."""
    depth = 0  # 1: in <!-- -->; 2: in a <script> in there
    while (found := _IN_SCRIPT.search(text, at)) is not None:
        at = found.end()
        if found[0] == "<!--":
            if depth == 0:
                depth, at = 1, at - 2  # `<!-->` is a comment that ends at once
        elif found[0] == "-->":
            depth = 0
        elif found[1]:
            if depth < 2:
                return found.start()
            depth = 1
        elif depth == 1:
            depth = 2
    return -1
