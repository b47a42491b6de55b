"""What a command printed, as a model reads it: a person's command keeps its colours and its notes apart for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def plain(text: str) -> str:
    """A text without its colours and what else is meant for a terminal."""
    return _ESCAPES.sub("", text)


def is_apart(state: Mapping[str, Any]) -> bool:
    """Whether a call's state keeps what it printed and what there is to know beside apart."""
    return "notes" in (state.get("metadata") or {})


def told(state: Mapping[str, Any]) -> str:
    """The two as one text."""
    metadata = state["metadata"]
    notes = "".join(f"\n({note})" for note in metadata["notes"])
    return (plain(metadata["output"]) + notes).strip("\n") or "(no output)"
