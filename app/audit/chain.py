"""The chain's link: what the hash of an audited row covers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

GENESIS = "0" * 64
COVERED = (
    *("seq", "at", "actor", "actor_kind", "user", "token"),
    *("action", "target", "result", "address", "via", "detail"),
)


def link(prev_hash: str, row: Mapping[str, Any]) -> str:
    """The hash of a row: SHA-256 over the previous hash and the row's canonical JSON, in hex."""
    text = orjson.dumps({name: row[name] for name in COVERED}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(prev_hash.encode() + text).hexdigest()
