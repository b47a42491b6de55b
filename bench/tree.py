"""What a server's processes use, all of them together."""

from __future__ import annotations

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


def listener(port: int) -> int | None:
    """The outermost process that listens on a port here, if we may see it."""
    try:
        found = {
            c.pid
            for c in psutil.net_connections("tcp")
            if c.laddr and c.laddr.port == port and c.pid and c.status == psutil.CONN_LISTEN
        }
    except psutil.Error:
        return None
    outermost = [pid for pid in found if not found & {parent.pid for parent in psutil.Process(pid).parents()}]
    return outermost[0] if outermost else None


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
