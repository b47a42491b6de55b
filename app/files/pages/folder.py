"""A folder as rows: what lies in it with its state in git, sorted; and the tree that leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from app.files.pages.places import Opened
from app.files.service import Node, Standing

PAGE = 300
IN_TREE = 200
SORTS = ("name", "size", "age", "state")
WORDS = {"M": "Changed", "A": "New, staged", "?": "New, not in git yet", "D": "Deleted"}
PICTURES = frozenset(
    f"image/{kind}" for kind in ("png", "jpeg", "gif", "webp", "avif", "bmp", "x-icon", "vnd.microsoft.icon", "svg+xml")
)


class Row(NamedTuple):
    """A file or folder in the list; size in bytes (None for folders), mtime in unix ms (None for what is gone)."""

    name: str
    path: str
    is_dir: bool
    size: int | None
    mtime: int | None
    letter: str


class Branch(NamedTuple):
    """A line of the tree, so many levels in; `more` counts what stands in the list only."""

    name: str
    href: str
    depth: int
    is_dir: bool = False
    is_open: bool = False
    is_at: bool = False
    letter: str = ""
    more: int = 0
    path: str = ""


def rows(nodes: list[Node], standing: Standing, folder: str, sort: str) -> list[Row]:
    """The folder's rows, sorted; what was deleted since the last commit among them."""
    found = [_row(node, standing) for node in nodes]
    found += _gone(standing, folder, {node.path for node in nodes})
    by, _, way = sort.partition("-")
    if by == "size":
        found.sort(key=lambda row: row.size or 0)
    elif by == "age":
        found.sort(key=lambda row: -(row.mtime or 0))
    elif by == "state":
        found.sort(key=lambda row: ("MA?D".find(row.letter) if row.letter else 9, row.name.lower()))
    else:
        found.sort(key=lambda row: (row.name.lower(), row.name))
    if way:
        found.reverse()
    return sorted(found, key=lambda row: not row.is_dir)


def sorts(opened: Opened, folder: str, sort: str) -> dict[str, str]:
    """The URL of each way to sort; the one in use turns round."""
    wanted = {by: f"{by}-back" if sort == by else by for by in SORTS}
    return {by: opened.url(folder, sort=way if way != "name" else None) for by, way in wanted.items()}


def tree(opened: Opened, levels: dict[str, list[Node]], standing: Standing, at: str) -> list[Branch]:
    """The tree with the folders on the way unfolded, IN_TREE lines of each at most, but always the one that is open."""
    return list(_branches(opened, levels, standing, at, "", 0))


def crumbs(opened: Opened, path: str) -> list[tuple[str, str]]:
    """Name and URL of the place and of each folder on the way, the thing itself last."""
    parts = path.split("/") if path else []
    way = [(part, opened.url("/".join(parts[: depth + 1]))) for depth, part in enumerate(parts)]
    return [(opened.project.name, opened.url()), *way]


def _branches(
    opened: Opened, levels: dict[str, list[Node]], standing: Standing, at: str, folder: str, depth: int
) -> Iterator[Branch]:
    nodes = levels[folder]
    shown = nodes[:IN_TREE]
    shown += [node for node in nodes[IN_TREE:] if node.path == at or node.path in levels]
    for node in shown:
        is_open = node.path in levels
        letter = standing.letter(f"{node.path}/" if node.is_dir else node.path)
        href = opened.url(node.path)
        yield Branch(node.name, href, depth, node.is_dir, is_open, node.path == at, letter, path=node.path)
        if is_open:
            yield from _branches(opened, levels, standing, at, node.path, depth + 1)
    if len(nodes) > len(shown):
        yield Branch("", opened.url(folder), depth, more=len(nodes) - len(shown))


def _row(node: Node, standing: Standing) -> Row:
    letter = standing.letter(f"{node.path}/" if node.is_dir else node.path)
    size = None if node.is_dir else node.size
    return Row(node.name, node.path, node.is_dir, size, node.mtime, letter)


def _gone(standing: Standing, folder: str, known: set[str]) -> Iterator[Row]:
    """What the last commit has in this folder and the disk has not."""
    above = f"{folder}/" if folder else ""
    for path, letter in (standing.letters or {}).items():
        name = path[len(above) :]
        if letter == "D" and path.startswith(above) and "/" not in name and path not in known:
            yield Row(name, path, False, None, None, "D")
