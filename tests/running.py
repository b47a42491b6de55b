"""A real server in a process of its own, for clients, browsers and faults."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests import migrated
from tests.patience import PATIENCE

# Of the environment a server takes neither our settings nor the word that it must compile itself at each start.
SETTINGS = ("SIGNALCABIN_", "PYTHONDONTWRITEBYTECODE")
TOKEN = "test-owner-token-of-thirty-two-or-more"
ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """`python -m app serve` on a data directory; `kill` and `start` again as often as a test likes."""

    module = "app"

    def __init__(self, data_dir: Path, project: Path | None = None, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)},
            "SIGNALCABIN_DATA_DIR": str(data_dir),
            "SIGNALCABIN_PORT": str(self.port),
            "SIGNALCABIN_ADMIN_TOKEN": TOKEN,
            **({"SIGNALCABIN_PROJECT": str(project)} if project else {}),
            **{
                f"SIGNALCABIN_{name}"
                if name.isupper() and "_API_" not in name and "_BASE_" not in name
                else name: value
                for name, value in settings.items()
            },
        }
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        migrated.copy_into(self.data_dir)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, "serve"],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.call("GET", "/session")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)  # nothing can tell us of a port that opens
        raise AssertionError(f"the server did not start:\n{self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL the whole process group: nobody gets to say goodbye."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.kill()

    def connection(self) -> http.client.HTTPConnection:
        """A new connection to it, not opened yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """One request as the owner: status and decoded JSON (or text)."""
        connection = self.connection()
        try:
            given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
            connection.request(method, path, json.dumps(body) if body is not None else None, given)
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(raw) if is_json else raw.decode()

    def sign_in_code(self) -> str:
        """A fresh one-time code of the owner."""
        done = subprocess.run(
            [sys.executable, "-m", "app", "signin"], cwd=ROOT, env=self.environ, check=True, capture_output=True
        )
        return done.stdout.decode().strip().split("#")[1]
