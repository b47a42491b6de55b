"""The verbs of watching: following what changes in a directory, as a stream or by asking now and then."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass

from app import config, ids, inotify
from app.accounts import service as accounts
from app.accounts.events import PrincipalRevoked, RightsChanged
from app.actor import Actor
from app.errors import Invalid, Limited, NotFound, Unavailable
from app.events import service as events
from app.files import world
from app.files.answers import shown
from app.files.watch import Fact, Watch, Watcher
from app.files.watcher import KernelWatcher
from app.files.world import Spot
from app.projects.service import Place, Project

READ = "files:read"
FORGOTTEN = 600.0  # seconds after which a watcher that nobody asks is gone
MOST = 100  # watches of one user


@dataclass
class _Kept:
    """A watch that waits to be asked, for whom, and when that was (monotonic seconds)."""

    watch: Watch
    name: str
    project: Project
    owner: str
    asked: float


def watch(
    actor: Actor, place: Place, name: str, *, recursive: bool = False, looks: bool = False, only_folders: bool = False
) -> Watch:
    """Begin to follow a directory, or a single file; the caller closes it, and it ends when the actor is revoked.

    Names are relative to the directory. Links are told, never followed. With `looks` changes carry their entries.
    Raises NotFound, Denied, Limited, Unavailable at the system's limits, and Invalid for a file if `only_folders`.
    """
    spot = world.locate(actor, place, READ, name)
    return _begin(actor, spot, recursive=recursive, looks=looks, only_folders=only_folders)


def create_watcher(
    actor: Actor, place: Place, name: str, *, recursive: bool = False, looks: bool = False, only_folders: bool = False
) -> str:
    """Begin to follow a directory for somebody who asks now and then; returns the watcher's id.

    It is forgotten when nobody asked for ten minutes. Raises what `watch` raises.
    """
    spot = world.locate(actor, place, READ, name)
    begun = _begin(actor, spot, recursive=recursive, looks=looks, only_folders=only_folders)
    watcher_id = ids.random("watch")
    with _lock:
        _kept[watcher_id] = _Kept(begun, name, spot.project, actor.user, time.monotonic())
    running().later(FORGOTTEN, lambda: _forget(watcher_id))
    return watcher_id


def watcher_events(actor: Actor, watcher_id: str) -> list[Fact]:
    """Return what happened since the last time; raises NotFound for an unknown watcher or another user's."""
    return _find(actor, watcher_id).watch.drain()


def watched_name(actor: Actor, watcher_id: str) -> str:
    """Return the name by which a watcher was begun; raises NotFound for an unknown one or another user's."""
    return _find(actor, watcher_id).name


def remove_watcher(actor: Actor, watcher_id: str) -> None:
    """End a watcher; raises NotFound for an unknown one or another user's."""
    found = _find(actor, watcher_id)
    with _lock:
        _kept.pop(watcher_id, None)
    found.watch.close()


def start_background() -> None:
    """At start: take watches, and hear who is revoked."""
    global _is_stopping
    _is_stopping = False
    events.listen(PrincipalRevoked, _on_revoked)
    events.listen(RightsChanged, _on_changed)


def running() -> Watcher:
    """The watcher of this process; begins it. Raises Unavailable."""
    global _watcher
    with _lock:
        if _is_stopping:
            raise Unavailable("The server is stopping.")
        if _watcher is None:
            _watcher = _new()
            _watcher.start()
        return _watcher


def _new() -> Watcher:
    if inotify.is_here():
        return KernelWatcher()
    from app.files.coarse import CoarseWatcher

    return CoarseWatcher()


def stop() -> None:
    """End every watch of this process; none is taken any more."""
    global _watcher, _is_stopping
    with _lock:
        _is_stopping = True
        found, _watcher = _watcher, None
        _kept.clear()
    if found is not None:
        found.stop()


def _on_revoked(fact: PrincipalRevoked) -> None:
    """End what a revoked user or token follows; who signed out one browser only may go on asking."""
    _end_all(fact.principal, but_kept=fact.what == "device")


def _on_changed(fact: RightsChanged) -> None:
    """End what somebody follows who may read less or more than before; who may still read at all goes on asking."""
    _end_all(fact.user_id, but_kept=accounts.may(accounts.acting_for(fact.user_id, "system"), READ))


def _end_all(principal: str, *, but_kept: bool) -> None:
    with _lock:
        kept = {id(one.watch) for one in _kept.values()} if but_kept else set()
        theirs = [one for one in _open if principal in one.principals and id(one) not in kept]
    for one in theirs:
        one.close()


def _begin(actor: Actor, spot: Spot, *, recursive: bool, looks: bool, only_folders: bool) -> Watch:
    entry = spot.root.stat(spot.name)
    if only_folders and not entry.is_dir:
        raise Invalid(f"{shown(spot.name)} is no folder.", "path", code="PATH_NOT_DIRECTORY")
    real = os.path.realpath(spot.root.absolute(spot.name))
    world.refuse_ours(spot.root, real, spot.name)
    top, only = (real, "") if entry.is_dir else os.path.split(real)
    begun = Watch(
        running(), top, recursive=recursive and not only, only=only, hidden=hidden_in(top), looks=looks,
        principals=(actor.id, actor.user, actor.token),
    )  # fmt: skip
    _count(begun, actor.user)
    try:
        running().attach(begun)
    except OSError:
        raise NotFound("file", shown(spot.name)) from None
    if not accounts.is_current(actor):
        begun.close()
        raise NotFound("file", shown(spot.name))
    return begun


def hidden_in(top: str) -> tuple[str, ...]:
    """The server's own data below a directory, which is neither entered nor told."""
    data, top = os.path.realpath(config.current().data_dir), os.path.realpath(top)
    return (os.path.relpath(data, top),) if data.startswith(top.rstrip("/") + "/") else ()


def _count(begun: Watch, owner: str) -> None:
    with _lock:
        theirs = sum(1 for one in _open if owner in one.principals and not one.is_over)
        if theirs >= MOST:
            raise Limited(f"You follow {MOST} directories already; end some of them first.", 60)
        _open.add(begun)


def _find(actor: Actor, watcher_id: str) -> _Kept:
    with _lock:
        found = _kept.get(watcher_id)
        if found is None or found.owner != actor.user:
            raise NotFound("watcher", watcher_id[:100])
        found.asked = time.monotonic()
    accounts.require(actor, READ, found.project)
    return found


def _forget(watcher_id: str) -> None:
    """End a watcher that nobody asked for too long, or look again when that may be so."""
    with _lock:
        found = _kept.get(watcher_id)
        if found is None:
            return
        left = found.asked + FORGOTTEN - time.monotonic()
        if left <= 0:
            del _kept[watcher_id]
    if left <= 0:
        found.watch.close()
    else:
        running().later(left, lambda: _forget(watcher_id))


def _after_fork() -> None:
    global _lock, _watcher, _kept, _open
    _lock, _watcher, _kept, _open = threading.RLock(), None, {}, weakref.WeakSet()


_lock = threading.RLock()
_watcher: Watcher | None = None
_kept: dict[str, _Kept] = {}
_open: weakref.WeakSet[Watch] = weakref.WeakSet()
_is_stopping = False
os.register_at_fork(after_in_child=_after_fork)
