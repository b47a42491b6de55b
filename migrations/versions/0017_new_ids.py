"""Browser sessions get a new secret when their person's rights change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("browser_session", sa.Column("is_due", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("browser_session", sa.Column("previous", sa.String(64), nullable=False, server_default=""))
    op.add_column("browser_session", sa.Column("salt", sa.String(64), nullable=False, server_default=""))
    op.add_column("browser_session", sa.Column("renewed", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("ix_browser_session_previous", "browser_session", ["previous"])


def downgrade() -> None:
    op.drop_index("ix_browser_session_previous", "browser_session")
    for name in ("renewed", "salt", "previous", "is_due"):
        op.drop_column("browser_session", name)
