"""The record keeps in which request an act was done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("audit", sa.Column("request_id", sa.String(16), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("audit", "request_id")
