"""Runs inside the sandbox, just before the command: opens the proxy's port there and hands it to the server.

A socket belongs to the network in which it was made. So the server, outside, accepts what connects to this one,
inside, and nothing of the proxy is left among the commands: no process, no file, no descriptor.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # without these two underscores the start takes twice as long
import _socket
import os
import sys

WAITING = 128
CHANGED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def hand_over(channel: int, port: int) -> None:
    """Listen on the port and send the socket through the channel; both are closed here afterwards."""
    line = _socket.socket(fileno=channel)
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(WAITING)
        number = listener.fileno().to_bytes(4, sys.byteorder)
        line.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, number)])
    finally:
        listener.close()
        line.close()


def become(argv: list[str]) -> int:
    """Become the command; returns the exit code of one that can't be started, as a shell has it."""
    for number in CHANGED_BY_PYTHON:
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as failure:
        print(f"{argv[0]}: {failure.strerror}", file=sys.stderr)
        return 127 if isinstance(failure, FileNotFoundError) else 126


if __name__ == "__main__":
    try:
        hand_over(int(sys.argv[1]), int(sys.argv[2]))
    except OSError as failure:
        print(f"This command has no network: {failure.strerror}", file=sys.stderr)
    sys.exit(become(sys.argv[3:]))
