"""The verbs of the system: whether it is well, what it is, and what it uses of its machine."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import dataclass

import psutil
import sqlalchemy as sa

from app import __version__, config, db
from app.accounts import service as accounts
from app.actor import Actor
from app.system.relay import answer, dotted, follow, give, select, tell

__all__ = ["About", "Usage", "about", "answer", "dotted", "follow", "give", "has_database", "select", "tell", "usage"]
MIB = 1 << 20
# How long the very first look at the processors takes, in seconds; each later one tells of the time since the last.
FIRST_LOOK = 0.05


@dataclass(frozen=True)
class About:
    """What a server is; `started` in unix seconds, `uptime` in seconds."""

    version: str
    os: str
    arch: str
    host: str
    pid: int
    started: float
    uptime: float


@dataclass(frozen=True)
class Usage:
    """What the machine and this server use; memory in MiB, disk (of the data directory) in bytes, CPU in percent."""

    at: int
    cpu_count: int
    cpu_percent: float
    memory_total: int
    memory_used: int
    disk_total: int
    disk_used: int
    server_memory: float


def about(actor: Actor) -> About:
    """What this server is, and since when."""
    accounts.require(actor, "system:read")
    started = psutil.Process().create_time()
    return About(
        version=__version__,
        os=platform.system().lower(),
        arch={"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        host=socket.gethostname(),
        pid=os.getpid(),
        started=started,
        uptime=max(0.0, time.time() - started),
    )


def has_database(actor: Actor) -> bool:
    """Whether the database answers."""
    accounts.require(actor, "system:read")
    try:
        with db.read() as connection:
            return connection.execute(sa.select(1)).scalar() == 1
    except sa.exc.SQLAlchemyError:
        return False


def usage(actor: Actor) -> Usage:
    """What is in use now."""
    accounts.require(actor, "system:read")
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(config.current().data_dir))
    return Usage(
        at=int(time.time()),
        cpu_count=psutil.cpu_count() or 1,
        cpu_percent=_cpu_percent(),
        memory_total=memory.total // MIB,
        memory_used=memory.used // MIB,
        disk_total=disk.total,
        disk_used=disk.used,
        server_memory=psutil.Process().memory_info().rss / MIB,
    )


_looked = False


def _cpu_percent() -> float:
    """The share of all processors in use since the last look."""
    global _looked
    pause = None if _looked else FIRST_LOOK
    _looked = True
    return psutil.cpu_percent(pause)
