"""What a server's processes use, all of them together."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import psutil


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it, the ended ones included."""
    return sum(_cpu(process) for process in _tree(pid))


def rss_megabytes(pid: int) -> float:
    """Resident memory of a process and all below it; pages they share count for each."""
    return sum(_rss(process) for process in _tree(pid)) / 1e6


def pss_megabytes(pid: int) -> float:
    """The same memory with each shared page counted once; Linux only."""
    return sum(_pss(process) for process in _tree(pid)) / 1e6


def share_priority(pid: int | str = "self") -> None:
    """Give a process's session the weight that `nice` gave us; Linux schedules sessions as groups of their own."""
    if ours := os.getpriority(os.PRIO_PROCESS, 0):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(ours))


def listener(port: int) -> int | None:
    """The outermost process that listens on a port here, if we may see it."""
    try:
        found = next((c.pid for c in psutil.net_connections("tcp") if c.pid and _listens(c, port)), None)
        above = psutil.Process(found).parents() if found else []
    except psutil.Error:
        return None
    # The socket of a forking server shows up for one of its processes only.
    holders = [parent.pid for parent in above if _holds(parent, port)]
    return holders[-1] if holders else found


def _holds(process: psutil.Process, port: int) -> bool:
    try:
        return any(_listens(connection, port) for connection in process.net_connections("tcp"))
    except psutil.Error:  # not ours to look into
        return False


def _listens(connection: Any, port: int) -> bool:
    return bool(connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN)


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it ended; its parent has its time now
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it ended
        return 0


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it ended
        return 0
