"""Terminals of the system: a pair of descriptors, the size that programs draw for, and how its line editor counts."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from dataclasses import dataclass

from app.errors import Invalid

TERM = "xterm-256color"
MOST = 4096
IUTF8 = 0o40000


@dataclass(frozen=True)
class Size:
    """A terminal's size in characters."""

    cols: int
    rows: int

    def __post_init__(self) -> None:
        if not (0 < self.cols <= MOST and 0 < self.rows <= MOST):
            raise Invalid(f"A terminal has 1 to {MOST} columns and rows.", "size")


def make(size: Size) -> tuple[int, int]:
    """A new terminal: our descriptor and its command's, which the caller closes."""
    master, slave = os.openpty()
    set_size(slave, size)
    attributes = termios.tcgetattr(slave)
    attributes[0] |= IUTF8  # a backspace erases a whole character
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    return master, slave


def set_size(fd: int, size: Size) -> None:
    """Give it another size; the program in front is told."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.cols, 0, 0))
