"""Who holds a lease: a process, by a name that is never given twice."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache

import psutil

CLOCK_STEP = 2
_this_start = secrets.token_hex(4)


def name() -> str:
    """Name this process in leases: host, pid, start time, and a random word."""
    return _name(os.getpid())


@cache
def _name(pid: int) -> str:
    return f"{host()}|{pid}|{int(psutil.Process(pid).create_time())}|{_this_start}"


def host() -> str:
    """Name this machine as those names do."""
    return socket.gethostname()[:40].replace("|", "-")


def is_alive(owner: str) -> bool:
    """Whether the process of that name, of this machine, still runs."""
    _, pid, started, start_word = owner.split("|")
    if int(pid) == os.getpid():
        return start_word == _this_start
    try:
        process = psutil.Process(int(pid))
        # The kernel counts starts from boot: a set clock moves what that is in seconds of the day.
        is_same = abs(process.create_time() - int(started)) <= CLOCK_STEP
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
