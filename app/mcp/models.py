"""The table of servers that were added to projects; environment and headers are held by the vault."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

server = sa.Table(
    "mcp_server",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    # The exact argv of a local one, the URL alone of a remote one; or {argv, cwd, terms} (see things.Server).
    sa.Column("target", db.Json, nullable=False),
    sa.Column("timeout", sa.Integer, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("project", "name"),
)
