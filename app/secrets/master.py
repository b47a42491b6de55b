"""The master keys: 32 bytes each, in DATA_DIR/master.key (lines of hex, the one in use first) or given.

Given: SIGNALCABIN_MASTER_KEY holds keys in hex, SIGNALCABIN_MASTER_KEY_FILE names a file; the newest first,
separated by commas or lines.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import config
from app.errors import Unavailable

KEY_BYTES = 32
VARIABLE = "SIGNALCABIN_MASTER_KEY"

Ring = dict[str, bytes]


def ring() -> Ring:
    """The master keys by id, the one in use first, or none yet; raises Unavailable MASTER_KEY."""
    if given := os.environ.get(VARIABLE):
        return _parsed(given, VARIABLE)
    path = key_file()
    if not path.exists():
        return {}
    return _parsed(_private_text(path), str(path))


def is_given() -> bool:
    """Whether the operator keeps the keys, so that we can't write new ones."""
    return bool(os.environ.get(VARIABLE) or os.environ.get(VARIABLE + "_FILE"))


def key_file() -> Path:
    """Where the keys lie."""
    return Path(os.environ.get(VARIABLE + "_FILE") or config.current().data_dir / "master.key")


def create() -> Ring:
    """Make the first key, unless another process was quicker; the ring that is on disk then."""
    path = key_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft(path, [secrets.token_bytes(KEY_BYTES)])
    try:
        os.link(draft, path)
    except FileExistsError:
        return ring()
    finally:
        draft.unlink()
    return ring()


def prepend() -> Ring:
    """Add a new key before the others; the ring with it."""
    return _replace([secrets.token_bytes(KEY_BYTES), *ring().values()])


def keep_only(wanted: str) -> Ring:
    """Drop all keys but this one."""
    return _replace([ring()[wanted]])


@contextmanager
def rotation() -> Iterator[None]:
    """One rotation at a time, in all processes of this data directory."""
    path = config.current().data_dir / "master.lock"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key_id(key: bytes) -> str:
    """A key's name, which tells nothing about it."""
    return hashlib.sha256(b"signalcabin master key\0" + key).hexdigest()[:16]


def unavailable(message: str) -> Unavailable:
    """The refusal to work without the right key."""
    return Unavailable(message, code="MASTER_KEY")


def _replace(keys: list[bytes]) -> Ring:
    path = key_file()
    _draft(path, keys).replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return ring()


def _draft(path: Path, keys: list[bytes]) -> Path:
    """A file beside the path with these keys, safely on disk."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.writelines(f"{key.hex()}\n" for key in keys)
        file.flush()
        os.fsync(fd)
    return draft


def _private_text(path: Path) -> str:
    with path.open() as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise unavailable(f"{path} can be read by others: chmod 600 {path}")
        return file.read()


def _parsed(text: str, source: str) -> Ring:
    try:
        found = [bytes.fromhex(word) for word in text.replace(",", " ").split()]
    except ValueError:
        found = []
    if not found or any(len(key) != KEY_BYTES for key in found):
        raise unavailable(f"{source} must hold {KEY_BYTES} bytes in hex.")
    return {key_id(key): key for key in found}
