"""A server that other machines can reach does not start before it is somebody's (THREATS 1.1)."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app import beyond
from app.config import Config
from app.errors import Invalid
from tests.running import ROOT, Running, free_port

EMAIL, PASSWORD = "ines@example.com", "tractor-lamp-9"
HOSTS = ["0.0.0.0", "0", "::", "0x0", "::ffff:0.0.0.0"]
PUBLIC = {"PUBLIC_URL": "https://cabin.example.org"}


def started(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """`serve` with these words, to its end."""
    line = [sys.executable, "-m", "app", "serve", *words]
    return subprocess.run(line, cwd=ROOT, env=running.environ, capture_output=True, text=True, timeout=60, check=False)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_owner(running: Running, *, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    """What the deployment page has one do first."""
    line = [sys.executable, "-m", "app", "user", "owner", EMAIL, "--stdin"]
    return subprocess.run(
        line, cwd=ROOT, env=running.environ, input=f"{password}\n", capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("host", HOSTS)
def test_it_starts_on_no_other_address_while_it_is_nobodys(tmp_path: Path, host: str) -> None:
    running = Running(tmp_path / "data", **PUBLIC)
    running.environ.pop("SIGNALCABIN_ADMIN_TOKEN")
    done = started(running, "--host", host)
    assert done.returncode == 78
    assert done.stderr == beyond.NO_WAY_IN.format(host=host) + "\n"
    assert done.stdout == ""
    assert not is_open(running.port)
    assert not (tmp_path / "data" / "signalcabin.db").exists()


@pytest.mark.parametrize("host", [*HOSTS, "localhost", "192.0.2.1"])
def test_nor_without_the_address_that_people_use(tmp_path: Path, host: str) -> None:
    done = started(Running(tmp_path / "data"), "--host", host)
    assert done.returncode != 0
    assert done.stderr == "Error: A HOST other than 127.0.0.1 or ::1 needs SIGNALCABIN_PUBLIC_URL.\n"
    assert done.stdout == ""


@pytest.mark.parametrize("host", HOSTS)
def test_nobody_is_let_in_unasked_there(tmp_path: Path, host: str) -> None:
    done = started(Running(tmp_path / "data", AUTH="none", **PUBLIC), "--host", host)
    assert done.returncode != 0
    assert done.stderr == "Error: SIGNALCABIN_AUTH=none is for a loopback HOST only.\n"


def test_a_first_start_in_a_container_goes_as_documented(tmp_path: Path) -> None:
    port = free_port()
    running = Running(tmp_path / "data", HOST="0.0.0.0", PUBLIC_URL=f"http://127.0.0.1:{port}")
    token = running.environ.pop("SIGNALCABIN_ADMIN_TOKEN")
    running.port, running.url = port, f"http://127.0.0.1:{port}"
    running.environ["SIGNALCABIN_PORT"] = str(port)
    assert started(running).returncode == 78
    made = make_owner(running)
    assert (made.returncode, made.stdout) == (0, f"{EMAIL} owns this server and signs in with the password.\n")
    running.environ["SIGNALCABIN_ADMIN_TOKEN"] = token
    try:
        running.start()
        body = {"email": EMAIL, "password": PASSWORD}
        assert running.call("POST", "/api/v1/auth/login", body, Authorization="")[0] == 200
        assert running.call("GET", "/api/v1/auth/mode", Authorization="")[1]["setupRequired"] is False
        assert "/signin#" not in running.log.read_text()
        assert running.call("POST", "/api/v1/auth/register", body, Authorization="")[0] == 403
        assert running.call("GET", "/session", Host="evil.example")[0] == 421
    finally:
        running.stop()


def test_what_the_owner_is_kept_in_is_for_who_runs_the_server_alone(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", HOST="0.0.0.0", **PUBLIC)
    running.data_dir.mkdir()
    running.data_dir.chmod(0o755)
    assert make_owner(running).returncode == 0
    assert running.data_dir.stat().st_mode & 0o777 == 0o700
    assert (running.data_dir / "signalcabin.db").stat().st_mode & 0o777 == 0o600


def test_a_weak_password_makes_nobody_the_owner(tmp_path: Path) -> None:
    running = Running(tmp_path / "data", HOST="0.0.0.0", **PUBLIC)
    running.environ.pop("SIGNALCABIN_ADMIN_TOKEN")
    made = make_owner(running, password="password")
    assert (made.returncode, made.stderr[:7]) == (1, "Error: ")
    assert started(running).returncode == 78


def test_a_long_token_of_the_owner_is_a_way_in_and_a_short_one_is_refused(tmp_path: Path) -> None:
    def settings(length: int) -> Config:
        address = f"sqlite:///{tmp_path}/signalcabin.db"
        public = "https://cabin.example.org"
        token = "x" * length or None
        return Config(
            data_dir=tmp_path, database_url=address, host="0.0.0.0", public_url=public, admin_token=token
        ).checked()

    beyond.check(settings(32))
    with pytest.raises(Invalid, match="32 characters or more"):
        settings(31)
    with pytest.raises(SystemExit) as ended:
        beyond.check(settings(0))
    assert ended.value.code == 78
