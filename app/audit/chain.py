"""The chain's link: what the hash of an audited row covers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

GENESIS = "0" * 64
REQUEST = "request_id"
COVERED = (
    *("seq", "at", "actor", "actor_kind", "user", "token"),
    *("action", "target", "result", "address", "via", REQUEST, "detail"),
)


def link(prev_hash: str, row: Mapping[str, Any]) -> str:
    """The hash of a row: SHA-256 over the previous hash and the row's canonical JSON, in hex.

    A row without the id of a request has none in its JSON, as all had that were sealed before ids were kept.
    """
    covered = {name: row[name] for name in COVERED if name != REQUEST or row[name]}
    text = orjson.dumps(covered, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(prev_hash.encode() + text).hexdigest()
