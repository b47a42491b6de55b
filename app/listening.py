"""Where the server listens: its port and those of single dialects, or a Unix socket that only its user can open."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import sys
from pathlib import Path

from app.config import Config

# 0600: connecting to a Unix socket takes the right to write to it.
SOCKET_UMASK = 0o177


def addresses(settings: Config) -> list[str]:
    """What gunicorn binds: `host:port` of each port, `unix:path` in place of the main one."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    main = f"unix:{settings.socket}" if settings.socket else f"{host}:{settings.port}"
    return [main, *(f"{host}:{port.port}" for port in settings.ports)]


def check(settings: Config) -> None:
    """Exit 2 with a line that says what is in the way, if the socket or a port cannot be had."""
    if settings.socket:
        _check_socket(settings.socket)
    for port in (*(() if settings.socket else (settings.port,)), *(port.port for port in settings.ports)):
        _check_port(settings.host, port)


def say_where(settings: Config, code: str | None) -> None:
    """Print where people reach the server, with the one-time sign-in link while nobody has used one."""
    link = f"{settings.url}/signin#{code}" if code else settings.url
    print(f"Signalcabin answers at {settings.socket or settings.url}", flush=True)
    if settings.auth == "none":
        print("Sign-in is off: whoever can use this machine is the owner.", flush=True)
    elif code:
        print(f"Sign in within 10 minutes: {link}", flush=True)
    if settings.socket or os.environ.get("SSH_CONNECTION"):
        there = settings.socket or f"127.0.0.1:{settings.port}"
        user = os.environ.get("USER", "you")
        print(f"From your own machine: ssh -L {settings.port}:{there} {user}@{socket.gethostname()}", flush=True)


def _check_socket(path: Path) -> None:
    """What a server left behind that was killed is in nobody's way: gunicorn binds anew."""
    told = ""
    with contextlib.suppress(OSError):  # nothing is there, or nothing may be looked at, which the directory tells
        if not stat.S_ISSOCK(path.lstat().st_mode):
            told = "there is a file"
        elif _answers(path):
            told = "a server listens there"
    if not told and not os.access(path.parent, os.W_OK | os.X_OK):
        told = f"{path.parent} is no directory that this user may write to"
    if told:
        print(f"Socket {path} cannot be used: {told}. Choose another with SIGNALCABIN_SOCKET.", file=sys.stderr)
        raise SystemExit(2)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = _taken_by(port) or error.strerror
            print(f"Port {port} cannot be used: {taken}. Choose another with SIGNALCABIN_PORT.", file=sys.stderr)
            raise SystemExit(2) from None


def _taken_by(port: int) -> str:
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                name = psutil.Process(connection.pid).name() if connection.pid else "another process"
                return f"it is taken by {name} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
