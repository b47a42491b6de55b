"""What is wrong with a name, and what the system answers about one, in the words of app.errors."""

from __future__ import annotations

import contextlib
import errno
import re
import stat
from collections.abc import Iterator
from typing import NoReturn

from app.errors import Conflict, Denied, Invalid, NoSpace, NotFound

LONGEST = 4096
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refuse_bad_text(name: str) -> None:
    """Raise Invalid for a text that is no path."""
    if CONTROL.search(name):
        raise Invalid("A path may not hold backslashes or control characters.", "path")
    if SCHEME.match(name):
        raise Invalid("A path is wanted here, not a URL.", "path")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Invalid("A path has to be proper Unicode.", "path") from None
    if size > LONGEST:
        raise Invalid(f"A path has at most {LONGEST:,} bytes.", "path")


def refuse_special(name: str, mode: int) -> None:
    """Raise Invalid for what is no regular file, by its st_mode."""
    if stat.S_ISDIR(mode):
        raise Invalid(f"{shown(name)} is a folder.", "path")
    if not stat.S_ISREG(mode):
        raise Invalid(f"{shown(name)} is no regular file.", "path")


def shown(name: str) -> str:
    """The name, or its end if it is long."""
    return name if len(name) <= 200 else f"…{name[-200:]}"


def outside(name: str) -> Denied:
    """The refusal of a name that leads out."""
    return Denied(f"{shown(name)} lies outside the workspace.")


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Tell what the system answered in the words of app.errors."""
    try:
        yield
    except OSError as problem:
        tell(name, problem)


def tell(name: str, problem: OSError) -> NoReturn:
    """Raise the Problem that says what the system answered; what is none of ours is raised again."""
    code = problem.errno
    if code in (errno.ENOENT, errno.ENOTDIR):
        raise NotFound("file", shown(name)) from None
    if code == errno.EXDEV:
        raise outside(name) from None
    if code == errno.ELOOP:
        raise Denied(f"{shown(name)} goes through a link, which is not followed here.") from None
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise Denied(f"The server may not do this to {shown(name)}.") from None
    if code in FULL:
        raise NoSpace("The disk is full; nothing was written.") from None
    if code == errno.ENAMETOOLONG:
        raise Invalid("A part of the path is too long.", "path") from None
    if code in (errno.ENXIO, errno.EOPNOTSUPP, errno.EINVAL, errno.EISDIR):
        raise Invalid(f"{shown(name)} can't be opened as a file.", "path") from None
    if code in (errno.EEXIST, errno.ENOTEMPTY, errno.EBUSY, errno.ETXTBSY):
        raise Conflict(f"{shown(name)} is in the way or in use.") from None
    raise problem
