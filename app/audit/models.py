"""The seals of the audit log: a row per audited row, chained, so that the log itself is never rewritten.

The place in the chain is the order of sealing: on PostgreSQL a transaction may commit after one with a
greater seq, so seq alone gives no order that stays.
"""

from __future__ import annotations

import sqlalchemy as sa

from app import db

seal = sa.Table(
    "audit_seal",
    db.metadata,
    sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("prev_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
