"""How much a run lets its files grow: looked at after each call, cheaply while the disk has not become fuller.

What grew is what was written since the run began, by the time of the last change that the file system keeps (no
command can set it back), but never more than the disk has lost meanwhile.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from app import config
from app.sessions.service import Hold

BLOCK = 512
REMEMBERED = 1_000
# A file system's clock may lag behind ours by a tick.
LAG = 1.0
_free: OrderedDict[str, int] = OrderedDict()


def begin(hold: Hold) -> None:
    """Remember how much was free when this process first held the run."""
    if hold.run_id not in _free:
        _free[hold.run_id] = _free_bytes(Path(hold.session.directory))
        while len(_free) > REMEMBERED:
            _free.popitem(last=False)


def excess(hold: Hold, private: Path) -> str:
    """If the run's files have grown beyond the limit, a sentence that says so."""
    most = config.current().limits.disk << 20
    lost = _free.get(hold.run_id, 0) - _free_bytes(Path(hold.session.directory))
    if lost <= most:
        return ""
    since = (hold.run.started or hold.run.created) / 1000 - LAG
    grown = min(lost, sum(_changed(root, since) for root in (Path(hold.session.directory), private)))
    if grown <= most:
        return ""
    return f"This run has written {grown >> 20} MiB; a run may write {most >> 20} MiB, so it stops here."


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bfree * found.f_frsize


def _changed(root: Path, since: float) -> int:
    """Bytes on disk of the files below that were changed since then."""
    return sum(one.st_blocks * BLOCK for one in _files(root) if one.st_ctime >= since)


def _files(root: Path) -> Iterator[os.stat_result]:
    pending = [str(root)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        yield entry.stat(follow_symlinks=False)
        except OSError:
            continue  # it is gone, or hidden even from us
