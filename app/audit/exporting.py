"""The record as a file: JSON lines or CSV, piece by piece, however long it is."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from app import db, record
from app.accounts import service as accounts
from app.actor import Actor
from app.audit import looking
from app.audit.looking import Condition, Entry
from app.errors import Invalid, Limited

KINDS = ("jsonl", "csv")
CHUNK = 1000
AT_ONCE = 2
RETRY = 10
NAMES = [field.name for field in dataclasses.fields(Entry)]
# A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection): also behind blanks or quotes, in the
# full-width spelling of East Asian locales, and behind what it may take for the end of a cell. Many spreadsheets split
# at semicolons, whatever the file was written with.
_FORMULA = re.compile(r"(?:\A|(?<=[;\t\r\n]))(?=[\s\"]*[=+\-@\uff1d\uff0b\uff0d\uff20])|\A(?=[\t\r\n\0])")
_places = threading.BoundedSemaphore(AT_ONCE)


def export(actor: Actor, kind: str, conditions: Sequence[Condition] = ()) -> Iterator[bytes]:
    """The entries that fit, oldest first, as `jsonl` or `csv`; the last one is that they were asked for.

    Raises Invalid for another kind, Limited while two others are being written. Whoever does not read it to its end
    closes the iterator.
    """
    accounts.require(actor, "audit:read")
    if kind not in KINDS:
        raise Invalid(f"format is one of {', '.join(KINDS)}.", "format")
    query = looking.query(conditions)
    if not _places.acquire(blocking=False):
        raise Limited(f"At most {AT_ONCE} exports are written at once.", RETRY)
    try:
        with db.transaction() as conn:
            detail = {"format": kind, "filters": [f"{one.column} {one.operator} {one.value}" for one in conditions]}
            record.audit(conn, actor, "audit.export", "", detail)
            last = conn.scalar(sa.select(sa.func.max(record.audit_rows.c.seq))) or 0
    except BaseException:
        _places.release()
        raise
    return _Pieces(_pieces(kind, query, last))


class _Pieces:
    """The pieces, and the place among those who export, which is given back once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            _places.release()


def _pieces(kind: str, query: sa.Select[Any], last: int) -> Iterator[bytes]:
    """One piece for each chunk; each is a look of its own, so that nobody waits for a long export."""
    seq, write = record.audit_rows.c.seq, _WRITERS[kind]
    if kind == "csv":
        yield _lines([NAMES])
    place = 0
    while True:
        chunk = query.where(seq > place, seq <= last).order_by(seq).limit(CHUNK)
        with db.read() as conn:
            found = [Entry(*row) for row in conn.execute(chunk)]
        if found:
            yield write(found)
        if len(found) < CHUNK:
            return
        place = found[-1].seq


def _json_lines(entries: Sequence[Entry]) -> bytes:
    return b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


def _csv_lines(entries: Sequence[Entry]) -> bytes:
    return _lines([[_cell(name, getattr(entry, name)) for name in NAMES] for entry in entries])


def _cell(name: str, value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula; the time in UTC."""
    if value is None:
        return ""
    if name == "at" and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    return _FORMULA.sub("'", text)


def _lines(table: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table)
    return file.getvalue().encode()


_WRITERS: dict[str, Callable[[Sequence[Entry]], bytes]] = {"jsonl": _json_lines, "csv": _csv_lines}
