"""Other processes of the same user cannot read the server's environment, and it works on all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOBODY = 65534
PLAIN = f"""
import ctypes, os, subprocess, sys
from app import server  # as the one who started the tests: nobody may not be let into the libraries
from app.config import Config
from app.shield import raise_shield
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid(*[{NOBODY}] * 3); os.setresuid(*[{NOBODY}] * 3)
libc = ctypes.CDLL(None)
libc.prctl(4, 1, 0, 0, 0)  # a change of the user takes it away
"""
SERVE = """
server.listening.check = lambda _settings: None
server.Server.run = lambda _self: print("dumpable:", libc.prctl(3, 0, 0, 0, 0))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the shield is the Linux kernel's")


def python(code: str, **more: str) -> subprocess.Popen[str]:
    """A Python that runs as a plain user, even where the tests run as root."""
    return subprocess.Popen(
        [sys.executable, "-c", PLAIN + code],
        cwd="/",  # nobody may not be let into ours
        env={**os.environ, "PYTHONPATH": str(ROOT), "SECRET_OF_THE_SERVER": "topsecret", **more},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def environ_of(pid: int) -> subprocess.CompletedProcess[str]:
    """What another process of that user reads of its environment."""
    plain = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    line = ["cat", f"/proc/{pid}/environ"]
    return subprocess.run(line, capture_output=True, text=True, check=False, **plain)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("shielded", [False, True])
def test_another_process_of_the_same_user_reads_no_secret(shielded: bool) -> None:
    shield = "raise_shield()" if shielded else ""
    with python(f"{shield}\nprint('ready', flush=True); sys.stdin.read()") as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        read = environ_of(server.pid)
        server.communicate()
    assert ("topsecret" in read.stdout, read.returncode == 0) == (not shielded, not shielded)


def test_what_it_starts_is_not_shielded() -> None:
    with python("raise_shield(); subprocess.run(['cat', '/proc/self/environ'], check=True)") as server:
        assert "topsecret" in server.communicate()[0]


def test_it_still_finds_its_own_descriptors() -> None:
    code = "raise_shield(); top = os.open('/', os.O_DIRECTORY)\n"
    code += "print(os.readlink(f'/proc/self/fd/{top}'), os.path.isdir(f'/proc/self/fd/{top}/proc'))\n"
    code += "print(str(top) in os.listdir('/proc/self/fd'))"
    with python(code) as server:
        assert server.communicate()[0].split() == ["/", "True", "True"]


def test_the_server_raises_it_before_it_serves(tmp_path: Path) -> None:
    with python(SERVE + f"server.serve(Config(data_dir={str(tmp_path)!r}))") as server:
        assert server.communicate()[0] == "dumpable: 0\n"


def test_a_wrong_allowlist_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    environ = {**os.environ, "SIGNALCABIN_DATA_DIR": str(tmp_path), "SIGNALCABIN_OUTBOUND_ALLOW": "10.0.0.0/8,intranet"}
    line = [sys.executable, "-m", "app", "serve"]
    done = subprocess.run(line, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert done.stderr == "Error: SIGNALCABIN_OUTBOUND_ALLOW: intranet is neither a network nor host:port.\n"
    assert done.stdout == ""
