"""Cloning with git: its progress told as it comes, and ended when nobody wants it any more."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from app import git


def clone(
    url: str,
    target: Path,
    *,
    protocol: str,
    settings: Sequence[str],
    progress: Callable[[str], None],
    is_wanted: Callable[[], bool],
    timeout: float,
) -> None:
    """Clone a URL, giving each line of progress as it comes; `is_wanted` is asked several times a second.

    Raises GitFailed when it fails, is no longer wanted, or takes longer than `timeout` seconds.
    """
    args = ["clone", "--progress", "--no-recurse-submodules", "--template=", "--", url, str(target)]
    env = {"GIT_ALLOW_PROTOCOL": protocol}
    process = git.start(args, target.parent, (f"protocol.{protocol}.allow=always", *settings), env, feed=False)
    ended: list[str] = []
    watch = threading.Thread(target=_watch, args=(process, is_wanted, timeout, ended), daemon=True)
    watch.start()
    try:
        stderr = _follow(process, progress)
    finally:
        git.end(process)
        process.communicate()
        watch.join()
    if ended or process.returncode:
        raise git.GitFailed(args, process.returncode, "".join(ended) or stderr)


def _follow(process: subprocess.Popen[bytes], progress: Callable[[str], None]) -> str:
    """Hand on each line of a clone's stderr until it ends; return the last lines."""
    assert process.stderr is not None
    kept: list[str] = []
    pending = b""
    while chunk := os.read(process.stderr.fileno(), 4096):
        *lines, pending = re.split(rb"[\r\n]", pending + chunk)
        for line in lines:
            words = line.decode("utf-8", "replace").strip()
            kept = [*kept[-20:], words] if words else kept
            progress(words)
    process.wait()
    return "\n".join([*kept, pending.decode("utf-8", "replace")])


def _watch(process: subprocess.Popen[bytes], is_wanted: Callable[[], bool], timeout: float, ended: list[str]) -> None:
    """Kill a clone that is no longer wanted or late, and say which; ends with it."""
    deadline = time.monotonic() + timeout
    while process.poll() is None:
        if not is_wanted():
            ended.append("Cancelled")
        elif time.monotonic() > deadline:
            ended.append(f"It took longer than {timeout / 60:.0f} minutes")
        if ended:
            git.end(process)
            return
        time.sleep(0.1)
