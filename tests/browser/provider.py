"""The published OpenID Connect provider, as a process of its own on the loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.homes import MODULES
from tests.running import free_port

PACKAGE = "oidc-provider"
CLIENT, SECRET = "cabin", "a secret of the tests"


@dataclass(frozen=True)
class Listening:
    """Where it is."""

    port: int

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        """What it calls itself."""
        return f"http://{self.place}"


@contextmanager
def listening(port: int, callback: str, people: dict[str, Any], *, in_token: bool) -> Iterator[Listening]:
    """It runs, knows these people by their logins, and lets them back to this address."""
    node = shutil.which("node")
    if node is None or not (MODULES / PACKAGE).is_dir():
        pytest.fail(f"{PACKAGE} is missing: run ./setup.sh, or npm ci in tests/clients", pytrace=False)
    client = {"id": CLIENT, "secret": SECRET, "callback": callback}
    given = json.dumps({"client": client, "people": people, "claimsInToken": in_token})
    with subprocess.Popen(
        [node, "oidc_provider.mjs", str(port), given],
        cwd=MODULES.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        if not any(b"listening" in line for line in process.stdout):
            pytest.fail(f"{PACKAGE} did not begin")
        yield Listening(port)
        process.terminate()
        process.communicate()


def ports() -> tuple[int, int]:
    """Two free ports, to be named in the settings before anybody listens."""
    return free_port(), free_port()
