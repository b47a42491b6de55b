"""Paths: the one place where a name given by a request or an agent meets the disk.

A `Root` is a directory that somebody may work in. Every verb takes a name: relative to the root, `~` or
`/home/user` (both mean the root), or absolute below the root's own path. Whatever leads out, by `..`, by a
link or by a race, is Denied; links that stay inside are followed for reading and refused for writing. Only
regular files are opened, and opening never waits for a fifo or a device.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import BinaryIO

from app import clearing
from app.errors import Conflict, Denied, Invalid, NotFound, Problem, TooLarge
from app.files import at, beneath, ours, seen
from app.files.answers import outside, refuse_bad_text, refuse_special, shown, told
from app.files.entry import Entry

ALIASES = ("/home/user", "~")
TEMPORARY = ".signalcabin-"  # half-written files are called so; lists leave them out
READ_LIMIT = 64 * 1024 * 1024
BY_NAME = itemgetter(0)
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Within = Callable[[], contextlib.AbstractContextManager[object]]


class Root:
    """A directory and everything beneath it; holds no descriptor, so it is cheap to make and free to keep."""

    def __init__(self, path: str | os.PathLike[str], *, aliases: tuple[str, ...] = ALIASES, walk: bool = False) -> None:
        """Path is trusted (a registered root); walk keeps to the fallback even where openat2 is there."""
        self.path = os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links
        self.walk = walk
        self._aliases = aliases

    def __repr__(self) -> str:
        return f"Root({self.path!r})"

    # Names

    @functools.cached_property
    def _tops(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.path, os.path.realpath(self.path), *self._aliases)))

    def parts(self, name: str) -> tuple[str, ...]:
        """The components below the root, by the text alone; Invalid for bad text, Denied if it leaves."""
        refuse_bad_text(name)
        found: list[str] = []
        for part in self._below(name).split("/"):
            if part == ".." and not found:
                raise outside(name)
            if part == "..":
                found.pop()
            elif part not in ("", "."):
                found.append(part)
        return tuple(found)

    def relative(self, name: str) -> str:
        """The name relative to the root ("" is the root); Denied if it or a link on its way leads out."""
        parts = self.parts(name)
        with contextlib.suppress(NotFound):
            os.close(self._open(name, parts, beneath.LOOK))
        return "/".join(parts)

    def absolute(self, name: str) -> str:
        """The name as an absolute path of this machine, checked like `relative`; to show, or as a cwd."""
        return "/".join((self.path.rstrip("/"), self.relative(name))).rstrip("/") or "/"

    def holds(self, name: str) -> bool:
        """Whether an absolute name, or one with an alias, is this root's own, by how it begins."""
        return any(name == top or name.startswith(top.rstrip("/") + "/") for top in self._tops)

    def _below(self, name: str) -> str:
        for top in self._tops if name.startswith(("/", "~")) else ():
            if name == top or name.startswith(top.rstrip("/") + "/"):
                return name[len(top) :]
        if name.startswith("~"):
            raise Invalid("A path may start with ~/ only, never with ~somebody.", "path")
        if name.startswith("/"):
            raise outside(name)
        return name

    # Reading

    def open_read(self, name: str) -> BinaryIO:
        """The regular file, open for reading from its start; the caller closes it."""
        fd = self._open(name, self.parts(name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            refuse_special(name, os.fstat(fd).st_mode)
        except Problem:
            os.close(fd)
            raise
        return os.fdopen(fd, "rb")

    def read_bytes(self, name: str, limit: int = READ_LIMIT) -> bytes:
        """The whole file; TooLarge if it has more than limit bytes."""
        with self.open_read(name) as file:
            if os.fstat(file.fileno()).st_size <= limit and len(data := file.read(limit + 1)) <= limit:
                return data
        raise TooLarge(f"{shown(name)} is larger than {limit:,} bytes.")

    def read_text(self, name: str, limit: int = READ_LIMIT) -> str:
        """The whole file as UTF-8, line ends untouched; Invalid if it is binary."""
        try:
            text = self.read_bytes(name, limit).decode()
        except UnicodeDecodeError:
            raise Invalid(f"{shown(name)} is not UTF-8 text.", "path") from None
        if "\0" in text:
            raise Invalid(f"{shown(name)} is a binary file.", "path")
        return text

    def stat(self, name: str) -> Entry:
        """What the name leads to, following links inside the root."""
        parts = self.parts(name)
        fd = self._open(name, parts, beneath.LOOK)
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        return _entry(parts[-1] if parts else "", "/".join(parts), found, stat.S_ISDIR(found.st_mode))

    def lstat(self, name: str) -> Entry:
        """What lies at the name itself: a link is told as a link; those on the way to it are followed."""
        parts = self.parts(name)
        if not parts:
            return self.stat(name)
        with self._parent(name, parts, links=True) as (folder, leaf), told(name):
            found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
            target = at.target_of(leaf, folder) if stat.S_ISLNK(found.st_mode) else ""
        return _entry(leaf, "/".join(parts), found, self._is_dir(parts, found), target)

    def exists(self, name: str) -> bool:
        """Whether the name leads to something; Invalid or Denied for a name that may not be asked for."""
        try:
            self.stat(name)
        except NotFound:
            return False
        return True

    def scan(self, name: str = "") -> list[Entry]:
        """What lies in a folder, by name; a link that leads out is listed as a link and goes nowhere."""
        parts = self.parts(name)
        return list(self._scan(name, parts, "/".join((*parts, ""))))

    def scan_here(self, name: str) -> Sequence[Entry]:
        """The same with paths relative to the folder; while nothing has changed in it, it is the same object."""
        return self._scan(name, self.parts(name), "")

    def walk_down(self, name: str, depth: int, *, here: bool = False) -> Iterator[Entry]:
        """What lies in a folder, and so many levels below it, each folder before what is in it; links lead nowhere.

        With `here` paths are relative to that folder.
        """
        parts = self.parts(name)
        return self._walk(parts, self._scan(name, parts, "" if here else "/".join((*parts, ""))), depth)

    def _walk(self, parts: tuple[str, ...], found: Iterable[Entry], depth: int) -> Iterator[Entry]:
        for entry in found:
            yield entry
            if depth > 1 and entry.is_dir and not entry.is_link:
                inner = (*parts, entry.name)
                try:
                    below = self._scan(entry.name, inner, f"{entry.path}/")
                except (NotFound, Denied):  # gone meanwhile, or closed to us
                    continue
                yield from self._walk(inner, below, depth - 1)

    def _scan(self, name: str, parts: tuple[str, ...], below: str) -> Sequence[Entry]:
        """What lies in a folder, by name, its path behind `below`. What has not changed is the same object again."""
        key = (self.path, parts, below)
        return seen.together(key, lambda: self._look(name, key))

    def _look(self, name: str, key: seen.Key) -> tuple[Entry, ...]:
        _, parts, below = key
        known, listing = seen.get(key)
        found: dict[str, Entry] = {}
        is_same = True
        fd = self._open(name, parts, beneath.FOLDER)
        try:
            for label in os.listdir(fd):  # noqa: PTH208 - of a descriptor; quicker than scandir with a stat of each
                try:
                    about = os.stat(label, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed while we looked
                entry = known.get(label)
                if entry is None or not _is_still(entry, about):
                    if label.startswith(TEMPORARY):
                        continue
                    before, entry = entry, self._scanned(parts, below, label, about, fd)
                    if entry == before:
                        entry = before  # a link that says the same
                    else:
                        is_same = False
                found[label] = entry
        finally:
            os.close(fd)
        if not is_same or len(found) != len(listing):
            listing = tuple(sorted(found.values(), key=BY_NAME))
            seen.put(key, found, listing)
        return listing

    def readlink(self, name: str) -> str:
        """Where the link at the name points, as written on it; Invalid if it is no link."""
        with self._parent(name, self.parts(name), links=True) as (folder, leaf), told(name):
            return os.readlink(leaf, dir_fd=folder)

    def _scanned(self, parts: tuple[str, ...], below: str, name: str, about: os.stat_result, fd: int) -> Entry:
        label = name if name.isascii() else name.encode("utf-8", "replace").decode()
        target = at.target_of(name, fd) if stat.S_ISLNK(about.st_mode) else ""
        return _entry(label, below + label, about, self._is_dir((*parts, name), about), target)

    def _is_dir(self, parts: Sequence[str], found: os.stat_result) -> bool:
        if not stat.S_ISLNK(found.st_mode):
            return stat.S_ISDIR(found.st_mode)
        try:
            os.close(self._open(parts[-1], parts, beneath.LOOK | os.O_DIRECTORY))
        except Problem:
            return False
        return True

    # Writing

    def write_bytes(self, name: str, data: bytes | Iterable[bytes], mode: int | None = None) -> int:
        """Put the bytes (or the chunks in turn) at the name, all or nothing; returns how many there were."""
        with self.open_write(name, mode) as file:
            for chunk in (data,) if isinstance(data, bytes) else data:
                file.write(chunk)
            return file.tell()

    @contextlib.contextmanager
    def open_write(
        self, name: str, mode: int | None = None, within: Within = contextlib.nullcontext
    ) -> Iterator[BinaryIO]:
        """A file that takes the name's place when the block ends well, and vanishes when it does not.

        Makes the folders on the way. A file that was there keeps its mode and owner unless mode is given. It takes the
        place `within` that context, and does not if that fails.
        """
        with self._parent(name, self.parts(name), make=True) as (folder, leaf):

            def put(draft: str) -> None:
                with within():
                    self._note(name)
                    os.rename(draft, leaf, src_dir_fd=folder, dst_dir_fd=folder)

            with self._drafted(name, folder, leaf, mode, put) as file:
                yield file

    def swap(
        self,
        name: str,
        before: bytes | None,
        after: bytes | None,
        mode: int | None = None,
        within: Within = contextlib.nullcontext,
    ) -> None:
        """Put `after` in the place of `before`, None being no file; Conflict if something else lies there by now.

        What lies there is looked at again just before it goes, and a new file never takes the place of another.
        """
        with self._parent(name, self.parts(name), make=after is not None) as (folder, leaf):
            if after is None:
                with told(name), within():
                    at.refuse_changed(name, folder, leaf, before)
                    self._note(name)
                    os.unlink(leaf, dir_fd=folder)
                return

            def put(draft: str) -> None:
                with within():
                    self._note(name)
                    at.put_instead(name, folder, draft, leaf, before)

            with self._drafted(name, folder, leaf, mode, put) as file:
                file.write(after)

    @contextlib.contextmanager
    def _drafted(
        self, name: str, folder: int, leaf: str, mode: int | None, put: Callable[[str], None]
    ) -> Iterator[BinaryIO]:
        """A new file beside the leaf, handed to `put` by its name when the block ends well."""
        before = at.replaceable(name, folder, leaf)
        draft = TEMPORARY + secrets.token_hex(12)
        with told(name):
            fd = os.open(draft, NEW, 0o666, dir_fd=folder)
        try:
            with told(name):
                with os.fdopen(fd, "wb") as file:
                    at.take_after(fd, before, mode)
                    yield file
                put(draft)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            raise

    def mkdir(self, name: str, *, exist_ok: bool = True) -> bool:
        """Make the folder and those on the way; True if it is new, Conflict if it had to be and is not."""
        parts = self.parts(name)
        made = False
        if parts:
            with self._parent(name, parts, make=True) as (folder, leaf):
                made = at.make(name, folder, leaf)
                with told(name):
                    os.close(beneath.openat(folder, (leaf,), beneath.FOLDER, links=False, walk=self.walk))
        if not made and not exist_ok:
            raise Conflict(f"{shown(name)} exists already.")
        return made

    def remove(self, name: str, *, recursive: bool = False) -> None:
        """Remove a file, a link (never what it leads to) or a folder; a full folder only if recursive."""
        with self._parent(name, self.parts(name)) as (folder, leaf), told(name):
            if not stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(leaf, dir_fd=folder)
            elif recursive:
                clearing.remove_from(folder, leaf)
            else:
                os.rmdir(leaf, dir_fd=folder)

    def discard(self, name: str, within: Within = contextlib.nullcontext) -> None:
        """Remove whatever lies at the name, and all in it, at once: it is gone `within` that context."""
        with self._parent(name, self.parts(name)) as (folder, leaf), told(name):
            gone = TEMPORARY + secrets.token_hex(12)
            with within():
                self._note(name)
                os.rename(leaf, gone, src_dir_fd=folder, dst_dir_fd=folder)
            try:
                at.delete(folder, gone)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.rename(gone, leaf, src_dir_fd=folder, dst_dir_fd=folder)
                raise

    def move(
        self,
        name: str,
        to: str,
        root: Root | None = None,
        *,
        parents: bool = True,
        within: Within = contextlib.nullcontext,
    ) -> None:
        """Give a thing another name, in this root or another; replaces a file, never a folder with something in it.

        Raises NotFound without the folder to move to, unless `parents` may be made; Invalid for a way to another disk.
        """
        there = root or self
        with (
            self._parent(name, self.parts(name)) as (here, old),
            told(name),
        ):
            os.stat(old, dir_fd=here, follow_symlinks=False)
            with there._parent(to, there.parts(to), make=parents) as (new_folder, new), told(to), within():  # noqa: SLF001
                self._note(name)
                there._note(to)  # noqa: SLF001
                at.rename(name, here, old, new_folder, new)

    def _note(self, name: str) -> None:
        ours.note("/".join((self.path.rstrip("/"), *self.parts(name))))

    # Descriptors

    def _open(self, name: str, parts: Sequence[str], flags: int, *, links: bool = True) -> int:
        with told(name):
            root = os.open(self.path, beneath.FOLDER)
            try:
                return beneath.openat(root, parts, flags, links=links, walk=self.walk)
            finally:
                os.close(root)

    @contextlib.contextmanager
    def _parent(
        self, name: str, parts: tuple[str, ...], *, make: bool = False, links: bool = False
    ) -> Iterator[tuple[int, str]]:
        """The open folder that holds the name, reached without any link unless they may be, and the last component."""
        if not parts:
            raise Denied("The workspace itself can't be replaced, moved or removed.")
        try:
            fd = self._open(name, parts[:-1], beneath.FOLDER, links=links)
        except NotFound:
            if not make:
                raise
            fd = self._make_folders(name, parts[:-1])
        try:
            yield fd, parts[-1]
        finally:
            os.close(fd)

    def _make_folders(self, name: str, parts: tuple[str, ...]) -> int:
        fd = self._open(name, (), beneath.FOLDER)
        for part in parts:
            above = fd
            try:
                at.make(name, above, part)
                with told(name):
                    fd = beneath.openat(above, (part,), beneath.FOLDER, links=False, walk=self.walk)
            finally:
                os.close(above)
        return fd


def inside(root: Root, name: str) -> bool:
    """Whether the name may be asked of this root, be it there or not."""
    try:
        root.relative(name)
    except Problem:
        return False
    return True


def _is_still(entry: Entry, now: os.stat_result) -> bool:
    """Whether an entry would be told as before; what a link says and leads to is looked at each time."""
    return (
        entry.size == now.st_size
        and entry.mtime == now.st_mtime_ns // 1_000_000
        and entry.mode == now.st_mode
        and not entry.is_link
        and entry.uid == now.st_uid
        and entry.gid == now.st_gid
    )


def _entry(name: str, path: str, found: os.stat_result, is_dir: bool, target: str = "") -> Entry:
    mode = found.st_mode
    mtime = found.st_mtime_ns // 1_000_000
    is_link = stat.S_ISLNK(mode)
    return Entry(name, path, is_dir, found.st_size, mtime, mode, is_link, found.st_uid, found.st_gid, target)
