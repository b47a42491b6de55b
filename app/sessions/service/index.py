"""The words of all transcripts, for search: one row for each part that has something to say, when it is settled.

SQLite keeps them in an FTS5 table that triggers hold level with `part_words`, PostgreSQL in an index of tsvectors;
both split words alike and take the beginning of a word for the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.sessions import models
from app.sessions.things import Part

MOST = 20_000  # characters of a part that can be found
OUTPUT = 4_000  # of these, from a tool's output
EITHER_SIDE = 60
HITS = 20_000  # a word that is everywhere is sought in its newest places alone: nobody reads further
WORDS = models.part_words
_WORD = re.compile(r"\w+")
_ENDED = ("completed", "error")
_remove = WORDS.delete().where(WORDS.c.part_id == sa.bindparam("part"))
_fts = sa.table("part_words_fts", sa.column("part_words_fts"), sa.column("rowid"), sa.column("rank"))


@dataclass(frozen=True)
class Found:
    """Where a search hit: the part, its message, and the words around the first hit."""

    message_id: str
    part_id: str
    around: str


def put(connection: sa.Connection, part: Part) -> None:
    """Let a part be found by what it says now, if it is settled."""
    if not is_settled(part):
        return
    row = _row(part)
    connection.execute(_remove, {"part": part.id})
    if row["words"]:
        connection.execute(WORDS.insert().inline(), row)


def put_new(connection: sa.Connection, parts: Iterable[Part]) -> None:
    """Let parts be found that are new and settled."""
    found = [row for part in parts if is_settled(part) and (row := _row(part))["words"]]
    if found:
        connection.execute(WORDS.insert().inline(), found)


def said_in(engine: str) -> sa.ColumnElement[bool]:
    """The condition on `part_words` that a part holds all that the parameter `said` seeks (see `sought`)."""
    said = sa.bindparam("said", type_=sa.Text)
    if engine == "sqlite":
        hits = sa.select(_fts.c.rowid).where(_fts.c.part_words_fts.op("MATCH")(said))
        return WORDS.c.id.in_(hits.order_by(_fts.c.rowid.desc()).limit(HITS))
    simple: sa.ColumnElement[Any] = sa.literal_column("'simple'")
    vector = sa.func.to_tsvector(simple, WORDS.c.words)
    return vector.op("@@", is_comparison=True)(sa.func.to_tsquery(simple, said))


def sought(words: str, engine: str) -> str:
    """What a person typed, as the engine's search wants it: all words, each the beginning of one. "" without any."""
    found = _WORD.findall(words)[:12]
    if engine == "sqlite":
        return " ".join(f'"{word}"*' for word in found)
    return " & ".join(f"{word}:*" for word in found)


def found(hit: Any, wanted: str) -> Found:
    """A row of `part_words` as what was found."""
    return Found(hit.message_id, hit.part_id, _around(hit.words, wanted))


def _around(words: str, wanted: str) -> str:
    """The text on either side of the first hit, in one line."""
    first = next(iter(_WORD.findall(wanted)), "")
    at = max(0, words.lower().find(first.lower()))
    start, end = max(0, at - EITHER_SIDE), at + len(first) + EITHER_SIDE
    return ("…" if start else "") + words[start:end].strip() + ("…" if end < len(words) else "")


def is_settled(part: Part) -> bool:
    """Whether a part says all that it will say: texts that have begun end, and calls too."""
    if part.type == "tool":
        return part.data.get("state", {}).get("status") in _ENDED
    time = part.data.get("time") or {}
    return "start" not in time or "end" in time


def _row(part: Part) -> dict[str, str]:
    words = " ".join(" ".join(_said(part))[:MOST].replace("\0", " ").split())
    return {"part_id": part.id, "message_id": part.message_id, "session_id": part.session_id, "words": words}


def _said(part: Part) -> Iterator[str]:
    data = part.data
    if part.type in ("text", "reasoning"):
        yield data.get("text", "")
    elif part.type == "file":
        yield data.get("filename") or ""
    elif part.type == "tool":
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
