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

from app import db
from app.sessions import models
from app.sessions.things import Part

MOST = 20_000  # characters of a part that can be found
OUTPUT = 4_000  # of these, from a tool's output
EITHER_SIDE = 60
HITS = 20_000  # a word that is everywhere is sought in its newest places alone: nobody reads further
MANY = 1_000  # parts from which on a word is said often
WORDS, SESSIONS = models.part_words, models.sessions
WAYS = SQLITE, OFTEN, POSTGRESQL = "on sqlite", "often on sqlite", "on postgresql"
_WORD = re.compile(r"\w+")
_ENDED = ("completed", "error")
_remove = WORDS.delete().where(WORDS.c.part_id == sa.bindparam("part"))
_fts = sa.table("part_words_fts", sa.column("part_words_fts"), sa.column("rowid"), sa.column("rank"))
_seeks = sa.bindparam("said", type_=sa.Text)
_matches = _fts.c.part_words_fts.op("MATCH", is_comparison=True)(_seeks)
_HITS = sa.select(_fts.c.rowid).where(_matches).order_by(_fts.c.rowid.desc()).limit(HITS)
_simple: sa.ColumnElement[Any] = sa.literal_column("'simple'")
_SAID = sa.func.to_tsvector(_simple, WORDS.c.words).op("@@", is_comparison=True)(sa.func.to_tsquery(_simple, _seeks))


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


def way_of(connection: sa.Connection, said: str) -> str:
    """The way in which what `sought` gave is looked up: by the engine, and on SQLite "often" where many parts say it.

    To find the sessions of few parts takes a look at each of these. Of many parts that would cost more than to go from
    the newest session down until enough are found.
    """
    if connection.dialect.name != "sqlite":
        return POSTGRESQL
    hits = sa.select(_fts.c.rowid).where(_matches).limit(MANY).subquery()
    many = connection.scalar(sa.select(sa.func.count()).select_from(hits), {"said": said})
    return OFTEN if many == MANY else SQLITE


def said_in(way: str) -> sa.ColumnElement[bool]:
    """The condition on `part_words`, of sessions named already: a part holds all that the parameter `said` seeks."""
    # Plus nothing: SQLite shall go by the session, and look up there what hits.
    return _SAID if way == POSTGRESQL else (WORDS.c.id + sa.literal_column("0")).in_(_HITS)


def said_by(way: str) -> sa.ColumnElement[bool]:
    """The condition on `session` that one of its parts holds all that the parameter `said` seeks."""
    if way == OFTEN:
        return sa.exists().where(WORDS.c.session_id == SESSIONS.c.id, said_in(way)).correlate(SESSIONS)
    said = _SAID if way == POSTGRESQL else WORDS.c.id.in_(_HITS)
    return SESSIONS.c.id.in_(sa.select(WORDS.c.session_id).where(said))


def sought(words: str) -> str:
    """What a person typed, as the engine's search wants it: all words, each the beginning of one. "" without any."""
    found = _WORD.findall(words)[:12]
    if db.current().is_sqlite:
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
