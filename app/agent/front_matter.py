"""The head of a Markdown file: YAML between two lines of dashes, then the body.

Many such heads are no strict YAML: a description with a colon in it is read as the text that was meant.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

LARGEST = 64 * 1024
_LINE = re.compile(r"^([A-Za-z_][\w-]*):[ \t]+([^\s'\"\[{|>&*!%@`#].*)$", re.MULTILINE)


def split(text: str) -> tuple[dict[str, Any], str]:
    """The keys of the head and the body; no keys if there is no head, or one that nobody can read."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    end = next((place for place, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, text
    return _read("\n".join(lines[1:end])), "\n".join(lines[end + 1 :]).strip("\n")


def text_of(head: dict[str, Any], key: str) -> str:
    """The text at a key; "" for none, and for what is no text."""
    value = head.get(key)
    return value.strip() if isinstance(value, str) else ""


def _read(head: str) -> dict[str, Any]:
    if len(head) > LARGEST:
        return {}
    for spelling in (head, _LINE.sub(_quoted, head)):
        try:
            found = yaml.safe_load(spelling)
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}
    return {}


def _quoted(line: re.Match[str]) -> str:
    return f"{line[1]}: {json.dumps(line[2].rstrip(), ensure_ascii=False)}"
