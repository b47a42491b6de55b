"""ripgrep, run with exact arguments, without any configuration file, and read until there is enough."""

from __future__ import annotations

import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Self

from app.errors import Invalid, NotFound, Unavailable

SECONDS = 5.0
CHUNK = 64 * 1024
CANCEL_POLL = 0.05
ALWAYS = ("--no-config", "--no-messages", "--no-ignore-global", "--color=never")


@dataclass(frozen=True)
class Found:
    """The first records of a search, whether there were more, and whether its time or its caller ended it."""

    records: list[bytes]
    is_cut: bool
    is_late: bool
    is_stopped: bool


class Search:
    """rg at work in a directory: iterate its records once; leaving the block ends it.

    It ends by itself after `most` bytes, after `seconds` (then `is_late`), or once `cancel` is set (`is_stopped`).
    Raises Invalid for arguments that rg can't read, Unavailable without rg, NotFound without the directory.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        *,
        most: int | None = None,
        separator: bytes = b"\n",
        seconds: float | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.is_late = self.is_stopped = False
        self._separator = separator
        self._left = most
        self._deadline = time.monotonic() + (SECONDS if seconds is None else seconds)
        self._cancel = cancel
        self._process = _start([_binary(), *ALWAYS, *arguments], cwd)

    def __iter__(self) -> Iterator[bytes]:
        """Cut what comes at the separators; an unfinished record at a limit is left out."""
        rest, came = b"", False
        while data := self._read():
            *whole, rest = (rest + data).split(self._separator)
            came = came or bool(whole)
            yield from whole
        if self._has_ended():
            yield from filter(None, [rest])
            if not came and not rest:
                self._refuse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def _read(self) -> bytes:
        """What comes next; nothing at the end or at a limit."""
        assert self._process.stdout is not None
        poll = select.poll()  # not select(): it fails from descriptor 1024 on, and streams are many
        poll.register(self._process.stdout, select.POLLIN | select.POLLHUP)
        while self._left is None or self._left > 0:
            self.is_stopped = self._cancel is not None and self._cancel.is_set()
            left = self._deadline - time.monotonic()
            self.is_late = left <= 0 and not self.is_stopped
            if self.is_stopped or self.is_late:
                break
            if poll.poll(1000 * (left if self._cancel is None else min(left, CANCEL_POLL))):
                data: bytes = self._process.stdout.read(CHUNK)
                self._left = None if self._left is None else self._left - len(data)
                return data
        return b""

    def _has_ended(self) -> bool:
        """Whether rg itself came to its end."""
        return not (self.is_late or self.is_stopped or (self._left is not None and self._left <= 0))

    def _refuse(self) -> None:
        """Tell what rg finds wrong with its arguments; it says nothing when all is well."""
        assert self._process.stderr is not None
        said = self._process.stderr.read(CHUNK).decode("utf-8", "replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        if lines:
            reason = lines[-1].removeprefix("rg: ").removeprefix("error: ")[:300]
            raise Invalid(f"The search could not be made: {reason.rstrip('.')}.", "pattern")


def search(
    arguments: Sequence[str], cwd: Path, limit: int, *, cancel: threading.Event | None = None, separator: bytes = b"\n"
) -> Found:
    """The first `limit` records; raises what `Search` raises."""
    with Search(arguments, cwd, separator=separator, cancel=cancel) as running:
        records = list(islice(running, limit + 1))
    return Found(records[:limit], len(records) > limit, running.is_late, running.is_stopped)


def _start(command: list[str], cwd: Path) -> subprocess.Popen[bytes]:
    if not cwd.is_dir():
        raise NotFound("directory", str(cwd))
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    # No environment: where rg looks for further files to obey is named there.
    return subprocess.Popen(command, cwd=cwd, env={}, stdin=null, stdout=pipe, stderr=pipe, bufsize=0)


@cache
def _binary() -> str:
    """Return rg from PATH, or the one that lies beside our Python."""
    found = shutil.which("rg") or shutil.which("rg", path=str(Path(sys.executable).parent))
    if not found:
        raise Unavailable("ripgrep is not installed on this server.")
    return found
