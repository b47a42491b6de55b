"""Putting a directory back to a tree: only the paths asked for, only where they differ, and safely beneath
the root.

Every step down is opened without following links; a file is replaced only while it still holds what the
snapshot
before the restore saw, so that nothing is lost that the automatic checkpoint does not have.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.checkpoints.compare import Entry, blobs, changed, sizes_of
from app.checkpoints.shadow import Shadow, Skipped, beneath, shown

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Plan:
    """What a restore does from the tree `now`: files put back, files removed, and what it leaves alone."""

    now: str
    put_back: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()
    kept: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a restore did; `kept` names the files it had to leave and why."""

    restored: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[Skipped, ...] = ()


class _Kept(Exception):
    """A file is left as it is; the message is the reason."""


def plan(shadow: Shadow, now: str, targets: Mapping[str, Collection[str]]) -> Plan:
    """Say what putting each tree's paths back to that tree would do; the first tree is the oldest.

    Paths are as `shown`. Files in no target are kept, whatever became of them since the oldest tree.
    """
    mine = {path for paths in targets.values() for path in paths}
    put_back, removed, kept = [], [], []
    for number, (then, paths) in enumerate(targets.items()):
        wanted = set(paths)
        for entry in changed(shadow, now, then):
            path = shown(entry.path)
            if path not in mine and number == 0:
                kept.append(Skipped(path, _WHY[entry.status]))
            elif path in wanted and entry.status == "deleted":
                removed.append(entry)
            elif path in wanted:
                put_back.append(entry)
    return Plan(now, tuple(put_back), tuple(removed), tuple(kept))


def paths_of(planned: Plan) -> list[tuple[str, str]]:
    """Return (path, status) of what a plan changes, in path order."""
    return sorted((shown(entry.path), entry.status) for entry in (*planned.put_back, *planned.removed))


_WHY = {
    "deleted": "not made by the agent",
    "modified": "changed by hand",
    "added": "removed by hand",
}


def carry_out(shadow: Shadow, directory: Path, planned: Plan) -> Outcome:
    """Do what a plan says, removals first; raises OSError when the disk is full, git.GitFailed when a file is lost."""
    # Before anything changes: whatever can't be read any more must not leave half a restore.
    sizes = sizes_of(shadow, {entry.new for entry in planned.put_back})
    kept: list[Skipped] = []
    removed = _each(planned.removed, kept, partial(_remove, directory))
    waiting: dict[str, list[Entry]] = {}
    for entry in planned.put_back:
        waiting.setdefault(entry.new, []).append(entry)
    restored: list[str] = []
    for name, content in blobs(shadow, waiting, sizes):
        restored += _each(waiting[name], kept, partial(_put, directory, content))
    return Outcome(tuple(sorted(restored)), tuple(removed), (*planned.kept, *kept))


def _each(entries: Iterable[Entry], kept: list[Skipped], act: Callable[[Entry], None]) -> list[str]:
    """Act on each entry; return the paths done, and add those left alone to `kept`."""
    done: list[str] = []
    for entry in entries:
        try:
            act(entry)
        except _Kept as reason:
            kept.append(Skipped(shown(entry.path), str(reason)))
        else:
            done.append(shown(entry.path))
    return done


@contextmanager
def _parent(directory: Path, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the directory that holds a path, link by link none followed; yield its descriptor and the last
    name.
    """
    if not beneath(path):
        raise _Kept("its name leads out of the directory")
    *above, name = path.split("/")
    here = os.open(directory, _DIRECTORY)
    try:
        for part in above:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=here)
            below = os.open(part, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        yield here, name
    except FileNotFoundError as error:
        raise _Kept("changed while restoring") from error
    except NotADirectoryError as error:
        raise _Kept("its directory is a link or a file now") from error
    finally:
        os.close(here)


def _present(parent: int, name: str, length: int) -> tuple[str, str]:
    """Return mode and object name of what is on disk, as git would name them; zeros for nothing."""
    try:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return "000000", "0" * length
    if stat.S_ISLNK(info.st_mode):
        target = os.fsencode(os.readlink(name, dir_fd=parent))
        return "120000", _hash(length, len(target), [target])
    if stat.S_ISDIR(info.st_mode):
        return "040000", ""
    if not stat.S_ISREG(info.st_mode):
        return "other", ""
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        mode = "100755" if info.st_mode & stat.S_IXUSR else "100644"
        return mode, _hash(length, size, iter(lambda: file.read(1 << 20), b""))


def _hash(length: int, size: int, chunks: Iterable[bytes]) -> str:
    """Return git's name of a blob, SHA-1 or SHA-256 by the length of the names in use."""
    digest = hashlib.sha1(usedforsecurity=False) if length == 40 else hashlib.sha256()
    digest.update(b"blob %d\0" % size)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _expect(parent: int, name: str, entry: Entry) -> None:
    """Insist that the disk still holds what the snapshot before the restore saw."""
    mode, found = _present(parent, name, len(entry.old))
    if (mode, found) == (entry.old_mode, entry.old):
        return
    if mode == "040000":
        raise _Kept("a directory with other files is in its place")
    raise _Kept("not a plain file" if mode == "other" else "changed while restoring, or too large to keep")


def _remove(directory: Path, entry: Entry) -> None:
    """Remove a file, and the directories it leaves empty."""
    with _parent(directory, entry.path) as (parent, name):
        _expect(parent, name, entry)
        os.unlink(name, dir_fd=parent)
    above = entry.path.rpartition("/")[0]
    while above:
        with _parent(directory, above) as (parent, name):
            try:
                os.rmdir(name, dir_fd=parent)
            except OSError:
                return
        above = above.rpartition("/")[0]


def _put(directory: Path, content: bytes, entry: Entry) -> None:
    """Write a file or a link beside its place and move it in."""
    with _parent(directory, entry.path, make=True) as (parent, name):
        _expect(parent, name, entry)
        fresh = f".signalcabin-{secrets.token_hex(8)}"
        try:
            if entry.new_mode == "120000":
                os.symlink(content, os.fsencode(fresh), dir_fd=parent)
            else:
                _write(parent, name, fresh, content, executable=entry.new_mode == "100755")
            os.replace(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=parent)
            raise


def _write(parent: int, name: str, fresh: str, content: bytes, *, executable: bool) -> None:
    """Write a new file with the permissions of the one it replaces, but for the executable bits."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(fresh, flags, 0o666, dir_fd=parent), "wb") as file:
        file.write(content)
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        with contextlib.suppress(FileNotFoundError):
            info = os.stat(name, dir_fd=parent, follow_symlinks=False)
            mode = stat.S_IMODE(info.st_mode) & 0o777 if stat.S_ISREG(info.st_mode) else mode
        readable = (mode & 0o444) >> 2
        os.fchmod(file.fileno(), mode | readable if executable else mode & ~0o111)
