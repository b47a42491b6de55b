"""What commands change in their stand-in of a git directory, carried over to the real one, and the other way round."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from app import clearing

LARGEST = 64 << 20  # bytes of what is taken from commands: a million refs
Content = bytes | None
Signature = tuple[int, int, int] | None
_ENTRY = re.compile(
    rb"^[0-9a-f]{40}(?:[0-9a-f]{24})? (refs/[^\x00-\x20\x7f]+)\n(?:\^[0-9a-f]{40}(?:[0-9a-f]{24})?\n)?", re.MULTILINE
)
_COMMITS = re.compile(rb"(?:[0-9a-f]{40}(?:[0-9a-f]{24})?\n)*")


class Carried:
    """One file of a git directory that is in the stand-in too; git's own lock there is held while they are compared."""

    def __init__(self, name: str, top: int, shown: int, base: Path, out: Callable[[Content, Content], None]) -> None:
        """`top` and `shown` are the open directories, `base` keeps what both have had last, `out` carries changes."""
        self._name, self._top, self._shown, self._base, self._out = name, top, shown, base, out
        self._seen: tuple[Signature, Signature] = (None, None)
        self._agreed = read(self._top, name, follow=True)
        self._note()
        if self._agreed is not None:
            _put(shown, _lock(shown, name), name, self._agreed)

    def settle(self, *, is_last: bool = False) -> None:
        """Make both the same again. `is_last` breaks the stand-in's lock, since who held it lives no more.

        Raises BlockingIOError when git holds a lock and it must be tried later.
        """
        if is_last:
            _drop(self._shown, f"{self._name}.lock")
        if self._seen == (signature(self._top, self._name), signature(self._shown, self._name)):
            return
        lock = _lock(self._shown, self._name)
        if lock is None:
            raise BlockingIOError(errno.EAGAIN, "git holds the lock", self._name)
        try:
            inside = read(self._shown, self._name)
            if inside != self._agreed:
                self._out(self._agreed, inside)
            before = signature(self._top, self._name)
            self._agreed = read(self._top, self._name, follow=True)
            self._note()
            if self._agreed != inside:
                if not stat.S_ISREG(_mode(self._shown, self._name)):
                    _drop(self._shown, self._name)
                lock = _put(self._shown, lock, self._name, self._agreed)
            self._seen = (before, signature(self._shown, self._name))
        finally:
            _let_go(self._shown, lock, self._name)

    def _note(self) -> None:
        if self._agreed is None:
            self._base.unlink(missing_ok=True)
        else:
            self._base.write_bytes(self._agreed)


def carry_refs(top: int, before: Content, after: Content) -> None:
    """Take out of a repository's packed-refs what commands took out of theirs, and add what they added.

    What others changed meanwhile stays. Raises BlockingIOError while git holds the lock.
    """
    was, now = _refs(before), _refs(after)
    if after is None or was == now:  # git never removes it: that is no word on refs
        return
    with _locked(top, "packed-refs") as put:
        content = read(top, "packed-refs", follow=True)
        found = _refs(content)
        gone = {ref for ref, entry in was.items() if ref not in now and found.get(ref) == entry}
        come = {ref: now[ref] for ref in now if now[ref] != was.get(ref) and found.get(ref) == was.get(ref)}
        if gone or come:
            merged = {ref: entry for ref, entry in {**found, **come}.items() if ref not in gone}
            put(_packed(merged, is_peeled=all(_is_peeled(each) for each in (content, after))))


def carry_shallow(top: int, before: Content, after: Content) -> None:
    """Write where a shallow history ends as commands left it; what others changed meanwhile stays.

    Raises BlockingIOError while git holds the lock.
    """
    if not _COMMITS.fullmatch(after or b""):
        return
    with _locked(top, "shallow") as put:
        now = read(top, "shallow", follow=True)
        lines = set((after or b"").splitlines(keepends=True))
        if now != before:
            lines |= set((now or b"").splitlines(keepends=True))
        put(b"".join(sorted(lines)) or None)


def read(folder: int, name: str, *, follow: bool = False) -> Content:
    """The content of a plain file in an open directory; None for anything else, and for what is too large.

    `follow` is for directories that no command can write: there any size is taken, and links are followed.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        return file.read() if stat.S_ISREG(found.st_mode) and (follow or found.st_size <= LARGEST) else None


def signature(folder: int, name: str) -> Signature:
    """What changes with a file's content: its number, time of change in nanoseconds, and size; None without one."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _refs(content: Content) -> dict[bytes, bytes]:
    """The refs in packed-refs, each with its line and that of what a tag stands for."""
    return {match[1]: match[0] for match in _ENTRY.finditer(content or b"")}


def _is_peeled(content: Content) -> bool:
    """Whether all tags are followed by what they stand for, as every git of these days writes it."""
    return not content or (content.startswith(b"# pack-refs with:") and b" fully-peeled " in content.split(b"\n", 1)[0])


def _packed(refs: Mapping[bytes, bytes], *, is_peeled: bool) -> bytes:
    head = b"# pack-refs with: peeled fully-peeled sorted \n" if is_peeled else b"# pack-refs with: sorted \n"
    return head + b"".join(refs[ref] for ref in sorted(refs))


def _lock(folder: int, name: str) -> int | None:
    """Take git's lock on a file as git does: an open descriptor, or None while somebody has it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(f"{name}.lock", flags, 0o644, dir_fd=folder)
    except FileExistsError:
        return None


@contextmanager
def _locked(folder: int, name: str) -> Iterator[Callable[[Content], None]]:
    """Hold git's lock on a file, and give what puts its new content there."""
    if stat.S_ISLNK(_mode(folder, name)):  # somebody's own arrangement, which a rename would end
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    lock: int | None = _lock(folder, name)
    if lock is None:
        raise BlockingIOError(errno.EAGAIN, "git holds the lock", name)

    def put(content: Content) -> None:
        nonlocal lock
        lock = _put(folder, lock, name, content, is_safe=True)

    try:
        yield put
    finally:
        _let_go(folder, lock, name)


def _put(folder: int, lock: int | None, name: str, content: Content, *, is_safe: bool = False) -> int | None:
    """Give a locked file its new content, `is_safe` on the disk itself; returns the lock while it is held still."""
    if lock is None or content is None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return lock
    with os.fdopen(lock, "wb", closefd=False) as file:
        if mode := stat.S_IMODE(_mode(folder, name)):
            os.fchmod(lock, mode)
        file.write(content)
    if is_safe:
        os.fsync(lock)
    os.rename(f"{name}.lock", name, src_dir_fd=folder, dst_dir_fd=folder)
    os.close(lock)
    return None


def _mode(folder: int, name: str) -> int:
    """What a file in an open directory is and who may what, 0 without one."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0


def _let_go(folder: int, lock: int | None, name: str) -> None:
    if lock is not None:
        os.close(lock)
        with suppress(FileNotFoundError):
            os.unlink(f"{name}.lock", dir_fd=folder)


def _drop(folder: int, name: str) -> None:
    """Remove whatever commands have left under a name."""
    if stat.S_ISDIR(_mode(folder, name)):
        clearing.remove_from(folder, name, forced=True)
    else:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
