"""The database: short write transactions in one fair queue, batched appends, and read snapshots.

On SQLite every write of this process passes one FIFO: whoever holds the turn first commits the appends that
wait (group commit), then runs its own transaction. That keeps a verb's p99 near 10 ms where free competition
for SQLite's lock costs 55-80 ms. On PostgreSQL the same calls use the connection pool.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app import once
from app.errors import Invalid

metadata = sa.MetaData()
Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
BigSerial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

T = TypeVar("T")
Hook = Callable[[], None]
MAX_BATCH = 500
# orjson writes every backslash as two: an odd one begins an escape.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_logger = logging.getLogger(__name__)


class _Turns:
    """A lock that is handed on in the order in which it was asked for."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self) -> None:
        with self._mutex:
            if not self._held:
                self._held = True
                return
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        ticket.acquire()

    def release(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class _Append:
    """One small write that waits for its batch."""

    def __init__(self, work: Callable[[sa.Connection], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()


class Database:
    """One database with this process's queue of writes. Opening does no I/O; `close` ends its thread."""

    def __init__(self, url: str, durability: str = "normal") -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._writes = _engine(url, durability, writer=True)
        self._reads = (
            _engine(url, durability, writer=False)
            if self.is_sqlite
            else self._writes.execution_options(isolation_level="REPEATABLE READ")
        )
        self._turns = _Turns()
        self._appends: deque[_Append] = deque()
        self._bell = threading.Condition()
        self._flusher: threading.Thread | None = None
        self._closed = False
        self._local = threading.local()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A verb's own short write transaction; inside another one of this thread it joins it."""
        open_one: sa.Connection | None = getattr(self._local, "connection", None)
        if open_one is not None:
            yield open_one
            return
        hooks: dict[Hook, None] = {}
        once.end()  # whoever writes wants to see what they wrote
        with self._turn(), self._writes.begin() as connection:
            self._local.connection, self._local.hooks = connection, hooks
            try:
                yield connection
            finally:
                self._local.connection = self._local.hooks = None
        _run_hooks(hooks)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read snapshot; inside a transaction of this thread, that transaction."""
        open_one: sa.Connection | None = getattr(self._local, "connection", None)
        if open_one is not None:
            yield open_one
            return
        with self._reads.connect() as connection:
            yield connection

    def append(self, work: Callable[[sa.Connection], T]) -> Future[T]:
        """Queue a small write; appends of one thread commit in order, many of them in one transaction."""
        item = _Append(work)
        with self._bell:
            if self._closed:
                raise RuntimeError("the database is closed")
            self._appends.append(item)
            self._local.last_append = item.future
            if self._flusher is None:
                self._flusher = threading.Thread(target=self._flush_forever, name="db-appends", daemon=True)
                self._flusher.start()
            self._bell.notify()
        return item.future

    def after_commit(self, hook: Hook) -> None:
        """Run the hook once the open transaction or append has committed; the same hook only once."""
        hooks: dict[Hook, None] | None = getattr(self._local, "hooks", None)
        if hooks is None:
            raise RuntimeError("after_commit() wants an open transaction")
        hooks[hook] = None

    def close(self) -> None:
        """Commit what is queued and close all connections."""
        with self._bell:
            self._closed = True
            self._bell.notify()
        if self._flusher is not None:
            self._flusher.join(timeout=10)
        self._writes.dispose()
        self._reads.dispose()

    @property
    def is_writing(self) -> bool:
        """Whether this thread has a transaction open, which may see what nobody else sees yet."""
        return getattr(self._local, "connection", None) is not None

    @property
    def engine(self) -> sa.Engine:
        """The writing engine, for migrations and the doctor."""
        return self._writes

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.is_sqlite:
            self._own_appends_first()
            yield
            return
        self._turns.acquire()
        try:
            self._commit_appends()
            yield
        finally:
            self._turns.release()

    def _own_appends_first(self) -> None:
        last: Future[Any] | None = getattr(self._local, "last_append", None)
        if last is not None:
            last.exception(timeout=30)
            self._local.last_append = None

    def _flush_forever(self) -> None:
        while True:
            with self._bell:
                while not self._appends and not self._closed:
                    self._bell.wait()
                if not self._appends and self._closed:
                    return
            self._turns.acquire()
            try:
                self._commit_appends()
            finally:
                self._turns.release()

    def _commit_appends(self) -> None:
        while self._appends:
            batch = [self._appends.popleft() for _ in range(min(len(self._appends), MAX_BATCH))]
            try:
                self._commit(batch)
            except Exception as failed:  # noqa: BLE001 - whatever a write raises belongs to its future
                self._commit_one_by_one(batch, failed)

    def _commit_one_by_one(self, batch: list[_Append], failure: Exception) -> None:
        """One of a batch failed: the others must not suffer for it."""
        if len(batch) == 1:
            batch[0].future.set_exception(failure)
            return
        for item in batch:
            try:
                self._commit([item])
            except Exception as failed:  # noqa: BLE001 - the same
                item.future.set_exception(failed)

    def _commit(self, batch: list[_Append]) -> None:
        hooks: dict[Hook, None] = {}
        with self._writes.begin() as connection:
            self._local.connection, self._local.hooks = connection, hooks
            try:
                results = [item.work(connection) for item in batch]
            finally:
                self._local.connection = self._local.hooks = None
        for item, result in zip(batch, results, strict=True):
            item.future.set_result(result)
        _run_hooks(hooks)


def _run_hooks(hooks: dict[Hook, None]) -> None:
    """What is committed is committed: a hook that fails must not look like a failed write."""
    for hook in hooks:
        try:
            hook()
        except Exception:
            _logger.exception("what was to follow a commit failed")


def _engine(url: str, durability: str, *, writer: bool) -> sa.Engine:
    common: dict[str, Any] = {
        "json_serializer": _dumps,
        "json_deserializer": orjson.loads,
    }
    if not url.startswith("sqlite"):
        if url.startswith("postgresql://"):
            url = "postgresql+psycopg://" + url.removeprefix("postgresql://")
        options = "-c idle_in_transaction_session_timeout=5000 -c timezone=UTC"
        pooled = sa.create_engine(
            url,
            pool_size=16,
            max_overflow=16,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 3, "options": options},
            **common,
        )
        sa.event.listen(pooled, "handle_error", _tell_nul)
        return pooled
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=1 if writer else 16,
        max_overflow=0 if writer else 48,
        pool_timeout=30,
        connect_args={"check_same_thread": False, "timeout": 10},
        **common,
    )
    sa.event.listen(engine, "connect", _pragmas("FULL" if durability == "full" else "NORMAL"))
    sa.event.listen(engine, "begin", _begin_write if writer else _begin_read)
    return engine


def _begin_write(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_read(connection: sa.Connection) -> None:
    """Nothing is locked or read by it, so nothing of it can fail that SQLAlchemy would have to tell of."""
    connection.connection.cursor().execute("BEGIN")


def _tell_nul(context: sa.engine.ExceptionContext) -> None:
    """A text that PostgreSQL cannot take came from somebody: theirs is the mistake, whichever door it came through."""
    if "cannot contain NUL" in str(context.original_exception):
        raise Invalid("A text holds a NUL character.") from None


def storable(text: str) -> str:
    """The text with its NUL characters, which PostgreSQL cannot store, shown as replacement characters."""
    return text.replace("\0", "\ufffd")


def _dumps(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def _pragmas(synchronous: str) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN, not sqlite3's late one
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("PRAGMA cache_size=-16000")

    return on_connect


_current: Database | None = None


def use(database: Database) -> None:
    """Make this the process's database."""
    global _current
    _current = database


def current() -> Database:
    """The database in use."""
    if _current is None:
        raise RuntimeError("no database is in use: create_app() sets it")
    return _current


@contextmanager
def transaction() -> Iterator[sa.Connection]:
    """A short write transaction on the database in use."""
    with current().transaction() as connection:
        yield connection


@contextmanager
def read() -> Iterator[sa.Connection]:
    """A read snapshot of the database in use."""
    with current().read() as connection:
        yield connection


def append(work: Callable[[sa.Connection], T]) -> Future[T]:
    """Queue a small write on the database in use; the future holds its result or its failure."""
    return current().append(work)


def fetch_words(connection: sa.Connection, query: sa.Select[Any], given: dict[str, Any] | None = None) -> list[str]:
    """The one column of a query, words without spaces, in the query's order; the query is a lasting object.

    The sqlite3 module gives up the GIL at each row, and every thread at work then waits for it again: with eight
    busy threads 200 rows cost more than the rest of an answer. So SQLite joins them into one.
    """
    if connection.dialect.name != "sqlite":
        return list(connection.scalars(query, given))
    return (connection.scalar(_joined(query), given) or "").split()


@lru_cache(maxsize=256)
def _joined(query: sa.Select[Any]) -> sa.Select[Any]:
    rows = query.subquery()
    return sa.select(sa.func.group_concat(rows.c[0], " ")).select_from(rows)


def after_commit(hook: Hook) -> None:
    """Run the hook once the open transaction has committed."""
    current().after_commit(hook)
