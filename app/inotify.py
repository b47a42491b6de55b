"""The kernel's own word on what changes in directories: Linux inotify, by ctypes."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import sys
from pathlib import Path
from typing import NamedTuple

from app.errors import Unavailable

MODIFY, ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x02, 0x04, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, UNMOUNT, OVERFLOW, IGNORED, IS_DIR = 0x400, 0x800, 0x2000, 0x4000, 0x8000, 0x4000_0000
EXCLUDE_UNLINKED, ONLY_DIRECTORY = 0x0400_0000, 0x0100_0000
MASK = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
READ = 256 * 1024
LIMITS = "/proc/sys/fs/inotify"
_HEAD = struct.Struct("iIII")


class Event(NamedTuple):
    """One record: the number of the watched directory, what happened (bits), the two halves' cookie of a rename."""

    number: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One instance, without waiting; its descriptor becomes readable when there is something to read."""

    def __init__(self) -> None:
        """Raises Unavailable where the system grants no more of them."""
        self.fd = int(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        if self.fd < 0:
            raise _refused(ctypes.get_errno(), "max_user_instances")

    def add(self, folder: int) -> int:
        """Watch an open directory; returns its number, the same for the same directory.

        It goes by the descriptor, so no link that somebody puts on the way is followed. Raises Unavailable at the
        system's limit, OSError for what is gone.
        """
        path = f"/proc/self/fd/{folder}".encode()
        number = int(_libc().inotify_add_watch(self.fd, path, MASK | ONLY_DIRECTORY | EXCLUDE_UNLINKED))
        if number >= 0:
            return number
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.ENOMEM):
            raise _refused(code, "max_user_watches")
        raise OSError(code, os.strerror(code))

    def remove(self, number: int) -> None:
        """Watch it no more; one that the kernel has dropped already is fine."""
        _libc().inotify_rm_watch(self.fd, number)

    def read(self) -> list[Event]:
        """What has happened since; nothing at once if nothing has."""
        try:
            data = os.read(self.fd, READ)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            number, mask, cookie, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            found.append(Event(number, mask, cookie, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
            at += length
        return found

    def close(self) -> None:
        """Give it back, with all its watches."""
        os.close(self.fd)


def is_here() -> bool:
    """Whether this system tells of changes so."""
    return sys.platform == "linux" and Path("/proc/self/fd").is_dir()


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    return libc


def _refused(code: int, limit: str) -> Unavailable:
    try:
        now = f" (now {Path(LIMITS, limit).read_text().strip()})"
    except OSError:
        now = ""
    return Unavailable(
        f"The system lets nothing more be watched: {os.strerror(code)}. Its administrator can raise "
        f"fs.inotify.{limit}{now}."
    )
