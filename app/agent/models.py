"""What a person has chosen in a workspace over Roo's API (mode, profile, task, instructions, what runs unasked), their
profiles (models under names), and the server's custom modes.
"""

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
    # The profile that goes with each mode, by the mode's slug.
    sa.Column("linked", db.Json, nullable=False),
    sa.Column("instructions", sa.Text, nullable=False),
    sa.Column("approve", db.Json, nullable=False),  # the switches of auto_approve.py that are not as at first
)

profile = sa.Table(
    "agent_profile",
    db.metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("owner", "name"),
)

custom_mode = sa.Table(
    "custom_mode",
    db.metadata,
    sa.Column("slug", sa.String(64), primary_key=True),
    sa.Column("definition", db.Json, nullable=False),  # as Roo spells it
    sa.Column("by", sa.String(40), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)
