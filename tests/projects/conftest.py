"""Directories to register, and a repository served over loopback http."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit."""
    place = tmp_path / "code" / "billing"
    place.mkdir(parents=True)
    (place / "a.txt").write_text("one\n")
    git.commit_all(place, "First", "2026-01-05T09:00:00Z")
    return place


@dataclass(frozen=True)
class Served:
    """A web server with a repository; `asked` collects the paths."""

    url: str
    port: int
    asked: list[str]


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def served(repository: Path, tmp_path: Path) -> Iterator[Served]:
    """The repository behind git's plain http protocol."""
    git.run(
        ["clone", "-q", "--bare", str(repository), str(tmp_path / "www" / "billing.git")],
        settings=("protocol.file.allow=always",),
        env={"GIT_ALLOW_PROTOCOL": "file"},
    )
    git.run(["update-server-info"], tmp_path / "www" / "billing.git")
    asked: list[str] = []
    handler = type("Handler", (_Quiet,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    port = server.server_address[1]
    yield Served(f"http://127.0.0.1:{port}/billing.git", port, asked)
    server.shutdown()
    server.server_close()
    thread.join()
