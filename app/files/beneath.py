"""Opening names beneath a directory descriptor so that no link, race or `..` leads out of it.

Linux answers with one openat2(2) call. Elsewhere, or where a seccomp filter hides that call, the same rules
are kept by walking one component at a time with O_NOFOLLOW. Names are parts (no "", ".", "..", "/" or NUL in
them). Failures are OSError; EXDEV means "leads out", ELOOP "a link where none may be".
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
from collections.abc import Sequence

OPENAT2 = 437  # the same number on every architecture that has the call
NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x02, 0x04, 0x08
TRIES = 64  # openat2 gives EAGAIN while somebody renames; it asks to be called again
LINKS = 40  # as the kernel's own limit
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Looking is not reading: O_PATH needs no permission and wakes no device. Without it a plain open must do.
LOOK: int = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def kernel_resolves() -> bool:
    """Whether openat2 answers here."""
    if os.uname().sysname != "Linux":
        return False
    root = os.open("/", FOLDER)
    try:
        os.close(_openat2(root, ".", FOLDER, BENEATH))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def openat(root: int, parts: Sequence[str], flags: int, *, links: bool, walk: bool = False) -> int:
    """Open the name beneath root; links says whether symbolic links that stay beneath are followed."""
    if walk or not kernel_resolves():
        return _Walk(root, links).open(parts, flags)
    resolve = BENEATH | NO_MAGICLINKS | (0 if links else NO_SYMLINKS)
    return _openat2(root, "/".join(parts) or ".", flags | os.O_CLOEXEC, resolve)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root: int, name: str, flags: int, resolve: int) -> int:
    how = _How(flags, 0, resolve)
    for _ in range(TRIES):
        fd = _libc().syscall(
            ctypes.c_long(OPENAT2), ctypes.c_int(root), os.fsencode(name),
            ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)),
        )  # fmt: skip
        if fd >= 0:
            return int(fd)
        if (code := ctypes.get_errno()) not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code))


class _Walk:
    """One walk from a root: a stack of open folders, so that `..` in a link pops and never asks the disk."""

    def __init__(self, root: int, links: bool) -> None:
        self.stack = [os.dup(root)]
        self.links = LINKS if links else 0
        self.follows = links

    def open(self, parts: Sequence[str], flags: int) -> int:
        try:
            return self._open(list(reversed(parts)), flags | os.O_CLOEXEC)
        finally:
            for fd in self.stack:
                os.close(fd)

    def _open(self, left: list[str], flags: int) -> int:
        while left:
            part = left.pop()
            if part == "..":
                self._pop()
            elif part not in ("", "."):
                fd = self._step(part, flags if not left else FOLDER, left)
                if fd is not None and not left:
                    return fd
                if fd is not None:
                    self.stack.append(fd)
        return os.open(".", flags, dir_fd=self.stack[-1])

    def _pop(self) -> None:
        if len(self.stack) == 1:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        os.close(self.stack.pop())

    def _step(self, part: str, flags: int, left: list[str]) -> int | None:
        """Open one component, or put the parts of the link it is on top of what is left and give None."""
        here = self.stack[-1]
        try:
            fd = os.open(part, flags | os.O_NOFOLLOW, dir_fd=here)
        except OSError as problem:
            if problem.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
                raise
            target = _link(part, here)
            if target is None:
                raise
        else:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                return fd
            os.close(fd)  # O_PATH opens the link itself
            target = _link(part, here) or part
        left.extend(reversed(self._target(target)))
        return None

    def _target(self, target: str) -> list[str]:
        if self.links == 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if target.startswith("/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        self.links -= 1
        return target.split("/")


def _link(part: str, here: int) -> str | None:
    try:
        return os.readlink(part, dir_fd=here)
    except OSError:
        return None
