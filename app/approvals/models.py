"""Tables of the room: ask (approvals and questions) and rule. Times are unix ms."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

asks = sa.Table(
    "ask",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),  # approval | question
    sa.Column("session_id", sa.String(40), nullable=False),
    sa.Column("above", sa.Text, nullable=False),  # the sessions above it, "/ses_a/ses_b/"
    sa.Column("run_id", sa.String(40), nullable=False),
    sa.Column("message_id", sa.String(40), nullable=False),
    sa.Column("part_id", sa.String(40), nullable=False),
    sa.Column("call_id", sa.String(128), nullable=False),
    sa.Column("call_hash", sa.String(64), nullable=False),
    sa.Column("tool", sa.String(128), nullable=False),
    sa.Column("input", db.Json, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("metadata", db.Json, nullable=False),
    sa.Column("patterns", db.Json, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("parts", db.Json, nullable=False),
    sa.Column("always", db.Json, nullable=False),
    sa.Column("questions", db.Json, nullable=False),
    sa.Column("mode", sa.String(64), nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # waiting | answered | withdrawn
    sa.Column("reply", sa.String(16), nullable=False),  # "" | once | always | reject | answer
    sa.Column("word", sa.Text, nullable=False),
    sa.Column("answers", db.Json, nullable=False),
    sa.Column("added", db.Json, nullable=False),  # the rules that "always" added
    sa.Column("answered_by", sa.String(64), nullable=False),
    sa.Column("answered_name", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("answered", sa.BigInteger, nullable=True),
    sa.Index("ask_state", "state", "answered"),
    sa.Index("ask_session", "session_id", "call_hash"),
    sa.Index("ask_run", "run_id", "state"),
    sa.Index("ask_project", "project", "created"),
    sa.Index(
        "ask_one_waiting",
        "session_id",
        "call_hash",
        unique=True,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    ),
)

rules = sa.Table(
    "rule",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("layer", sa.String(16), nullable=False),  # server | user | project | session
    sa.Column("target", sa.String(40), nullable=False),  # the user, project or session it is for; "" for all
    sa.Column("tool", sa.String(128), nullable=False),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("action", sa.String(8), nullable=False),
    sa.Column("ask_id", sa.String(40), nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Index("rule_target", "layer", "target", "id"),
)
