"""What a tool call is about, read from its input: the command, the paths, the host.

Pure.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from app.approvals.presets import EDITS

_PATH_KEYS = ("filePath", "file_path", "path", "directory")
_PATCH_KEYS = ("patchText", "patch_text", "input", "patch")
_PATCHED = re.compile(r"^\*\*\* (?:Update|Add|Delete) File: (.+)$|^\*\*\* Move to: (.+)$", re.MULTILINE)
_DIFFED = re.compile(r"^(?:\+\+\+|---) (?!/dev/null)(?:[ab]/)?([^\t\n]+)|^rename (?:from|to) (.+)$", re.MULTILINE)


def kind_of(tool: str) -> str:
    """The name under which rules speak of a tool: all that edit are `edit`."""
    return "edit" if tool in EDITS else "bash" if tool == "shell" else tool


def text_of(given: dict[str, Any], key: str) -> str:
    """A text of the input; empty if it is missing or something else."""
    value = given.get(key)
    return value if isinstance(value, str) else ""


def command_of(given: dict[str, Any]) -> str:
    """The command line of a shell tool."""
    return text_of(given, "command")


def paths_of(tool: str, given: dict[str, Any]) -> list[str]:
    """The paths that a call reads or writes; none if they cannot be read from the input."""
    if tool in ("patch", "apply_patch"):
        # Whichever of them the tool reads: what any of them names counts.
        return list(dict.fromkeys(path for key in _PATCH_KEYS for path in _patched(text_of(given, key))))
    named = [text_of(given, key) for key in _PATH_KEYS if text_of(given, key)]
    if tool in EDITS or tool == "read":
        return [path for path in named if "\0" not in path]
    globbed = _globbed(text_of(given, "pattern"), named) if tool == "glob" else []
    return [*(named or ["."]), *globbed]


def host_of(url: str) -> str:
    """The host of an http(s) address; empty if it isn't plainly one."""
    if not re.fullmatch(r"[!-~]+", url) or "\\" in url:
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host if parts.scheme in ("http", "https") and "@" not in parts.netloc else ""


def target_of(given: dict[str, Any]) -> str:
    """The `host:port` that a command wants to reach; empty if there is none."""
    host, port = text_of(given, "host"), given.get("port")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host and isinstance(port, int) else ""


def _patched(text: str) -> list[str]:
    pattern = _PATCHED if "*** Begin Patch" in text else _DIFFED
    return [(one or other).strip() for one, other in pattern.findall(text)]


def _globbed(pattern: str, named: list[str]) -> list[str]:
    """The folder in which a glob starts, where that may not be the one that was named."""
    steps = re.split(r"[^/]*[*?\[{]", pattern, maxsplit=1)[0]
    base = f"{named[0].rstrip('/')}/" if named and not pattern.startswith("/") else ""
    return [base + (pattern if ".." in pattern.split("/") else steps)] if steps or ".." in pattern else []
