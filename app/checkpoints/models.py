"""The table of checkpoints: what a session's workspace held at a step, as a tree of its project's shadow."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

checkpoint = sa.Table(
    "checkpoint",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("session_id", sa.String(40), nullable=False),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("directory", sa.String(4096), nullable=False),
    sa.Column("message_id", sa.String(64), nullable=False),
    sa.Column("part_id", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("tree", sa.String(64), nullable=False),
    sa.Column("base", sa.String(64), nullable=False),
    sa.Column("files", db.Json, nullable=False),
    sa.Column("skipped", db.Json, nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("lost", sa.String(200), nullable=False),
    sa.Column("talk", db.Json, nullable=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("session_id", "number"),
    sa.Index("checkpoint_message", "session_id", "message_id"),
    sa.Index("checkpoint_created", "created"),
)
