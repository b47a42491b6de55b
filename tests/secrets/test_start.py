"""A server whose master key is another one starts not at all, and says which key is missing (THREATS 6.1)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app import config, db
from app.actor import SYSTEM
from app.config import Config
from app.secrets import master
from app.secrets import service as secrets
from tests.patience import PATIENCE
from tests.running import ROOT, Running


@pytest.mark.parametrize("how", ["serve", "worker"])
def test_a_wrong_master_key_is_named_and_nothing_starts(database: db.Database, settings: Config, how: str) -> None:
    config.use(settings)
    secrets.put(SYSTEM, "platform", "TOKEN", "a-value-that-nobody-sees")
    [missing] = master.ring()
    master.key_file().write_text("ab" * 32 + "\n")
    environ = Running(settings.data_dir).environ
    ended = subprocess.run(
        [sys.executable, "-m", "app", how], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=3 * PATIENCE,
        check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    lines = [line.removeprefix("Error: ") for line in ended.stderr.splitlines() if "master key" in line]
    assert lines == [f"The master key {missing} is missing: put it back into {master.key_file()}."]
    assert "Traceback" not in ended.stderr
    assert "ab" * 8 not in ended.stderr


def test_an_install_that_keeps_no_secret_needs_no_key(database: db.Database, settings: Config) -> None:
    secrets.check()
    assert not Path(master.key_file()).exists()
