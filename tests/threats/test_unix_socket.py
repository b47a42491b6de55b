"""A server on a Unix socket is for its user alone, and opens no port (THREATS 1.2)."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import unix_connect

from tests import migrated
from tests.patience import PATIENCE
from tests.running import ROOT, TOKEN, Running, free_port

LINE = [sys.executable, "-m", "app", "serve"]


class ByUnix(http.client.HTTPConnection):
    """A connection whose other end is a path."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self.path))


class OnSocket(Running):
    """A server on a socket in its data directory."""

    def __init__(self, data_dir: Path, project: Path | None = None, **settings: str) -> None:
        self.path = data_dir / "cabin.sock"
        super().__init__(data_dir, project, SOCKET=str(self.path), **settings)

    def connection(self) -> http.client.HTTPConnection:
        return ByUnix(self.path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnSocket]:
    with OnSocket(tmp_path_factory.mktemp("on-socket") / "data") as server:
        yield server


def started(running: Running) -> subprocess.CompletedProcess[str]:
    """`serve` again with the same settings, to its end."""
    return subprocess.run(
        LINE, cwd=ROOT, env=running.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_socket_is_for_its_user_alone_and_no_port_is_open(running: OnSocket) -> None:
    found = running.path.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())
    assert not is_open(running.port)
    assert running.call("GET", "/session", Authorization="")[0] == 401
    assert running.call("GET", "/session")[0] == 200
    told = running.log.read_text()
    assert f"Signalcabin answers at {running.path}" in told
    assert f"ssh -L {running.port}:{running.path} " in told


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:9999", 200), ("[::1]:1", 200), ("evil.example", 421), ("evil.example:80", 421)],
)
def test_it_goes_by_the_names_of_this_machine_at_any_port_of_a_tunnel(
    running: OnSocket, host: str, status: int
) -> None:
    assert running.call("GET", "/session", Host=host)[0] == status


def test_the_host_header_chooses_no_port_that_acts_as_a_token(tmp_path: Path) -> None:
    port = free_port()
    with OnSocket(tmp_path / "data", PORTS=f"opencode={port}:tui") as running:
        made = [sys.executable, "-m", "app", "token", "tui"]
        subprocess.run(made, cwd=ROOT, env=running.environ, check=True, capture_output=True)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/session")
        assert connection.getresponse().status == 200
        connection.close()
        assert running.call("GET", "/session", Authorization="", Host=f"127.0.0.1:{port}")[0] == 401


def test_who_comes_by_it_is_on_this_machine(running: OnSocket) -> None:
    body = {"email": "nobody@example.com", "password": "whatever-it-is"}
    assert running.call("POST", "/api/v1/auth/login", body, Authorization="")[0] == 401
    _status, found = running.call("GET", "/api/v1/audit?limit=20")
    assert "127.0.0.1" in json.dumps(found)


def test_a_stream_and_a_terminal_go_over_it(running: OnSocket) -> None:
    stream = running.connection()
    stream.request("GET", "/event", headers={"Authorization": f"Bearer {TOKEN}"})
    told = stream.getresponse()
    assert any(b"server.connected" in line for line in iter(told.readline, b""))
    stream.close()

    status, made = running.call("POST", "/pty", {"command": "/bin/sh", "args": ["-c", "read line; echo heard $line"]})
    assert status == 200
    given = {"Authorization": f"Bearer {TOKEN}"}
    with unix_connect(
        str(running.path),
        f"ws://localhost/pty/{made['id']}/connect",
        additional_headers=given,
        compression=None,
        legacy=True,
        open_timeout=PATIENCE,
    ) as line:
        line.send("you\n")
        said = ""
        while "heard you" not in said:
            said += str(line.recv(timeout=PATIENCE))


def test_a_second_server_leaves_the_first_its_socket(running: OnSocket) -> None:
    done = started(running)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Socket {running.path} cannot be used: a server listens there. Choose another with SIGNALCABIN_SOCKET.\n"
    )
    assert running.call("GET", "/session")[0] == 200


def test_a_killed_server_s_socket_is_in_nobody_s_way_and_goes_with_its_server(tmp_path: Path) -> None:
    with OnSocket(tmp_path / "data") as running:
        running.kill()
        assert running.path.exists()
        running.start()
        assert running.call("GET", "/session")[0] == 200
        running.stop()
        assert not running.path.exists()


def test_a_file_is_not_taken_for_it(tmp_path: Path) -> None:
    running = OnSocket(tmp_path / "data")
    running.data_dir.mkdir()
    migrated.copy_into(running.data_dir)
    running.path.write_text("notes")
    done = started(running)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Socket {running.path} cannot be used: there is a file.")
    assert running.path.read_text() == "notes"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SOCKET": "/tmp/" + "x" * 120}, "SIGNALCABIN_SOCKET is a path of 103 bytes at most."),
        (
            {"SOCKET": "/tmp/x.sock", "HOST": "0.0.0.0", "PUBLIC_URL": "https://cabin.example.org"},
            "SIGNALCABIN_SOCKET takes the place of a port: set no HOST beside it.",
        ),
    ],
)
def test_what_cannot_be_a_socket_is_said(tmp_path: Path, given: dict[str, str], told: str) -> None:
    done = started(Running(tmp_path / "data", **given))
    assert (done.returncode, done.stderr) == (1, f"Error: {told}\n")


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_a_directory_that_is_none_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("notes")
    path = tmp_path / name / "cabin.sock"
    done = started(Running(tmp_path / "data", SOCKET=str(path)))
    assert done.returncode == 2
    assert f"{path.parent} is no directory that this user may write to" in done.stderr
