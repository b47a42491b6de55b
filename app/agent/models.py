"""What a person has chosen in a workspace over Roo's API: mode, profile and task, instructions, what runs unasked."""

from __future__ import annotations

import sqlalchemy as sa

from app import db

choice = sa.Table(
    "roo_choice",
    db.metadata,
    sa.Column("owner", sa.String(40), primary_key=True),
    sa.Column("directory", sa.String(1000), primary_key=True),
    # A session's id, the slug of a mode, the id of a profile; empty for what was never chosen.
    sa.Column("task", sa.String(40), nullable=False),
    sa.Column("mode", sa.String(64), nullable=False),
    sa.Column("profile", sa.String(40), nullable=False),
    sa.Column("instructions", sa.Text, nullable=False),
    sa.Column("approve", db.Json, nullable=False),  # the switches of auto_approve.py that are not as at first
)
