"""Secrets at rest, on a real server's disk (THREATS 6.1): nothing holds a value in the clear, nobody else may look, and the
master key is changed under load.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests import repository
from tests.running import ROOT, Running

VALUE = 'sk-rest/91T4z+"the"-value=&%'
FORMS = (VALUE, base64.b64encode(VALUE.encode()).decode(), quote(VALUE, safe=""), VALUE.replace('"', '\\"'))
A_SECOND, LEAST = 100, 200


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A server that was given its data directory by somebody careless, with all its temporary files in one place."""
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    root = repository.make(tmp_path.resolve() / "shop", files=2)
    with Running(tmp_path / "data", root, TMPDIR=str(tmp_path / "tmp")) as server:
        yield server


def command(running: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """One of the server's own commands beside it."""
    line = [sys.executable, "-m", "app", *words]
    return subprocess.run(line, cwd=ROOT, env=running.environ, text=True, capture_output=True, check=True)


def put_everywhere(running: Running) -> None:
    """Give the value to whoever keeps secrets here, have it printed, and say it where it has no business.

    What people write themselves (a prompt, a title, a command line) is kept as they wrote it.
    """
    secret = {"key": "TOKEN", "value": VALUE}
    for path in ("/api/v1/platform/secrets", "/api/v1/apps/crm/secrets"):
        assert running.call("POST", path, secret)[0] == 200
    assert running.call("PUT", "/auth/openai", {"type": "api", "key": VALUE})[0] == 200
    config = {"type": "local", "command": ["true"], "environment": {"KEY": VALUE}, "enabled": False}
    assert running.call("POST", "/mcp", {"name": "kept", "config": config})[0] == 200
    provider = {"acme": {"options": {"apiKey": VALUE, "baseURL": "https://models.example.com/v1"}}}
    assert running.call("PATCH", "/config", {"provider": provider})[0] == 200
    session = running.call("POST", "/session", {})[1]["id"]
    (running.data_dir.parent / "shop/key.txt").write_text(VALUE)
    shell = {"agent": "build", "command": "cat key.txt; base64 -w0 key.txt; cat key.txt >&2"}
    status, said = running.call("POST", f"/session/{session}/shell", shell)
    assert (status, "[secret:" in str(said)) == (200, True)
    running.call("GET", f"/api/v1/nothing?token={quote(VALUE, safe='')}")
    running.call("POST", "/api/v1/auth/login", {"email": VALUE, "password": VALUE}, Authorization="")
    running.call("GET", "/session", Authorization=f"Bearer {VALUE.replace(' ', '')}")


def holders(running: Running, tmp: Path) -> list[str]:
    """The files below the data directory, its log and the temporary files that hold a form of the value."""
    files = [path for top in (running.data_dir, tmp) for path in top.rglob("*") if path.is_file()]
    return [str(path) for path in [*files, running.log] if any(form.encode() in path.read_bytes() for form in FORMS)]


def test_no_file_of_the_server_holds_a_value_in_the_clear(running: Running, tmp_path: Path) -> None:
    put_everywhere(running)
    assert running.call("GET", "/api/v1/platform/secrets/env")[1]["TOKEN"] == VALUE
    assert (running.data_dir / "signalcabin.db-wal").stat().st_size > 0, "what was last written is looked at too"
    assert holders(running, tmp_path / "tmp") == []
    command(running, "secrets", "rotate-keys")
    command(running, "audit", "export", "--format", "jsonl", "--out", str(tmp_path / "tmp/record.jsonl"))
    running.stop()
    assert holders(running, tmp_path / "tmp") == []
    assert (tmp_path / "tmp/record.jsonl").stat().st_size > 0


def test_nobody_else_may_look_at_any_of_it(running: Running) -> None:
    put_everywhere(running)
    assert running.data_dir.stat().st_mode & 0o777 == 0o700, "however loose it was made"
    assert (running.data_dir / "master.key").stat().st_mode & 0o777 == 0o600
    made = [path for path in running.data_dir.iterdir() if "signalcabin.db" not in path.name]  # a copy of ours
    assert [(path.name, oct(path.stat().st_mode)) for path in made if path.stat().st_mode & 0o077] == []


def test_a_database_is_made_for_who_runs_the_server_alone(tmp_path: Path) -> None:
    server = Running(tmp_path / "new")
    command(server, "migrate")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new/signalcabin.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_it_does_not_start_on_a_key_that_others_can_read(running: Running, mode: int) -> None:
    put_everywhere(running)
    running.stop()
    (running.data_dir / "master.key").chmod(mode)
    line = [sys.executable, "-m", "app", "secrets", "keys"]
    done = subprocess.run(line, cwd=ROOT, env=running.environ, text=True, capture_output=True, check=False)
    assert done.returncode != 0
    assert "chmod 600" in done.stdout + done.stderr


def test_the_key_is_changed_under_a_hundred_requests_a_second(
    running: Running, record_property: Callable[[str, object], None]
) -> None:
    secret = {"key": "TOKEN", "value": VALUE}
    for number in range(40):
        assert running.call("POST", f"/api/v1/apps/a{number}/secrets", secret)[0] == 200
    assert running.call("POST", "/api/v1/platform/secrets", secret)[0] == 200
    done, wrong, sent = threading.Event(), list[object](), list[float]()

    def ask(first: int) -> None:
        """Its share of the requests, at their own times, however slowly they are answered."""
        number, began = 0, time.monotonic()
        while not done.is_set() or number < LEAST // 4:
            done.wait(max(0.0, began + number * 4 / A_SECOND - time.monotonic()))
            reads = (first + number) % 2 == 0
            status, said = (
                running.call("GET", "/api/v1/platform/secrets/env")
                if reads
                else running.call("POST", f"/api/v1/apps/a{number % 40}/secrets", secret)
            )
            if status != 200 or (reads and said != {"TOKEN": VALUE}):
                wrong.append((status, said))
            sent.append(time.monotonic())
            number += 1

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        command(running, "secrets", "rotate-keys")
    done.set()
    for thread in threads:
        thread.join()
    record_property("requests a second", len(sent) / (max(sent) - min(sent)))
    assert wrong == []
    assert len(sent) >= LEAST
    assert command(running, "secrets", "keys").stdout.count("\n") == 1
