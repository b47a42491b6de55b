"""The table of sandboxes: those that run, those that are paused, and those that are being taken down."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

sandbox = sa.Table(
    "sandbox",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False, index=True),
    # The scratch project that was made for it, or the one that it has a worktree of.
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("directory", sa.String(4096), nullable=False),
    sa.Column("template", sa.String(200), nullable=False),
    sa.Column("metadata", db.Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("on_timeout", sa.String(16), nullable=False),
    # Whether its commands may have a network; None where its maker said nothing.
    sa.Column("reach", sa.Boolean),
    sa.Column("started", sa.BigInteger, nullable=False),
    sa.Column("ends", sa.BigInteger, nullable=False, index=True),
    # What its access token is derived from, and the row of accounts that has its hash.
    sa.Column("salt", sa.String(64), nullable=False),
    sa.Column("token", sa.String(40), nullable=False, index=True),
    sa.Column("key", sa.String(255)),
    sa.UniqueConstraint("owner", "key"),
)
