"""The words of all transcripts, for search: one row for each part that has something to say, when it is settled.

SQLite keeps them in an FTS5 table that triggers hold level with `part_words`, PostgreSQL in an index of tsvectors;
both split words alike and take the beginning of a word for the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.sessions import models
from app.sessions.things import Part

MOST = 20_000  # characters of a part that can be found
OUTPUT = 4_000  # of these, from a tool's output
EITHER_SIDE = 60
WORDS = models.part_words
_WORD = re.compile(r"\w+")
_SETTLED = ("completed", "error")
_fts = sa.table("part_words_fts", sa.column("part_words_fts"), sa.column("rowid"), sa.column("rank"))


@dataclass(frozen=True)
class Found:
    """Where a search hit: the part, its message and session, and the words around the first hit."""

    session_id: str
    message_id: str
    part_id: str
    around: str


def put(connection: sa.Connection, part: Part) -> None:
    """Let a part be found by what it says now; nothing for one that still grows."""
    words = words_of(part)
    connection.execute(WORDS.delete().where(WORDS.c.part_id == part.id))
    if words:
        row = {"part_id": part.id, "message_id": part.message_id, "session_id": part.session_id, "words": words}
        connection.execute(WORDS.insert().inline(), row)


def words_of(part: Part) -> str:
    """What a part can be found by; "" while it is not settled."""
    return " ".join(_said(part))[:MOST].replace("\0", "\ufffd").strip()


def matches(connection: sa.Connection, wanted: str) -> sa.ColumnElement[bool] | None:
    """The condition on `part_words` that all wanted words stand in a part; None when there is no word to seek."""
    words = _WORD.findall(wanted)[:12]
    if not words:
        return None
    if connection.dialect.name == "postgresql":
        query = " & ".join(f"{word}:*" for word in words)
        vector = sa.func.to_tsvector(sa.text("'simple'"), WORDS.c.words)
        return vector.op("@@")(sa.func.to_tsquery(sa.text("'simple'"), query))
    query = " ".join(f'"{word}"*' for word in words)
    hits = sa.select(_fts.c.rowid).where(_fts.c.part_words_fts.op("MATCH")(query))
    return WORDS.c.id.in_(hits)


def around(words: str, wanted: str) -> str:
    """The text on either side of the first hit, in one line."""
    flat = " ".join(words.split())
    first = next(iter(_WORD.findall(wanted)), "")
    at = max(0, flat.lower().find(first.lower()))
    start, end = max(0, at - EITHER_SIDE), at + len(first) + EITHER_SIDE
    return ("…" if start else "") + flat[start:end].strip() + ("…" if end < len(flat) else "")


def _said(part: Part) -> Iterator[str]:
    data = part.data
    if part.type in ("text", "reasoning"):
        time = data.get("time") or {}
        if "start" not in time or "end" in time:
            yield data.get("text", "")
    elif part.type == "file":
        yield data.get("filename") or ""
    elif part.type == "tool" and data.get("state", {}).get("status") in _SETTLED:
        state = data["state"]
        yield from (data.get("tool", ""), state.get("title") or "")
        yield from _values(state.get("input"))
        yield (state.get("output") or state.get("error") or "")[:OUTPUT]


def _values(given: Any) -> Iterator[str]:
    """Every text in a tool's input, however deep."""
    if isinstance(given, str):
        yield given
    elif isinstance(given, dict):
        for value in given.values():
            yield from _values(value)
    elif isinstance(given, list):
        for value in given:
            yield from _values(value)
