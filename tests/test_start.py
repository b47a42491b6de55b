"""What a start loads: what only some servers need is loaded when it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LATE = {"httpx2", "anyio", "yaml", "cryptography", "alembic", "argon2", "authlib", "smtplib"}
ROOT = Path(__file__).parent.parent


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after this code."""
    told = f"{code}\nimport sys\nprint(*(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_server_that_calls_nobody_holds_no_client_and_no_reader_of_what_it_has_not_seen(tmp_path: Path) -> None:
    make = (
        "from app import create_app, server",
        "from app.config import Config",
        f"create_app(Config.from_environ({{'SIGNALCABIN_DATA_DIR': {str(tmp_path)!r}}}))",
    )
    assert loaded_after("\n".join(make)) & LATE == set()


def test_the_types_of_the_client_have_our_names() -> None:
    names = "Client", "AsyncClient", "Response", "Failed"
    code = f"from app import outbound\nassert not [name for name in {names} if not hasattr(outbound, name)]"
    assert "httpx2" in loaded_after(code)


def test_the_arbiter_holds_neither_the_app_nor_the_database() -> None:
    assert loaded_after("import app.cli\nfrom app import server") & {"flask", "sqlalchemy", "psutil"} == set()
