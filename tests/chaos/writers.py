"""Processes that write until they are killed: `python -m tests.chaos.writers DATABASE` forks one for each line it reads.

Each has four writers, two that append and two with transactions of their own, and one who checkpoints. For every row
that is acknowledged it prints one line, `writer number`.
"""

from __future__ import annotations

import os
import sys
import threading

import sqlalchemy as sa

from app import db

WRITERS = 4
chaos = sa.Table(
    "chaos",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("writer", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("parent", sa.Integer, sa.ForeignKey("chaos.id"), nullable=True),
    sa.Column("said", sa.Text, nullable=False),
)


def _write(round_number: int, writer: int, out: int) -> None:
    last: int | None = None
    for number in range(1_000_000):
        row = {"round": round_number, "writer": writer, "number": number, "parent": last, "said": "x" * 500}

        def insert(connection: sa.Connection, row: dict[str, object] = row) -> int:
            key = connection.execute(chaos.insert(), row).inserted_primary_key
            assert key is not None
            return int(key[0])

        if writer % 2:
            last = db.append(insert).result()
        else:
            with db.transaction() as connection:
                last = insert(connection)
        os.write(out, f"{round_number} {writer} {number}\n".encode())


def _checkpoint() -> None:
    while True:
        with db.current().engine.connect() as connection:
            connection.exec_driver_sql("ROLLBACK")  # SQLAlchemy began; a checkpoint wants to be outside
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
        threading.Event().wait(0.01)


def work(path: str, round_number: int, out: int) -> None:
    """Write until somebody ends this process."""
    db.use(db.Database(f"sqlite:///{path}"))
    threading.Thread(target=_checkpoint, daemon=True).start()
    writers = [threading.Thread(target=_write, args=(round_number, number, out)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()


def main() -> None:
    """Fork a process of writers for each line, and print its pid; the children print what is acknowledged."""
    for round_number, _ in enumerate(sys.stdin):
        pid = os.fork()
        if pid == 0:
            work(sys.argv[1], round_number, 1)
            os._exit(0)
        os.write(1, f"pid {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"over\n")


if __name__ == "__main__":
    main()
