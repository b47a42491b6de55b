"""Requests made from our own OpenAPI document: none breaks the server, and each answer has a status it names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import repository
from tests.running import TOKEN, Running

HOSTILE = Path(sys.prefix) / "hostile"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"
# Answers that go on.
STREAMS = ("/event", "/global/event", "/pty/{terminal_id}/connect")


@pytest.mark.clients
@pytest.mark.timeout(400)
def test_no_request_of_the_document_breaks_the_server(tmp_path: Path) -> None:
    if not (HOSTILE / "schemathesis").exists():
        pytest.fail(f"schemathesis is not in {HOSTILE}; install it: ./setup.sh test", pytrace=False)
    root = repository.make(tmp_path / "shop", files=3)
    with Running(tmp_path / "data", root) as running:
        url = f"{running.url}/opencode"
        words = ["run", f"{url}/doc", "--url", url, "--header", f"Authorization: Bearer {TOKEN}", "--checks", CHECKS]
        words += ["--seed", "7", "--max-examples", "4", "--phases", "coverage,fuzzing", "--no-color", "--workers", "1"]
        words += ["--suppress-health-check", "all", *(word for path in STREAMS for word in ("--exclude-path", path))]
        done = subprocess.run(
            [sys.executable, str(HOSTILE / "bin" / "schemathesis"), *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(HOSTILE)},
            capture_output=True,
            text=True,
            timeout=360,
            check=False,
        )
        log = running.log.read_text()
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Traceback" not in log
