"""The head of a Markdown file: YAML between two lines of dashes, then the body.

Many such heads are no strict YAML: a description with a colon in it is read as the text that was meant. A head is
data: no tags, no aliases, nothing deep. What cannot be read is told apart from what is not there, because a file that
meant to forbid something must not count as one that forbids nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

LARGEST = 64 * 1024
_LINE = re.compile(r"^([A-Za-z_][\w-]*):[ \t]+([^\s'\"\[{|>&*!%@`#][^\n]*)$", re.MULTILINE)


def split(text: str) -> tuple[dict[str, Any], str] | None:
    """The keys of the head and the body; no keys without a head, None for a head that nobody can read."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return {}, text.strip()
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    head = None if end is None else _read("\n".join(lines[1:end]))
    return None if head is None else (head, "\n".join(lines[(end or 0) + 1 :]).strip())


def text_of(head: dict[str, Any], key: str) -> str:
    """The text at a key; "" for none, and for what is no text."""
    value = head.get(key)
    return value.strip() if isinstance(value, str) else ""


def _read(head: str) -> dict[str, Any] | None:
    if len(head) > LARGEST:
        return None
    from app.agent import plain_yaml  # its library is loaded with the first head, not with the server

    for spelling in (head, _LINE.sub(_quoted, head)):
        try:
            found = plain_yaml.load(spelling)
        except ValueError:
            continue
        if found is None:
            return {}
        return {str(key): value for key, value in found.items()} if isinstance(found, dict) else None
    return None


def _quoted(line: re.Match[str]) -> str:
    return f"{line[1]}: {json.dumps(line[2].rstrip(), ensure_ascii=False)}" if ": " in line[2] else line[0]
