"""Who may use a secret and when it was last used; an audit log that can be searched and takes no change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010b'
branch_labels = None
depends_on = None

# What is written down stays: a change has to take these away first, and then the chain tells.
_KEPT = ('audit', 'audit_seal')
_SQLITE = (
    "CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} BEGIN"
    " SELECT RAISE(ABORT, 'the audit log is append-only'); END"
)
_POSTGRESQL = (
    "CREATE OR REPLACE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
)
_POSTGRESQL_EACH = (
    "CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
)
# TRUNCATE fires no trigger for each row.
_POSTGRESQL_WHOLE = (
    "CREATE TRIGGER {table}_no_TRUNCATE BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
    " EXECUTE FUNCTION audit_is_append_only()"
)


def upgrade() -> None:
    """Apply."""
    op.add_column('secret', sa.Column('used', sa.BigInteger(), nullable=True))
    op.create_table('secret_grant',
    sa.Column('scope', sa.String(length=128), nullable=False),
    sa.Column('name', sa.String(length=128), nullable=False),
    sa.Column('project', sa.String(length=40), nullable=False),
    sa.Column('by', sa.String(length=40), nullable=False),
    sa.Column('created', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('scope', 'name', 'project')
    )
    op.create_index('secret_grant_project', 'secret_grant', ['project'])
    op.create_index('audit_at', 'audit', ['at'])
    op.create_index('audit_user', 'audit', ['user', 'seq'])
    op.create_index('audit_action', 'audit', ['action', 'seq'])
    is_sqlite = op.get_bind().dialect.name == 'sqlite'
    if not is_sqlite:
        op.execute(_POSTGRESQL)
    for table in _KEPT:
        for verb in ('UPDATE', 'DELETE'):
            op.execute((_SQLITE if is_sqlite else _POSTGRESQL_EACH).format(table=table, verb=verb))
        if not is_sqlite:
            op.execute(_POSTGRESQL_WHOLE.format(table=table))


def downgrade() -> None:
    """Take back."""
    is_sqlite = op.get_bind().dialect.name == 'sqlite'
    for table in _KEPT:
        for verb in ('UPDATE', 'DELETE'):
            op.execute(f'DROP TRIGGER {table}_no_{verb}' + ('' if is_sqlite else f' ON {table}'))
        if not is_sqlite:
            op.execute(f'DROP TRIGGER {table}_no_TRUNCATE ON {table}')
    if not is_sqlite:
        op.execute('DROP FUNCTION audit_is_append_only()')
    op.drop_index('audit_action', 'audit')
    op.drop_index('audit_user', 'audit')
    op.drop_index('audit_at', 'audit')
    op.drop_table('secret_grant')
    op.drop_column('secret', 'used')
