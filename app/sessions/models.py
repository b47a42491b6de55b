"""Tables of the room: session, message, part, run. Times are unix ms.

The version of a row rises with each change of it; a message's also with each change of its parts, but for text
that still grows.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.Integer, nullable=False, default=1, onupdate=sa.text("version + 1"))


sessions = sa.Table(
    "session",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("parent_id", sa.String(40), nullable=True, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("mode", sa.String(64), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("preset", sa.String(32), nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("via", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cost", sa.Float, nullable=False),
    sa.Column("tokens", db.Json, nullable=False),
    sa.Column("additions", sa.Integer, nullable=False),
    sa.Column("deletions", sa.Integer, nullable=False),
    sa.Column("files", sa.Integer, nullable=False),
    sa.Column("todos", db.Json, nullable=False),
    sa.Column("revert", db.Json, nullable=True),
    sa.Column("last_act", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False, index=True),
    sa.Column("archived", sa.BigInteger, nullable=True),
    sa.Column("compacting", sa.BigInteger, nullable=True),  # since when it is being summed up
    _version(),
    # The end of its public address, and how it is shared (things.Share); both empty while it is not.
    sa.Column("share_slug", sa.String(40), nullable=True),
    sa.Column("share", db.Json, nullable=True),
    sa.Column("share_until", sa.BigInteger, nullable=True, index=True),  # when that address ends by itself
    sa.Index("session_share_slug", "share_slug", unique=True),
    sa.Index("session_updated_id", "updated", "id"),
    sa.Index("session_project_updated", "project", "updated", "id"),
    sa.Index("session_state_updated", "state", "updated", "id"),
    # Every count by state reads this index alone.
    sa.Index("session_standing", "state", "archived", "project", "owner", "visibility"),
)

messages = sa.Table(
    "message",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("session_id", sa.String(40), sa.ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("data", db.Json, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("completed", sa.BigInteger, nullable=True),
    _version(),
    sa.Index("message_session", "session_id", "id"),
)

parts = sa.Table(
    "part",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("message_id", sa.String(40), sa.ForeignKey("message.id", ondelete="CASCADE"), nullable=False),
    sa.Column("session_id", sa.String(40), nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("text", sa.Text, nullable=True),
    sa.Column("data", db.Json, nullable=False),
    sa.Index("part_message", "message_id", "id"),
    sa.Index("part_session", "session_id", "message_id", "id"),
)

# What each part can be found by. A full-text index over it stands beside it, written by hand in its migration.
part_words = sa.Table(
    "part_words",
    db.metadata,
    sa.Column("id", db.BigSerial, primary_key=True, autoincrement=True),
    sa.Column("part_id", sa.String(40), sa.ForeignKey("part.id", ondelete="CASCADE"), nullable=False, unique=True),
    sa.Column("message_id", sa.String(40), nullable=False),
    sa.Column("session_id", sa.String(40), nullable=False, index=True),
    sa.Column("words", sa.Text, nullable=False),
)

runs = sa.Table(
    "run",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("session_id", sa.String(40), sa.ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
    sa.Column("message_id", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("mode", sa.String(64), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("lease_owner", sa.String(80), nullable=True),
    sa.Column("lease_until", sa.BigInteger, nullable=True),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("takeovers", sa.Integer, nullable=False),
    sa.Column("abort", sa.Boolean, nullable=False),
    sa.Column("error", db.Json, nullable=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("started", sa.BigInteger, nullable=True),
    sa.Column("ended", sa.BigInteger, nullable=True),
    # The run that waits for this one, a subagent's; empty once it was told of the end.
    sa.Column("parent_run", sa.String(40), nullable=True, index=True),
    sa.Index("run_session", "session_id", "id"),
    sa.Index("run_state", "state", "lease_until"),
    sa.Index(
        "run_one_live",
        "session_id",
        unique=True,
        sqlite_where=sa.text("state IN ('running', 'waiting')"),
        postgresql_where=sa.text("state IN ('running', 'waiting')"),
    ),
)
