"""What lies at a name."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """What lies at a name: path is relative to the root, mtime unix ms, mode the st_mode of the thing itself.

    For a link, is_dir says whether it leads to a folder inside the root, target what is written on it; size and mode
    are the link's own.
    """

    name: str
    path: str
    is_dir: bool
    size: int
    mtime: int
    mode: int
    is_link: bool
    uid: int = 0
    gid: int = 0
    target: str = ""
