"""The anchor: the chain's head, signed and kept beside the database, so that a cut-off end shows too."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from app import db

KEY_FILE = "audit.key"
HEAD_FILE = "audit.head"


@dataclass(frozen=True)
class Head:
    """The last anchored link: its place in the chain, the seq of its row, its hash, and when (unix ms)."""

    place: int
    seq: int
    hash: str
    at: int


class ForgedHead(Exception):
    """The anchor is gone or does not bear our signature."""


def write(directory: Path, head: Head) -> None:
    """Sign the head and replace the stored one, once the database has reached the disk itself."""
    _flush_database()
    with _alone(directory, fcntl.LOCK_EX):
        text = orjson.dumps({**asdict(head), "mac": _sign(_key(directory), head)})
        _replace(directory / HEAD_FILE, text)


def read(directory: Path) -> Head | None:
    """The stored head, or None if none was ever written here; raises ForgedHead."""
    with _alone(directory, fcntl.LOCK_SH):
        return _read(directory)


def _read(directory: Path) -> Head | None:
    has_key = (directory / KEY_FILE).exists()
    if not has_key and not (directory / HEAD_FILE).exists():
        return None
    try:
        stored = orjson.loads((directory / HEAD_FILE).read_bytes())
        mac = stored.pop("mac")
        head = Head(**stored)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as failure:
        raise ForgedHead from failure
    if not has_key or not hmac.compare_digest(str(mac).encode(), _sign(_key(directory), head).encode()):
        raise ForgedHead
    return head


@contextmanager
def _alone(directory: Path, how: int) -> Iterator[None]:
    """Let nobody find the key without the head that it signs, which come one after the other."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _sign(key: bytes, head: Head) -> str:
    text = orjson.dumps(asdict(head), option=orjson.OPT_SORT_KEYS)
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def _key(directory: Path) -> bytes:
    path = directory / KEY_FILE
    if not path.exists():
        _replace(path, secrets.token_bytes(32))
    return path.read_bytes()


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _flush_database() -> None:
    """With synchronous=NORMAL a power cut may take the last commits; an anchor must not outlive its rows.

    SQLite holds no lock on the -wal file, so that opening and closing it here frees none.
    """
    engine = db.current().engine
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    wal = Path(engine.url.database + "-wal")
    if wal.exists():
        descriptor = os.open(wal, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
