"""Looking at one name, and at what lies below it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from itertools import islice

from app.actor import Actor
from app.errors import Denied, Invalid, NotFound, TooLarge
from app.files import world
from app.files.answers import shown
from app.files.entry import Entry
from app.files.paths import Root
from app.files.world import Spot
from app.projects.service import Place

DEEPEST = 100
LISTED = 20_000
READ = "files:read"


def stat(actor: Actor, place: Place, name: str) -> Entry:
    """Return what lies at a name, a link as a link; raises NotFound, Denied, Invalid."""
    spot = world.locate(actor, place, READ, name)
    entry = spot.root.lstat(spot.name)
    _refuse_ours(spot)
    return entry


def is_directory(actor: Actor, place: Place, name: str) -> bool:
    """Tell whether a name leads to a folder; raises NotFound, Denied, Invalid."""
    spot = world.locate(actor, place, READ, name)
    return spot.root.stat(spot.name).is_dir


def list_tree(actor: Actor, place: Place, name: str, depth: int = 1, limit: int = LISTED) -> Sequence[Entry]:
    """Return what lies in a folder and so many levels below, each folder before what is in it.

    Paths are relative to the folder that was asked for. Links are told, never followed. While nothing has changed, one
    level is the same object again. Raises NotFound, Denied, Invalid PATH_NOT_DIRECTORY for what is no folder, TooLarge
    for more than `limit` entries.
    """
    spot = world.locate(actor, place, READ, name)
    _refuse_ours(spot)
    try:
        entries = spot.root.scan_here(spot.name)
    except NotFound:
        if spot.root.stat(spot.name).is_dir:
            raise
        raise Invalid("Path is not a directory", "path", code="PATH_NOT_DIRECTORY") from None
    if depth < 1:
        return ()
    if depth > 1 or world.holds_ours(spot.root):
        found = spot.root.walk_down(spot.name, min(depth, DEEPEST), here=True)
        allowed = (one for one in found if not world.is_ours(spot.root, f"{spot.path}/{one.path}"))
        entries = list(islice(allowed, limit + 1))
    if len(entries) > limit:
        raise TooLarge(f"There are more than {limit:,} entries below {shown(name)}; ask for less depth.")
    return entries


def stamp_of(data: bytes) -> str:
    """Return a short digest of a file's content."""
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def _real_path(root: Root, name: str) -> str:
    """Return where a name that exists really lies, or would: to be compared, never to be opened."""
    return os.path.realpath(root.absolute(name))


def _refuse_ours(spot: Spot) -> None:
    """Refuse the server's own data, also where a link on the way leads there."""
    if not world.holds_ours(spot.root):
        return
    parent = "/".join(spot.root.parts(spot.name)[:-1])
    real = f"{_real_path(spot.root, parent)}/{''.join(spot.root.parts(spot.name)[-1:])}".rstrip("/")
    for path in (real, spot.path, _real_path(spot.root, spot.name)):
        if world.is_ours(spot.root, path):
            raise Denied(f"{shown(spot.name)} belongs to the server's own data.")
