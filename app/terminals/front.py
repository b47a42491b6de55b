"""What runs in front of a terminal right now, and where, as Linux tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST = 4096
DEEPEST = 16


@dataclass(frozen=True)
class Front:
    """The group in front: its directory as it sees it, its words, and whether it is the shell itself, which waits."""

    cwd: str
    words: tuple[str, ...]
    is_shell: bool


def look(pid: int) -> Front | None:
    """What is in front of the terminal that a started command has; None where that cannot be told."""
    for one in _below(pid):
        found = _terminal_of(one)
        if found is None:
            continue
        session, group = found
        return Front(_cwd(group), _words(group), is_shell=session == group)
    return None


def _below(pid: int) -> Iterator[int]:
    """A process and its first descendants, the outer before the inner."""
    level = [pid]
    for _ in range(DEEPEST):
        yield from level
        level = [child for one in level for child in _children(one)]


def _children(pid: int) -> list[int]:
    return [int(word) for word in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _terminal_of(pid: int) -> tuple[int, int] | None:
    """A process's session and the group in front of its terminal; None without a terminal."""
    # The name stands in parentheses and may hold anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 6:
        return None
    session, terminal, front = int(fields[3]), int(fields[4]), int(fields[5])
    return (session, front) if terminal and session > 0 and front > 0 else None


def _cwd(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def _words(pid: int) -> tuple[str, ...]:
    words = _read(f"/proc/{pid}/cmdline")[:MOST].split(b"\0")
    return tuple(word.decode("utf-8", "replace") for word in words if word)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
