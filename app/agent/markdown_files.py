"""Markdown files with a head, in the folders where people write modes and commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.agent import front_matter
from app.errors import Problem
from app.files.paths import Root

LARGEST = 64 * 1024


def in_folder(root: Root, folder: str, most: int, depth: int = 0) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Name, head and body of each file of a folder and so many levels below it, by name; `a/b` for one below.

    What cannot be read, and a head that nobody can, is passed over.
    """
    try:
        found = [one.path for one in root.walk_down(folder, depth, here=True) if one.path.endswith(".md")][:most]
    except Problem:
        return
    for path in sorted(found):
        try:
            split = front_matter.split(root.read_text(f"{folder}/{path}" if folder else path, LARGEST))
        except Problem:
            continue
        if split is not None:
            yield path.removesuffix(".md"), *split
