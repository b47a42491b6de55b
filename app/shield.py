"""Keeps other processes of the same user out of the server's memory, descriptors and environment.

What agents run is the same user's: without this, a command outside a sandbox could read the keys of the models
from /proc/PID/environ, or attach to the server with ptrace. A command's own process is a new program: it is not
shielded, so that debuggers in a workspace work.
"""

from __future__ import annotations

import ctypes
import logging
import sys

_PR_SET_DUMPABLE = 4
_logger = logging.getLogger(__name__)


def raise_shield() -> None:
    """Shield this process and those it forks; elsewhere than on Linux there is nothing to do."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        _logger.warning("other processes of this user can read the server's memory: errno %s", ctypes.get_errno())
