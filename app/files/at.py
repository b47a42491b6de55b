"""What is done with one name in an open folder; `folder` is its descriptor, `name` what the caller asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from app import clearing
from app.errors import Conflict, Denied, Invalid
from app.files.answers import refuse_special, shown, told

OTHER_DISK = "OTHER_DISK"
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # file systems without hard links


def take_after(fd: int, before: os.stat_result | None, mode: int | None) -> None:
    """Give a draft the owner and mode of what it replaces, or the mode."""
    if before and os.geteuid() == 0:
        with contextlib.suppress(PermissionError):  # a container's root may not give files away
            os.fchown(fd, before.st_uid, before.st_gid)
    if (wanted := before.st_mode if before and mode is None else mode) is not None:
        os.fchmod(fd, wanted & 0o777)


def put_instead(name: str, folder: int, draft: str, leaf: str, before: bytes | None) -> None:
    """Give the draft its place if `before` still lies there; the draft's own name is gone afterwards."""
    if before is None:
        try:
            os.link(draft, leaf, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in NO_LINKS:
                raise
        else:
            os.unlink(draft, dir_fd=folder)
            return
    refuse_changed(name, folder, leaf, before)
    os.rename(draft, leaf, src_dir_fd=folder, dst_dir_fd=folder)


def refuse_changed(name: str, folder: int, leaf: str, before: bytes | None) -> None:
    """Raise Conflict unless a file with just these bytes lies there; None: nothing."""
    try:
        fd = os.open(leaf, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        now = None
    else:
        with os.fdopen(fd, "rb") as file:
            refuse_special(name, os.fstat(fd).st_mode)
            now = file.read(len(before or b"") + 1)
    if now != before:
        raise Conflict(f"{shown(name)} was changed by somebody else meanwhile.")


def make(name: str, folder: int, leaf: str) -> bool:
    """Make a folder; False if something lies there."""
    with told(name):
        try:
            os.mkdir(leaf, dir_fd=folder)
        except FileExistsError:
            return False
    return True


def rename(name: str, here: int, old: str, there: int, new: str) -> None:
    """Rename; raises Invalid (OTHER_DISK) to another disk and into itself, Conflict where a folder and a file meet."""
    try:
        os.rename(old, new, src_dir_fd=here, dst_dir_fd=there)
    except OSError as problem:
        if problem.errno == errno.EXDEV:
            raise Invalid(f"{shown(name)} can't be moved to another disk.", "destination", code=OTHER_DISK) from None
        if problem.errno == errno.EINVAL:
            raise Invalid(f"{shown(name)} can't be moved into itself.", "destination") from None
        if problem.errno in (errno.ENOTDIR, errno.EISDIR):
            raise Conflict(f"A folder and a file can't take each other's place, as {shown(name)} would.") from None
        raise


def target_of(leaf: str, folder: int) -> str:
    """What is written on a link; "" if it is gone."""
    try:
        return os.readlink(leaf, dir_fd=folder).encode("utf-8", "replace").decode()
    except OSError:
        return ""


def delete(folder: int, leaf: str) -> None:
    """Delete a file, a link or a folder with all that is in it."""
    if stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
        clearing.remove_from(folder, leaf)
    else:
        os.unlink(leaf, dir_fd=folder)


def replaceable(name: str, folder: int, leaf: str) -> os.stat_result | None:
    """The regular file that lies there, None if nothing does; raises Denied for a link, Invalid for anything else."""
    with told(name):
        try:
            before = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
    if stat.S_ISLNK(before.st_mode):
        raise Denied(f"{shown(name)} is a link; write to what it leads to instead.")
    refuse_special(name, before.st_mode)
    return before
