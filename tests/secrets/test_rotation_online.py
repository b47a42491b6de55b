"""The master key is rotated by a command beside a running server, which is killed on the way and goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import ROOT, Running

SCOPES = 30
# The same verb as the command's; after five scopes it says so and waits to be killed.
HELD = """
import sys
from app.accounts import service as accounts
from app.cli import _open
from app.secrets import service as vault

def hold(done, of):
    if done == 5:
        print("reached", flush=True)
        sys.stdin.read()

_open()
vault.rotate_key(accounts.local_owner(), hold)
"""
VALUE = "sk-live-51H8x-the-value"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server whose vault has a scope for each of thirty apps."""
    with Running(tmp_path / "data") as server:
        for number in range(SCOPES):
            assert server.call("POST", f"/api/v1/apps/a{number}/secrets", {"key": "TOKEN", "value": VALUE})[0] == 200
        assert server.call("POST", "/api/v1/platform/secrets", {"key": "TOKEN", "value": VALUE})[0] == 200
        yield server


def command(running: Running, *words: str) -> subprocess.Popen[str]:
    """A Python on the server's data."""
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=ROOT,
        env=running.environ,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def keys(running: Running) -> list[str]:
    out, _ = command(running, "-m", "app", "secrets", "keys").communicate()
    return out.splitlines()


def test_it_is_killed_on_the_way_and_goes_on_while_others_read(running: Running) -> None:
    [before] = keys(running)
    done, failures = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            status, body = running.call("GET", "/api/v1/platform/secrets/env")
            if (status, body) != (200, {"TOKEN": VALUE}):
                failures.append((status, body))
            status, body = running.call("POST", "/api/v1/apps/new/secrets", {"key": "TOKEN", "value": VALUE})
            if status != 200:
                failures.append((status, body))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    first = command(running, "-c", HELD)
    assert first.stdout is not None
    assert first.stdout.readline() == "reached\n"
    first.kill()
    first.communicate()
    current, older = keys(running)
    assert "current" in current
    assert older.split()[0] == before.split()[0]
    second = command(running, "-m", "app", "secrets", "rotate-keys")
    out, err = second.communicate()
    assert second.returncode == 0, err
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    [only] = keys(running)
    assert only.split()[0] == current.split()[0]
    assert current.split()[0] in out
    assert (running.data_dir / "master.key").read_text().count("\n") == 1
    running.kill()
    running.start()
    assert running.call("GET", "/api/v1/platform/secrets/env")[1] == {"TOKEN": VALUE}
