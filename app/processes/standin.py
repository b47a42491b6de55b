"""What commands in a worktree see at the top of their repository's git directory: a stand-in.

Git must be able to make files there (`packed-refs.lock`), and a name that is not there yet can't be kept: who may
write to the real one can give it a `commondir`, or the files of an unfinished rebase, which name what the next git of
the main checkout runs. So commands get a directory of ours in its place. What they share lies below it and is the
real thing (objects, refs, logs); the rest is shown as it is, read-only. The two files at the top that git writes
anew, packed-refs and shallow, are carried over both ways while commands live and after each has ended.

What is mounted in it is mounted for every command that it is shown to, so none of them can put a link in the place
where bubblewrap, which follows links, mounts for the next.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import select
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from app import clearing, config, ids
from app.errors import Unavailable
from app.inotify import Inotify
from app.processes import carrying, links
from app.processes.carrying import Carried

WRITTEN = ("objects", "refs", "logs", "rr-cache", "lfs", "annex", "svn")
READ = ("hooks", "info", "modules", "worktrees")
# What each git must make for itself, and what no repository's own directory has.
UNSEEN = ("gc.pid", "gc.log", "commondir", "gitdir")
REAL = "signalcabin"  # the name in the stand-in under which the real directory can be read
# Packed in the stand-in, refs would be missing outside for a moment.
SETTINGS = b"\n[gc]\n\tpackRefs = false\n"
LINGER = 30.0  # seconds that it is kept for a next command: to make it takes longer than many a command
IDLE, BUSY = 1000, 20  # milliseconds between looks while nothing is told, and while git holds a lock
PATIENCE = 5.0  # seconds for whoever has a lock of git
CARRIED = {"shallow": carrying.carry_shallow, "packed-refs": carrying.carry_refs}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_logger = logging.getLogger(__name__)


class StandIn:
    """The stand-in for one git directory, for the commands that live in one workspace."""

    def __init__(self, top: Path, above: Path) -> None:
        self.top, self.holds, self._idle, self._problem = top, 0, time.monotonic(), ""
        self.folder, self._held = _make(above)
        try:
            self._begin(top)
        except BaseException:
            _clear(self.folder)
            os.close(self._held)
            raise

    def _begin(self, top: Path) -> None:
        self._shown, self._config = self.folder / "top", self.folder / "config"
        (self.folder / "where").write_bytes(os.fsencode(top))
        self._binds = _binds(top)
        self._furnish()
        self._fds = real, shown = os.open(top, FOLDER), os.open(self._shown, FOLDER)
        self._lock, self._gone = threading.Lock(), threading.Event()
        self._asked = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._carried = [
            Carried(name, real, shown, self.folder / name, partial(carry, real)) for name, carry in CARRIED.items()
        ]
        self._configured: carrying.Signature = None
        self.settle()
        self._thread = threading.Thread(target=self._watch, name="stand-in", daemon=True)
        self._thread.start()

    def options(self) -> Iterator[str]:
        """What bubblewrap is told to show in place of the real directory."""
        yield from ("--bind", str(self._shown), str(self.top))
        yield from ("--ro-bind", str(self.top), str(self.top / REAL))
        for name, bind in self._binds.items():
            yield from (bind, str(self.top / name), str(self.top / name))
        yield from ("--ro-bind", str(self._config), str(self.top / "config"))

    def settle(self) -> bool:
        """Carry over what has changed on either side; False when something must be tried again."""
        try:
            self._settle()
        except BlockingIOError:
            return False
        except OSError as error:
            self._complain(error)
        return True

    def finish(self) -> bool:
        """Carry over the last when no command lives; False when that must be tried again."""
        try:
            self._settle(is_last=True)
        except BlockingIOError:
            return False
        except OSError as error:
            self._complain(error)
        self._idle = time.monotonic()
        return True

    def is_as_made(self) -> bool:
        """Whether the repository is still the one that it was made for, with the same directories."""
        try:
            is_same = os.path.samestat(self.top.stat(), os.fstat(self._fds[0]))
        except OSError:
            return False
        return is_same and self._binds == _binds(self.top)

    def retire(self) -> None:
        """Have it removed at once unless a command lives; wait for that."""
        os.eventfd_write(self._asked, 1)
        self._gone.wait(PATIENCE)

    def _settle(self, *, is_last: bool = False) -> None:
        with self._lock:
            self._configure()
            for one in self._carried:
                one.settle(is_last=is_last)

    def _furnish(self) -> None:
        """Make what others are mounted on, before any command could put a link in its place; name the rest."""
        for name in (REAL, *self._binds):
            (self._shown / name).mkdir()
        (self._shown / "config").touch()
        for name in os.listdir(self.top):  # noqa: PTH208 - their names are all that is wanted
            if name not in (REAL, *UNSEEN, *CARRIED, *self._binds, "config") and not name.endswith(".lock"):
                (self._shown / name).symlink_to(f"{REAL}/{name}")

    def _configure(self) -> None:
        """Show the configuration as it is now, with ours; in place, because the file itself is mounted."""
        now = carrying.signature(self._fds[0], "config")
        if now != self._configured or now is None:
            self._config.write_bytes((carrying.read(self._fds[0], "config", follow=True) or b"") + SETTINGS)
            self._configured = now

    def _complain(self, error: OSError) -> None:
        if str(error) != self._problem:  # commands could make us say so again and again
            _logger.warning("what changed in %s is not carried over: %s", self.top, error)
        self._problem = str(error)

    def _watch(self) -> None:
        poll, told = select.poll(), _listen(self._fds)
        poll.register(self._asked, select.POLLIN)
        if told is not None:
            poll.register(told.fd, select.POLLIN)
        is_settled = True
        while not self._retire(poll.poll(IDLE if not self.holds or (is_settled and told) else BUSY)):
            if told is not None:
                told.read()
            is_settled = self.settle()
        self._gone.set()
        if told is not None:
            told.close()  # which takes the kernel a while

    def _retire(self, told: Sequence[tuple[int, int]]) -> bool:
        """Remove it, if that was asked for or nobody has used it for long; what is left stays for the next start."""
        is_asked = any(fd == self._asked for fd, _ in told)
        if is_asked:
            os.eventfd_read(self._asked)
        with _lock:
            if self.holds or not (is_asked or time.monotonic() > self._idle + LINGER):
                return False
            for key in [key for key, one in _known.items() if one is self]:
                del _known[key]
        is_done = self.finish()
        for fd in (*self._fds, self._asked):
            os.close(fd)
        if is_done:
            _clear(self.folder)
        os.close(self._held)
        return True


@contextmanager
def entered(workspace: Path, private: Path, also: Sequence[Path]) -> Iterator[tuple[StandIn, ...]]:
    """The stand-ins for the git directories among what a command may write; `leave` them when it has ended, or when it
    does not start.

    Those who live in the same workspace share them. `private` is the project's own directory for its commands.
    """
    found: list[StandIn] = []
    try:
        _enter(found, workspace, private, also)
        yield tuple(found)
    except BaseException:
        leave(found)
        raise


def _enter(found: list[StandIn], workspace: Path, private: Path, also: Sequence[Path]) -> None:
    for top in (each for each in also if _is_shared(each, also)):
        with _lock:
            one = _known.get((workspace, top))
            if one is None or not (one.holds or one.is_as_made()):
                one = _known[workspace, top] = StandIn(top, private.resolve() / "git")
            one.holds += 1
        found.append(one)
        one.settle()


def leave(entered: Sequence[StandIn]) -> None:
    """A command has ended: what it changed is carried over before anybody is told so, and no link of its stays."""
    for one in entered:
        links.remove_within(one.top)
        with _lock:
            one.holds -= 1
        until = time.monotonic() + PATIENCE
        while not _is_left(one) and time.monotonic() < until:
            time.sleep(BUSY / 1000)  # somebody's git has the lock, or has left it: then it is tried again and again


def _is_left(one: StandIn) -> bool:
    with _lock:
        if not one.holds:
            return one.finish()
    one.settle()  # the lock may be held by a command that lives
    return True


def stop() -> None:
    """When the server stops: remove those that no command lives in."""
    with _lock:
        idle = [one for one in _known.values() if not one.holds]
    for one in idle:
        one.retire()


def sweep() -> None:
    """At start: carry over and remove what a process that was killed has left."""
    for folder in config.current().data_dir.glob("private/*/git/top_*"):
        with suppress(OSError):  # another process may remove it just now
            held = _take(folder)
            if held is not None:
                links.remove_within(_where(folder))
                _end(folder)
                os.close(held)


def _end(folder: Path) -> None:
    try:
        _carry_late(folder)
    except BlockingIOError as error:
        _logger.warning("%s stays until the next start: %s", folder, error)
        return
    except OSError as error:
        _logger.warning("nothing is carried over from %s: %s", folder, error)
    _clear(folder)


def _carry_late(folder: Path) -> None:
    with ExitStack() as opened:
        real, shown = (opened.enter_context(_open(each)) for each in (_where(folder), folder / "top"))
        for name, carry in CARRIED.items():
            base = (folder / name).read_bytes() if (folder / name).exists() else None
            after = carrying.read(shown, name)
            if after != base:
                carry(real, base, after)


def _where(folder: Path) -> Path:
    return Path(os.fsdecode((folder / "where").read_bytes()))


@contextmanager
def _open(folder: Path) -> Iterator[int]:
    fd = os.open(folder, FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_shared(folder: Path, also: Sequence[Path]) -> bool:
    """Whether it is the git directory of a repository, not the part of it that one worktree has."""
    within = any(folder != other and folder.is_relative_to(other) for other in also)
    return not within and _is_folder(folder / "worktrees")


def _binds(top: Path) -> dict[str, str]:
    """The directories that are shown as they are, each with how."""
    written = {name: "--bind" for name in WRITTEN if _is_folder(top / name)}
    return written | {name: "--ro-bind" for name in READ if _is_folder(top / name)}


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _listen(folders: Sequence[int]) -> Inotify | None:
    """What tells of changes in these directories; without it they are looked at again and again."""
    try:
        told = Inotify()
    except Unavailable:
        return None
    try:
        for folder in folders:
            told.add(folder)
    except (Unavailable, OSError):
        told.close()
        return None
    return told


def _make(above: Path) -> tuple[Path, int]:
    """A new directory for a stand-in and the lock on it, which is held before `sweep` could find it."""
    name = ids.random("top")
    new = above / f"new-{name}"
    (new / "top").mkdir(mode=0o700, parents=True)
    held = _take(new)
    if held is None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(new))
    return new.rename(above / name), held


def _take(folder: Path) -> int | None:
    """Say that a process lives which this stand-in is for; None when another has said so."""
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _clear(folder: Path) -> None:
    with suppress(OSError):  # what a command that is just dying still makes there goes at the next start
        clearing.remove(folder, forced=True)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _known.clear()


_lock = threading.Lock()
_known: dict[tuple[Path, Path], StandIn] = {}
os.register_at_fork(after_in_child=_after_fork)
