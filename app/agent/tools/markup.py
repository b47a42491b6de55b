"""HTML as Markdown or as plain text, for models to read: words, links, lists, tables and code stay."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from app.agent.tools.html_tree import BLOCKS, Node, tree

HEADINGS = {f"h{level}": level for level in range(1, 7)}
MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~", "strike": "~~"}
CODE = frozenset(("code", "kbd", "samp", "tt"))
LISTS = frozenset(("ul", "ol", "menu", "dir"))
MOST_QUOTES = 8
SCHEMES = ("http", "https", "mailto")
BLANKS = re.compile(r"[ \t\n\r\f]+")
LANGUAGE = re.compile(r"(?:language|lang|highlight-source)-([\w+#.-]+)")


def to_markdown(html: str, base: str) -> str:
    """The page as Markdown; links are made absolute by `base`."""
    return _Writer(base, marks=True).page(tree(html))


def to_text(html: str) -> str:
    """The words of the page, a paragraph for each block, without links and marks."""
    return _Writer("", marks=False).page(tree(html))


class _Writer:
    """Writes a tree as blocks with empty lines between them."""

    def __init__(self, base: str, *, marks: bool) -> None:
        self._base = base
        self._marks = marks
        self._quotes = 0

    def page(self, root: Node) -> str:
        """The whole page; its title goes on top where it has no heading of its own."""
        titles = list(root.all("title"))
        blocks = self._blocks(root.children)
        if titles and not any(True for _ in root.all("h1")):
            blocks.insert(0, self._heading(titles[0], 1))
        return "\n\n".join(block for block in blocks if block) + "\n"

    def _blocks(self, children: Sequence[Node | str]) -> list[str]:
        found: list[str] = []
        run: list[Node | str] = []
        for one in children:
            if isinstance(one, Node) and (one.tag in BLOCKS or one.holds_block):
                found += [self._paragraph(run), *self._block(one)]
                run = []
            else:
                run.append(one)
        return [block for block in [*found, self._paragraph(run)] if block]

    def _block(self, node: Node) -> list[str]:
        if node.tag == "title":
            return []
        if node.tag in HEADINGS:
            return [self._heading(node, HEADINGS[node.tag])]
        if node.tag == "hr":
            return ["---"] if self._marks else []
        if node.tag in ("pre", "textarea"):
            return [self._code(node)]
        if node.tag in LISTS:
            return [self._list(node)]
        if node.tag == "table" and not node.holds_table:
            return self._table(node)
        if node.tag == "blockquote" and self._marks and self._quotes < MOST_QUOTES:
            return [self._quote(node)]
        inner = self._blocks(node.children)
        if node.tag == "dd" and self._marks and inner:
            return [f": {inner[0]}", *inner[1:]]
        return inner

    def _quote(self, node: Node) -> str:
        self._quotes += 1
        inner = "\n\n".join(self._blocks(node.children))
        self._quotes -= 1
        return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))

    def _heading(self, node: Node, level: int) -> str:
        words = BLANKS.sub(" ", self._inline(node.children)).strip()
        return f"{'#' * level} {words}" if words and self._marks else words

    def _paragraph(self, run: Sequence[Node | str]) -> str:
        lines = (BLANKS.sub(" ", line).strip(" ") for line in self._inline(run).split("\v"))
        return "\n".join(lines).strip()

    def _code(self, node: Node) -> str:
        text = node.text().strip("\n")
        if not self._marks:
            return text
        classes = " ".join(one.attributes.get("class", "") for one in (node, *node.all("code")))
        language = LANGUAGE.search(classes)
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        return f"{fence}{language[1] if language else ''}\n{text}\n{fence}"

    def _list(self, node: Node) -> str:
        start = node.attributes.get("start", "1")
        number = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
        items = []
        for one in node.children:
            if not isinstance(one, Node):
                continue
            mark = f"{number}. " if node.tag == "ol" else "- "
            item = self._item([one] if one.tag != "li" else one.children)
            if item:
                items.append(mark + item.replace("\n", "\n" + " " * len(mark)))
                number += 1
        return "\n".join(line if line.strip() else "" for line in "\n".join(items).split("\n"))

    def _item(self, children: Sequence[Node | str]) -> str:
        """An item's blocks; a list stands right below the words before it."""
        text = ""
        for one in self._blocks(children):
            tight = one.startswith(("- ", "1. "))
            text += ("\n" if tight else "\n\n") * bool(text) + one
        return text

    def _table(self, node: Node) -> list[str]:
        rows = [
            [self._cell(cell) for cell in row.children if isinstance(cell, Node) and cell.tag in ("td", "th")]
            for row in node.all("tr")
        ]
        rows = [row for row in rows if any(row)]
        captions = [self._paragraph(caption.children) for caption in node.all("caption")]
        if not rows:
            return captions
        width = max(map(len, rows))
        if width == 1 or not self._marks:
            return [*captions, *("\t".join(row).rstrip() for row in rows)]
        drawn = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
        drawn.insert(1, f"|{' --- |' * width}")
        return [*captions, "\n".join(drawn)]

    def _cell(self, node: Node) -> str:
        text = BLANKS.sub(" ", " ".join(self._blocks(node.children)))
        return text.replace("|", "\\|") if self._marks else text

    def _inline(self, children: Sequence[Node | str]) -> str:
        """Words in a line; a vertical tab stands for a break, which no HTML can hold."""
        return "".join(one.replace("\v", " ") if isinstance(one, str) else self._element(one) for one in children)

    def _element(self, node: Node) -> str:
        if node.tag == "br":
            return "\v"
        if node.tag == "img":
            return self._picture(node)
        if node.tag in CODE:
            return self._ticked(BLANKS.sub(" ", node.text()).strip())
        inner = self._inline(node.children)
        if node.tag == "a":
            return self._link(node, inner)
        if node.tag == "q":
            return f'"{inner}"'
        mark = MARKS.get(node.tag, "") if self._marks and inner.strip() else ""
        if not mark:
            return inner
        words = inner.strip()
        before, after = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()) :]
        return f"{before}{mark}{words}{mark}{after}"

    def _ticked(self, text: str) -> str:
        if not self._marks or not text:
            return text
        ticks = "``" if "`" in text else "`"
        return f"{ticks} {text} {ticks}" if ticks == "``" else f"`{text}`"

    def _link(self, node: Node, inner: str) -> str:
        to = self._absolute(node.attributes.get("href", ""))
        words = BLANKS.sub(" ", inner.replace("\v", " ")).strip()
        if not self._marks or not to:
            return inner
        return f"[{words}]({to})" if words else ""

    def _picture(self, node: Node) -> str:
        words = BLANKS.sub(" ", node.attributes.get("alt", "")).strip()
        source = self._absolute(node.attributes.get("src", ""))
        if not self._marks or not source:
            return words if self._marks else ""
        return f"![{words}]({source})"

    def _absolute(self, to: str) -> str:
        """An address that can be followed from here; nothing for a script, data, or a place on the same page."""
        try:
            found = urljoin(self._base, to.strip())
            scheme = urlsplit(found).scheme
        except ValueError:
            return ""
        if not to.strip() or to.strip().startswith("#") or scheme not in SCHEMES:
            return ""
        return BLANKS.sub("%20", found).replace("(", "%28").replace(")", "%29")
