"""Looking at one name, and at what lies below it."""

from __future__ import annotations

import hashlib
import os
from itertools import islice

from app.actor import Actor
from app.errors import Denied, Invalid, TooLarge
from app.files import world
from app.files.answers import shown
from app.files.paths import Entry, Root
from app.files.world import Spot
from app.projects.service import Place

DEEPEST = 100
LISTED = 10_000
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


def list_tree(actor: Actor, place: Place, name: str, depth: int = 1, limit: int = LISTED) -> list[Entry]:
    """Return what lies in a folder and so many levels below, each folder before what is in it.

    Paths are relative to the folder that was asked for. Links are told, never followed. Raises NotFound, Denied,
    Invalid PATH_NOT_DIRECTORY for what is no folder, TooLarge for more than `limit` entries.
    """
    spot = world.locate(actor, place, READ, name)
    entry = spot.root.stat(spot.name)
    if not entry.is_dir:
        raise Invalid("Path is not a directory", "path", code="PATH_NOT_DIRECTORY")
    _refuse_ours(spot)
    if depth < 1:
        return []
    found = spot.root.walk_down(spot.name, min(depth, DEEPEST))
    if world.holds_ours(spot.root):
        found = (one for one in found if not world.is_ours(spot.root, f"{spot.root.path}/{one.path}"))
    entries = list(islice(found, limit + 1))
    if len(entries) > limit:
        raise TooLarge(f"There are more than {limit:,} entries below {shown(name)}; ask for less depth.")
    start = len(entry.path) + 1 if entry.path else 0
    return [one._replace(path=one.path[start:]) for one in entries] if start else entries


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
