"""HTML as a tree, read the way browsers do where it matters for the words: elements that close themselves,
tags that are never closed or closed twice, text that only looks like a tag.

The standard library's parser takes time by the square of some inputs, and so do the browsers' algorithms by the
depth; a page may come from anybody. This one looks at each character once and goes at most DEEPEST deep.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

DEEPEST = 60
BLOCKS = frozenset(
    (
        "h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "section", "article", "main", "header", "footer", "nav",
        "aside", "address", "figure", "figcaption", "blockquote", "pre", "hr", "ul", "ol", "menu", "dir", "li", "dl",
        "dt", "dd", "table", "caption", "colgroup", "thead", "tbody", "tfoot", "tr", "td", "th", "details", "summary",
        "fieldset", "legend", "form", "center", "hgroup", "search", "dialog", "title", "textarea",
    )
)  # fmt: skip
VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
GONE = frozenset(("script", "style", "template", "svg", "math", "iframe", "object", "canvas", "select", "noframes"))
# What is in them is text whatever it looks like, up to their own end tag.
RAW = frozenset(("script", "style", "iframe", "noframes", "title", "textarea"))
CELLS = ("td", "th")
ROWS = ("tr", *CELLS)
PARTS = ("caption", "colgroup", "thead", "tbody", "tfoot", *ROWS)
TABLE = frozenset(("table", *PARTS))
CLOSES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(BLOCKS - TABLE, ("p",)),
    "li": ("li", "p"),
    "dt": ("dt", "dd", "p"),
    "dd": ("dt", "dd", "p"),
    **dict.fromkeys(CELLS, CELLS),
    "tr": ROWS,
    **dict.fromkeys(("caption", "colgroup", "thead", "tbody", "tfoot"), PARTS),
    "table": ("p",),
    "a": ("a",),
}
WALLS: dict[str, frozenset[str]] = {
    "li": frozenset(("ul", "ol", "menu", "dir", *TABLE)),
    "dt": frozenset(("dl", *TABLE)),
    "dd": frozenset(("dl", *TABLE)),
    **dict.fromkeys(PARTS, frozenset(("table",))),
}
NAME = re.compile(r"[a-zA-Z][^\s/>]*")
ATTRIBUTE = re.compile(r"[\s/]*([^\s/>=]*)\s*(=?)\s*")
BARE = re.compile(r"[^\s>]*")


@dataclass
class Node:
    """An element: its attributes, what it holds, and whether a block or a table is anywhere in that."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)
    holds_block: bool = False
    holds_table: bool = False

    def all(self, *tags: str) -> Iterator[Node]:
        """Every element of these tags in it, in order."""
        for one in self.children:
            if isinstance(one, Node):
                if one.tag in tags:
                    yield one
                yield from one.all(*tags)

    def text(self) -> str:
        """The text in it as it stands."""
        return "".join(
            one if isinstance(one, str) else "\n" if one.tag == "br" else one.text() for one in self.children
        )


def tree(html: str) -> Node:
    """The page as a tree, whatever it is; scripts, styles, comments and pictures drawn by markup are left out."""
    return _Reader(html).read()


class _Reader:
    def __init__(self, html: str) -> None:
        self._html = html
        self._at = 0
        self._root = Node("div")
        self._stack = [self._root]
        self._open: Counter[str] = Counter()
        self._gone = 0

    def read(self) -> Node:
        """Read on until nothing is left; what never ends, such as an open quote, takes the rest with it."""
        while self._at < len(self._html):
            start = self._html.find("<", self._at)
            self._text(self._html[self._at : start if start >= 0 else None])
            self._at = start if start >= 0 else len(self._html)
            if start >= 0:
                self._markup()
        return self._root

    def _text(self, text: str) -> None:
        if text and not self._gone:
            self._stack[-1].children.append(unescape(text))

    def _markup(self) -> None:
        begin = self._html[self._at + 1 : self._at + 4]
        if begin == "!--":
            self._skip("-->", self._at + 2)
        elif begin[:1] in ("!", "?"):
            self._skip(">", self._at)
        elif begin[:1] == "/":
            self._end_tag()
        elif begin[:1].isascii() and begin[:1].isalpha():
            self._start_tag()
        else:
            self._text("<")
            self._at += 1

    def _skip(self, end: str, start: int) -> None:
        found = self._html.find(end, start)
        self._at = found + len(end) if found >= 0 else len(self._html)

    def _end_tag(self) -> None:
        name = NAME.match(self._html, self._at + 2)
        self._skip(">", self._at)
        if name:
            self._close(name[0].lower())

    def _start_tag(self) -> None:
        name = NAME.match(self._html, self._at + 1)
        if name is None:
            return
        self._at = name.end()
        attributes: dict[str, str] = {}
        while self._attribute(attributes):
            pass
        if self._at > len(self._html):
            return
        tag = name[0].lower()
        self._start(tag, attributes)
        if tag in RAW:
            self._raw(tag)

    def _attribute(self, found: dict[str, str]) -> bool:
        """Read one attribute; False at the end of the tag, which is passed over."""
        html = self._html
        match = ATTRIBUTE.match(html, self._at)
        self._at = match.end() if match else len(html)
        name, equals = match.groups() if match else ("", "")
        value = ""
        if equals:
            quote = html[self._at : self._at + 1]
            if quote in ("'", '"') and quote:
                end = html.find(quote, self._at + 1)
                value = html[self._at + 1 : end] if end >= 0 else ""
                self._at = end + 1 if end >= 0 else len(html)
            elif bare := BARE.match(html, self._at):
                value, self._at = bare[0], bare.end()
        if name:
            found.setdefault(name.lower(), unescape(value))
        if html[self._at : self._at + 1] in (">", ""):
            self._at += 1
            return False
        return True

    def _raw(self, tag: str) -> None:
        end = re.compile(f"</{tag}[\\s/>]", re.IGNORECASE).search(self._html, self._at)
        stop = end.start() if end else len(self._html)
        self._text(self._html[self._at : stop])
        self._at = stop
        if end is None:
            self._close(tag)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._gone:
            if tag in GONE and len(self._stack) < DEEPEST:
                self._push(Node(tag))
            return
        self._close_for(tag)
        node = Node(tag, attributes)
        if tag in ("br", "hr", "img") or tag not in VOID:
            self._stack[-1].children.append(node)
        if tag in BLOCKS:
            self._mark("holds_block")
        if tag == "table":
            self._mark("holds_table")
        if tag not in VOID and (len(self._stack) < DEEPEST or tag in GONE):
            self._push(node)

    def _mark(self, what: str) -> None:
        for node in reversed(self._stack):
            if getattr(node, what):
                return
            setattr(node, what, True)

    def _close_for(self, tag: str) -> None:
        """Close what cannot hold a new element of this tag."""
        closed = CLOSES.get(tag, ())
        if not any(self._open[one] for one in closed):
            return
        walls = WALLS.get(tag, TABLE)
        for place in range(len(self._stack) - 1, 0, -1):
            one = self._stack[place].tag
            if one in closed:
                self._pop(place)
            elif one in walls:
                return

    def _close(self, tag: str) -> None:
        """An end tag: it closes the innermost element of its name with all in it, but none around a table's cell."""
        if not self._open[tag]:
            return
        for place in range(len(self._stack) - 1, 0, -1):
            one = self._stack[place].tag
            if one == tag:
                self._pop(place)
                return
            if (one in TABLE and tag not in TABLE) or (one == "table" and tag != "table"):
                return

    def _push(self, node: Node) -> None:
        self._stack.append(node)
        self._open[node.tag] += 1
        self._gone += node.tag in GONE

    def _pop(self, place: int) -> None:
        for node in self._stack[place:]:
            self._open[node.tag] -= 1
            self._gone -= node.tag in GONE
        del self._stack[place:]
