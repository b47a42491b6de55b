"""How large a request's body may be, by its path: small unless the path is made for more."""

from __future__ import annotations

import re

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

ORDINARY = MIB
FORM = 2 * MIB
MESSAGE = 32 * MIB
UPLOAD = GIB

_PREFIX = r"(?:/(?:opencode|roo|codebuddy|rootcx|e2b))?"

# First match wins; the paths are those of the dialects' documents.
_BY_PATH: tuple[tuple[str, int], ...] = (
    # Messages with parts, pasted images and files as data URLs.
    (r"/session/[^/]+/(?:message|prompt_async|command|shell)", MESSAGE),
    (r"/sessions(?:/[^/]+/(?:message|messages|send))?", MESSAGE),
    (r"/api/(?:tasks|messages)(?:/.*)?", MESSAGE),
    (r"/api/v1/(?:runs|acp|sessions)(?:/.*)?", MESSAGE),
    (r"/api/v1/apps/[^/]+/agent/.*", MESSAGE),
    # Uploads go to disk as they come.
    (r"/files", UPLOAD),
    (r"/api/v1/files/upload", UPLOAD),
    (r"/browse/upload/.*", UPLOAD),
    # A file of settings of at most 1 MiB, with the form around it.
    (r"/settings/import", FORM),
    # A file of at most 1 MiB as it is in the editor, its line ends as forms spell them.
    (r"/browse/save/.*", 2 * FORM),
    (r"/api/v1/storage/objects/[^/]+/upload", 64 * MIB + FORM),
    (r"/api/v1/storage/upload/[^/]+", 64 * MIB + FORM),
    (r"/api/v1/apps/[^/]+/(?:deploy|frontend|upload|storage/upload)", 50 * MIB + FORM),
    # What a process is fed while it runs has no end known beforehand.
    (r"/api/v1/process/input/stream", UPLOAD),
    (r"/process\.Process/StreamInput", UPLOAD),
    (r"/api/v1/webhooks/github(?:/.*)?", 25 * MIB),
)
# Uploads that may come packed: whoever takes them unpacks and counts as they come.
_PACKED = re.compile(_PREFIX + r"/files/?")
_LIMITS = tuple((re.compile(_PREFIX + path + "/?"), limit) for path, limit in _BY_PATH)


def may_be_packed(path: str) -> bool:
    """Whether a body sent to this path may come in gzip."""
    return _PACKED.fullmatch(path) is not None


def limit_for(path: str, upload: int = UPLOAD) -> int:
    """The most bytes that a body sent to this path may have; `upload` is what the settings say of uploads."""
    for pattern, limit in _LIMITS:
        if pattern.fullmatch(path):
            return upload if limit == UPLOAD else limit
    return ORDINARY
