"""A shell kept ready to become the next command outside the sandbox: in its group, within its limits, its pipes open.

To start a program takes longer than all the rest of a small command; here most of it is done before anybody asks.
The shell waits for one small script on a named pipe, which only we hold open: when we end, so does it.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import logging
import os
import re
import select
import shlex
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app import config
from app.processes import cgroups, orphans

# What a pipe takes at once; a longer command is started the ordinary way.
MOST = 32 * 1024
KEPT = 2  # one more than is made while the other becomes a command
FOLDER = "spare"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names that mean something to the shell itself.
_SHELL = frozenset(("IFS", "OPTIND", "PPID", "PWD", "OLDPWD", "PS1", "PS2", "PS4", "LINENO", "ENV", "_", "UID", "EUID"))
# By its own mark what it leaves behind is found; another's must not take its place.
_KEPT_FROM_IT = _SHELL | {orphans.VARIABLE}
Limiting = Callable[[cgroups.Group | None], str]
_logger = logging.getLogger(__name__)
# Opens the pipe, says so, and does what came from it once that has ended. It is not opened a second time: that would
# wait for somebody who still writes. One digit: more of them are no redirection to some shells.
_WAIT = '\nexec 9<"$1"; echo; eval "$(cat <&9)"\n'
_UP = 5_000  # milliseconds after which a shell that says nothing is none to wait for


@dataclass(frozen=True)
class Spare:
    """A waiting shell, the group it is in, and the end of the pipe that it waits on."""

    popen: subprocess.Popen[bytes]
    group: cgroups.Group | None
    before: str
    mark: str
    control: int

    def become(self, script: bytes) -> bool:
        """Let it read the script; False if it is no longer there."""
        try:
            is_told = self.popen.poll() is None and os.write(self.control, script) == len(script)
        except OSError:
            is_told = False
        if is_told:
            os.close(self.control)
        else:
            self.close()
        return is_told

    def close_stdin(self) -> None:
        """Give it nothing to read."""
        if self.popen.stdin is not None:
            self.popen.stdin.close()
            self.popen.stdin = None

    def close(self) -> None:
        """End it."""
        self.popen.kill()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()
        self.popen.wait()
        if self.group is not None:
            self.group.end()
        os.close(self.control)


def take(
    argv: Callable[[cgroups.Group | None], Sequence[str]],
    cwd: Path,
    env: Mapping[str, str],
    limiting: Limiting,
) -> Spare | None:
    """A shell that waited, on its way to become the command; None when there is none, or it cannot."""
    with _lock:
        found = _waiting.popleft() if _waiting else None
    if found is None:
        return None
    if found.before != limiting(found.group):  # it was made under other limits
        found.close()
        return None
    words = script(argv(found.group), cwd, env)
    if words is None:
        with _lock:
            _waiting.append(found)
        return None
    return found if found.become(words) else None


def keep(limiting: Limiting) -> None:
    """Have shells wait for the next commands."""
    while len(_waiting) < KEPT:
        group = cgroups.make(orphans.server())
        try:
            made = _make(group, limiting(group), orphans.mark())
        except OSError:
            _logger.warning("no shell can be kept ready for the next command", exc_info=True)
            if group is not None:
                group.end()
            return
        with _lock:
            _waiting.append(made)


def drop() -> None:
    """End the shells that wait."""
    with _lock:
        found = list(_waiting)
        _waiting.clear()
    for one in found:
        one.close()


def script(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> bytes | None:
    """What makes such a shell the command; None where a shell could not pass it on exactly, or at once."""
    if not all(_NAME.fullmatch(name) and name not in _KEPT_FROM_IT for name in env):
        return None
    lines = ["exec 9<&-", f"cd -- {shlex.quote(str(cwd))} || exit 126"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    lines += ["unset PWD OLDPWD", f"exec {shlex.join(argv)}", ""]
    try:
        found = os.fsencode("\n".join(lines))
    except UnicodeEncodeError:
        return None
    return found if len(found) <= MOST else None


def sweep() -> None:
    """At start-up: remove the pipes of servers that are gone."""
    with contextlib.suppress(FileNotFoundError):
        for pipe in _folder().iterdir():
            if orphans.is_gone(".".join(pipe.name.split(".")[1:3])):
                pipe.unlink(missing_ok=True)


def _make(group: cgroups.Group | None, before: str, mark: str) -> Spare:
    """Start a shell that joins the group, runs `before`, and waits; by the mark it is known as ours (see orphans)."""
    with _pipe(mark) as pipe:
        control = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            popen = _shell(group, before, mark, pipe)
        except OSError:
            os.close(control)
            raise
        made = Spare(popen, group, before, mark, control)
        if not _is_up(popen):
            made.close()
            raise OSError(errno.ETIMEDOUT, "the shell does not come up")
    return made


def _shell(group: cgroups.Group | None, before: str, mark: str, pipe: Path) -> subprocess.Popen[bytes]:
    directories = group.directories if group is not None else ()
    return subprocess.Popen(
        [*cgroups.join(directories, before, _WAIT), str(pipe)],
        cwd="/",
        env={orphans.VARIABLE: mark},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,
    )


def _is_up(popen: subprocess.Popen[bytes]) -> bool:
    if popen.stdout is None:
        return False
    poll = select.poll()
    poll.register(popen.stdout, select.POLLIN)
    return bool(poll.poll(_UP)) and popen.stdout.read(1) == b"\n"


@contextlib.contextmanager
def _pipe(mark: str) -> Iterator[Path]:
    """A named pipe, whose name is there until the shell has opened it."""
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    pipe = folder / mark
    os.mkfifo(pipe, 0o600)
    try:
        yield pipe
    finally:
        pipe.unlink(missing_ok=True)


def _folder() -> Path:
    return config.current().data_dir / FOLDER


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _waiting.clear()


_lock = threading.Lock()
_waiting: deque[Spare] = deque()
os.register_at_fork(after_in_child=_after_fork)
atexit.register(drop)
