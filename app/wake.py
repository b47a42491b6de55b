"""Waking who reads the log: after a commit, a byte to every listener of this machine.

Each listening process binds a datagram socket in DATA_DIR/wake. A lost byte costs nothing but time: readers
look at the log by themselves every few seconds.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path


class Bell:
    """A listener: `wait` returns as soon as any process of this machine has committed an event."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = _directory(data_dir)
        self._path = self._directory / f"{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _Short(self._directory) as directory:
            self._socket.bind(f"{directory}/{self._path.name}")

    def wait(self, timeout: float) -> bool:
        """Block until a byte comes or the time is over; drains what has gathered."""
        self._socket.settimeout(timeout)
        try:
            self._socket.recv(16)
        except TimeoutError:
            return False
        self._socket.setblocking(False)
        try:
            while self._socket.recv(16):
                continue
        except BlockingIOError:
            return True
        return True

    def ring(self) -> None:
        """Wake this listener from another thread of its own process."""
        with _Short(self._directory) as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):  # its buffer is full of wake-ups: it will wake
                sender.sendto(b"e", f"{directory}/{self._path.name}")

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Ringer:
    """The sending side; one per process."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = _directory(data_dir)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self) -> None:
        """Send a byte to every listener; sweep the sockets whose process is gone."""
        with _Short(self._directory) as directory:
            for name in os.listdir(self._directory):  # noqa: PTH208 - this runs at every commit
                try:
                    self._socket.sendto(b"e", f"{directory}/{name}")
                except BlockingIOError:
                    continue  # its buffer is full of wake-ups: it will wake
                except (ConnectionRefusedError, FileNotFoundError):
                    (self._directory / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the sending socket."""
        self._socket.close()


class _Short:
    """A name for the directory that fits into sun_path (108 bytes) however deep it lies."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = -1

    def __enter__(self) -> str:
        if len(str(self._directory)) < 60 or not Path("/proc/self/fd").is_dir():
            return str(self._directory)
        self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _directory(data_dir: Path) -> Path:
    directory = data_dir / "wake"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory
