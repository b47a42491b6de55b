"""The paths of a workspace, kept in memory for search and made fresh at each question.

ripgrep lists them once; a watch tells what has changed since, and a question first takes in what the watch has told.
The watch enters no directory that git ignores. Where nothing can be watched, or too much would have to be, each
question lists anew.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from app import git
from app.errors import Unavailable
from app.files import watching
from app.files.answers import CONTROL
from app.files.paths import TEMPORARY
from app.files.ranking import Index
from app.files.ripgrep import Search
from app.files.watch import Fact, Kind, Resync, Watch, Watcher
from app.files.watcher import KernelWatcher

OUTPUT = 64 * 1024 * 1024
MOST_KEPT = 8  # workspaces
MOST_DIRECTORIES = 20_000  # that are watched for one of them
MOST_TOLD = 2_000  # changes that are kept; with more, everything is listed anew
MOST_LOOKED = 8  # directories that are listed one by one
IDLE = 600.0  # seconds after which nobody seems to search any more
LEFT_OUT = (".git", ".DS_Store")
RULES = (".gitignore", ".ignore", ".rgignore", ".git", ".git/info/exclude")
INSIDE_GIT = (".git", ".git/info")
HEAD = ".git/HEAD"  # which branch is checked out: alone of git's own files, it is told to followers
GLOB = re.compile(r"([*?\[\]{}!\\])")
_logger = logging.getLogger(__name__)


class Follower(Protocol):
    """Who is told at once what happens to the names of a list; called in the watcher's thread."""

    def heard(self, kind: Kind, name: str) -> None:
        """Something happened to a name, which may be one that is not listed."""

    def lost(self) -> None:
        """Something happened that is not told by name."""


class _Ear(Watch):
    """Remembers which names have changed since it was last asked, and whether that is not enough."""

    def __init__(self, watcher: Watcher, listing: PathList) -> None:
        super().__init__(watcher, listing.path, recursive=True, hidden=watching.hidden_in(listing.path))
        self._told: dict[str, tuple[bool, bool]] = {}
        self._is_stale = False
        self.is_partial = False
        self.asked: set[str] = set()
        self._listing = listing

    def enters(self, name: str) -> bool:
        """Enter what holds listed files, and look into what lies in it."""
        if name in INSIDE_GIT:
            return True
        if self._is_hidden(name) or name.startswith(".git/") or not self._listing.watches(name):
            return False
        self.asked.add(name)
        return len(self.asked) <= MOST_DIRECTORIES

    def tell(self, kind: Kind, name: str, is_dir: bool) -> None:
        """Take a change, in the watcher's thread."""
        with self._changed:
            if name.rpartition("/")[2] in RULES or name == RULES[-1]:
                self._is_stale = True
            elif not (kind in ("write", "chmod") or self._is_hidden(name) or name.startswith(".git/")):
                self._told[name] = kind == "create", is_dir
                if len(self._told) > MOST_TOLD:
                    self._told, self._is_stale = {}, True
        follower = self._listing.follower
        if follower is not None and (name == HEAD or not (name.startswith(".git/") or self._is_hidden(name))):
            follower.heard(kind, _spelled(name))

    def put(self, fact: Fact) -> None:
        """Something was lost, or may be from now on, or the directory is gone."""
        self._is_stale = True
        if isinstance(fact, Resync) and fact.why:
            self.is_partial = True
            self._listing.warn(fact.why)
        if self._listing.follower is not None:
            self._listing.follower.lost()

    def take(self) -> tuple[dict[str, tuple[bool, bool]], bool]:
        """What has changed since it was last asked: by name whether it is there, and a directory; and whether that is
        not all.
        """
        with self._changed:
            told, is_stale = self._told, self._is_stale
            self._told, self._is_stale = {}, False
        return told, is_stale


class PathList:
    """One directory's paths, without what its ignore files leave out; safe to use from any thread."""

    def __init__(self, directory: Path) -> None:
        self.path = os.path.realpath(directory)
        self.index = Index()
        self.lock = threading.RLock()
        self.settled = threading.Event()  # whether it is watched, or has been found not to be watchable
        self._folders: set[str] = {""}
        self._ignored: set[str] = set()
        self._empty: set[str] = set()  # that hold nothing that is listed, and are not ignored
        self._covered: set[str] = set()  # whose own directories are watched too
        self._ear: _Ear | None = None
        self._begun = False
        self._used = -IDLE  # when somebody searched last
        self.follower: Follower | None = None
        self._news: dict[str, bool] = {}  # names that came or went since the follower asked: whether it was there then

    @property
    def is_watched(self) -> bool:
        """Whether a question needs no new listing."""
        return self._ear is not None and not self._ear.is_over and not self._ear.is_partial

    def watches(self, name: str) -> bool:
        """Whether the directory's own changes matter: it holds listed files, or lies where such do."""
        above = name.rpartition("/")[0]
        return (
            name in self._folders
            or name in self._empty
            or ((above in self._folders or above in self._empty) and name not in self._ignored)
        )

    def refresh(self) -> None:
        """Take in all that was done before this call. Raises Unavailable without ripgrep."""
        with self.lock:
            self._used = time.monotonic()
            self._freshen()

    def follow(self, follower: Follower) -> None:
        """Tell a follower from now on, once it is watched; the list is kept as long. Raises Unavailable, OSError."""
        with self.lock:
            self.follower = follower
            if not self.is_watched and self.settled.is_set():
                self._begun = False  # what could not be watched then may be by now
            self._freshen()
            self._news = {}

    def unfollow(self) -> None:
        """Tell nobody any more; a list in which nobody searches is dropped."""
        with self.lock:
            self.follower = None
            self._news = {}
        _watchers.submit(self._drop_unused)  # behind whoever may begin to watch it just now

    def _drop_unused(self) -> None:
        with self.lock:
            if self.follower is None and time.monotonic() - self._used >= IDLE:
                _drop(self)

    def news(self) -> dict[str, bool]:
        """Take in all that was done; the names that came or went since the last time: whether each was there then."""
        with self.lock:
            self._freshen()
            news, self._news = self._news, {}
        return news

    def warn(self, why: str) -> None:
        """Say why changes are not told to who follows."""
        if self.follower is not None:
            _logger.warning("%s: changes of its files can't be told: %s", self.path, why)

    def _freshen(self) -> None:
        with self.lock:
            ear = self._ear
            if ear is None or ear.is_over or ear.is_partial:
                self._begun = self._begun and (ear is None or ear.is_partial)
                self.close()
                self._list()
                self._begin()
                return
            watching.running().drain()
            told, is_stale = ear.take()
            if is_stale:
                self._ignored, self._empty, self._covered = set(), set(), set()
            if is_stale or not self._take(told):
                self._list_watched(ear)

    def close(self) -> None:
        """Watch no more."""
        ear, self._ear = self._ear, None
        if ear is not None:
            ear.close()

    def _begin(self) -> None:
        """Begin to watch, aside: the first question need not wait for it."""
        if not self._begun:
            self._begun = True
            _watchers.submit(self._watch)

    def _watch(self) -> None:
        try:
            watcher = watching.running()
            if isinstance(watcher, KernelWatcher) and len(self._folders) <= MOST_DIRECTORIES:
                ear = _Ear(watcher, self)
                watcher.attach(ear)
                with self.lock:
                    self._covered |= self._folders
                    self._list_watched(ear)
                    self._ear = ear
                watcher.later(IDLE, self._rest)
            elif isinstance(watcher, KernelWatcher):
                self.warn(f"it has {len(self._folders):,} folders, and {MOST_DIRECTORIES:,} are watched at most.")
            else:
                self.warn("this system does not say what changes.")
        except (OSError, Unavailable) as error:
            _logger.info("%s is listed anew for each search: %s", self.path, error)
            self.warn(str(error))
        finally:
            self.settled.set()

    def _rest(self) -> None:
        """Close it when nobody has asked for long."""
        left = IDLE if self.follower is not None else self._used + IDLE - time.monotonic()
        if left > 0:
            watching.running().later(left, self._rest)
        else:
            _drop(self)

    def _list_watched(self, ear: _Ear) -> None:
        """List everything, with all of it watched before: a directory that is new is watched, then listed again."""
        watcher = watching.running()
        while True:
            self._list()
            unknown = ear.asked - self._folders - self._empty - self._ignored
            ignored = git_ignored(Path(self.path), [f"{name}/" for name in sorted(unknown)])
            self._ignored |= ignored
            self._empty |= unknown - ignored
            if ignored:
                watcher.narrow(ear)
            new = (self._folders | self._empty) - self._covered
            if not new:
                return
            self._covered |= new
            watcher.extend(ear, sorted(name for name in new if name.rpartition("/")[0] not in new or not name))

    def _forget(self, folder: str) -> None:
        """A directory came or went: what was known of it and of what lies in it does not hold."""
        for known in (self._covered, self._empty):
            known.difference_update([one for one in known if one == folder or one.startswith(f"{folder}/")])

    def _take(self, told: dict[str, tuple[bool, bool]]) -> bool:
        """Take in single changes; False if that is not enough."""
        look: set[str] = set()
        is_enough = True
        for name, (is_there, is_dir) in told.items():
            above = name.rpartition("/")[0]
            if name in self._ignored:
                continue
            if is_dir or name in self._folders or above not in self._folders:
                self._forget(name)
                is_enough = False
            elif not is_there:
                if name in self.index:
                    self._note(name, was_there=True)
                    self.index.remove(name)
            elif name not in self.index:
                look.add(above)
        if not is_enough:
            return False
        if len(look) > MOST_LOOKED:
            return False
        for folder in look:
            for name in _listed(Path(self.path, folder), ["--max-depth=1"]):
                path = f"{folder}/{name}" if folder else name
                if path not in self.index:
                    self._note(path, was_there=False)
                    self.index.add(path)
        return True

    def _note(self, name: str, *, was_there: bool) -> None:
        if self.follower is not None:
            self._news.setdefault(name, was_there)

    def _list(self) -> None:
        files = _listed(Path(self.path), [])
        folders = folders_of(files)
        before = set(self.index) if self.follower is not None else set()
        self.index.update([*files, *(f"{name}/" for name in folders)])
        if self.follower is not None:
            for name in before.symmetric_difference(self.index):
                self._note(name, was_there=name in before)
        self._folders = folders | {""}


_lock = threading.Lock()
_kept: OrderedDict[str, PathList] = OrderedDict()
_watchers = ThreadPoolExecutor(1, thread_name_prefix="path-list")


def of(directory: Path) -> PathList:
    """The list of a directory, which is kept while it is asked."""
    with _lock:
        path = str(directory)
        found = _kept.setdefault(path, PathList(directory))
        _kept.move_to_end(path)
        free = [name for name, one in _kept.items() if one.follower is None and one is not found]
        dropped = [_kept.pop(name) for name in free[: max(0, len(_kept) - MOST_KEPT)]]
    for one in dropped:
        one.close()
    return found


def _drop(listing: PathList) -> None:
    with _lock:
        for name in [name for name, one in _kept.items() if one is listing]:
            del _kept[name]
    listing.close()


def clear() -> None:
    """Drop all lists."""
    with _lock:
        dropped = list(_kept.values())
        _kept.clear()
    for one in dropped:
        one.close()


def _spelled(name: str) -> str:
    """A name as the list has it."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def left_out(directory: Path) -> list[str]:
    """Rg's arguments that keep it out of git's own files, our drafts and our data."""
    globs = [f"!{name}" for name in LEFT_OUT] + [f"!{TEMPORARY}*"]
    globs += ["!/" + GLOB.sub(r"\\\1", name) for name in watching.hidden_in(str(directory))]
    return [f"--glob={glob}" for glob in globs]


def folders_of(files: Iterable[str]) -> set[str]:
    """The directories that hold the files, without a slash at their end."""
    found: set[str] = set()
    for name in files:
        end = name.rfind("/")
        while end > 0 and name[:end] not in found:
            found.add(name[:end])
            end = name.rfind("/", 0, end)
    return found


def git_ignored(directory: Path, paths: list[str]) -> set[str]:
    """Those of the paths that git ignores, without a slash at their end; none where git has no say."""
    if not paths or git.find_toplevel(directory) is None:
        return set()
    asked = "\0".join(f"./{path}" for path in paths).encode("utf-8", "surrogateescape")
    # This command alone refuses literal pathspecs; after ./ no name is taken for a pathspec's magic.
    env = {"GIT_LITERAL_PATHSPECS": "0"}
    try:
        out = git.run(["check-ignore", "-z", "--stdin"], directory, data=asked, accept=(0, 1), env=env)
    except git.GitFailed:
        return set()
    return {os.fsdecode(name).removeprefix("./").rstrip("/") for name in out.split(b"\0") if name}


def _listed(directory: Path, more: list[str]) -> list[str]:
    arguments = ["--files", "--hidden", "--null", *more, *left_out(directory), "--", "."]
    with Search(arguments, directory, most=OUTPUT, separator=b"\0") as records:
        names = (record.decode("utf-8", "replace").removeprefix("./") for record in records)
        return [name for name in names if not CONTROL.search(name)]
