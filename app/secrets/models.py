"""Tables of the vault: which master key is in use (one row), a key per scope, the values, who may use them."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

masters = sa.Table(
    "secret_master",
    db.metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("master_id", sa.String(16), nullable=False),
)

keys = sa.Table(
    "secret_key",
    db.metadata,
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("id", sa.String(40), nullable=False),
    sa.Column("master_id", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)

secrets = sa.Table(
    "secret",
    db.metadata,
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key_id", sa.String(40), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=True),
)

# A secret that the commands of a project's sessions find in their environment.
grants = sa.Table(
    "secret_grant",
    db.metadata,
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("project", sa.String(40), primary_key=True),
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Index("secret_grant_project", "project"),
)
