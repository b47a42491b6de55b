"""The table of configurations that were written over the API or on the page, one for each scope.

Where a value is secret, the document has a mark in its place, and the vault holds the value.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db

configurations = sa.Table(
    "configuration",
    db.metadata,
    sa.Column("scope", sa.String(64), primary_key=True),  # `server`, or a project's id
    sa.Column("document", db.Json, nullable=False),
    sa.Column("sealed", sa.Boolean, nullable=False),
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

# What was chosen for the whole server on its pages, over what its operator's settings say.
choices = sa.Table(
    "server_choice",
    db.metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(200), nullable=False),
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)
