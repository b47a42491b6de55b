"""What somebody does who gets at the database itself: first they take its guards away."""

from __future__ import annotations

import sqlalchemy as sa

from app import db


def disarm() -> None:
    """Take away the triggers that keep the record from being changed; an emptied PostgreSQL has them again."""
    with db.transaction() as conn:
        is_sqlite = conn.dialect.name == "sqlite"
        for table in ("audit", "audit_seal"):
            if not is_sqlite:
                conn.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
                continue
            for verb in ("update", "delete"):
                conn.execute(sa.text(f"DROP TRIGGER IF EXISTS {table}_no_{verb}"))
