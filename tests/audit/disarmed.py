"""What somebody does who gets at the database itself: first they take its guards away."""

from __future__ import annotations

import sqlalchemy as sa

from app import db


def disarm() -> None:
    """Drop the triggers that keep the record from being changed."""
    with db.transaction() as conn:
        is_sqlite = conn.dialect.name == "sqlite"
        for table in ("audit", "audit_seal"):
            for verb in ("update", "delete"):
                where = "" if is_sqlite else f" ON {table}"
                conn.execute(sa.text(f"DROP TRIGGER IF EXISTS {table}_no_{verb}{where}"))
