"""The servers under measurement: ours, a peer's, or one that runs already."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from bench import tree
from bench.figure import Deadline, Failed
from tests import repository
from tests.running import free_port

ROOT = Path(__file__).parent.parent
MODEL = "scripted"
PACKAGE = "@ai-sdk/openai-compatible"
STRAY = ("SIGNALCABIN_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "OPENCODE_")


@dataclass
class Target:
    """A server; without a command not ours to start. `model` is (provider, model), None its default.

    `wanted` are headers that it will not do without, `probe` answers 200 once it is up, and it works in `directory`.
    """

    name: str
    url: str
    token: str | None = None
    model: tuple[str, str] | None = None
    command: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    cwd: Path = ROOT
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    settle: Callable[[], None] = lambda: None
    wanted: dict[str, str] = field(default_factory=dict)
    probe: str = "/session"
    directory: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or 80

    @property
    def headers(self) -> dict[str, str]:
        """What every request says."""
        return {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **self.wanted}

    @property
    def pid(self) -> int:
        """The outermost process of the server; raises Failed where it is out of sight."""
        pid = self.process.pid if self.process else tree.listener(self.address[1])
        if pid is None:
            raise Failed("its processes are out of sight")
        return pid

    def start(self, deadline: Deadline) -> float:
        """Start it; gives the seconds until the first 200."""
        assert self.log is not None
        began = time.perf_counter()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.cwd, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        tree.share_priority(self.process.pid)
        while not self._answers():
            if deadline.passed or self.ended:
                raise Failed(self.ended or "it did not start in time")
            time.sleep(0.005)  # nothing can tell us of a port that opens
        return time.perf_counter() - began

    def stop(self) -> None:
        """Ask it to end, and end its process group if it does not."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    @property
    def ended(self) -> str:
        """If the server has ended by itself, its exit code and last words; empty while it runs."""
        if self.process is None or self.log is None or (code := self.process.poll()) is None:
            return ""
        return f"the server ended with {code}: {self.log.read_text(errors='replace')[-400:].strip()}"

    def connect(self, timeout: float = 20.0) -> http.client.HTTPConnection:
        """A connection to keep."""
        host, port = self.address
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def call(
        self, kept: http.client.HTTPConnection, method: str, path: str, body: Any = None, expected: int = 200
    ) -> Any:
        """One request and its decoded answer; raises Failed for any status but the expected one."""
        headers = {**self.headers, **({"Content-Type": "application/json"} if body is not None else {})}
        kept.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
        response = kept.getresponse()
        raw = response.read()
        if response.status != expected:
            raise Failed(f"{method} {path}: {response.status} {raw[:200].decode(errors='replace')}")
        return json.loads(raw) if raw else None

    def _answers(self) -> bool:
        kept = self.connect(timeout=1.0)
        try:
            self.call(kept, "GET", self.probe)
        except (OSError, http.client.HTTPException, Failed):
            return False
        finally:
            kept.close()
        return True


def running(url: str, model: str | None, directory: Path | None = None) -> Target:
    """A server that runs already; the environment's TOKEN is its bearer token."""
    provider, _, name = (model or "").partition("/")
    token = os.environ.get("TOKEN")
    return Target("ours", url.rstrip("/"), token, (provider, name) if name else None, directory=directory)


def unwalled(base: Path, model_url: str) -> Target:
    """The same on a machine where no sandbox works, as peers have none."""
    target = ours(base, model_url, "unwalled")
    target.name, target.command = "ours, no sandbox", [sys.executable, "-m", "tests.unwalled", "serve"]
    return target


def ours(base: Path, model_url: str, name: str = "ours") -> Target:
    """A server of our own on an empty data directory."""
    port, token = free_port(), os.environ.get("TOKEN") or secrets.token_urlsafe(24)
    project = repository.make(base / name)
    environ = {
        **_clean_environ(),
        "SIGNALCABIN_DATA_DIR": str(base / f"{name}.data"),
        "SIGNALCABIN_PROJECT": str(project),
        "SIGNALCABIN_PORT": str(port),
        "SIGNALCABIN_ADMIN_TOKEN": token,
        "SIGNALCABIN_MODEL": f"openai/{MODEL}",
        "SIGNALCABIN_STREAMS_PER_USER": "20000",
        "SIGNALCABIN_STREAMS_PER_SERVER": "20000",
        "SIGNALCABIN_LIMITS": "runs_per_user=50",
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "bench",
    }
    migrate = [sys.executable, "-m", "app", "migrate"]
    subprocess.run(migrate, cwd=ROOT, env=environ, check=True, timeout=60)
    serve = [sys.executable, "-m", "app", "serve"]
    url = f"http://127.0.0.1:{port}"
    log = base / f"{name}.log"
    return Target("ours", url, token, ("openai", MODEL), serve, environ, log=log, directory=project)


def peer(base: Path, name: str, binary: Path, model_url: str) -> Target:
    """An OpenCode server, on a home of its own and the same repository."""
    project, home, port = repository.make(base / name), base / f"{name}.home", free_port()
    home.mkdir()
    options = {"baseURL": model_url, "apiKey": "bench"}
    provider = {
        "npm": PACKAGE,
        "name": "Bench",
        "options": options,
        "models": {MODEL: {}},
    }
    settings = {"provider": {"bench": provider}, "model": f"bench/{MODEL}", "autoupdate": False}
    (project / "opencode.json").write_text(json.dumps(settings))
    environ = {
        **_clean_environ(),
        "HOME": str(home),
        # 1.0.0 would fetch ripgrep at its first turn; ours lies beside the interpreter.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "STATE", "CACHE")},
        # What would reach for the network at each start is off: it is no work of the server.
        **dict.fromkeys(
            (
                "OPENCODE_DISABLE_AUTOUPDATE",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS",
                "OPENCODE_DISABLE_LSP_DOWNLOAD",
                "OPENCODE_DISABLE_MODELS_FETCH",
            ),
            "1",
        ),
    }
    command = [str(binary), "serve", "--hostname", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    target = Target(name, url, None, ("bench", MODEL), command, environ, project, base / f"{name}.log")
    target.settle = lambda: _give_package(binary, home / "cache" / "opencode")
    return target


def codebuddy(base: Path, name: str, binary: Path) -> Target:
    """A CodeBuddy server on a home of its own, without sign-in, in a repository of its own."""
    project, home, port = repository.make(base / name), base / f"{name}.home", free_port()
    home.mkdir()
    environ = {**_clean_environ(), "HOME": str(home), "CODEBUDDY_CONFIG_DIR": str(home / ".codebuddy")}
    environ["CODEBUDDY_GATEWAY_AUTH"] = "none"
    command = [str(binary), "--serve", "--port", str(port), "--host", "127.0.0.1"]
    url, log = f"http://127.0.0.1:{port}", base / f"{name}.log"
    header = {"X-CodeBuddy-Request": "1"}
    target = Target(name, url, None, None, command, environ, project, log, wanted=header, probe="/api/v1/health")
    target.directory = project
    return target


def _give_package(binary: Path, cache: Path) -> None:
    """Let a peer use the provider package that was installed beside it: 1.0.0 fails with the newest."""
    beside = next((up / PACKAGE for up in binary.parents if up.name == "node_modules"), None)
    if beside is None or not beside.is_dir():
        return
    link = cache / "node_modules" / PACKAGE
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(beside)
    (cache / "package.json").write_text(json.dumps({"dependencies": {PACKAGE: "latest"}}))


def _clean_environ() -> dict[str, str]:
    """Our environment without settings and keys that would change what is measured, such as a start without the
    compiled modules that a server finds from its second start on.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(STRAY) and name not in ("HOST", "PORT", "TOKEN", "PYTHONDONTWRITEBYTECODE")
    }
