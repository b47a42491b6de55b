"""ripgrep, run with exact arguments, without any configuration file, and read until there is enough."""

from __future__ import annotations

import select
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from app.errors import Invalid, NotFound, Unavailable

SECONDS = 5.0
CHUNK = 64 * 1024
ALWAYS = ("--no-config", "--no-messages", "--no-ignore-global", "--color=never", "--hidden")


def run(
    arguments: Sequence[str], cwd: Path, *, most: int, separator: bytes = b"\n", seconds: float = SECONDS
) -> Generator[bytes]:
    """Yield rg's records in the directory, at most so many bytes of them and for so long; closing ends rg.

    Raises Invalid for a pattern that rg can't read, Unavailable without rg, NotFound without the directory.
    """
    process = _start([_binary(), *ALWAYS, *arguments], cwd)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout as out, process.stderr as err:
        try:
            came = 0
            for record in _records(out, separator, most, time.monotonic() + seconds):
                came += 1
                yield record
        finally:
            process.kill()
            process.wait()
        if not came:
            _refuse(err.read(CHUNK))


def _start(command: list[str], cwd: Path) -> subprocess.Popen[bytes]:
    if not cwd.is_dir():
        raise NotFound("directory", str(cwd))
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    # No environment: where rg looks for further files to obey is named there.
    return subprocess.Popen(command, cwd=cwd, env={}, stdin=null, stdout=pipe, stderr=pipe, bufsize=0)


def _records(out: IO[bytes], separator: bytes, most: int, deadline: float) -> Iterator[bytes]:
    """Cut what comes at the separators; an unfinished record at a limit is left out."""
    poll = select.poll()
    poll.register(out, select.POLLIN)
    rest = b""
    while most > 0 and (left := deadline - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            return
        data = out.read(CHUNK)
        if not data:
            yield from filter(None, [rest])
            return
        most -= len(data)
        *whole, rest = (rest + data).split(separator)
        yield from whole


def _refuse(said: bytes) -> None:
    """Tell what rg finds wrong with a pattern; it says nothing when all is well."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    if lines:
        reason = lines[-1].removeprefix("rg: ").removeprefix("error: ")[:300]
        raise Invalid(f"This is not a regular expression: {reason.rstrip('.')}.", "pattern")


@cache
def _binary() -> str:
    """Return rg from PATH, or the one that lies beside our Python."""
    found = shutil.which("rg") or shutil.which("rg", path=str(Path(sys.executable).parent))
    if not found:
        raise Unavailable("ripgrep is not installed on this server.")
    return found
