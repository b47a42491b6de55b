"""The verb of those who listen to a directory's files: what changes in it, whoever does it, goes to its listeners.

A directory is watched while somebody listens to it. What is told is what search would find: the list of paths says
what is ignored, and by what it takes in from one look to the next what came and went. Changes are gathered for a
moment, so that many to one file are one; when very many come, only the folders are told, which are to be read anew.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from app.accounts import service as accounts
from app.actor import SYSTEM, Actor
from app.errors import Problem, Unavailable
from app.events import service as events
from app.files import ours, pathlist, watching
from app.files.events import FileSeen
from app.files.watch import Kind
from app.projects import service as projects
from app.projects.service import Place

READ = "files:read"
GATHER = 0.1  # seconds in which the changes of a file become one
REST = 4  # times as long as the last look took, it rests before the next
PER_SECOND = 200  # changes that are told of one directory; with more, its folders are
MOST_GATHERED = 5_000  # names that are kept between two looks
MOST = 64  # directories that are followed in this process
MOST_ROAMED = 8  # directories that one listener follows who named none, those named last
HEAD = pathlist.HEAD
Told = tuple[str, str]
Rights = tuple[str, str | None, tuple[str, ...], frozenset[str]]
_logger = logging.getLogger(__name__)


def nothing() -> None:
    """End what never began."""


class Following:
    """A directory that somebody listens to."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.path = str(place.directory)
        self.listeners = 0
        self.part = functools.partial(_part, self)
        self.listing = pathlist.of(place.directory)
        self._lock = threading.Lock()
        self._gathered: set[str] = set()
        self._heard: set[str] = set()  # what was gathered for the last look
        self._ours: set[str] = set()  # what of that this process did
        self._is_lost = False
        self._is_due = False
        self._took = 0.0
        self._left = float(PER_SECOND)
        self._at = time.monotonic()

    def begin(self) -> None:
        """Watch it, aside: no listener waits for it."""
        _tellers.submit(self._begin)

    def end(self) -> None:
        """Watch it no more, unless somebody has searched in it lately."""
        self.listing.unfollow()

    # What follows is called by the list, in the watcher's thread.

    def heard(self, _kind: Kind, name: str) -> None:
        """Something happened to a name."""
        with self._lock:
            if len(self._gathered) >= MOST_GATHERED:
                self._is_lost = True
            else:
                self._gathered.add(name)
        self._look_soon()

    def lost(self) -> None:
        """Something happened that was not told."""
        with self._lock:
            self._is_lost = True
        self._look_soon()

    def _look_soon(self) -> None:
        with self._lock:
            if self._is_due:
                return
            self._is_due = True
        try:
            watching.running().later(max(GATHER, REST * self._took), lambda: _submit(self._look))
        except Unavailable:
            return  # the server is stopping

    # What follows is done in the tellers' thread.

    def _begin(self) -> None:
        if _followed.get(self.path) is not self:
            return  # who listened is gone already
        try:
            self.listing.follow(self)
        except (OSError, Problem) as error:
            _logger.warning("%s: changes of its files can't be told: %s", self.path, error)

    def _look(self) -> None:
        began = time.monotonic()
        with self._lock:
            self._is_due = False
        try:
            project = projects.get(SYSTEM, self.place.project.id)  # whose rights may be others by now
            came_or_went = self.listing.news()
            told = sorted(self._changes(came_or_went), key=_order)
            for name, change in self._bounded(told):
                file = f"{self.path}/{name}" if name else self.path
                events.tell(FileSeen(self.path, file, change), project)
        except (OSError, Problem) as error:
            _logger.info("%s: changes of its files were not told: %s", self.path, error)
        self._took = time.monotonic() - began

    def _changes(self, came_or_went: dict[str, bool]) -> Iterator[Told]:
        heard, ours_of_them, is_lost = self._take()
        folders = pathlist.folders_of(heard)
        index = self.listing.index
        for name, was_there in came_or_went.items():
            path = name.rstrip("/")
            is_there = name in index
            if is_there == was_there or path in ours_of_them:
                continue
            # Rules that changed hide and show files that did not.
            if is_there and (is_lost or path in folders or _is_told_of(path, heard)):
                yield path, "add"
            elif not is_there and not os.path.lexists(f"{self.path}/{path}"):
                yield path, "unlink"
        for name in self._heard - ours_of_them:
            if name == HEAD or (name in index and came_or_went.get(name, True)):
                yield name, "change"

    def _take(self) -> tuple[set[str], set[str], bool]:
        """What was heard, what of it this process did, and whether that is not all.

        What was heard just behind the last look at the list is in it only now, so what was taken then counts too.
        """
        with self._lock:
            gathered, self._gathered = self._gathered, set()
            is_lost, self._is_lost = self._is_lost, False
        mine = {name for name in gathered if ours.take(f"{self.path}/{name}")}
        both = gathered | self._heard, mine | self._ours
        self._heard, self._ours = gathered, mine
        return *both, is_lost

    def _bounded(self, told: list[Told]) -> list[Told]:
        """What may be said of it now: all of it, or the folders in which it happened, or that something did."""
        now = time.monotonic()
        self._left = min(PER_SECOND, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        if len(told) > self._left:
            told = sorted({(name if name == HEAD else name.rpartition("/")[0], "change") for name, _change in told})
        if len(told) > self._left:
            told = [("", "change")]
        self._left = max(0.0, self._left - len(told))
        return told


class Roamer:
    """Listeners with the same rights who named no directory: they follow those that their user's requests name, the
    latest of them.
    """

    def __init__(self, actor: Actor, rights: Rights) -> None:
        self.actor = actor
        self.listeners = 0
        # One for all its listeners: there may be ten thousand.
        self.leave = functools.partial(_leave, self, rights)
        self._lock = threading.Lock()
        self._ends: OrderedDict[str, Callable[[], None]] | None = OrderedDict()

    def go(self, place: Place) -> None:
        """Follow a place too."""
        with self._lock:
            if self._ends is None:
                return
            if str(place.directory) in self._ends:
                self._ends.move_to_end(str(place.directory))
                return
            self._ends[str(place.directory)] = _join(self.actor, place)
            left = self._ends.popitem(last=False)[1] if len(self._ends) > MOST_ROAMED else nothing
        left()

    def end(self) -> None:
        """Follow nothing any more."""
        with self._lock:
            ends, self._ends = list((self._ends or {}).values()), None
        for end in ends:
            end()


def follow(actor: Actor, directory: str) -> Callable[[], None]:
    """Have changes in a directory told to its listeners from now on, "" in those that the actor's requests name.

    What it gives back ends that, and is called once. Who may not read files there has nothing watched. It does not wait
    for the watch.
    """
    if not directory:
        return _roam(actor)
    try:
        return _join(actor, projects.resolve(actor, directory))
    except Problem:
        return nothing


def named(actor: Actor, place: Place) -> None:
    """A request named a place: those of its user's listeners who named none follow it."""
    if not _roamers:
        return
    with _lock:
        theirs = list(_roamers.get(actor.user, {}).values())
    for roamer in theirs:
        roamer.go(place)


def count() -> int:
    """How many directories are followed."""
    return len(_followed)


def start() -> None:
    """At start of a process that serves: take listeners."""
    events.register_files(follow)
    projects.register_named(named)


def stop() -> None:
    """At the end: follow nothing."""
    events.register_files(None)
    with _lock:
        ended = list(_followed.values())
        _followed.clear()
        _roamers.clear()
    for one in ended:
        _submit(one.end)
    _tellers.submit(nothing).result()


def _roam(actor: Actor) -> Callable[[], None]:
    """Listen to what the actor's requests name, first what they mean when they name nothing; returns what ends it."""
    rights = (actor.kind, actor.project, actor.grants, actor.closed)
    with _lock:
        theirs = _roamers.setdefault(actor.user, {})
        roamer = theirs.setdefault(rights, Roamer(actor, rights))
        roamer.listeners += 1
        is_first = roamer.listeners == 1
    if is_first:
        with contextlib.suppress(Problem):  # there may be no project yet
            roamer.go(projects.resolve(actor, None))
    return roamer.leave


def _leave(roamer: Roamer, rights: Rights) -> None:
    with _lock:
        roamer.listeners -= 1
        theirs = _roamers.get(roamer.actor.user, {})
        is_over = roamer.listeners == 0 and theirs.get(rights) is roamer
        if is_over:
            del theirs[rights]
            if not theirs:
                del _roamers[roamer.actor.user]
    if is_over:
        roamer.end()


def _join(actor: Actor, place: Place) -> Callable[[], None]:
    """Listen to a place; returns what ends it."""
    try:
        accounts.require(actor, READ, place.project)
    except Problem:
        return nothing
    path = str(place.directory)
    with _lock:
        found = _followed.get(path)
        if found is None and len(_followed) >= MOST:
            _logger.warning("%s: %d directories are followed already; changes of its files are not told", path, MOST)
            return nothing
        if found is None:
            found = _followed[path] = Following(place)
            found.begin()
        found.listeners += 1
    return found.part


def _part(found: Following) -> None:
    """One listener less; the last one ends the watch."""
    with _lock:
        found.listeners -= 1
        is_over = found.listeners == 0 and _followed.get(found.path) is found
        if is_over:
            del _followed[found.path]
    if is_over:
        _submit(found.end)


def _submit(work: Callable[[], None]) -> None:
    _tellers.submit(_done, work)


def _done(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:
        _logger.exception("changes of files could not be told")


def _is_told_of(path: str, gathered: set[str]) -> bool:
    """Whether something was heard of a name, or of a folder that holds it."""
    while path:
        if path in gathered:
            return True
        path = path.rpartition("/")[0]
    return False


def _order(one: Told) -> tuple[int, str]:
    """What went, then what came, folders before what lies in them, then what is other than before."""
    return ("unlink", "add", "change").index(one[1]), one[0]


_lock = threading.Lock()
_followed: dict[str, Following] = {}
_roamers: dict[str, dict[Rights, Roamer]] = {}
_tellers = ThreadPoolExecutor(1, thread_name_prefix="file-news")
